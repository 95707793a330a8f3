"""Estado: its words, the rules for an end, and the meaning of a silence."""

from typing import Any

import pytest

from rpa_server import safejson
from rpa_server.legacy import php_json
from rpa_server.progress.outcome import Estado, is_end, outcome, price, says_failure, silent

MANUAL = "Cotação manual necessária"
PRICED = {"plano_recomendado": {"valor": "R$4.631,57"}, "plano_alternativo": {"valor": "N/A"}}
UNPRICED = {"plano_recomendado": {"valor": "N/A"}, "plano_alternativo": {"valor": "N/A"}}


@pytest.mark.parametrize("estado", Estado)
def test_an_outcome_is_its_word_on_the_wire(estado: Estado) -> None:
    """A member of Estado equals its word in comparisons, lookups, prints and every encoding."""
    word = estado.value
    assert type(word) is str
    assert estado == word
    assert hash(estado) == hash(word)
    assert f"{estado}" == str(estado) == "%s" % estado == word  # noqa: UP031
    for encode in (safejson.dumps, safejson.dumps_lines, php_json.pretty, php_json.compact):
        for nan in (1.0, float("nan")):  # NaN makes safejson take its slow path
            assert encode({"estado": estado, estado: nan}) == encode({"estado": word, word: nan})


def test_a_word_of_a_newer_writer_is_passed_on() -> None:
    """An unknown word becomes an Estado with that word, so that pages get what a newer tracker wrote."""
    estado = Estado("pausado")
    assert safejson.dumps([estado]) == b'["pausado"]'
    assert estado == "pausado"
    assert estado not in set(Estado)
    assert Estado("erro") is Estado.ERRO


@pytest.mark.parametrize(
    ("status", "error", "errors", "estado"),
    [
        ("success", None, [], "sucesso"),
        ("SUCCESS ", None, [], "sucesso"),
        ("warning", None, [], "sucesso"),
        ("concluído", None, [], "sucesso"),
        ("error", MANUAL, [], "cotacao_manual"),
        ("error", "COTACAO  MANUAL", [], "cotacao_manual"),
        ("error", None, [{"erro": MANUAL}], "cotacao_manual"),
        ("error", "Placa recusada", [], "erro"),
        ("error", None, ["Cotação manual"], "erro"),
        ("error", None, [None, 5], "erro"),
        ("timeout", None, [], "expirado"),
        ("cancelled", None, [], "cancelado"),
        ("manual_quotation", None, [], "cotacao_manual"),
        ("", None, [], "erro"),
        ("quase", None, [], "erro"),
    ],
)
def test_the_end_means_what_its_word_and_its_errors_say(status: str, error: object, errors: list[Any], estado: str) -> None:
    """The robot's word and the error texts decide ``estado``; an unknown or empty word means ``erro``."""
    assert outcome(status, error, errors) == estado


@pytest.mark.parametrize("status", ["success", "warning"])
def test_a_success_without_a_price_is_none(status: str) -> None:
    """A "success" with prices of "N/A" only, or with the error "Cotação manual" and no plans, is no quote."""
    assert outcome(status, None, [], UNPRICED) == "cotacao_manual"
    assert outcome(status, MANUAL, []) == "cotacao_manual"


def test_a_price_is_worth_more_than_an_error_on_the_way() -> None:
    """A "success" with a priced plan means ``sucesso``, even if an error said "Cotação manual"."""
    assert outcome("success", MANUAL, [{"erro": MANUAL}], PRICED) == "sucesso"


def test_a_success_that_brings_no_plans_is_believed() -> None:
    """A "success" without plans means ``sucesso``, since the robot with five screens ends without them."""
    assert outcome("success", None, [], {"outro": 1}) == "sucesso"
    assert outcome("success", None, [], {"plano_recomendado": {}, "plano_alternativo": None}) == "sucesso"


@pytest.mark.parametrize(
    ("value", "found"),
    [("R$4.631,57", "R$4.631,57"), (2109.87, "2109.87"), ("N/A", None), ("", None), ("R$ 0,00", None), (0, None),
     (None, None), (True, None), ([1], None)],
)  # fmt: skip
def test_a_price_is_what_has_a_digit_other_than_zero(value: object, found: str | None) -> None:
    """price() returns a text or number with a digit other than 0, as a text, and None for anything else."""
    assert price({"valor": value}) == found


@pytest.mark.parametrize(
    ("status", "ends"),
    [("success", True), ("error", True), ("warning", True), ("timeout", True), ("cancelado", True), ("Success", True),
     ("concluido", False), ("completed", False), ("executando", False), ("iniciando", False), ("Tela 4 falhou", False),
     ("RPA concluído com sucesso", False), ("", False)],
)  # fmt: skip
def test_a_snapshot_has_ended_by_a_word_that_nothing_else_uses(status: str, ends: bool) -> None:
    """is_end() is true for words of an end, not for ``concluido`` and ``completed``, which robots write in mid-run."""
    assert is_end(status) is ends


@pytest.mark.parametrize(
    "text", ["Tela 2 falhou", "Processo 15 falhou", "Tela Zero KM falhou", "Erro: x", "RPA interrompido por erro: x"]
)
def test_a_failure_is_known_by_its_text(text: str) -> None:
    """says_failure() recognises every text with which the deployed robot reports a failure."""
    assert says_failure(text)


@pytest.mark.parametrize("text", ["Tela 2 concluída", "Tela 14 pulada", "", "Definição do Corretor", "Mais um após erro"])
def test_no_other_text_is_a_failure(text: str) -> None:
    """says_failure() is false for other texts, even for one that mentions an error on the way."""
    assert not says_failure(text)


@pytest.mark.parametrize(
    ("etapa", "text", "errors", "silence_s", "estado"),
    [
        (8, "Tela 8 concluída", [], 336.0, None),
        (8, "Tela 8 concluída", [], 899.9, None),
        (8, "Tela 8 concluída", [], 900.0, "expirado"),
        (0, "Iniciando RPA", [], 299.9, None),
        (0, "Iniciando RPA", [], 300.0, "expirado"),
        (2, "Tela 2 falhou", [], 29.9, None),
        (2, "Tela 2 falhou", [], 30.0, "erro"),
        (15, f"Erro: {MANUAL}", [], 30.0, "cotacao_manual"),
        (15, "Tela 15 falhou", [{"erro": MANUAL}], 30.0, "cotacao_manual"),
    ],
)
def test_a_silence_means_something_once_it_is_longer_than_any_healthy_one(
    etapa: float, text: str, errors: list[Any], silence_s: float, estado: str | None
) -> None:
    """A silence means something from 900 s on, before the first step from 300 s, after a failure from 30 s."""
    assert silent(etapa, text, errors, silence_s) == estado
