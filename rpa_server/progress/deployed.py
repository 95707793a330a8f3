"""What robots other than ours leave behind, in today's words.

Pure. Four generations of the deployed robot wrote snapshots of different shapes, and two wrote ends
(``result_<sid>.json``, ``session_<sid>.json``); this is the one module that knows them. A snapshot's meaning is
worked out here too, since such a robot says ``concluido`` long before the end, and again after it.

Invariants: ``final`` only where the robot itself ended the run; within a run that was seen before, nothing that
was seen goes back; an end that is older than the run is another run's.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from . import redaction
from .outcome import PLAN_KEYS, is_end, outcome
from .snapshot import ESTIMATES_KEY, Snapshot, is_number

Document = dict[str, Any]

#: Where the numbers of snapshots begin whose run has no known beginning.
_BEFORE_ALL = "2020-01-01T00:00:00"
#: The longest run that is counted, 31 years.
_LONGEST_US = 10**15
_EXTRAS = ("dados_extra", "dados_extras", "details", "dados")
#: What add_error says of errors that finalizar reports.
_FINISHING = "finalizacao"


class End(NamedTuple):
    """How a robot ended a run.

    Attributes:
        status: its word: ``success``, ``error``, ``warning``.
        at: when, ISO 8601 in its local time.
        data: the plans.
    """

    status: str
    at: str
    data: Document


def modern(document: Document) -> Document:
    """Give a snapshot of an older robot today's key names; any other is returned as it is.

    v3.4.0 and v3.5.0 put the text where the status is and the extra data under ``details`` or ``dados_extras``; a
    third kind says neither a status nor a percentage. What all have in common is ``timestamp``, of the last change;
    when the run began they don't say.
    """
    if not is_old(document):
        return document
    changed = _moment(document["timestamp"])
    details = next((extra for key in _EXTRAS if isinstance(extra := document.get(key), dict)), {})
    plans = details.get("planos")
    return {
        "percentual": _share(document.get("etapa_atual"), document.get("total_etapas")),
        "status": "",
        **document,
        "mensagem": document.get("mensagem") or document.get("status") or document.get("descricao_etapa") or "",
        "dados_extra": {**details, **plans} if isinstance(plans, dict) else details,
        "timestamp_inicio": document.get("timestamp_inicio") or _began(document, changed),
        "timestamp_atualizacao": changed,
    }


def is_old(document: Document) -> bool:
    """Tell a snapshot of an older robot from today's."""
    return "timestamp_atualizacao" not in document and isinstance(document.get("timestamp"), (int, float, str))


def _share(etapa: Any, total: Any) -> float:
    return etapa / total * 100 if is_number(etapa) and is_number(total) and total > 0 else 0.0


def _moment(value: float | str) -> str:
    return value if isinstance(value, str) else datetime.fromtimestamp(value).isoformat()


def _began(document: Document, changed: str) -> str:
    """Return when the run began; what v3.5.0 calls ``created_at`` is the last change again."""
    passed = document.get("tempo_decorrido")
    if isinstance(passed, (int, float)):
        return (datetime.fromisoformat(changed) - timedelta(seconds=passed)).isoformat()
    return str(document.get("created_at") or changed)


def end_of(result: Document | None, session: Document | None, started: str) -> End | None:
    """Return the end that result and session documents tell of, None where they tell of none.

    Args:
        started: when the run began; an end before it is that of an earlier run under the same id.
    """
    for document in (result, session):
        if document is None:
            continue
        status = document.get("status") or document.get("status_final")
        at = document.get("timestamp_fim") or document.get("finished_at")
        data = document.get("dados_finais") or document.get("resultado_json")
        if isinstance(status, str) and isinstance(at, str) and is_end(status) and at >= started:
            return End(status, at, redaction.redact(data) if isinstance(data, dict) else {})
    return None


def began(result: Document | None, session: Document | None) -> str:
    """Return when a run began of which only the end is left, as far as its documents say."""
    keys = ("timestamp_inicio", "start_time", "timestamp_fim", "finished_at")
    said = (document.get(key) for key in keys for document in (session, result) if document)
    return next((moment for moment in said if isinstance(moment, str)), "")


def conclude(snapshot: Snapshot, end: End | None) -> None:
    """Say of a foreign snapshot whether its run has ended, and how; *snapshot* is changed in place."""
    status = str(snapshot["status"])
    snapshot["etapa_atual"] = min(max(snapshot["etapa_atual"], 0), snapshot["total_etapas"])
    snapshot["estado"] = "executando"
    if end is not None:
        _take_over(snapshot, end)
        status = end.status
    elif not is_end(status) and _finished(snapshot["erros"]):
        status = "error"  # the deployed robot goes on after its end and says "concluido" again
    snapshot["final"] = is_end(status)
    snapshot["percentual"] = min(max(float(snapshot["percentual"]), 0.0), 99.0)
    if snapshot["final"]:
        snapshot["estado"] = outcome(status, None, snapshot["erros"], snapshot["dados_extra"])
        snapshot["etapa_atual"], snapshot["percentual"] = snapshot["total_etapas"], 100.0


def _take_over(snapshot: Snapshot, end: End) -> None:
    """Put what an end document says into a snapshot that does not say it (yet)."""
    lacking = lacking_plans(snapshot, end)
    if lacking or not is_end(str(snapshot["status"])):
        snapshot["timestamp_atualizacao"] = max(str(snapshot["timestamp_atualizacao"]), end.at)
    snapshot["dados_extra"] = {**snapshot["dados_extra"], **lacking}
    snapshot["status"] = end.status


def lacking_plans(snapshot: Snapshot, end: End) -> Document:
    """Return the plans that *end* knows and *snapshot* does not."""
    held = snapshot["dados_extra"]
    return {key: end.data[key] for key in PLAN_KEYS if end.data.get(key) and not held.get(key)}


def _finished(errors: list[Any]) -> bool:
    return any(isinstance(error, dict) and error.get("contexto") == _FINISHING for error in errors)


def follow(before: Snapshot, after: Snapshot) -> None:
    """Keep in *after*, which is changed in place, what was seen of the same run in *before*.

    A robot without a history says less than it knew: step 0 when it caught an exception, ``concluido`` behind
    its end.
    """
    milestones = (ESTIMATES_KEY, *PLAN_KEYS)
    held = {key: value for key in milestones if (value := before["dados_extra"].get(key))}
    after["dados_extra"] = {**after["dados_extra"], **{k: v for k, v in held.items() if not after["dados_extra"].get(k)}}
    after["percentual"] = max(before["percentual"], after["percentual"])
    after["etapa_atual"] = after["etapa_atual"] or before["etapa_atual"]
    if before["final"]:
        after["final"], after["estado"] = True, before["estado"]


def number(snapshot: Snapshot, old: bool) -> int:
    """Number a snapshot by the microseconds that its run had lasted when it changed."""
    started = _BEFORE_ALL if old else str(snapshot["timestamp_inicio"])
    try:
        passed = datetime.fromisoformat(str(snapshot["timestamp_atualizacao"])) - datetime.fromisoformat(started)
    except (ValueError, TypeError):
        return 1
    return min(max(0, round(passed.total_seconds() * 1_000_000)), _LONGEST_US) + 1
