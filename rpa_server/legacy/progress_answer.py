"""Builds the deployed system's answers to ``/api/rpa/progress/{session}`` from the state of a session.

Pure: the caller passes times as text. Shapes, key order, words and types are those of the PHP that pages poll today,
plus the names under which other pages look for the same data. Deliberate differences are listed in
``docs/migrating.rst``; tests/legacy/test_progress_answer.py finds every difference from a second implementation of the
PHP's rules, and fails for one that is not in that list.

Invariants: only a run that ended with a quote gets ``success`` and 100 %; until a run has ended or been silent for too
long, its status is never a word that makes a page stop (``error``, ``completed``, ``concluido``); no text of this
module contains a word that a page takes for a failure; the robot's texts, estimates, plans and errors are redacted.
"""

from typing import Any, NamedTuple

from ..progress import redaction
from ..progress.coverages import with_names
from ..progress.outcome import PLAN_KEYS, Estado, claims_success, patience_s, price
from ..progress.session_state import SessionState
from ..progress.shapes import Coverage, Entry, Estimates, Plan, Snapshot
from ..progress.snapshot import ESTIMATES_KEY, estado
from . import php_json
from .digest import Digest
from .outcomes import DeployedWords, deployed_words

#: An answer, or a part of one.
Answer = dict[str, Any]

NOT_FOUND = "Endpoint não encontrado"
NOT_ALLOWED = "Método não permitido"
BAD_ID = "Session ID inválido"
WAITING = "Aguardando início da execução"
_MANUAL = "Cotação manual necessária"
#: The entries whose extra data pages get, since it is the estimates and the plans.
_MILESTONES = ("estimativas", "final")


class RunView(NamedTuple):
    """A run as the deployed answers show it; the values that several parts of an answer need are computed once.

    Attributes:
        state: the state of the session.
        estado: the run's meaning, considering how long the robot has been silent.
        history: what the robot has reported; empty if the robot keeps no history.
        step: the furthest step in *history*, or the snapshot's step if there is none.
    """

    state: SessionState
    estado: Estado
    history: Digest
    step: float

    @property
    def snapshot(self) -> Snapshot:
        return self.state.snapshot

    @property
    def words(self) -> DeployedWords:
        return deployed_words(self.estado)

    @property
    def succeeded(self) -> bool:
        """True if the run has ended with a quote."""
        return self.words.status == "success"


def look(state: SessionState, silence_s: float, history: Digest) -> RunView:
    """Make the RunView of a state.

    Args:
        silence_s: how long the robot has been silent, in seconds.
        history: of the same run, up to the state.
    """
    snapshot = state.snapshot
    step = snapshot["etapa_atual"] if history.step is None else min(history.step, snapshot["total_etapas"])
    return RunView(state, estado(snapshot, silence_s), history, step)


def percent(run: RunView) -> float:
    """Return the percentage, 0 to 99, and 100 only for a success, since pages take 100 for a success."""
    if run.succeeded:
        return 100
    snapshot = run.snapshot
    share = run.step / snapshot["total_etapas"] * 100 if snapshot["final"] else snapshot["percentual"]
    return php_json.number(min(share, 99.0))


def status(run: RunView) -> str:
    """Return ``iniciando`` or ``executando`` while the run goes on, then ``success`` or ``error``."""
    underway = "iniciando" if run.snapshot["status"] == "iniciando" else "executando"
    return run.words.status or underway


def message(run: RunView) -> str:
    """Return the text to show: the robot's last one, leaving out ``erro`` entries and everything after the end.

    If a silence made the run ``expirado``, or the robot's "success" means a manual quotation, it is a text of ours.
    """
    if run.estado == Estado.EXPIRADO and not run.snapshot["final"]:
        minutes = patience_s(run.snapshot["etapa_atual"], run.snapshot["mensagem"] or "") / 60
        return f"Sem notícias do robô há mais de {minutes:.0f} minutos"
    if run.estado == Estado.COTACAO_MANUAL and claims_success(run.snapshot["status"]):
        return _MANUAL
    return redaction.text((run.history.text if run.history.count else run.snapshot["mensagem"]) or "")


def estimates(run: RunView) -> Estimates | None:
    """Return the estimates, redacted, with both names in every coverage; None until the robot captured them."""
    found = run.snapshot["dados_extra"].get(ESTIMATES_KEY)
    return with_names(redaction.redact(found)) if isinstance(found, dict) else None


def coverages(found: Estimates | None) -> list[Coverage]:
    """Return the coverages of estimates(), an empty list if there are none."""
    items = found.get("coberturas_detalhadas") if found else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def plans(run: RunView) -> dict[str, Plan]:
    """Return the plans of a run that has ended, redacted, by PLAN_KEYS; none before the end."""
    extra = run.snapshot["dados_extra"] if run.snapshot["final"] else {}
    return {key: redaction.redact(extra[key]) for key in PLAN_KEYS if isinstance(extra.get(key), dict)}


