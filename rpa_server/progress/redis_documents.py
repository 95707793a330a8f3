"""Builds the state of a session from what Redis has of it.

Pure. documents.py has the rules for one document.
"""

from .. import safejson
from ..errors import BadDocument
from . import deployed
from .documents import (
    Document,
    errors_as_bad_document,
    fold,
    from_progress,
    leading_to,
    own_cursor,
    sparse,
    whole_ms,
)
from .session_state import SessionState
from .snapshot import begin
from .update import Cursor, Update, own_update


def from_redis(
    session_id: str, raw: bytes | None, stream: list[bytes], result: bytes | None = None, session: bytes | None = None
) -> SessionState | None:
    """Build the state from the snapshot and the stream's payloads, which were read after it.

    Args:
        session_id: a checked session id.
        raw: the snapshot, None if the key does not exist.
        stream: raw updates, in order.
        result, session: the end documents, used only for a deployed robot; unreadable ones are ignored.

    Returns:
        The state; None if there is no snapshot and the stream lacks an update of its run.

    Raises:
        BadDocument: the snapshot can't be understood.
    """
    updates = [update for payload in stream if (update := own_update(payload)) is not None]
    if raw is None:
        return replayed(session_id, updates)
    progress = safejson.load_object(raw)
    if own_cursor(progress) is not None:
        return from_own(session_id, progress, updates)
    return from_foreign(session_id, progress, result, session)


def from_own(session_id: str, progress: Document, updates: list[Update]) -> SessionState:
    """Build the state from our tracker's snapshot; those of *updates* that lead to it are its updates.

    Raises:
        BadDocument: the snapshot can't be understood.
    """
    state = from_progress(session_id, progress)
    state.updates = leading_to(state.cursor, updates) if updates else []
    return state


@errors_as_bad_document
def from_foreign(session_id: str, progress: Document, result: bytes | None, session: bytes | None) -> SessionState:
    """Build the state from another system's snapshot, and the end documents, None for a missing one.

    Raises:
        BadDocument: the snapshot can't be understood.
    """
    state = from_progress(session_id, progress)
    end = deployed.end_of(_object(result), _object(session), state.started)
    return state if end is None else sparse(session_id, state.snapshot, deployed.is_old(progress), end)


def _object(raw: bytes | None) -> Document | None:
    try:
        return None if raw is None else safejson.load_object(raw)
    except BadDocument:
        return None


@errors_as_bad_document
def replayed(session_id: str, updates: list[Update]) -> SessionState | None:
    """Rebuild a state whose snapshot Redis has evicted; None unless *updates* are all updates of one run."""
    if not updates or updates[0].seq != 1:
        return None
    last = updates[-1]
    unbroken = leading_to(Cursor(str(last.epoch), last.seq), updates)
    if len(unbroken) != last.seq:
        return None
    snapshot = begin(session_id, unbroken[0].data["timestamp"], unbroken[0].data["total_etapas"])
    state = SessionState(str(last.epoch), 0, snapshot, unbroken, began=whole_ms(unbroken[0].data.get("began")))
    state.stepped = False
    for update in unbroken:
        fold(state, update)
    return state
