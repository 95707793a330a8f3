"""Socket options of the connections that pages keep open."""

import socket

#: What the kernel waits for an acknowledgement before it drops a connection.
UNACKNOWLEDGED_MS = 10_000
#: How much the kernel holds that it could not send: more would only hide for seconds that a client has stalled.
UNSENT = 128 * 1024


def bound_silence(raw: socket.socket | None) -> None:
    """Let the kernel drop a connection when its peer acknowledges nothing for UNACKNOWLEDGED_MS.

    And let it hold no more than UNSENT bytes that the peer does not take, instead of megabytes.

    Args:
        raw: the connection's socket, or the one that listens, of which connections inherit it.
    """
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for name, value in (("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS), ("TCP_NOTSENT_LOWAT", UNSENT)):
        if (option := getattr(socket, name, None)) is not None:
            raw.setsockopt(socket.IPPROTO_TCP, option, value)
