"""The messages of the deployed ``progress_sse.php``, made from the state of a session.

Pure, like legacy.py, and with its rules. The sequence is starting, started, progress …, then one of completed,
error and timeout, behind which the page closes the stream. ``completed`` must carry ``progresso``: without it the
page fails before it closes, and comes back for ever.
"""

from ..progress import redaction
from ..progress.session_state import Document, SessionState
from ..progress.snapshot import ESTIMATES_KEY
from . import php_json, progress_answer
from .progress_answer import Run

#: Behind one of these a page closes the stream.
LAST = ("completed", "error", "timeout")


def starting(session_id: str) -> Document:
    """Say that the stream is open."""
    return {"status": "starting", "session_id": session_id, "message": "Iniciando cotação..."}


def started(session_id: str) -> Document:
    """Say that the robot has been heard of."""
    return {"status": "started", "session_id": session_id, "message": "RPA iniciado com sucesso"}


def timeout(session_id: str) -> Document:
    """Say that nothing was heard for too long; the deployed script said it after 300 s, however the run went."""
    return {"status": "timeout", "session_id": session_id, "message": "Timeout atingido"}


def of(session_id: str, held: SessionState, silence_s: float, now: str) -> list[Document]:
    """Return what a state says: a progress message, and behind it the last one where the run is over.

    Args:
        silence_s: how long the robot has said nothing.
        now: ``YYYY-MM-DD HH:MM:SS``, the server's local time.
    """
    run = progress_answer.look(held, silence_s)
    if not run.over:
        return [_progress(session_id, run, now)]
    if run.succeeded:
        told = _progress(session_id, run, now)
        done = {"status": "completed", "session_id": session_id, "message": "Cotação concluída com sucesso"}
        return [told, {**done, "progresso": told}]
    if run.estado == "expirado":
        return [timeout(session_id)]
    return [{"status": "error", "session_id": session_id, "message": progress_answer.message(run)}]


def _progress(session_id: str, run: Run, now: str) -> Document:
    found, plans = progress_answer.estimates(run), progress_answer.plans(run)
    extra = {**({} if found is None else {ESTIMATES_KEY: found}), **plans}
    return {
        "etapa_atual": run.step,
        "total_etapas": run.snapshot["total_etapas"],
        "percentual": progress_answer.percent(run),
        "status": progress_answer.status(run),
        "mensagem": progress_answer.message(run),
        "timestamp_inicio": run.snapshot["timestamp_inicio"],
        "timestamp_atualizacao": run.snapshot["timestamp_atualizacao"],
        "dados_extra": php_json.decoded(extra),
        "erros": [redaction.redact(error) for error in run.snapshot["erros"]],
        "session_id": session_id,
        "timestamp": now,
        "details": {"estimativas": _first(found), "planos": php_json.decoded(plans)},
    }


def _first(estimates: Document | None) -> Document | None:
    """Return the first coverage's price as the page shows it; it asks for a deductible too, which nobody has yet."""
    values = next(iter(progress_answer.coverages(estimates)), {}).get("valores")
    prices = [text for key in ("de", "ate") if isinstance(values, dict) and (text := values.get(key))]
    return {"valor_estimado": " - ".join(map(str, prices))} if prices else None


def encode(message: Document) -> bytes:
    """Encode one unnamed event."""
    return b"data: " + php_json.compact(message) + b"\n\n"
