"""Builds the state of a session from its stored documents.

Pure. Our tracker's documents have ``epoch`` and ``seq``. For the documents of a deployed robot a cursor is derived,
which is the same on every server and after every restart: ``seq`` is the number of the last entry in ``historico`` or,
if there is only a snapshot, the run's duration at its last change. What a deployed robot wrote is redacted here.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from .. import safejson
from ..errors import BadCursor, BadDocument
from . import deployed, moments, redaction, schemas
from .outcome import Estado
from .session_state import SessionState, derived_epoch, sparse_state
from .shapes import Snapshot, StoredHistory
from .snapshot import begin, entry_of, is_number, reduce, update_of
from .update import HISTORY, Cursor, Update, own_update, parse_cursor

Document = dict[str, Any]


#: The keys of StoredProgress that are not part of a Snapshot.
_POSITION = frozenset({"epoch", "seq", "began", "stepped", "writer"})


def own_cursor(document: Document) -> Cursor | None:
    """Return the cursor that our tracker or server wrote into *document*, None if it has none."""
    epoch, seq = document.get("epoch"), document.get("seq")
    if type(epoch) is not str or type(seq) is not int or seq < 1:
        return None
    try:
        return parse_cursor(f"{epoch}:{seq}")
    except BadCursor:
        return None


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _errors_as_bad_document(function: _Function) -> _Function:
    """Decorator that turns errors caused by the values of a document into BadDocument.

    The schemas check only the fields in which known robots differ. If a document passes them and the code after them
    still fails, the document has a value that no known robot writes.
    """

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
            raise BadDocument(f"The document can't be understood ({type(error).__name__}: {error}).") from None

    return checked  # type: ignore[return-value]


@_errors_as_bad_document
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
        return _sparse(session_id, found.snapshot, deployed.is_old(progress), end)
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
    return _sparse(session_id, snapshot, False, end)


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
    state.updates = _leading_to(state.cursor, updates)
    return state


@_errors_as_bad_document
def from_redis(
    session_id: str, raw: bytes | None, stream: list[bytes], result: bytes | None = None, session: bytes | None = None
) -> SessionState | None:
    """Build the state from the snapshot and the stream's payloads, both read in one transaction.

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
        return _replayed(session_id, updates)
    progress = safejson.load_object(raw)
    state = from_progress(session_id, progress)
    if not state.sparse:
        state.updates = _leading_to(state.cursor, updates)
        return state
    end = deployed.end_of(_object(result), _object(session), state.started)
    return state if end is None else _sparse(session_id, state.snapshot, deployed.is_old(progress), end)


def _object(raw: bytes | None) -> Document | None:
    try:
        return None if raw is None else safejson.load_object(raw)
    except BadDocument:
        return None


def _leading_to(cursor: Cursor, updates: list[Update]) -> list[Update]:
    """Return the longest unbroken sequence of *updates* that ends at *cursor*."""
    unbroken: list[Update] = []
    for update in reversed(updates):
        if update.epoch == cursor.epoch and update.seq == cursor.seq - len(unbroken):
            unbroken.append(update)
    return unbroken[::-1]


def _replayed(session_id: str, updates: list[Update]) -> SessionState | None:
    """Rebuild a state whose snapshot Redis has evicted; None unless *updates* are all updates of one run."""
    if not updates or updates[0].seq != 1:
        return None
    last = updates[-1]
    unbroken = _leading_to(Cursor(str(last.epoch), last.seq), updates)
    if len(unbroken) != last.seq:
        return None
    snapshot = begin(session_id, unbroken[0].data["timestamp"], unbroken[0].data["total_etapas"])
    state = SessionState(str(last.epoch), 0, snapshot, unbroken, began=_whole_ms(unbroken[0].data.get("began")))
    state.stepped = False
    for update in unbroken:
        fold(state, update)
    return state


