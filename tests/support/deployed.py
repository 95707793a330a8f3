"""What the deployed PHP answers: a second implementation of its rules, with which tests compare the server's answers.

Imports nothing of rpa_server. ``files`` are the documents of one session by kind, as PHP would read them.
"""

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]
Files = Mapping[str, Document]


def php(value: Any) -> Any:
    """Return a JSON value as PHP encodes it after decoding it: ``{}`` becomes ``[]``, 2.0 becomes 2."""
    if isinstance(value, dict):
        return {key: php(item) for key, item in value.items()} if value else []
    if isinstance(value, list):
        return [php(item) for item in value]
    return int(value) if isinstance(value, float) and value == int(value) else value


def progress(session_id: str, files: Files, now: str) -> Document:
    """Return the answer to ``/api/rpa/progress/{session_id}`` of the deployed PHP class MonitorService."""
    if "history" in files:
        body = _from_history(files)
    elif "progress" in files:
        body = _from_progress(files["progress"])
    else:
        body = _initial()
    return {"success": True, "session_id": session_id, "progress": php(body), "timestamp": now}


def _from_history(files: Files) -> Document:
    history = files["history"]
    entries = history.get("historico", [])
    step, status, text = 0, "waiting", "Aguardando início"
    for entry in entries:
        if not isinstance(entry["etapa"], str):
            step = max(step, int(entry["etapa"]))
        status, text = entry["status"], entry["mensagem"]
    indices = [index for index, entry in enumerate(entries) if entry["etapa"] == "estimativas"]
    captured = bool(indices) and len(entries) > indices[0] + 1
    finished = any(entry["status"] in ("success", "completed") for entry in entries)
    return {
        "etapa_atual": step,
        "total_etapas": history.get("total_etapas", 5),
        "percentual": step / 5 * 100,
        "status": status,
        "mensagem": text,
        "estimativas": {
            "capturadas": captured,
            "dados": (entries[indices[0]]["dados_extra"] or []) if captured else None,
        },
        "resultados_finais": {"rpa_finalizado": finished, "dados": files.get("result", []) if finished else None},
        "timeline": [
            {key: entry.get(key) for key in ("etapa", "timestamp", "status", "mensagem", "dados_extra", "erro")}
            for entry in entries[-10:]
        ],
        "source": "history",
    }


def _from_progress(document: Document) -> Document:
    extra = document.get("dados_extra") or {}
    return {
        "etapa_atual": document.get("etapa_atual", 0),
        "total_etapas": document.get("total_etapas", 5),
        "percentual": document.get("percentual", 0.0),
        "status": document.get("status", "unknown"),
        "mensagem": document.get("mensagem", "Status desconhecido"),
        "estimativas": {
            "capturadas": "estimativas_tela_4" in extra,
            "dados": extra.get("estimativas_tela_4"),
        },
        "resultados_finais": {"rpa_finalizado": document.get("status") == "success", "dados": None},
        "timeline": [],
        "source": "progress",
    }


def _initial() -> Document:
    return {
        "etapa_atual": 0,
        "total_etapas": 5,
        "percentual": 0.0,
        "status": "waiting",
        "mensagem": "Aguardando início da execução",
        "estimativas": {"capturadas": False, "dados": None},
        "resultados_finais": {"rpa_finalizado": False, "dados": None},
        "timeline": [],
        "source": "initial",
    }
