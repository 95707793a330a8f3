"""Builds the state of a session from its files.

Pure. documents.py has the rules for one document.
"""

from collections.abc import Sequence

from .. import safejson
from ..errors import BadDocument
from . import deployed, moments
from .documents import (
    Document,
    errors_as_bad_document,
    fold,
    from_history,
    from_progress,
    leading_to,
    own_cursor,
    sparse,
)
from .session_state import SessionState
from .snapshot import begin
from .update import Cursor, Update, own_update


@errors_as_bad_document
def from_files(
    session_id: str,
    progress: Document | None,
    history: Document | None,
    journal: Sequence[bytes] = (),
    *,
    result: Document | None = None,
    session: Document | None = None,
) -> SessionState | None:
    """Build the state from the files of a session.

    The history wins over the snapshot, as it does for the deployed readers, unless the snapshot is of a later run, our
    tracker numbered it beyond the history, or the history no longer has the first update. Then the snapshot is used;
    the updates that led to our tracker's snapshot come from *journal*.

    Args:
        session_id: a checked session id.
        progress, history: the snapshot and the history document, None for a missing one.
        journal: the journal's lines, each a raw update, in order; torn lines are ignored.
        result, session: the end documents, None for a missing one. They end a run that has only a deployed robot's
            snapshot, and supply plans that an ended run lacks. Without the other files they make up the state alone.

    Returns:
        The state; None if no document describes a run.

    Raises:
        BadDocument: a document exists but is not valid.
    """
    found = _running(session_id, progress, history, journal)
    if found is None:
        return _ended(session_id, result, session)
    end = deployed.end_of(result, session, found.started, found.epoch if found.own else None)
    if found.sparse and progress is not None:
        return sparse(session_id, found.snapshot, deployed.is_old(progress), end)
    if end is not None and found.snapshot["final"]:
        plans = deployed.lacking_plans(found.snapshot, end)
        found.snapshot["dados_extra"] = {**found.snapshot["dados_extra"], **plans}
        found.end = end
    return found


def _ended(session_id: str, result: Document | None, session: Document | None) -> SessionState | None:
    """Build the state of a session of which only end documents are left; None if they report no end."""
    end = deployed.end_of(result, session, "")
    if end is None:
        return None
    total = (session or {}).get("total_etapas")
    snapshot = begin(session_id, deployed.start_of(result, session), 15)
    snapshot["total_etapas"] = total if type(total) is int and total > 0 else 15
    return sparse(session_id, snapshot, False, end)


def _running(
    session_id: str, progress: Document | None, history: Document | None, journal: Sequence[bytes]
) -> SessionState | None:
    """Build the state from the documents that a robot writes during the run, by the rules of from_files()."""
    full = None if history is None or _first(history) > 1 else from_history(session_id, history)
    if progress is None:
        return full
    cursor = own_cursor(progress)
    if full is not None and not _further(progress, cursor, full):
        return full
    brief = from_progress(session_id, progress)
    if full is not None and full.epoch != brief.epoch and _is_newer(full, brief):
        return full
    return brief if brief.sparse else _with_journal(brief, [_line(line) for line in journal])


def _is_newer(full: SessionState, brief: SessionState) -> bool:
    """Tell whether a history is of a newer run than a snapshot, which every writer writes at each update."""
    if full.own and brief.own:
        return full.claim.is_newer(brief.claim)
    return not full.own and not brief.own and moments.is_before(brief.started, full.started)


def _line(raw: bytes) -> Update | None:
    """Parse one line of a journal, None if it is torn.

    All of it is parsed, not only the head: two torn lines that ran together also begin and end like an update.
    """
    try:
        return own_update(raw) if safejson.load_object(raw) else None
    except BadDocument:
        return None


def _further(progress: Document, cursor: Cursor | None, full: SessionState) -> bool:
    """Tell whether a snapshot is newer than the history *full* or of another run; *cursor*: own_cursor(progress)."""
    if cursor is not None:
        return cursor.epoch != full.epoch or cursor.seq > full.seq
    return moments.is_before(full.started, progress.get("timestamp_inicio"))


def _first(history: Document) -> int:
    """Return the number of the first entry of our tracker's history, 1 for any other history."""
    entries = history.get("historico")
    first = entries[0].get("seq") if isinstance(entries, list) and entries and isinstance(entries[0], dict) else 1
    return first if type(first) is int and own_cursor(history) else 1


def _with_journal(state: SessionState, journal: list[Update | None]) -> SessionState:
    """Apply the journal's updates that the snapshot lacks, and keep the journal's updates as the state's history.

    The journal may be ahead of the snapshot, since writers write it first.
    """
    updates = [update for update in journal if update is not None and update.epoch == state.epoch]
    for update in updates:
        if update.seq == state.seq + 1:
            fold(state, update)
    state.updates = leading_to(state.cursor, updates)
    return state
