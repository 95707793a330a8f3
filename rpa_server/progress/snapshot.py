"""What a run's updates add up to, and what they mean.

Pure: no clock, no socket. One table of rules serves the tracker that writes a run, the server that reads
the files of a robot that numbers nothing, and the tests. An *entry* is one element of ``historico`` in
the deployed ``history_<sid>.json``: ``etapa`` (a number, or one of the words in EVENTS), ``timestamp``,
``status``, ``mensagem``, ``dados_extra``, ``erro``; ours may add ``contexto`` and ``estimativas``.

Invariants: ``final`` never goes back, ``percentual`` never falls and stays below 100 until ``final``, a
milestone (estimates, result) stays once it was seen.
"""

import math
from typing import Any

from .outcome import PLAN_KEYS, outcome, silent

Entry = dict[str, Any]
Snapshot = dict[str, Any]

#: The words that the deployed tracker writes as ``etapa``, and what we call such an event.
EVENTS = {"inicio", "estimativas", "erro", "final"}
ESTIMATES_KEY = "estimativas_tela_5"

_MAX_STEP = 10**9


def begin(session_id: str, started: str, total: int) -> Snapshot:
    """Return the snapshot of a run that has not done anything yet.

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
        "estado": "aguardando",
        "final": False,
    }


def is_number(etapa: object) -> bool:
    """Tell a step's number from a word; True, NaN, infinity and absurd numbers are neither."""
    if not isinstance(etapa, (int, float)) or isinstance(etapa, bool):
        return False
    return math.isfinite(etapa) if isinstance(etapa, float) else abs(etapa) < _MAX_STEP


def status_of(etapa: float, total: int) -> str:
    """Return the deployed tracker's word for a step; its ``concluido`` means "the last step began"."""
    if etapa <= 0:
        return "iniciando"
    return "executando" if etapa < total else "concluido"


def reduce(snapshot: Snapshot, entry: Entry) -> Snapshot:
    """Return the snapshot after *entry*; *snapshot* is left as it was."""
    after = {**snapshot, "timestamp_atualizacao": entry["timestamp"]}
    _EFFECTS.get(entry["etapa"], _step)(after, entry)
    estimates = entry.get("estimativas")
    if isinstance(estimates, dict):
        after["dados_extra"] = {**after["dados_extra"], ESTIMATES_KEY: estimates}
    if entry["etapa"] != "inicio" and after["estado"] == "aguardando":
        after["estado"] = "executando"
    return after


def _started(after: Snapshot, entry: Entry) -> None:
    after["status"] = entry["status"]
    after["mensagem"] = entry["mensagem"]


def _step(after: Snapshot, entry: Entry) -> None:
    _started(after, entry)
    _merge(after, entry.get("dados_extra"))
    if not is_number(entry["etapa"]):
        return
    total = after["total_etapas"]
    # The deployed robot's exception handler says step 0: that is where it is, not where the run is.
    after["etapa_atual"] = min(max(entry["etapa"], 0), total) or after["etapa_atual"]
    if not after["final"]:
        percent = after["etapa_atual"] / total * 100 if total > 0 else 0.0
        after["percentual"] = max(after["percentual"], min(percent, 99.0))


def _merge(after: Snapshot, extra: object) -> None:
    """Add what a step attached; estimates that are there are not replaced by something that is none."""
    if not isinstance(extra, dict) or not extra:
        return
    held = after["dados_extra"]
    if isinstance(held.get(ESTIMATES_KEY), dict) and not isinstance(extra.get(ESTIMATES_KEY, {}), dict):
        extra = {**extra, ESTIMATES_KEY: held[ESTIMATES_KEY]}
    after["dados_extra"] = {**held, **extra}


def _estimates(after: Snapshot, entry: Entry) -> None:
    if isinstance(entry.get("dados_extra"), dict):
        after["dados_extra"] = {**after["dados_extra"], ESTIMATES_KEY: entry["dados_extra"]}


def _error(after: Snapshot, entry: Entry) -> None:
    record = {
        "erro": entry.get("erro") or entry["mensagem"],
        "contexto": entry.get("contexto") or "",
        "timestamp": entry["timestamp"],
    }
    after["erros"] = [*after["erros"], record]


def _final(after: Snapshot, entry: Entry) -> None:
    _merge(after, entry.get("dados_extra"))
    after["etapa_atual"] = after["total_etapas"]
    after["percentual"] = 100.0
    after["status"] = entry["status"]
    if not after["final"]:
        after["final"] = True
        after["estado"] = outcome(entry["status"], entry.get("erro"), after["erros"], after["dados_extra"])


_EFFECTS = {"inicio": _started, "estimativas": _estimates, "erro": _error, "final": _final}


def describe(after: Snapshot, entry: Entry, epoch: str, seq: int) -> dict[str, Any]:
    """Build the update that tells of *entry*; *after* is the snapshot behind it.

    The keys stand in the order that events.own_update reads.
    """
    word = entry["etapa"]
    event = word if word in EVENTS else "progresso"
    extra = entry.get("dados_extra")
    extra = extra if isinstance(extra, dict) else {}
    update = {
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
    estimates = entry.get("dados_extra") if event == "estimativas" else entry.get("estimativas")
    if isinstance(estimates, dict):
        update["estimativas"] = estimates
    if event == "final":
        update["resultado"] = extra
    for key in ("erro", "contexto"):
        if entry.get(key):
            update[key] = entry[key]
    return update


def entry_of(update: dict[str, Any]) -> Entry:
    """Return the entry that *update* tells of: the inverse of describe."""
    event = update["evento"]
    extra: dict[str, Any] | None = update["dados_extra"] or None
    if event == "estimativas":
        extra = update.get("estimativas")
    elif event == "final":
        extra = update["resultado"] or None
    entry = {
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
    if event == "progresso" and "estimativas" in update:
        entry["estimativas"] = update["estimativas"]
    return entry


def estado(snapshot: Snapshot, silence_s: float = 0.0) -> str:
    """Return what the snapshot means after *silence_s* seconds without a word from the robot.

    A run that has ended means what it meant. Of any other a long silence is told as ``expirado``, or as ``erro``
    where the robot's last word was a failure; ``final`` stays false, since the robot may come back.
    """
    held = str(snapshot["estado"])
    if snapshot["final"]:
        return held
    text = str(snapshot["mensagem"] or "")
    return silent(snapshot["etapa_atual"], text, snapshot["erros"], silence_s) or held


def view(snapshot: Snapshot, epoch: str | None, seq: int, silence_s: float = 0.0) -> dict[str, Any]:
    """Return the snapshot as pages get it: with its cursor and with the milestones by name.

    Args:
        silence_s: how long the robot has said nothing, see estado().
    """
    extra = snapshot["dados_extra"]
    result = {key: extra[key] for key in PLAN_KEYS if key in extra}
    return {
        **snapshot,
        "estado": estado(snapshot, silence_s),
        "epoch": epoch,
        "seq": seq,
        "estimativas": estimates if isinstance(estimates := extra.get(ESTIMATES_KEY), dict) else None,
        "resultado": result if result and snapshot["final"] else None,
    }


def with_names(estimates: dict[str, Any]) -> dict[str, Any]:
    """Copy estimates so that every item has both ``nome`` and ``nome_cobertura``."""
    items = estimates.get("coberturas_detalhadas")
    if not isinstance(items, list):
        return estimates
    return {**estimates, "coberturas_detalhadas": [_named(item) for item in items]}


def _named(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    name = item.get("nome") or item.get("nome_cobertura") or ""
    return {**item, "nome": name, "nome_cobertura": item.get("nome_cobertura") or name}
