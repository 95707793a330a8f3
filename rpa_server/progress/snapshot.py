"""The snapshot of a run: how entries change it, how an update reports a change, and how pages get it.

Pure: no clock, no socket. The tracker that writes a run, the server that reads a deployed robot's history, and the
server that follows updates all use the same rules. The objects are described in shapes.py.

Invariants: ``final`` stays true once it is set; ``percentual`` never falls and stays below 100 until ``final``;
estimates are replaced only by newer estimates.
"""

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple, TypeGuard, cast

from ..errors import BadDocument
from . import soundness
from .outcome import PLAN_KEYS, Estado, outcome, silent
from .shapes import Entry, ErrorRecord, Estimates, Evento, Result, Snapshot, UpdateMessage, View
from .update import Update, make_update

#: The values of ``etapa`` with which an entry is not a step; the update of the entry has the value as ``evento``.
EVENTS: frozenset[Evento] = frozenset({"inicio", "estimativas", "erro", "final"})
#: The key of the estimates in ``dados_extra``; the deployed robot named it after step 5, which captures them.
ESTIMATES_KEY = "estimativas_tela_5"

#: How many of a run's latest errors a snapshot has.
MOST_ERRORS = 100
# Integers from this one on are not steps: without a limit, JSON's integers may be too large to become a float.
_MAX_STEP = 10**9


def begin(session_id: str, started: str, total: int) -> Snapshot:
    """Return the snapshot of a run without any entry.

    Args:
        session_id: a checked session id.
        started: ISO 8601, the robot's local time.
        total: number of steps.
    """
    return {
        "etapa_atual": 0,
        "total_etapas": total,
        "percentual": 0.0,
        "status": "iniciando",
        "mensagem": "",
        "timestamp_inicio": started,
        "timestamp_atualizacao": started,
        "dados_extra": {},
        "erros": [],
        "session_id": session_id,
        "estado": Estado.AGUARDANDO,
        "final": False,
    }


def is_number(etapa: object) -> TypeGuard[float]:
    """Tell whether *etapa* is the number of a step; True, NaN, infinity and integers from 10**9 on are not."""
    if not isinstance(etapa, (int, float)) or isinstance(etapa, bool):
        return False
    return math.isfinite(etapa) if isinstance(etapa, float) else abs(etapa) < _MAX_STEP


def status_of(etapa: float, total: int) -> str:
    """Return the ``status`` that the deployed robot writes with a step; ``concluido`` means that the last one began."""
    if etapa <= 0:
        return "iniciando"
    return "executando" if etapa < total else "concluido"


def reduce(snapshot: Snapshot, entry: Entry) -> Snapshot:
    """Return the snapshot after *entry*; *snapshot* is not modified."""
    after: Snapshot = {**snapshot, "timestamp_atualizacao": entry["timestamp"]}
    _EFFECTS.get(entry["etapa"], _step)(after, entry)
    estimates = entry.get("estimativas")
    if isinstance(estimates, dict):
        after["dados_extra"] = {**after["dados_extra"], ESTIMATES_KEY: estimates}
    if entry["etapa"] != "inicio" and after["estado"] == Estado.AGUARDANDO:
        after["estado"] = Estado.EXECUTANDO
    return after


def _start(after: Snapshot, entry: Entry) -> None:
    after["status"] = entry["status"]
    after["mensagem"] = entry["mensagem"]


def _step(after: Snapshot, entry: Entry) -> None:
    _start(after, entry)
    _merge(after, entry.get("dados_extra"))
    etapa = entry["etapa"]
    if not is_number(etapa):
        return
    total = after["total_etapas"]
    # Step 0 keeps the current step: the deployed robot's exception handler writes 0 however far the run has come.
    after["etapa_atual"] = min(max(etapa, 0), total) or after["etapa_atual"]
    if not after["final"]:
        percent = after["etapa_atual"] / total * 100 if total > 0 else 0.0
        after["percentual"] = max(after["percentual"], min(percent, 99.0))


def _merge(after: Snapshot, extra: object) -> None:
    """Merge the extra data of an entry; estimates that are no object do not replace earlier ones that are."""
    if not isinstance(extra, dict) or not extra:
        return
    known = after["dados_extra"]
    if isinstance(known.get(ESTIMATES_KEY), dict) and not isinstance(extra.get(ESTIMATES_KEY, {}), dict):
        extra = {**extra, ESTIMATES_KEY: known[ESTIMATES_KEY]}
    after["dados_extra"] = {**known, **extra}


def _add_estimates(after: Snapshot, entry: Entry) -> None:
    if isinstance(entry.get("dados_extra"), dict):
        after["dados_extra"] = {**after["dados_extra"], ESTIMATES_KEY: entry["dados_extra"]}


def _add_error(after: Snapshot, entry: Entry) -> None:
    record: ErrorRecord = {
        "erro": entry.get("erro") or cast("str", entry["mensagem"]),
        "contexto": entry.get("contexto") or "",
        "timestamp": entry["timestamp"],
    }
    after["erros"] = [*after["erros"][1 - MOST_ERRORS :], record]


def _end(after: Snapshot, entry: Entry) -> None:
    _merge(after, entry.get("dados_extra"))
    after["etapa_atual"] = after["total_etapas"]
    after["percentual"] = 100.0
    after["status"] = entry["status"]
    if not after["final"]:
        after["final"] = True
        after["estado"] = outcome(entry["status"], entry.get("erro"), after["erros"], after["dados_extra"])


