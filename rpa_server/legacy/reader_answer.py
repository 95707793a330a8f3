"""The answer of the older readers ``get_progress.php`` and its successors, made from the state of a session.

Pure, like legacy.py, and with its rules. The shape is that of ``get_progress_completo.php``, whose ``data`` has every
key of a progress file and more.

Invariants: besides those of legacy.py, the step stays below the last one until a run has succeeded, since a page
that reads this shape takes the last step for a success.
"""

from datetime import datetime
from typing import Any

from ..progress import redaction
from ..progress.session_state import Document, SessionState
from ..progress.snapshot import ESTIMATES_KEY, Entry, Snapshot
from . import php_json, progress_answer
from .progress_answer import Run

NO_ID = "Session ID obrigatório"
_WAITING = "Aguardando início..."
_SHOWN = 10
_NO_ESTIMATES = {
    "capturadas": False,
    "encontradas": False,
    "dados": None,
    "status": "not_found",
    "mensagem": "Estimativas não encontradas",
}


def progress(session_id: str, held: SessionState | None, silence_s: float, now: datetime) -> Document:
    """Build the answer of ``/get_progress.php?session=``.

    Args:
        held: None for a session of which nothing is known.
        silence_s: how long the robot has said nothing.
        now: the server's local time.
    """
    at = now.strftime("%Y-%m-%d %H:%M:%S")
    if held is None:
        return {"success": True, "data": _initial(session_id, now), "timestamp": at}
    data = _data(session_id, progress_answer.look(held, silence_s))
    return {"success": True, "data": {**data, "timestamp": at}}


def refusal(text: str, now: datetime) -> Document:
    """Build the answer to a request that can't be served; one reader said ``message``, the other ``error``."""
    return {"success": False, "message": text, "timestamp": now.strftime("%Y-%m-%d %H:%M:%S"), "error": text}


def _data(session_id: str, run: Run) -> Document:
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
        "timeline": [_brief(entry) for entry in run.entries[-_SHOWN:]],
        "historico_count": len(run.entries),
        "estimativas": _estimates(run),
        "resultados_finais": _results(session_id, run),
        "source": "history" if run.entries else "progress",
        "file_used": f"{'history' if run.entries else 'progress'}_{session_id}.json",
        "tempo_decorrido": _passed_s(snapshot),
    }


def _extra(run: Run) -> Any:
    """Return what the milestones brought, in the places where the two kinds of reader look for it."""
    found = progress_answer.estimates(run)
    brought = {} if found is None else {**found, ESTIMATES_KEY: found}
    return php_json.decoded({**brought, **progress_answer.plans(run)})


def _errors(run: Run) -> list[Any]:
    if not run.entries:
        return [redaction.redact(error) for error in run.snapshot["erros"]]
    keys = ("etapa", "erro", "timestamp")
    return [redaction.redact({key: entry[key] for key in keys}) for entry in run.entries if entry.get("erro")]


def _brief(entry: Entry) -> Document:
    text = redaction.text(entry["mensagem"] or "")
    return {"etapa": entry["etapa"], "timestamp": entry["timestamp"], "status": entry["status"], "mensagem": text}


def _estimates(run: Run) -> Document:
    found = progress_answer.estimates(run)
    if found is None:
        return _NO_ESTIMATES
    entry = next((entry for entry in run.entries if entry["etapa"] == "estimativas"), None)
    told = entry or {"timestamp": found.get("timestamp"), "status": "completed", "mensagem": "Estimativas capturadas"}
    data = {
        "coberturas": [_coverage(item) for item in progress_answer.coverages(found)],
        "resumo": php_json.decoded(found.get("resumo", [])),
        "timestamp": told["timestamp"],
        "status": told["status"],
        "mensagem": told["mensagem"],
    }
    told = {"status": told["status"], "mensagem": told["mensagem"]}
    return {"capturadas": True, "encontradas": True, "dados": data, **told}


def _coverage(item: Document) -> Document:
    return {
        "nome": item["nome"] or "N/A",
        "valores": php_json.decoded(item.get("valores", [])),
        "beneficios": php_json.decoded(item.get("beneficios", [])),
        "indice": php_json.decoded(item.get("indice", 0)),
    }


def _results(session_id: str, run: Run) -> Document:
    found = progress_answer.result(run)
    return {
        "rpa_finalizado": run.succeeded,
        "status_final": progress_answer.status(run) if run.snapshot["final"] else "running",
        "timestamp_fim": found["timestamp_fim"] if found else None,
        "dados": _plans(run) if run.succeeded else None,
        "arquivo_resultado": f"result_{session_id}.json" if run.succeeded else None,
    }


def _plans(run: Run) -> Any:
    return {key.removeprefix("plano_"): _plan(key, plan) for key, plan in progress_answer.plans(run).items()} or []


def _plan(key: str, plan: Document) -> Document:
    def said(*names: str, otherwise: Any = "N/A") -> Document:
        return {name: php_json.decoded(plan.get(name, otherwise)) for name in names}

    return {
        "tipo": key.removeprefix("plano_"),
        "nome": plan.get("plano", "N/A"),
        **said("valor", "forma_pagamento", "parcelamento", "valor_franquia", "valor_mercado"),
        "coberturas": said("assistencia", "vidros", "carro_reserva", otherwise=False),
        "limites": said("danos_materiais", "danos_corporais", "danos_morais", "morte_invalidez"),
        "franquia": {"tipo": plan.get("tipo_franquia", "N/A")},
    }


def _passed_s(snapshot: Snapshot) -> float:
    """Return how long the run had lasted at its last change, in seconds."""
    try:
        began, changed = (datetime.fromisoformat(snapshot[f"timestamp_{key}"]) for key in ("inicio", "atualizacao"))
        return php_json.number(round((changed - began).total_seconds(), 3))
    except (TypeError, ValueError):
        return 0


def _initial(session_id: str, now: datetime) -> Document:
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
