"""From stored documents to what is known of a session.

Pure. Reads what our tracker wrote (``epoch`` and ``seq`` are in it) and what the deployed robots wrote,
whose cursor is derived so that every server, today and after a restart, derives the same one: the
position in ``historico``, or, for a writer that keeps only a snapshot, its time of change. Of those robots nothing
of the form that somebody filled in is taken over.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .. import safejson
from ..errors import BadCursor, BadDocument
from . import deployed, redaction, schemas
from .session_state import Document, SessionState, derived_epoch, sparse
from .snapshot import Snapshot, begin, describe, entry_of, reduce
from .update import HISTORY, Cursor, Update, make_update, own_update, parse_cursor


def own_cursor(document: Document) -> Cursor | None:
    """Return the cursor that our tracker wrote into *document*, None in a foreign one."""
    epoch, seq = document.get("epoch"), document.get("seq")
    if type(epoch) is not str or type(seq) is not int or seq < 1:
        return None
    try:
        return parse_cursor(f"{epoch}:{seq}")
    except BadCursor:
        return None


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _strange_is_bad(function: _Function) -> _Function:
    """Raise BadDocument where the rules stumble over what a foreign writer put where nobody does.

    The schemas check what robots vary; a document that passes them and still breaks a rule is broken, not the rule.
    """

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
            raise BadDocument(f"The document can't be understood ({type(error).__name__}: {error}).") from None

    return checked  # type: ignore[return-value]


@_strange_is_bad
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

    The history wins, as it does in the deployed readers, unless our own snapshot is ahead of it or it no longer
    reaches back to the first update; then *journal*, raw updates, tells what led to the snapshot.

    Args:
        result, session: what a robot leaves at the end. They end a run whose snapshot does not say so, and have its
            plans where the snapshot lacks them.

    Raises:
        BadDocument: a document is there but is no such document.
    """
    found = _running(session_id, progress, history, journal)
    if found is None:
        return _ended(session_id, result, session)
    end = deployed.end_of(result, session, found.started)
    if found.sparse and progress is not None:
        return _sparse(session_id, found.snapshot, deployed.is_old(progress), end)
    if end is not None and found.snapshot["final"]:
        plans = deployed.lacking_plans(found.snapshot, end)
        found.snapshot["dados_extra"] = {**found.snapshot["dados_extra"], **plans}
        found.end = end
    return found


def _ended(session_id: str, result: Document | None, session: Document | None) -> SessionState | None:
    """Build the state of a session of which nothing is left but its end."""
    end = deployed.end_of(result, session, "")
    if end is None:
        return None
    total = (session or {}).get("total_etapas")
    snapshot = begin(session_id, deployed.began(result, session), 15)
    snapshot["total_etapas"] = total if type(total) is int and total > 0 else 15
    return _sparse(session_id, snapshot, False, end)


def _running(
    session_id: str, progress: Document | None, history: Document | None, journal: Sequence[bytes]
) -> SessionState | None:
    """Build the state from what a robot keeps while it runs."""
    full = None if history is None or _first(history) > 1 else from_history(session_id, history)
    if progress is None:
        return full
    mark = own_cursor(progress)
    if full is not None and not _further(progress, mark, full):
        return full
    brief = from_progress(session_id, progress)
    if full is not None and full.epoch != brief.epoch and full.started > brief.started:
        return full
    return brief if brief.sparse else _with_journal(brief, [_line(line) for line in journal])


def _line(raw: bytes) -> Update | None:
    """Read a line of a journal; None where it is none, be it that two were torn into one."""
    try:
        return own_update(raw) if safejson.load_object(raw) else None
    except BadDocument:
        return None


def _further(progress: Document, mark: Cursor | None, full: SessionState) -> bool:
    """Tell whether a snapshot says more than the history beside it, which may have been left there by an earlier run."""
    if mark is not None:
        return mark.epoch != full.epoch or mark.seq > full.seq
    return str(progress.get("timestamp_inicio") or "") > full.started


def _first(history: Document) -> int:
    """Return the number of the first entry of a history of ours, 1 for any other."""
    entries = history.get("historico")
    first = entries[0].get("seq") if isinstance(entries, list) and entries and isinstance(entries[0], dict) else 1
    return first if type(first) is int and own_cursor(history) else 1


def _with_journal(held: SessionState, journal: list[Update | None]) -> SessionState:
    """Bring a snapshot up to the journal, which is written first, and give it its history."""
    updates = [update for update in journal if update is not None and update.epoch == held.epoch]
    for update in updates:
        if update.seq == held.seq + 1:
            held.snapshot = reduce(held.snapshot, entry_of(update.data))
            held.seq = update.seq
    held.updates = _leading_to(held.cursor, updates)
    return held


