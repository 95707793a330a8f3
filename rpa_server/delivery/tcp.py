"""Socket options for the connections that pages keep open."""

import socket

#: How long the kernel waits for an acknowledgement before it drops a connection.
UNACKNOWLEDGED_MS = 10_000
#: How many unsent bytes the kernel keeps: more would only hide for seconds that a client has stalled.
UNSENT = 128 * 1024


def bound_silence(raw: socket.socket | None) -> None:
    """Make the kernel drop a connection whose peer acknowledges nothing for UNACKNOWLEDGED_MS.

    Also limits the unsent bytes that the kernel keeps to UNSENT, instead of megabytes.

    Args:
        raw: the connection's socket, or a listening one, whose connections inherit the options.
    """
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for name, value in (("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS), ("TCP_NOTSENT_LOWAT", UNSENT)):
        if (option := getattr(socket, name, None)) is not None:
            raw.setsockopt(socket.IPPROTO_TCP, option, value)