def fold(state: SessionState, update: Update) -> None:
    """Apply an own update to *state*, which is modified; ``updates`` stays as it is.

    Raises:
        BadDocument, LookupError, TypeError: the update only begins like one of our tracker's.
    """
    data = update.data
    entry = entry_of(data)
    state.snapshot = reduce(state.snapshot, entry)
    state.seq = update.seq
    state.stepped = state.stepped or is_number(entry["etapa"])
    state.writer = str(data.get("writer") or "")


def _whole_ms(value: object) -> int | None:
    """Return *value* if it may be the time at which a run began, see UpdateMessage; else None."""
    return value if type(value) is int and 0 < value < 10**15 else None


@_errors_as_bad_document
def from_history(session_id: str, document: Document) -> SessionState:
    """Build the state by replaying a history document; its last HISTORY entries become the updates.

    Raises:
        BadDocument: the document is not valid.
    """
    cursor = own_cursor(document)
    history: StoredHistory
    if cursor is not None and _replayable(document):
        history = cast("StoredHistory", document)
    else:
        history = redaction.redact(schemas.history(document))
    entries = history["historico"]
    started = history["timestamp_inicio"]
    epoch = cursor.epoch if cursor else derived_epoch("h", session_id, started)
    began = _whole_ms(document.get("began")) if cursor else None
    snapshot = begin(session_id, started, history["total_etapas"])
    updates = []
    for seq, entry in enumerate(entries, 1):
        snapshot = reduce(snapshot, entry)
        if seq > len(entries) - HISTORY:
            updates.append(update_of(snapshot, entry, epoch, seq, began))
    state = SessionState(epoch, len(entries), snapshot, updates, began=began)
    if cursor:
        state.stepped = any(is_number(entry["etapa"]) for entry in entries)
        state.writer = str(entries[-1].get("writer") or "") if entries else ""
    return state


def _replayable(document: Document) -> bool:
    """Tell whether our tracker's history has what a replay needs, without the cost of checking every field."""
    entries = document.get("historico")
    keys = ("etapa", "timestamp", "status", "mensagem")
    total = document.get("total_etapas")
    return (
        isinstance(entries, list)
        and all(isinstance(entry, dict) and all(key in entry for key in keys) for entry in entries)
        and isinstance(document.get("timestamp_inicio"), str)
        and isinstance(total, int)
        and total >= 1
    )


@_errors_as_bad_document
def from_progress(session_id: str, document: Document) -> SessionState:
    """Build the state from a snapshot alone, without updates unless a deployed robot wrote it.

    Raises:
        BadDocument: the document is not valid.
    """
    cursor = own_cursor(document)
    checked = schemas.progress(deployed.in_todays_shape(document))
    stored = checked if cursor else redaction.redact(checked)
    fields = {key: value for key, value in stored.items() if key not in _POSITION}
    snapshot = cast("Snapshot", {**begin(session_id, "", 15), **fields})
    snapshot["dados_extra"] = snapshot["dados_extra"] or {}
    snapshot["session_id"] = session_id
    if not snapshot["timestamp_inicio"]:
        snapshot["timestamp_inicio"] = snapshot["timestamp_atualizacao"]
    snapshot["etapa_atual"] = _whole(snapshot["etapa_atual"])
    snapshot["estado"] = Estado(snapshot["estado"])
    if cursor is not None:
        state = SessionState(cursor.epoch, cursor.seq, snapshot, began=_whole_ms(document.get("began")))
        state.stepped = bool(document.get("stepped", True))
        state.writer = str(document.get("writer") or "")
        return state
    return _sparse(session_id, snapshot, deployed.is_old(document), None)


def _sparse(session_id: str, snapshot: Snapshot, old: bool, end: deployed.End | None) -> SessionState:
    """Build the state from a deployed robot's snapshot: decide whether its run has ended, and derive its cursor.

    Args:
        old: see deployed.is_old().
        end: what the end documents report, None if they report no end.
    """
    epoch = derived_epoch("s", session_id, "" if old else str(snapshot["timestamp_inicio"]))
    is_untimed = deployed.conclude(snapshot, end)
    return sparse_state(epoch, deployed.seq_of(snapshot, old) + is_untimed, snapshot, end)


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number
