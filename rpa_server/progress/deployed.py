"""Interprets the deployed robot's documents: snapshots of four generations, and two kinds of end documents.

Pure. A deployed robot is one that writes its files or Redis keys without our tracker. Only this module converts older
snapshots and interprets the ends in result and session documents (``result_<sid>.json``, ``session_<sid>.json``). It
also decides whether the run of a snapshot has ended: ``status`` alone does not show that, since the deployed robot
writes ``concluido`` when its last step begins, minutes before the end, and again after the end.

Invariants: ``final`` is set only if the robot itself ended the run; within a run ``final``, ``percentual``, estimates
and plans never go back; an end of an earlier run is ignored, as its time shows or, where that can't be compared, its
session document.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from . import moments, redaction
from .outcome import PLAN_KEYS, Estado, is_end, outcome
from .shapes import Snapshot
from .snapshot import ESTIMATES_KEY, is_number

Document = dict[str, Any]

#: seq_of() measures from this time, earlier than any real run, for older snapshots, which do not say when their run
#: began.
_BEFORE_ALL = datetime(2020, 1, 1)
#: seq_of() cuts longer durations to this one (31 years, in microseconds): a cursor's ``seq`` has at most 16 digits.
_LONGEST_US = 10**15
_MICROSECOND = timedelta(microseconds=1)
#: The keys under which different generations of the robot put a step's extra data, in the order in which they are
#: tried.
_EXTRA_KEYS = ("dados_extra", "dados_extras", "details", "dados")
#: What two notes of one run's beginning may differ by.
_SAME_START = timedelta(seconds=5)
#: The ``contexto`` of an error with which the robot ended the run.
_FINISHING = "finalizacao"


class End(NamedTuple):
    """How a robot ended a run.

    Attributes:
        status: the robot's word for the end, any that outcome.is_end() accepts: ``success``, ``error``, ``warning`` …
        at: time of the end, ISO 8601; in the robot's local time unless it has a zone.
        data: the robot's final data, redacted: the plans of a shapes.Result and any other keys; may be empty.
    """

    status: str
    at: str
    data: Document


def in_todays_shape(document: Document) -> Document:
    """Convert a snapshot of an older robot to today's key names; return any other one unchanged.

    v3.4.0 and v3.5.0 wrote the text under ``status`` and the extra data under ``details`` or ``dados_extras``; a third
    kind wrote neither a status nor a percentage. All of them have ``timestamp``, the time of the last change; none has
    the time when the run began, which _began() derives.

    v3.5.0 has ``timestamp`` in seconds since 1970, and the same moment by the robot's local clock in ``created_at``:
    the two show the robot's zone, in which its end documents are. Where they don't, the times get the zone UTC.
    """
    if not is_old(document):
        return document
    changed = _changed(document)
    details = next((extra for key in _EXTRA_KEYS if isinstance(extra := document.get(key), dict)), {})
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
    """Tell whether an older robot wrote a snapshot: it has ``timestamp`` instead of ``timestamp_atualizacao``."""
    return "timestamp_atualizacao" not in document and isinstance(document.get("timestamp"), (int, float, str))


def _share(etapa: Any, total: Any) -> float:
    return etapa / total * 100 if is_number(etapa) and is_number(total) and total > 0 else 0.0


def _changed(document: Document) -> str:
    value = document["timestamp"]
    moment = moments.read(value)
    if moment is None or moment.tzinfo is None:
        return str(value)
    return moments.local(moment, document.get("created_at")).isoformat()


def _began(document: Document, changed: str) -> str:
    """Return when the run began: *changed*, the time of its last change, minus its duration if that is known.

    ``created_at`` is only used without a duration, since v3.5.0 writes the time of the last change there.
    """
    elapsed = document.get("tempo_decorrido")
    moment = moments.read(changed)
    if isinstance(elapsed, (int, float)) and moment is not None:
        return (moment - timedelta(seconds=elapsed)).isoformat()
    return str(document.get("created_at") or changed)


def end_of(result: Document | None, session: Document | None, started: str, epoch: str | None = None) -> End | None:
    """Return the end that a result or a session document reports of a run, None if neither does.

    Args:
        result, session: the documents, None for a missing one; the result document is used if both report an end.
        started: when the run began; ``""`` if the end documents are all that there is of it.
        epoch: the run's epoch if our tracker wrote it, else None.
    """
    for document in (result, session):
        if document is None:
            continue
        status = document.get("status") or document.get("status_final")
        at = document.get("timestamp_fim") or document.get("finished_at")
        data = document.get("dados_finais") or document.get("resultado_json")
        if not isinstance(status, str) or not is_end(status) or not _is_time(at):
            continue
        if not started or _is_of_run(document, at, session, started, epoch):
            return End(status, moments.text(at), redaction.redact(data) if isinstance(data, dict) else {})
    return None


def _is_time(value: object) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _is_of_run(document: Document, at: object, session: Document | None, started: str, epoch: str | None) -> bool:
    """Tell whether an end document is of the run that began at *started*, and not of an earlier one under its id.

    Our tracker wrote the run's epoch into its documents. All others are compared by their times. An end whose time can't
    be compared with the run's counts, unless the session document beside it is of an earlier run, or of one that began
    after that end: a session document has both its times from one clock.

    Args:
        at: the time of the end.
    """
    if isinstance(own := document.get("epoch"), str):
        return own == epoch
    begun = _start(session)
    if document is session and begun == started:
        return True  # even if the robot's clock went back meanwhile
    if moments.passed(started, at) is not None:
        return not moments.is_before(at, started)
    return not (moments.is_before(at, started) or moments.is_before(at, begun) or moments.is_before(_late(begun), started))


def _start(session: Document | None) -> object:
    """Return when the run of a session document began, as the robot wrote it; None if it did not."""
    return None if session is None else session.get("timestamp_inicio") or session.get("start_time")


def _late(begun: object) -> object:
    """Return *begun* plus what two notes of one beginning may differ by: v3.5.0 calculates one of them."""
    moment = moments.read(begun)
    return None if moment is None else (moment + _SAME_START).isoformat()


def start_of(result: Document | None, session: Document | None) -> str:
    """Return when a run with only end documents began: the start that they name, else the end, else ``""``."""
    keys = ("timestamp_inicio", "start_time", "timestamp_fim", "finished_at")
    values = (document.get(key) for key in keys for document in (session, result) if document)
    return next((moments.text(value) for value in values if _is_time(value)), "")


def conclude(snapshot: Snapshot, end: End | None) -> bool:
    """Decide whether the run of a deployed robot's snapshot has ended, and how; *snapshot* is modified.

    Args:
        end: what end_of() returned for the run, None if there is no end document.

    Returns:
        True if *end* brought something of which the snapshot's time of change tells nothing: seq_of() needs one more.
    """
    changed = snapshot["timestamp_atualizacao"]
    is_news = False
    status = str(snapshot["status"])
    snapshot["etapa_atual"] = min(max(snapshot["etapa_atual"], 0), snapshot["total_etapas"])
    snapshot["estado"] = Estado.EXECUTANDO
    if end is not None:
        is_news = _take_over(snapshot, end)
        status = end.status
    elif not is_end(status) and _finished(snapshot["erros"]):
        status = "error"  # the robot ended the run with an error and then overwrote the status
    snapshot["final"] = is_end(status)
    snapshot["percentual"] = min(max(float(snapshot["percentual"]), 0.0), 99.0)
    if snapshot["final"]:
        snapshot["estado"] = outcome(status, None, snapshot["erros"], snapshot["dados_extra"])
        snapshot["etapa_atual"], snapshot["percentual"] = snapshot["total_etapas"], 100.0
    return is_news and snapshot["timestamp_atualizacao"] == changed


def _take_over(snapshot: Snapshot, end: End) -> bool:
    """Merge an end document into the snapshot, which may be older: the robot writes one file after the other.

    Returns:
        True if the document has something that the snapshot lacks.
    """
    lacking = lacking_plans(snapshot, end)
    is_news = bool(lacking) or not is_end(str(snapshot["status"]))
    changed = snapshot["timestamp_atualizacao"]
    if is_news and moments.passed(changed, end.at) is not None and moments.is_before(changed, end.at):
        snapshot["timestamp_atualizacao"] = end.at
    snapshot["dados_extra"] = {**snapshot["dados_extra"], **lacking}
    snapshot["status"] = end.status
    return is_news


def lacking_plans(snapshot: Snapshot, end: End) -> Document:
    """Return the plans that *end* has and *snapshot* lacks."""
    known = snapshot["dados_extra"]
    return {key: end.data[key] for key in PLAN_KEYS if end.data.get(key) and not known.get(key)}


def _finished(errors: list[Any]) -> bool:
    return any(isinstance(error, dict) and error.get("contexto") == _FINISHING for error in errors)


def keep_seen(before: Snapshot, after: Snapshot) -> None:
    """Copy from *before*, an earlier snapshot of the run, to *after* what must not go back; *after* is modified.

    That is the end, the percentage, estimates and plans, and the step if *after* has step 0. A robot's snapshot may
    lack them although the previous one had them: it has step 0 after a caught exception, and ``concluido`` after the
    end.
    """
    extra = after["dados_extra"]
    milestones = (ESTIMATES_KEY, *PLAN_KEYS)
    lost = {key: value for key in milestones if (value := before["dados_extra"].get(key)) and not extra.get(key)}
    after["dados_extra"] = {**extra, **lost}
    after["percentual"] = max(before["percentual"], after["percentual"])
    after["etapa_atual"] = after["etapa_atual"] or before["etapa_atual"]
    if before["final"]:
        after["final"], after["estado"] = True, before["estado"]


def seq_of(snapshot: Snapshot, old: bool) -> int:
    """Return a ``seq`` for a snapshot without one: the run's duration at its last change, in microseconds, plus 1.

    It is 1 if the times can't be read or compared.

    Args:
        old: True to measure from _BEFORE_ALL, since the snapshot does not say when the run began; see is_old().
    """
    changed = moments.read(snapshot["timestamp_atualizacao"])
    if old and changed is not None:
        lasted: timedelta | None = changed - (_BEFORE_ALL.replace(tzinfo=UTC) if changed.tzinfo else _BEFORE_ALL)
    else:
        lasted = moments.passed(snapshot["timestamp_inicio"], changed)
    return 1 if lasted is None else min(max(0, round(lasted / _MICROSECOND)), _LONGEST_US) + 1
