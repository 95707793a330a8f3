"""Builds the state of a session from one stored document: the snapshot or the history.

file_documents.py and redis_documents.py choose among the documents of a session.

Pure. Our tracker's documents have ``epoch`` and ``seq``. For the documents of a deployed robot a cursor is derived,
which is the same on every server and after every restart: ``seq`` is the number of the last entry in ``historico`` or,
if there is only a snapshot, the run's duration at its last change. What a deployed robot wrote is redacted here.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ..errors import BadCursor, BadDocument
from . import deployed, redaction, schemas
from .limits import Room
from .outcome import Estado
from .session_state import SessionState, derived_epoch, sparse_state
from .shapes import Snapshot, StoredHistory, StoredProgress
from .snapshot import begin, entry_of, is_number, reduce
from .update import HISTORY, Cursor, Update, parse_cursor

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


def errors_as_bad_document(function: _Function) -> _Function:
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


def leading_to(cursor: Cursor, updates: list[Update]) -> list[Update]:
    """Return the longest unbroken sequence of *updates* that ends at *cursor*."""
    unbroken: list[Update] = []
    for update in reversed(updates):
        if update.epoch == cursor.epoch and update.seq == cursor.seq - len(unbroken):
            unbroken.append(update)
    return unbroken[::-1]


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


def whole_ms(value: object) -> int | None:
    """Return *value* if it may be the time at which a run began, see UpdateMessage; else None."""
    return value if type(value) is int and 0 < value < 10**15 else None


@errors_as_bad_document
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
    began = whole_ms(document.get("began")) if cursor else None
    snapshot = begin(session_id, started, history["total_etapas"])
    old, room, updates = max(0, len(entries) - HISTORY), Room(), []
    snapshot = functools.reduce(reduce, entries[:old], snapshot)
    for seq, entry in enumerate(entries[old:], old + 1):
        _, snapshot, update = room.record(snapshot, entry, epoch, seq, began)
        updates.append(update)
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


@errors_as_bad_document
def from_progress(session_id: str, document: Document) -> SessionState:
    """Build the state from a snapshot alone, without updates unless a deployed robot wrote it.

    Raises:
        BadDocument: the document is not valid.
    """
    cursor = own_cursor(document)
    if cursor is not None and _is_whole(document):
        checked = cast("StoredProgress", document)
    else:
        checked = schemas.progress(deployed.in_todays_shape(document))
    stored = checked if cursor else redaction.redact(checked)
    fields = {key: value for key, value in stored.items() if key not in _POSITION}
    snapshot = cast("Snapshot", {**begin(session_id, "", 15), **fields})
    snapshot["dados_extra"] = snapshot["dados_extra"] or {}
    snapshot["session_id"] = session_id
    if not snapshot["timestamp_inicio"]:
        snapshot["timestamp_inicio"] = snapshot["timestamp_atualizacao"]
    snapshot["etapa_atual"] = _whole(snapshot["etapa_atual"])
    snapshot["estado"], snapshot["final"] = Estado(snapshot["estado"]), snapshot["final"] is True
    if cursor is not None:
        state = SessionState(cursor.epoch, cursor.seq, snapshot, began=whole_ms(document.get("began")))
        state.stepped = bool(document.get("stepped", True))
        state.writer = str(document.get("writer") or "")
        return state
    return sparse(session_id, snapshot, deployed.is_old(document), None)


def _is_whole(document: Document) -> bool:
    """Tell whether our tracker's snapshot has everything in the right type: the schema takes ten times as long."""
    return all(type(document.get(key)) in types for key, types in _TYPES.items()) and document["total_etapas"] > 0


_NUMBER: tuple[type, ...] = (int, float)
_TYPES: dict[str, tuple[type, ...]] = {
    "etapa_atual": _NUMBER,
    "total_etapas": (int,),
    "percentual": _NUMBER,
    "status": (str,),
    "mensagem": (str, type(None)),
    "timestamp_inicio": (str,),
    "timestamp_atualizacao": (str,),
    "dados_extra": (dict,),
    "erros": (list,),
    "estado": (str,),
    "final": (bool,),
}


def sparse(session_id: str, snapshot: Snapshot, old: bool, end: deployed.End | None) -> SessionState:
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
