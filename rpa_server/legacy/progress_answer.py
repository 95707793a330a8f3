"""The deployed system's answers to ``/api/rpa/progress/{session}``, made from the state of a session.

Pure: times come as text from whoever asks. Shapes, key order, words and types are those of the PHP that pages
poll today, plus the names under which other pages look for the same thing. What differs on purpose is listed in
``docs/migrating.rst``; a test holds the list against a second writing of the PHP's rules.

Invariants: ``success`` and 100 % are said of a run that ended with a quote and of no other; what ends a run in a page
(``error``, ``completed``, ``concluido``) is never said in mid-run; no text made here holds a word that a page takes
for a failure; nothing of the form that somebody filled in leaves here.
"""

from typing import Any, NamedTuple

from ..errors import BadDocument
from ..progress import redaction
from ..progress import snapshot as snapshots
from ..progress.outcome import PLAN_KEYS, claims_success, patience_s, price
from ..progress.session_state import Document, SessionState
from ..progress.snapshot import with_names
from ..progress.update import Update
from . import php_json

NOT_FOUND = "Endpoint não encontrado"
NOT_ALLOWED = "Método não permitido"
BAD_ID = "Session ID inválido"
WAITING = "Aguardando início da execução"
_MANUAL = "Cotação manual necessária"
_SHOWN = 10
#: Entries whose extra data are made for pages: the estimates and the plans.
_MILESTONES = ("estimativas", "final")
#: The deployed words for a run that has ended, by what pages look for at the top level.
_TOP_LEVEL = {"sucesso": "success", "cotacao_manual": "manual_quotation"}


class Run(NamedTuple):
    """What the answers are made of, worked out once.

    Attributes:
        estado: see state.estado().
        entries: what the robot said, as far as it is kept; empty for one that keeps no history.
        step: the furthest step.
    """

    held: SessionState
    estado: str
    entries: list[snapshots.Entry]
    step: float

    @property
    def snapshot(self) -> snapshots.Snapshot:
        return self.held.snapshot

    @property
    def succeeded(self) -> bool:
        return self.estado == "sucesso"

    @property
    def over(self) -> bool:
        """The page is to stop: the run has ended, or nobody hears of it any more."""
        return self.estado not in ("aguardando", "executando")


def look(held: SessionState, silence_s: float) -> Run:
    """Work out what the answers need; *silence_s*: how long the robot has said nothing."""
    told = () if held.sparse else map(_entry, held.updates)
    entries = [entry for entry in told if entry is not None]
    steps = [entry["etapa"] for entry in entries if snapshots.is_number(entry["etapa"])]
    total = held.snapshot["total_etapas"]
    step = min(max(0, *map(int, steps)), total) if steps else held.snapshot["etapa_atual"]
    return Run(held, snapshots.estado(held.snapshot, silence_s), entries, step)


def _entry(update: Update) -> snapshots.Entry | None:
    """Return the entry that an update tells of; None for one that only begins like one of ours."""
    try:
        entry = snapshots.entry_of(update.data)
        step_or_word = snapshots.is_number(entry["etapa"]) or entry["etapa"] in snapshots.EVENTS
    except (BadDocument, LookupError, TypeError, AttributeError):
        return None
    texts = (entry["timestamp"], entry["status"], entry["mensagem"] or "")
    return entry if step_or_word and all(isinstance(text, str) for text in texts) else None


def percent(run: Run) -> float:
    """Return 0 to 99, and 100 for a success: pages take 100 for one."""
    if run.succeeded:
        return 100
    snapshot = run.snapshot
    share = run.step / snapshot["total_etapas"] * 100 if snapshot["final"] else snapshot["percentual"]
    return php_json.number(min(share, 99.0))


def status(run: Run) -> str:
    """Return ``iniciando`` or ``executando`` in mid-run, then ``success`` or ``error``."""
    if run.over:
        return "success" if run.succeeded else "error"
    return "iniciando" if run.snapshot["status"] == "iniciando" else "executando"


def message(run: Run) -> str:
    """Return the robot's last words; of errors that ended nothing, and of what follows the end, none."""
    if run.estado == "expirado" and not run.snapshot["final"]:
        minutes = patience_s(run.snapshot["etapa_atual"], run.snapshot["mensagem"] or "") / 60
        return f"Sem notícias do robô há mais de {minutes:.0f} minutos"
    if run.estado == "cotacao_manual" and claims_success(run.snapshot["status"]):
        return _MANUAL
    said = "" if run.entries else run.snapshot["mensagem"]
    for entry in run.entries:
        if entry["etapa"] != "erro":
            said = entry["mensagem"]
        if entry["etapa"] == "final":
            break
    return redaction.text(said or "")


def estimates(run: Run) -> Document | None:
    """Return the estimates as soon as they are there, every coverage under ``nome`` too; None before."""
    held = run.snapshot["dados_extra"].get(snapshots.ESTIMATES_KEY)
    return with_names(redaction.redact(held)) if isinstance(held, dict) else None


