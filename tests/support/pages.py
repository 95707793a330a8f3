"""The pages that poll the deployed system today: what each would show for an answer.

Each public function from production() to tracker() repeats the decision of the script that its docstring names: which
fields the script reads, what it takes for success and for failure, and which prices it prints. Imports nothing of
rpa_server.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

Document = dict[str, Any]

NOTHING = "R$ 0,00"
_KEYS = ("plano_recomendado", "plano_alternativo")
#: Words in ``mensagem`` that the production page takes for a failure.
FATAL = ("falhou", "erro", "failed", "error", "exception", "timeout", "denied", "invalid", "blocked", "cancelled")
_FATAL_STATUS = (*FATAL[2:], "failure", "aborted")


class Shown(NamedTuple):
    """What a page shows: *verdict* is ``waits``, ``success`` or ``failure``; *prices* are those that it prints."""

    verdict: str
    prices: tuple[str, ...] = ()


WAITS = Shown("waits")
FAILURE = Shown("failure")


def _plans(answer: Document) -> list[Document]:
    """Return the plans in ``resultados_finais.dados.dados_finais``; without plans PHP writes a list instead."""
    data = (answer["progress"]["resultados_finais"]["dados"] or {}) if answer["success"] else {}
    return _of(data.get("dados_finais") if isinstance(data, dict) else None)


def _of(data: object) -> list[Document]:
    return [data[key] for key in _KEYS if key in data] if isinstance(data, dict) else []


def _reals(value: object, scaled: bool) -> str:
    """Format a price as the pages do: the first comma becomes a point, anything after a second point is lost.

    Args:
        scaled: take a number from 0.1 to 100 for thousands, as some pages do.
    """
    if not value:
        return NOTHING
    digits = re.match(r"-?\d+(\.\d+)?", re.sub(r"[^\d,.-]", "", str(value)).replace(",", ".", 1))
    if digits is None:
        return NOTHING
    number = float(digits[0])
    if scaled and 0.1 <= number <= 100:
        number *= 1000
    return "R$ " + f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def production(answer: Document) -> Shown:
    """The script of the page in production, ``webflow_injection_limpo.js``."""
    if not answer["success"]:
        return WAITS
    progress = answer["progress"]
    status, text = (progress.get("status") or "processing").lower(), (progress.get("mensagem") or "").lower()
    if progress.get("error_code") or progress.get("status_code"):
        return FAILURE
    if any(word in status for word in _FATAL_STATUS) or any(word in text for word in FATAL):
        return FAILURE
    if progress.get("fase_atual") or (progress.get("dados_extra") and status != "success"):
        return Shown("success")  # at every poll the page adds its text about contact once more
    if progress.get("status") != "success":
        return WAITS
    final: Document = next((entry for entry in progress["timeline"] if entry["etapa"] == "final"), {})
    plans = _plans(answer) or _of(final.get("dados_extra")) or _of(progress.get("dados_extra"))
    if len(plans) != 2:
        return Shown("success", (NOTHING, NOTHING))  # the page keeps the initial text of its form
    prices = [str(plan.get("valor") or "") for plan in plans]
    return Shown("success", tuple(price if "R$" in price else _reals(price, False) for price in prices))


def modal_v62(answer: Document) -> Shown:
    """The script ``js/modal-progress.js``: a ``mensagem`` with "falhou" overrides every status."""
    progress = answer.get("progress") or {}
    status, text = progress.get("status") or answer.get("status"), progress.get("mensagem") or answer.get("mensagem") or ""
    if "falhou" in text or status in ("failed", "error", "erro"):
        return FAILURE
    if status not in ("success", "completed"):
        return WAITS
    return Shown("success", tuple(_reals(plan["valor"], True) for plan in _plans(answer) if plan.get("valor")))


def modal_v63(answer: Document) -> Shown:
    """The script ``js/modal-progress-v6.3.0.js``: the first answer without ``success`` is a failure."""
    if not answer["success"]:
        return FAILURE
    progress = answer["progress"].get("progress") or answer["progress"]
    status = progress.get("current_status") or progress["status"]
    if status in ("success", "completed"):
        return Shown("success", tuple(_reals(plan.get("valor_total"), True) for plan in _plans(answer)))
    return FAILURE if status in ("failed", "error", "erro") else WAITS


def modal_v63_phase(answer: Document) -> float:
    """Return the phase that ``js/modal-progress-v6.3.0.js`` prints; 0, as in "Fase 0 de 16", if it finds none."""
    progress = answer["progress"]
    return float(progress.get("current_etapa") or progress.get("etapa") or 0)


def modal_v5(answer: Document) -> Shown:
    """The script ``modal_rpa_real.js``."""
    if not answer["success"]:
        return FAILURE
    progress = answer["progress"]
    if progress["status"] in ("success", "CONCLUIDO", "completed"):
        return Shown("success", _final_value(progress))
    failed = progress["status"] in ("failed", "error", "erro") or "falhou" in progress["mensagem"]
    return FAILURE if failed else WAITS


def _final_value(progress: Document) -> tuple[str, ...]:
    data = progress["resultados_finais"]["dados"]
    return ((data.get("valor_final") if isinstance(data, dict) else None) or "N/A",)


def modal_v6(answer: Document) -> Shown:
    """The scripts ``modal_rpa_real_v6.js`` and ``js/rpa-integration.js``."""
    shown_by_v5 = modal_v5(answer)
    prices = tuple(str(plan["valor"]) for plan in _plans(answer) if plan.get("valor"))
    return Shown("success", prices) if shown_by_v5.verdict == "success" else shown_by_v5


def webflow_v4(answer: Document) -> Shown:
    """The script ``rpa-v4/public/js/webflow-integration.js``, which does not recognise failures."""
    return Shown("success") if answer["success"] and answer["progress"]["status"] in ("success", "completed") else WAITS


def integration(answer: Document) -> Shown:
    """``MODAL_PROGRESSO_RPA_INTEGRACAO.js`` and two similar scripts: at 100 % they show "Concluído com sucesso!"."""
    if not answer["success"]:
        return FAILURE
    progress = answer["progress"]
    shown = _final_value(progress) if progress["resultados_finais"]["rpa_finalizado"] else ()
    if progress["status"] == "success" or progress["percentual"] >= 100 or shown:
        return Shown("success", shown)
    return WAITS


def integration_v690(answer: Document) -> Shown:
    """The script ``rpa-integration-v6.9.0.js``."""
    if not answer["success"]:
        return FAILURE
    return Shown("success") if answer["progress"]["status"] == "success" else WAITS


def complete(answer: Document) -> Shown:
    """The script ``webflow-rpa-complete.js``, which reads only the top level of the answer."""
    status, results = answer.get("status"), answer.get("results") or {}
    if status == "success":
        return Shown("success", tuple(results.get(key) or NOTHING for key in ("premio_seguro", "premio_total")))
    return FAILURE if status in ("error", "manual_quotation") else WAITS


def shell(answer: Document) -> Shown:
    """The deployed system's shell scripts, which test its API with curl and jq."""
    progress = answer.get("progress") or {}
    if progress.get("status") == "success":
        return Shown("success")
    return FAILURE if progress.get("status") in ("failed", "error") else WAITS


