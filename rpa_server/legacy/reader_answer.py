"""Builds the answer of the older readers (``get_progress.php`` and its successors) from the state of a session.

Pure, with the same rules as progress_answer.py. The shape is that of ``get_progress_completo.php``, whose ``data`` has
every key of a progress file, and ``historico``, ``timeline``, ``estimativas`` and ``resultados_finais`` besides.

Invariants: those of progress_answer.py; and the step stays below the last one until the run has succeeded, since a page
that reads this shape takes the last step for a success.
"""

from datetime import datetime
from typing import Any

from ..progress import redaction
from ..progress.shapes import Coverage, Entry, Plan, Snapshot
from ..progress.snapshot import ESTIMATES_KEY
from . import php_json, progress_answer
from .progress_answer import Answer, RunView

NO_ID = "Session ID obrigatório"
_WAITING = "Aguardando início..."
_NO_ESTIMATES = {
    "capturadas": False,
    "encontradas": False,
    "dados": None,
    "status": "not_found",
    "mensagem": "Estimativas não encontradas",
}


def progress(session_id: str, run: RunView, at: str) -> Answer:
    """Build the answer of the older readers.

    Args:
        session_id: the requested session.
        at: ``YYYY-MM-DD HH:MM:SS``, the server's local time.
    """
    return {"success": True, "data": {**_data(session_id, run), "timestamp": at}}


def waiting(session_id: str, now: datetime) -> Answer:
    """Build the answer for a session of which nothing is known; *now*: the server's local time."""
    return {"success": True, "data": _initial(session_id, now), "timestamp": now.strftime("%Y-%m-%d %H:%M:%S")}


def refusal(text: str, now: datetime) -> Answer:
    """Build the answer to a bad request: one reader had its text under ``message``, the other under ``error``."""
    return {"success": False, "message": text, "timestamp": now.strftime("%Y-%m-%d %H:%M:%S"), "error": text}


def _data(session_id: str, run: RunView) -> Answer:
    snapshot = run.snapshot
    total = snapshot["total_etapas"]
    return {
        "etapa_atual": run.step if run.succeeded else min(run.step, total - 1),
        "total_etapas": total,
        "percentual": progress_answer.percent(run),
        "status": progress_answer.status(run),
        "mensagem": progress_answer.message(run),
        "timestamp_inicio": snapshot["timestamp_inicio"],
        "timestamp_atualizacao": snapshot["timestamp_atualizacao"],
        "dados_extra": _extra(run),
        "erros": _errors(run),
        "session_id": session_id,
        "historico": progress_answer.timeline(run),
        "timeline": [_brief(entry) for entry in run.history.latest],
        "historico_count": run.history.count,
        "estimativas": _estimates(run),
        "resultados_finais": _results(session_id, run),
        "source": "history" if run.history.count else "progress",
        "file_used": f"{'history' if run.history.count else 'progress'}_{session_id}.json",
        "tempo_decorrido": _passed_s(snapshot),
    }


def _extra(run: RunView) -> Any:
    """Return plans and estimates; the estimates twice, at the top and under ESTIMATES_KEY, where other pages look."""
    found = progress_answer.estimates(run)
    estimates: Answer = {} if found is None else {**found, ESTIMATES_KEY: found}
    return php_json.decoded({**estimates, **progress_answer.plans(run)})


def _errors(run: RunView) -> list[Any]:
    if not run.history.count:
        return [redaction.redact(error) for error in run.snapshot["erros"]]
    return [
        redaction.redact({"etapa": entry["etapa"], "erro": entry["erro"], "timestamp": entry["timestamp"]})
        for entry in run.history.errors
    ]


def _brief(entry: Entry) -> Answer:
    text = redaction.text(entry["mensagem"] or "")
    return {"etapa": entry["etapa"], "timestamp": entry["timestamp"], "status": entry["status"], "mensagem": text}


def _estimates(run: RunView) -> Answer:
    found = progress_answer.estimates(run)
    if found is None:
        return _NO_ESTIMATES
    entry = run.history.estimates
    at = entry["timestamp"] if entry else found.get("timestamp")
    words = {
        "status": entry["status"] if entry else "completed",
        "mensagem": entry["mensagem"] if entry else "Estimativas capturadas",
    }
    data = {
        "coberturas": [_coverage(item) for item in progress_answer.coverages(found)],
        "resumo": php_json.decoded(found.get("resumo", [])),
        "timestamp": at,
        **words,
    }
    return {"capturadas": True, "encontradas": True, "dados": data, **words}


def _coverage(item: Coverage) -> Answer:
    return {
        "nome": item["nome"] or "N/A",
        "valores": php_json.decoded(item.get("valores", [])),
        "beneficios": php_json.decoded(item.get("beneficios", [])),
        "indice": php_json.decoded(item.get("indice", 0)),
    }


def _results(session_id: str, run: RunView) -> Answer:
    found = progress_answer.result(run)
    return {
        "rpa_finalizado": run.succeeded,
        "status_final": progress_answer.status(run) if run.snapshot["final"] else "running",
        "timestamp_fim": found["timestamp_fim"] if found else None,
        "dados": _plans(run) if run.succeeded else None,
        "arquivo_resultado": f"result_{session_id}.json" if run.succeeded else None,
    }


def _plans(run: RunView) -> Any:
    return {key.removeprefix("plano_"): _plan(key, plan) for key, plan in progress_answer.plans(run).items()} or []


def _plan(key: str, plan: Plan) -> Answer:
    def fields(*names: str, default: Any = "N/A") -> Answer:
        return {name: php_json.decoded(plan.get(name, default)) for name in names}

    return {
        "tipo": key.removeprefix("plano_"),
        "nome": plan.get("plano", "N/A"),
        **fields("valor", "forma_pagamento", "parcelamento", "valor_franquia", "valor_mercado"),
        "coberturas": fields("assistencia", "vidros", "carro_reserva", default=False),
        "limites": fields("danos_materiais", "danos_corporais", "danos_morais", "morte_invalidez"),
        "franquia": {"tipo": plan.get("tipo_franquia", "N/A")},
    }


def _passed_s(snapshot: Snapshot) -> float:
    """Return how long the run had lasted at its last change, in seconds; 0 if its times can't be parsed."""
    try:
        began = datetime.fromisoformat(snapshot["timestamp_inicio"])
        changed = datetime.fromisoformat(snapshot["timestamp_atualizacao"])
        return php_json.number(round((changed - began).total_seconds(), 3))
    except (TypeError, ValueError):
        return 0


def _initial(session_id: str, now: datetime) -> Answer:
    at = now.isoformat(timespec="seconds")
    return {
        "etapa_atual": 0,
        "total_etapas": 5,
        "percentual": 0,
        "status": "waiting",
        "mensagem": _WAITING,
        "timestamp_inicio": at,
        "timestamp_atualizacao": at,
        "dados_extra": [],
        "erros": [],
        "session_id": session_id,
        "historico": [],
        "timeline": [],
        "estimativas": _NO_ESTIMATES,
        "resultados_finais": {
            "rpa_finalizado": False,
            "status_final": "waiting",
            "timestamp_fim": None,
            "dados": None,
            "arquivo_resultado": None,
        },
        "source": "none",
        "file_used": "none",
        "tempo_decorrido": 0,
    }
