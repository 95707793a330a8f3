"""Server-sent events as bytes.

Pure. The format is that of the HTML standard, section 9.2.
"""

from ...progress.update import Cursor, Update

#: A comment, which every client ignores.
COMMENT = b":\n\n"


def event(payload: bytes, cursor: Cursor | None) -> bytes:
    """Encode *payload* (one line) as an unnamed event; its id is the cursor, if given."""
    return _event(payload, None, 0) if cursor is None else _event(payload, *cursor)


def update_event(update: Update) -> bytes:
    """Encode *update* as an event."""
    return _event(update.raw, update.epoch, update.seq)


def _event(payload: bytes, epoch: str | None, seq: int) -> bytes:
    if epoch is None:
        return b"data: %b\n\n" % payload
    return b"id: %b:%d\ndata: %b\n\n" % (epoch.encode(), seq, payload)


def retry(delay_ms: int) -> bytes:
    """Encode how long the client should wait before it reconnects."""
    return b"retry: %d\n\n" % delay_ms