def simulation(full: Document) -> Shown:
    """The script ``simulacao/frontend/js/rpa-modal.js``, which polls ``/get_progress.php``."""
    return Shown("success") if full["success"] and full["data"].get("percentual", 0) >= 100 else WAITS


def monitor(full: Document) -> Shown:
    """The page ``monitor_tempo_real.php``, which polls ``/get_progress.php``."""
    return Shown("success") if full["success"] and full["data"]["etapa_atual"] >= full["data"]["total_etapas"] else WAITS


def tracker(message: Document) -> Shown:
    """The script ``webflow_progress_tracker.js``, for one message of ``/progress_sse.php``."""
    if message["status"] == "completed":
        plans = message["progresso"]["details"].get("planos") or {}
        return Shown("success", tuple((plans.get(key) or {}).get("valor") or "N/A" for key in _KEYS) if plans else ())
    return FAILURE if message["status"] in ("timeout", "error") else WAITS


#: Pages that poll ``/api/rpa/progress``, and whether each one recognises a failure.
PAGES: dict[Callable[[Document], Shown], bool] = {
    production: True,
    modal_v62: True,
    modal_v63: True,
    modal_v5: True,
    modal_v6: True,
    webflow_v4: False,
    integration: False,
    integration_v690: False,
    complete: True,
    shell: True,
}
#: Pages that poll ``/get_progress.php``; neither recognises a failure.
FULL_PAGES = (simulation, monitor)


def stopping(answer: Document, full: bool) -> list[str]:
    """Return the names of the pages that stop polling after *answer*, in success or in failure.

    Args:
        full: *answer* is from ``/get_progress.php``, not from ``/api/rpa/progress``.
    """
    asked: tuple[Callable[[Document], Shown], ...] = FULL_PAGES if full else tuple(PAGES)
    return [page.__name__ for page in asked if page(answer) != WAITS]