@_strange_is_bad
def from_redis(
    session_id: str, raw: bytes | None, stream: list[bytes], result: bytes | None = None, session: bytes | None = None
) -> SessionState | None:
    """Build the state from the snapshot key and the payloads of the stream, read in one transaction.

    Args:
        result, session: what a foreign robot leaves at the end; one that can't be read says nothing.

    Raises:
        BadDocument: the snapshot is there but is none.
    """
    updates = [update for payload in stream if (update := own_update(payload)) is not None]
    if raw is None:
        return _replayed(session_id, updates)
    progress = safejson.load_object(raw)
    held = from_progress(session_id, progress)
    if not held.sparse:
        held.updates = _leading_to(held.cursor, updates)
        return held
    end = deployed.end_of(_object(result), _object(session), held.started)
    return held if end is None else _sparse(session_id, held.snapshot, deployed.is_old(progress), end)


def _object(raw: bytes | None) -> Document | None:
    try:
        return None if raw is None else safejson.load_object(raw)
    except BadDocument:
        return None


def _leading_to(cursor: Cursor, updates: list[Update]) -> list[Update]:
    """Return the longest contiguous run of *updates* that ends at *cursor*."""
    led: list[Update] = []
    for update in reversed(updates):
        if update.epoch == cursor.epoch and update.seq == cursor.seq - len(led):
            led.append(update)
    return led[::-1]


def _replayed(session_id: str, updates: list[Update]) -> SessionState | None:
    """Rebuild a state whose snapshot was evicted; None where its history does not reach back to the start."""
    if not updates or updates[0].seq != 1:
        return None
    last = updates[-1]
    led = _leading_to(Cursor(str(last.epoch), last.seq), updates)
    if len(led) != last.seq:
        return None
    snapshot = begin(session_id, led[0].data["timestamp"], led[0].data["total_etapas"])
    for update in led:
        snapshot = reduce(snapshot, entry_of(update.data))
    return SessionState(str(last.epoch), last.seq, snapshot, led)


@_strange_is_bad
def from_history(session_id: str, document: Document) -> SessionState:
    """Build the state from a history document by replaying it; its last HISTORY entries are its updates."""
    mark = own_cursor(document)
    if mark is None or not _plausible(document):
        document = redaction.redact(schemas.history(document))
    entries = document["historico"]
    started = document["timestamp_inicio"]
    epoch = mark.epoch if mark else derived_epoch("h", session_id, started)
    snapshot = begin(session_id, started, document["total_etapas"])
    updates = []
    for seq, entry in enumerate(entries, 1):
        snapshot = reduce(snapshot, entry)
        if seq > len(entries) - HISTORY:
            updates.append(make_update(describe(snapshot, entry, epoch, seq)))
    return SessionState(epoch, len(entries), snapshot, updates)


def _plausible(document: Document) -> bool:
    """Tell whether a document with our cursor has the parts that replaying it needs."""
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


@_strange_is_bad
def from_progress(session_id: str, document: Document) -> SessionState:
    """Build the state from a snapshot alone."""
    mark = own_cursor(document)
    snapshot = begin(session_id, "", 15)
    checked = schemas.progress(deployed.modern(document))
    snapshot.update(checked if mark else redaction.redact(checked))
    snapshot["dados_extra"] = snapshot["dados_extra"] or {}
    snapshot["session_id"] = session_id
    if not snapshot["timestamp_inicio"]:
        snapshot["timestamp_inicio"] = snapshot["timestamp_atualizacao"]
    snapshot["etapa_atual"] = _whole(snapshot["etapa_atual"])
    for key in ("epoch", "seq"):
        snapshot.pop(key, None)
    if mark is not None:
        return SessionState(mark.epoch, mark.seq, snapshot)
    return _sparse(session_id, snapshot, deployed.is_old(document), None)


def _sparse(session_id: str, snapshot: Snapshot, old: bool, end: deployed.End | None) -> SessionState:
    """Give a foreign snapshot its meaning and its derived cursor.

    Args:
        old: its robot is one that does not say when the run began.
    """
    epoch = derived_epoch("s", session_id, "" if old else str(snapshot["timestamp_inicio"]))
    deployed.conclude(snapshot, end)
    return sparse(epoch, deployed.number(snapshot, old), snapshot, end)


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number
