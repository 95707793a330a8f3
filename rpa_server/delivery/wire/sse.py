"""Server-sent events as bytes.

Pure. The event stream is that of the HTML standard, section 9.2.
"""

from ...progress.update import Cursor


def sse_event(payload: bytes, cursor: Cursor | None) -> bytes:
    """Wrap *payload* (one line) in an unnamed event, with the cursor as its id where there is one."""
    return b"%b%b\n\n" % (event_head(*(cursor or (None, 0))), payload)


def event_head(epoch: str | None, seq: int) -> bytes:
    """Return what stands before the payload of an event."""
    return b"data: " if epoch is None else b"id: %b:%d\ndata: " % (epoch.encode(), seq)


def chunk(payload: bytes) -> bytes:
    """Wrap *payload* in one chunk of HTTP/1.1's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
