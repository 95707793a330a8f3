"""The meaning of a run: the words for it, and the rules that choose the word after an end or a long silence.

Pure: no clock; the caller passes how long the silence has lasted. The functions work on words, texts and prices; they
depend neither on snapshots nor on a backend. ``docs/api.rst`` has the same rules as a table.

Invariants: only a robot ends a run; the meaning of a silence is withdrawn when the robot reports again, so it is never
``final``; a robot's "success" is not a success if the run has plans and none of them has a price.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Self


class Estado(StrEnum):
    """The meaning of a run, whatever word its robot wrote: ``estado`` on the wire and in documents.

    A new member needs a rule in this module, a case in legacy/outcomes.py, a record in web/src/outcome.js and a word in
    web/rpa-progress.d.ts. mypy fails if the case is missing, tests/contract/test_shapes.py if anything else is missing.
    """

    AGUARDANDO = "aguardando"  # started, has reported nothing yet
    EXECUTANDO = "executando"  # has reported something and has not ended
    SUCESSO = "sucesso"  # ended with a quote
    COTACAO_MANUAL = "cotacao_manual"  # the robot got no quote: a person has to make one
    ERRO = "erro"  # ended by a failure, or silent after reporting one
    EXPIRADO = "expirado"  # ended by a timeout, or silent for too long
    CANCELADO = "cancelado"  # ended because somebody stopped it

    @classmethod
    def _missing_(cls, value: object) -> Self:
        """Accept an unknown word as a member: a newer tracker wrote it, and pages get the word unchanged."""
        word = str.__new__(cls, value)
        word._name_ = word._value_ = str(value)
        return word


PLAN_KEYS = ("plano_recomendado", "plano_alternativo")

#: After this many seconds of silence a run is ``expirado``. The longest recorded pause of a healthy run is 336 s.
SILENCE_S = 900.0
#: After this many seconds of silence before its first step a run is ``expirado``; the recorded healthy runs reach that
#: step within 14 s.
SILENCE_AT_START_S = 300.0
#: After a text like "Tela N falhou" this many seconds of silence mean that the run failed: recorded robots end the run
#: within 10 ms after that text, or never.
SILENCE_AFTER_FAILURE_S = 30.0

_SUCCESS = frozenset({"success", "sucesso", "completed", "concluido", "concluído", "warning"})
_CANCELLED = frozenset({"cancelado", "cancelled", "canceled"})
_EXPIRED = frozenset({"timeout", "expirado", "expired"})
_MANUAL = frozenset({"cotacao_manual", "manual_quotation"})
_FAILURE = frozenset({"error", "erro", "failed"})
#: Words that do not prove an end: the deployed robot also writes ``concluido`` when its last step begins, and
#: ``completed`` with the estimates.
_AMBIGUOUS = frozenset({"completed", "concluido", "concluído"})

_MANUAL_TEXT = re.compile(r"cota[çc][ãa]o\s+manual", re.IGNORECASE)
_FAILED_TEXT = re.compile(r"\s*(?:(?:tela|processo)\b.*\bfalhou\b|erro:|rpa interrompido por erro)", re.IGNORECASE)
_PRICE = re.compile(r"[1-9]")


class _End(NamedTuple):
    """The facts that decide what an end means.

    Attributes:
        word: the robot's word for the end, in lower case.
        manual: True if an error of the run contains "cotação manual".
        priced: the result of priced() for the run's plans.
    """

    word: str
    manual: bool
    priced: bool | None


#: Conditions and outcomes of an ended run: the first rule whose condition is true gives the ``estado``.
_RULES: tuple[tuple[Callable[[_End], bool], Estado], ...] = (
    (lambda end: end.word in _CANCELLED, Estado.CANCELADO),
    (lambda end: end.word in _EXPIRED, Estado.EXPIRADO),
    (lambda end: end.word in _MANUAL, Estado.COTACAO_MANUAL),
    (lambda end: end.word in _SUCCESS and end.priced is True, Estado.SUCESSO),
    # a "success" with "N/A" for every price, or after "Cotação manual necessária" and without plans: no quote exists
    (lambda end: end.word in _SUCCESS and (end.priced is False or end.manual), Estado.COTACAO_MANUAL),
    (lambda end: end.word in _SUCCESS, Estado.SUCESSO),
    (lambda end: end.manual, Estado.COTACAO_MANUAL),
    # any other word is a failure: better a visitor who asks than one who relies on a quote that does not exist
    (lambda end: True, Estado.ERRO),
)


def outcome(status: str, error: object, errors: Iterable[Any], data: Mapping[str, Any] | None = None) -> Estado:
    """Return the ``estado`` of a run that has ended.

    Args:
        status: the robot's word for the end.
        error: the text of the error that came with the end, if any.
        errors: the run's error records; elements that are not objects are ignored.
        data: the object that has the plans under PLAN_KEYS; by default there are none.
    """
    texts = [str(error or ""), *(str(item.get("erro", "")) for item in errors if isinstance(item, dict))]
    manual = any(_MANUAL_TEXT.search(text) for text in texts)
    end = _End(status.strip().lower(), manual, priced(data or {}))
    return next(estado for applies, estado in _RULES if applies(end))


def priced(data: Mapping[str, Any]) -> bool | None:
    """Tell whether any plan in *data* has a price; None if there are no plans."""
    plans = [data[key] for key in PLAN_KEYS if isinstance(data.get(key), dict) and data[key]]
    return any(price(plan) is not None for plan in plans) if plans else None


def price(plan: Mapping[str, Any]) -> str | None:
    """Return a plan's price as the robot wrote it (``R$4.631,57``), None for ``N/A``, zero or an empty text."""
    value = plan.get("valor")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return str(value) if _PRICE.search(str(value)) else None


def is_end(status: str) -> bool:
    """Tell whether a document with this ``status`` belongs to a run that has ended; an ambiguous word is no proof."""
    word = status.strip().lower()
    ends = (_SUCCESS - _AMBIGUOUS) | _CANCELLED | _EXPIRED | _MANUAL | _FAILURE
    return word in ends


def claims_success(status: str) -> bool:
    """Tell whether *status* is an unambiguous word for a success, with or without a quote."""
    word = status.strip().lower()
    return word in _SUCCESS - _AMBIGUOUS


def says_failure(mensagem: str) -> bool:
    """Tell whether the robot's text says that it failed: ``Tela 2 falhou``, ``Erro: …``."""
    return _FAILED_TEXT.match(mensagem) is not None


def patience_s(etapa: float, mensagem: str) -> float:
    """Return how many seconds a robot may be silent after reporting this step and text."""
    if says_failure(mensagem):
        return SILENCE_AFTER_FAILURE_S
    return SILENCE_S if etapa > 0 else SILENCE_AT_START_S


def silent(etapa: float, mensagem: str, errors: Iterable[Any], silence_s: float) -> Estado | None:
    """Return the meaning of a silence of *silence_s* seconds in a run that has not ended, None while it is normal.

    Args:
        etapa: the current step.
        mensagem: the robot's last text.
        errors: the run's error records.
    """
    if silence_s < patience_s(etapa, mensagem):
        return None
    return outcome("error", mensagem, errors) if says_failure(mensagem) else Estado.EXPIRADO
