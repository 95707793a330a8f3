"""Nothing of the form that somebody filled in."""

import time
from typing import Any

import pytest
from hypothesis import given

from rpa_server import private, wirejson

from . import recordings
from .recordings import json_values

FORM: dict[str, Any] = {
    "cpf": "111.444.777-35", "NOME": "Maria de Teste", "telefone": "(11) 98765-4321", "email": "maria@example.com",
    "placa": "ABC1D23", "cep": "01310-100",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["CPF 111.444.777-35", "CPF 11144477735", "fone (11) 98765-4321", "fone +55 11 98765-4321", "maria@example.com",
     "Placa ABC1D23 recusada", "Placa ABC-1234 recusada", "CEP 01310-100 recusado"],
)  # fmt: skip
def test_what_looks_like_a_person_is_masked_in_a_text(text: str) -> None:
    """A robot's error text may quote the form."""
    masked = private.text(text)
    assert "***" in masked
    assert not any(part in masked for part in ("111", "98765", "maria@", "ABC", "01310"))


@pytest.mark.parametrize("piece", ["x", "1.", "a@", "a.b-", "a@b.", "+55 11 ", "ABC1"])
def test_a_text_of_a_megabyte_is_looked_through_in_a_moment(piece: str) -> None:
    """A robot may put a picture into a text; the time grows with its length, not with the square of it."""
    began = time.process_time()
    private.text(piece * (2**20 // len(piece)))
    assert time.process_time() - began < 2


def test_every_address_in_a_text_is_masked() -> None:
    """Wherever it stands, and whatever its dots."""
    text = "a@b.com,<maria.de+x@sub.example.com.br> mailto:x@y.z. fim; a@b é@é.é a@b.c+d@e.f a@b@c.d"
    assert private.text(text) == "***,<***> mailto:***. fim; a@b *** *** a@***"


@pytest.mark.parametrize(
    "text",
    ["R$4.631,57", "R$\xa04.025,00", "2025-10-09T19:19:39.933464", "Tela 15 concluída", "100% da tabela FIPE",
     "2025-11-24 17:23:10", "1758748127115", "rpa_v4_20251124_172310_ba6e50a1", "Crédito em até 10x sem juros!"],
)  # fmt: skip
def test_prices_times_and_step_texts_are_left_alone(text: str) -> None:
    """They are what the pages are for."""
    assert private.text(text) == text


def test_form_fields_are_dropped_at_any_depth() -> None:
    """With the name that stands beside them; a coverage's name is no person's."""
    given = {"resumo": [{"x": FORM, "nome": "Compreensiva"}], "parametros_entrada": FORM, "cliente": {"nome": "Maria"}}
    assert private.scrub(given) == {"resumo": [{"x": {}, "nome": "Compreensiva"}]}


def test_what_the_robot_captures_for_pages_passes_untouched() -> None:
    """Estimates and plans, as recorded."""
    for value in (recordings.plans(), recordings.estimates("2026-01-15T09:30:00.123456")):
        assert private.scrub(value) == value


@given(json_values)
def test_any_value_can_be_scrubbed_and_scrubbing_twice_is_scrubbing_once(value: Any) -> None:
    """What is left is JSON, and the original is left as it was."""
    before = wirejson.dumps(value)
    once = private.scrub(value)
    assert private.scrub(once) == once
    assert wirejson.dumps(value) == before


def test_what_is_nested_too_deeply_is_left_out() -> None:
    """It would end in an error where somebody asks for it."""
    value: Any = FORM
    for _ in range(900):
        value = [value]
    assert wirejson.dumps(private.scrub(value)) == b"[" * 50 + b"null" + b"]" * 50