# How an entry changes the snapshot, by the word in ``etapa``; an entry with a number or an unknown word is a step.
_EFFECTS: dict[float | str, Callable[[Snapshot, Entry], None]] = {
    "inicio": _start,
    "estimativas": _add_estimates,
    "erro": _add_error,
    "final": _end,
}


def describe(after: Snapshot, entry: Entry, epoch: str, seq: int, began: int | None = None) -> UpdateMessage:
    """Build the update for *entry* as an object.

    Args:
        after: the snapshot that results from *entry*.
        entry: the reported entry.
        epoch, seq: the position of the update.
        began: when the run began, see UpdateMessage; None for a run of another system.
    """
    word = entry["etapa"]
    event: Evento = word if word in EVENTS else "progresso"
    given = entry.get("dados_extra")
    extra = given if isinstance(given, dict) else {}
    update: UpdateMessage = {
        "type": "progress_update",
        "epoch": epoch,
        "seq": seq,
        "final": after["final"],
        "estado": after["estado"],
        "session_id": after["session_id"],
        "evento": event,
        "etapa": word if is_number(word) else after["etapa_atual"],
        "total_etapas": after["total_etapas"],
        "percentual": after["percentual"],
        "status": entry["status"],
        "mensagem": entry["mensagem"],
        "timestamp": entry["timestamp"],
        "dados_extra": extra if event not in ("estimativas", "final") else {},
    }
    if began is not None:
        update["began"] = began
    if (writer := entry.get("writer")) is not None:
        update["writer"] = writer
    estimates = given if event == "estimativas" else entry.get("estimativas")
    if isinstance(estimates, dict):
        update["estimativas"] = cast("Estimates", estimates)
    if event == "final":
        update["resultado"] = extra
    if error := entry.get("erro"):
        update["erro"] = error
    if context := entry.get("contexto"):
        update["contexto"] = context
    return update


def update_of(after: Snapshot, entry: Entry, epoch: str, seq: int, began: int | None = None) -> Update:
    """Build the update for *entry*; the arguments are those of describe()."""
    return make_update(describe(after, entry, epoch, seq, began))


def entry_of(update: UpdateMessage | dict[str, Any]) -> Entry:
    """Return the entry from which describe() built *update*.

    Raises:
        BadDocument: the update only begins like one of our tracker's: a key is missing, or has a wrong type.
    """
    soundness.check(update)
    if not is_number(update["etapa"]):
        raise BadDocument("The update's step is no number.")
    event = update["evento"]
    extra: Any = update["dados_extra"] or None
    if event == "estimativas":
        extra = update.get("estimativas")
    elif event == "final":
        extra = update.get("resultado") or None
    entry: Entry = {
        "etapa": update["etapa"] if event == "progresso" else event,
        "timestamp": update["timestamp"],
        "status": update["status"],
        "mensagem": update["mensagem"],
        "dados_extra": extra,
        "erro": update.get("erro"),
        "seq": update["seq"],
    }
    if "contexto" in update:
        entry["contexto"] = update["contexto"]
    if "writer" in update:
        entry["writer"] = update["writer"]
    if event == "progresso" and "estimativas" in update:
        entry["estimativas"] = update["estimativas"]
    return entry


def entries_of(updates: Iterable[Update]) -> list[Entry]:
    """Return the entries of *updates*, leaving out updates that only begin like one of our tracker's."""
    entries = []
    for update in updates:
        with suppress(BadDocument):
            entries.append(entry_of(update.data))
    return entries


def damage_of(update: Update) -> BadDocument | None:
    """Return why *update* only begins like one of our tracker's, None for a real one."""
    try:
        entry_of(update.data)
    except BadDocument as error:
        return error
    return None


def estado(snapshot: Snapshot, silence_s: float = 0.0) -> Estado:
    """Return the meaning of the snapshot when the robot has been silent for *silence_s* seconds.

    The meaning of an ended run does not change. Any other run becomes ``expirado`` after a long silence, or ``erro`` or
    ``cotacao_manual`` if the robot's last text was a failure; ``final`` stays false, since the robot may report again.
    """
    if snapshot["final"]:
        return snapshot["estado"]
    text = str(snapshot["mensagem"] or "")
    return silent(snapshot["etapa_atual"], text, snapshot["erros"], silence_s) or snapshot["estado"]


class Ages(NamedTuple):
    """How old what a page gets is when it is made, by the clock of the store; pages count on from there.

    Attributes:
        idade_ms: milliseconds since the robot last reported something; None if the store can't tell.
        duracao_ms: milliseconds since the run began; None if that is not known.
    """

    idade_ms: int | None
    duracao_ms: int | None


#: Of a snapshot without a time at which it is shown, or while nothing is known.
NO_AGES = Ages(None, None)


def view(snapshot: Snapshot, epoch: str | None, seq: int, silence_s: float = 0.0, ages: Ages = NO_AGES) -> View:
    """Return the snapshot as pages get it: with its position, and with estimates and result under keys of their own.

    Args:
        epoch, seq: the position of the snapshot.
        silence_s: how long the robot has been silent, in seconds, see estado().
        ages: how old the snapshot is.
    """
    extra = snapshot["dados_extra"]
    result = cast("Result", {key: extra[key] for key in PLAN_KEYS if key in extra})
    return {
        **snapshot,
        "estado": estado(snapshot, silence_s),
        "epoch": epoch,
        "seq": seq,
        "idade_ms": ages.idade_ms,
        "duracao_ms": ages.duracao_ms,
        "estimativas": cast("Estimates", estimates) if isinstance(estimates := extra.get(ESTIMATES_KEY), dict) else None,
        "resultado": result if result and snapshot["final"] else None,
    }
