"""How a run ends, and what may be said of one that has gone silent: the table of rules.

Pure: no clock; who asks says how long the silence has lasted. It knows words, texts and prices, not snapshots,
files or Redis. ``docs/api.rst`` has the same table for readers.

Invariants: only a robot ends a run; what silence makes us say is taken back when the robot speaks again, so it
is never ``final``; a success is one only where no plan contradicts it by having no price.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

PLAN_KEYS = ("plano_recomendado", "plano_alternativo")

#: How long a robot may say nothing before we say so. The longest recorded pause of a healthy run is 336 s.
SILENCE_S = 900.0
#: The same for one that has not reached its first step: recorded healthy ones do within 14 s.
SILENCE_AT_START_S = 300.0
#: The same for one whose last word was that a step failed: in recordings it ends within 10 ms, or never.
SILENCE_AFTER_FAILURE_S = 30.0

_SUCCESS = frozenset({"success", "sucesso", "completed", "concluido", "concluído", "warning"})
_CANCELLED = frozenset({"cancelado", "cancelled", "canceled"})
_EXPIRED = frozenset({"timeout", "expirado", "expired"})
_MANUAL = frozenset({"cotacao_manual", "manual_quotation"})
_FAILURE = frozenset({"error", "erro", "failed"})
#: The deployed robot also says ``concluido`` when its last step begins, and ``completed`` of the estimates.
_AMBIGUOUS = frozenset({"completed", "concluido", "concluído"})

_MANUAL_TEXT = re.compile(r"cota[çc][ãa]o\s+manual", re.IGNORECASE)
_FAILED_TEXT = re.compile(r"\s*(?:(?:tela|processo)\b.*\bfalhou\b|erro:|rpa interrompido por erro)", re.IGNORECASE)
_PRICE = re.compile(r"[1-9]")


class _End(NamedTuple):
    """What is known of an end when its meaning is looked up."""

    word: str
    manual: bool
    priced: bool | None


#: From the top down; the first rule that holds gives the ``estado``.
_RULES: tuple[tuple[Callable[[_End], bool], str], ...] = (
    (lambda end: end.word in _CANCELLED, "cancelado"),
    (lambda end: end.word in _EXPIRED, "expirado"),
    (lambda end: end.word in _MANUAL, "cotacao_manual"),
    (lambda end: end.word in _SUCCESS and end.priced is True, "sucesso"),
    # "success" with "N/A" for every price, or after "Cotação manual necessária" and without plans: no quote exists
    (lambda end: end.word in _SUCCESS and (end.priced is False or end.manual), "cotacao_manual"),
    (lambda end: end.word in _SUCCESS, "sucesso"),
    (lambda end: end.manual, "cotacao_manual"),
    # better a visitor who asks than one who is told of a quote that does not exist
    (lambda end: True, "erro"),
)


def outcome(status: str, error: object, errors: Iterable[Any], data: Mapping[str, Any] | None = None) -> str:
    """Return the ``estado`` of a run that has ended.

    Args:
        status: the robot's word for the end.
        error: the text that came with it, if any.
        errors: the error records of the run; what is no record is passed over.
        data: what holds the plans, under PLAN_KEYS.
    """
    texts = [str(error or ""), *(str(item.get("erro", "")) for item in errors if isinstance(item, dict))]
    manual = any(_MANUAL_TEXT.search(text) for text in texts)
    end = _End(status.strip().lower(), manual, priced(data or {}))
    return next(estado for holds, estado in _RULES if holds(end))


def priced(data: Mapping[str, Any]) -> bool | None:
    """Tell whether any plan in *data* has a price; None where there are no plans."""
    plans = [data[key] for key in PLAN_KEYS if isinstance(data.get(key), dict) and data[key]]
    return any(price(plan) is not None for plan in plans) if plans else None


def price(plan: Mapping[str, Any]) -> str | None:
    """Return a plan's price as the robot wrote it (``R$4.631,57``), None for ``N/A``, zero or nothing."""
    value = plan.get("valor")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return str(value) if _PRICE.search(str(value)) else None


def is_end(status: str) -> bool:
    """Tell whether a snapshot with this ``status`` is one of a run that has ended."""
    word = status.strip().lower()
    ends = (_SUCCESS - _AMBIGUOUS) | _CANCELLED | _EXPIRED | _MANUAL | _FAILURE
    return word in ends


def claims_success(status: str) -> bool:
    """Tell whether the robot's word for its end is one for success, whatever there is to show for it."""
    word = status.strip().lower()
    return word in _SUCCESS - _AMBIGUOUS


def says_failure(mensagem: str) -> bool:
    """Tell whether the robot's text says that it gave up: ``Tela 2 falhou``, ``Erro: …``."""
    return _FAILED_TEXT.match(mensagem) is not None


def patience_s(etapa: float, mensagem: str) -> float:
    """Return how long the silence behind this step and text may last before it means something."""
    if says_failure(mensagem):
        return SILENCE_AFTER_FAILURE_S
    return SILENCE_S if etapa > 0 else SILENCE_AT_START_S


def silent(etapa: float, mensagem: str, errors: Iterable[Any], silence_s: float) -> str | None:
    """Return the ``estado`` that a silence makes of a run that has not ended, None while it means nothing."""
    if silence_s < patience_s(etapa, mensagem):
        return None
    return outcome("error", mensagem, errors) if says_failure(mensagem) else "expirado"