def coverages(found: Document | None) -> list[Document]:
    """Return the coverages of estimates(), none where there are none."""
    items = (found or {}).get("coberturas_detalhadas")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def plans(run: Run) -> dict[str, Document]:
    """Return the plans of a run that has ended, by PLAN_KEYS."""
    held = run.snapshot["dados_extra"] if run.snapshot["final"] else {}
    return {key: redaction.redact(held[key]) for key in PLAN_KEYS if isinstance(held.get(key), dict)}


def final_price(run: Run) -> str | None:
    """Return the recommended plan's price, else the alternative's; None where there is none."""
    prices = (price(plan) for plan in plans(run).values())
    return next((found for found in prices if found is not None), None) if run.succeeded else None


def result(run: Run) -> Document | None:
    """Return what the robot's ``result_<sid>.json`` holds, None before the end."""
    if not run.snapshot["final"]:
        return None
    end = run.held.end
    last = next((entry for entry in reversed(run.entries) if entry["etapa"] == "final"), None)
    at = end.at if end else last["timestamp"] if last else run.snapshot["timestamp_atualizacao"]
    told = end.status if end else last["status"] if last else run.snapshot["status"]
    body: Document = {
        "status": told,
        "timestamp_fim": at,
        "dados_finais": php_json.decoded({key: _priced(plan) for key, plan in plans(run).items()}),
        "session_id": run.snapshot["session_id"],
    }
    found = final_price(run)
    return body if found is None else {**body, "valor_final": found}


def _priced(plan: Document) -> Document:
    """Add the price under its other name, without the dots that one page takes for a decimal point."""
    found = price(plan)
    return plan if found is None else {**plan, "valor_total": found.replace(".", "")}


def timeline(run: Run) -> list[Document]:
    """Return the last entries; extra data only of those that pages show."""
    return [
        {
            "etapa": entry["etapa"],
            "timestamp": entry["timestamp"],
            "status": entry["status"],
            "mensagem": redaction.text(entry["mensagem"] or ""),
            "dados_extra": extra(entry),
            "erro": redaction.redact(entry.get("erro")),
        }
        for entry in run.entries[-_SHOWN:]
    ]


def extra(entry: snapshots.Entry) -> Any:
    """Return an entry's extra data where they are a milestone, None for any other."""
    held = entry.get("dados_extra")
    return php_json.decoded(redaction.redact(held)) if held is not None and entry["etapa"] in _MILESTONES else None


def progress(session_id: str, held: SessionState | None, silence_s: float, now: str) -> Document:
    """Build the answer of ``/api/rpa/progress/{session}``.

    Args:
        held: None for a session of which nothing is known; several pages would stop on a 404.
        silence_s: how long the robot has said nothing.
        now: ``YYYY-MM-DD HH:MM:SS``, the server's local time.
    """
    body = _initial() if held is None else _progress(look(held, silence_s))
    top = body.pop("top", body["status"])
    stage = body["mensagem"] if body["etapa_atual"] else ""  # a page that expects a number there shows 0 for it
    return {
        "success": True,
        "session_id": session_id,
        "progress": body,
        "timestamp": now,
        "status": top,
        "current_phase": stage,
        "mensagem": body["mensagem"],
        "progress_percent": round(body["percentual"]),
        "results": _results(body),
    }


def _progress(run: Run) -> Document:
    said, word, step = message(run), status(run), run.step
    found = estimates(run)
    return {
        "etapa_atual": step,
        "total_etapas": run.snapshot["total_etapas"],
        "percentual": percent(run),
        "status": word,
        "mensagem": said,
        "estimativas": {"capturadas": found is not None, "dados": php_json.decoded(found)},
        "resultados_finais": {"rpa_finalizado": run.succeeded, "dados": result(run)},
        "timeline": timeline(run),
        "source": "history" if run.entries else "progress",
        **_other_names(step, word, said),
        "top": _TOP_LEVEL.get(run.estado, word),
    }


def _initial() -> Document:
    return {
        "etapa_atual": 0,
        "total_etapas": 5,
        "percentual": 0,
        "status": "waiting",
        "mensagem": WAITING,
        "estimativas": {"capturadas": False, "dados": None},
        "resultados_finais": {"rpa_finalizado": False, "dados": None},
        "timeline": [],
        "source": "initial",
        **_other_names(0, "waiting", WAITING),
    }


def _other_names(step: float, word: str, said: str) -> Document:
    return {"etapa": step, "current_etapa": step, "current_status": word, "current_mensagem": said}


def _results(body: Document) -> Document:
    """Return the prices for a page that looks for them at the top level, and shows R$ 0,00 for a missing one."""
    if body["status"] != "success":
        return {}
    found = body["resultados_finais"]["dados"].get("valor_final") or "N/A"
    return {"premio_seguro": found, "premio_total": found}


def refusal(text: str, now: str, code: int = 400) -> Document:
    """Build the deployed answer to a request that can't be served; some pages read ``message``."""
    return {"success": False, "error": text, "code": code, "timestamp": now, "message": text}


def unserved(text: str) -> Document:
    """Build the deployed answer of an address or a method that there is not."""
    return {"success": False, "error": text, "message": text}
