"""Socket options for the connections that pages keep open."""

import socket

#: How many milliseconds the kernel waits for an acknowledgement of sent data before it drops the connection.
UNACKNOWLEDGED_MS = 10_000
#: How many unsent bytes the kernel buffers: with more, a stalled client would go unnoticed for seconds longer.
UNSENT = 128 * 1024


def bound_silence(raw: socket.socket | None) -> None:
    """Make the kernel drop a connection whose peer acknowledges no data for UNACKNOWLEDGED_MS.

    Also limits the unsent bytes that the kernel buffers to UNSENT, instead of megabytes. An option that the platform
    lacks is left out.

    Args:
        raw: the connection's socket, or a listening one, whose connections inherit the options; None and Unix sockets
            are ignored.
    """
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for name, value in (("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS), ("TCP_NOTSENT_LOWAT", UNSENT)):
        if (option := getattr(socket, name, None)) is not None:
            raw.setsockopt(socket.IPPROTO_TCP, option, value)
