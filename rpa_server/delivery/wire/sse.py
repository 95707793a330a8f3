"""Server-sent events as bytes.

Pure. The event stream is that of the HTML standard, section 9.2.
"""

from ...progress.update import Cursor, Update

#: A block of its own that every client ignores.
COMMENT = b":\n\n"


def event(payload: bytes, cursor: Cursor | None) -> bytes:
    """Wrap *payload* (one line) in an unnamed event, with the cursor as its id where there is one."""
    return _event(payload, None, 0) if cursor is None else _event(payload, *cursor)


def update_event(update: Update) -> bytes:
    """Return the event of *update*."""
    return _event(update.raw, update.epoch, update.seq)


def _event(payload: bytes, epoch: str | None, seq: int) -> bytes:
    if epoch is None:
        return b"data: %b\n\n" % payload
    return b"id: %b:%d\ndata: %b\n\n" % (epoch.encode(), seq, payload)


def retry(delay_ms: int) -> bytes:
    """Tell the client how long to wait before it connects again."""
    return b"retry: %d\n\n" % delay_ms