def final_price(run: RunView) -> str | None:
    """Return the price of the recommended plan, else of the alternative one; None without a price or a success."""
    prices = (price(plan) for plan in plans(run).values())
    return next((found for found in prices if found is not None), None) if run.succeeded else None


def result(run: RunView) -> Answer | None:
    """Return the robot's result (the keys of shapes.StoredResult) with the final price, if any; None before the end."""
    if not run.snapshot["final"]:
        return None
    end = run.state.end
    last = run.history.final
    at = end.at if end else last["timestamp"] if last else run.snapshot["timestamp_atualizacao"]
    word = end.status if end else last["status"] if last else run.snapshot["status"]
    body: Answer = {
        "status": word,
        "timestamp_fim": at,
        "dados_finais": php_json.decoded({key: _priced(plan) for key, plan in plans(run).items()}),
        "session_id": run.snapshot["session_id"],
    }
    found = final_price(run)
    return body if found is None else {**body, "valor_final": found}


def _priced(plan: Plan) -> Answer:
    """Copy a plan and add its price as ``valor_total``, without the dots, which one page takes for decimal points."""
    found = price(plan)
    return {**plan} if found is None else {**plan, "valor_total": found.replace(".", "")}


def timeline(run: RunView) -> list[Answer]:
    """Return the last SHOWN entries, redacted; extra data only of milestones, see extra()."""
    return [
        {
            "etapa": entry["etapa"],
            "timestamp": entry["timestamp"],
            "status": entry["status"],
            "mensagem": redaction.text(entry["mensagem"] or ""),
            "dados_extra": extra(entry),
            "erro": redaction.redact(entry.get("erro")),
        }
        for entry in run.history.latest
    ]


def extra(entry: Entry) -> Any:
    """Return an entry's extra data, redacted, if the entry has the estimates or the plans, else None."""
    found = entry.get("dados_extra")
    return php_json.decoded(redaction.redact(found)) if found is not None and entry["etapa"] in _MILESTONES else None


def progress(session_id: str, run: RunView | None, now: str) -> Answer:
    """Build the answer of ``/api/rpa/progress/{session}``.

    Args:
        session_id: the requested session.
        run: None if nothing is known of the session. The answer is a 200 even then, because a 404 stops some pages.
        now: ``YYYY-MM-DD HH:MM:SS``, the server's local time.
    """
    body = _initial() if run is None else _progress(run)
    top = body.pop("top", body["status"])
    phase = body["mensagem"] if body["etapa_atual"] else ""  # a page that expects a number here takes "" for 0
    return {
        "success": True,
        "session_id": session_id,
        "progress": body,
        "timestamp": now,
        "status": top,
        "current_phase": phase,
        "mensagem": body["mensagem"],
        "progress_percent": round(body["percentual"]),
        "results": _results(body),
    }


def _progress(run: RunView) -> Answer:
    text, word, step = message(run), status(run), run.step
    found = estimates(run)
    return {
        "etapa_atual": step,
        "total_etapas": run.snapshot["total_etapas"],
        "percentual": percent(run),
        "status": word,
        "mensagem": text,
        "estimativas": {"capturadas": found is not None, "dados": php_json.decoded(found)},
        "resultados_finais": {"rpa_finalizado": run.succeeded, "dados": result(run)},
        "timeline": timeline(run),
        "source": "history" if run.history.count else "progress",
        **_other_names(step, word, text),
        "top": run.words.top_level or word,
    }


def _initial() -> Answer:
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


def _other_names(step: float, word: str, text: str) -> Answer:
    return {"etapa": step, "current_etapa": step, "current_status": word, "current_mensagem": text}


def _results(body: Answer) -> Answer:
    """Return ``results``, empty without a success: the page that reads them shows R$ 0,00 for a missing price."""
    if body["status"] != "success":
        return {}
    found = body["resultados_finais"]["dados"].get("valor_final") or "N/A"
    return {"premio_seguro": found, "premio_total": found}


def refusal(text: str, now: str, code: int = 400) -> Answer:
    """Build the deployed answer to a bad request; some pages read ``message`` instead of ``error``.

    Args:
        text: the refusal's text for users, in Portuguese where the deployed system has one.
        now: ``YYYY-MM-DD HH:MM:SS``, the server's local time.
        code: the HTTP status with which our other addresses refuse such a request.
    """
    return {"success": False, "error": text, "code": code, "timestamp": now, "message": text}


def unserved(text: str) -> Answer:
    """Build the deployed answer for an unknown address or method."""
    return {"success": False, "error": text, "message": text}
