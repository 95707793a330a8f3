"""Builds the messages of the deployed ``progress_sse.php`` from the state of a session.

Pure, with the same rules as progress_answer.py. A stream begins with ``starting``. Once the robot has written
something, ``started`` and progress messages follow. The last message is ``completed``, ``error`` or ``timeout``, after
which the page closes the stream. ``completed`` must have ``progresso``: without it the page fails with a TypeError
before it closes, and reconnects for ever.
"""

from ..progress import redaction
from ..progress.shapes import Estimates
from ..progress.snapshot import ESTIMATES_KEY
from . import php_json, progress_answer
from .progress_answer import Answer, RunView

#: After a message with one of these values of ``status`` a page closes the stream.
LAST = ("completed", "error", "timeout")


def starting(session_id: str) -> Answer:
    """Build the message that says that the stream is open."""
    return {"status": "starting", "session_id": session_id, "message": "Iniciando cotação..."}


def started(session_id: str) -> Answer:
    """Build the message that says that the robot has written something."""
    return {"status": "started", "session_id": session_id, "message": "RPA iniciado com sucesso"}


def timeout(session_id: str) -> Answer:
    """Build the message about too long a silence; the deployed script sent it after 300 s whatever the robot did."""
    return {"status": "timeout", "session_id": session_id, "message": "Timeout atingido"}


def of(session_id: str, run: RunView, now: str) -> list[Answer]:
    """Return the messages for a run.

    While the run goes on that is its progress; after a success its progress and ``completed``; otherwise only ``error``
    or ``timeout``.

    Args:
        session_id: the session.
        now: ``YYYY-MM-DD HH:MM:SS``, the server's local time.
    """
    last = run.words.last
    if last is None:
        return [_progress(session_id, run, now)]
    if last == "completed":
        progress = _progress(session_id, run, now)
        done = {"status": "completed", "session_id": session_id, "message": "Cotação concluída com sucesso"}
        return [progress, {**done, "progresso": progress}]
    if last == "timeout":
        return [timeout(session_id)]
    return [{"status": "error", "session_id": session_id, "message": progress_answer.message(run)}]


def _progress(session_id: str, run: RunView, now: str) -> Answer:
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


def _first(estimates: Estimates | None) -> Answer | None:
    """Return the first coverage's price as the page shows it, None if there is none."""
    first = next(iter(progress_answer.coverages(estimates)), None)
    values = first.get("valores") if first else None
    prices = [text for text in (values.get("de"), values.get("ate")) if text] if isinstance(values, dict) else []
    return {"valor_estimado": " - ".join(map(str, prices))} if prices else None


def encode(message: Answer) -> bytes:
    """Encode *message* as an unnamed server-sent event."""
    return b"data: " + php_json.compact(message) + b"\n\n"
