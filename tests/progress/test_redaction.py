"""Masking of personal data in texts, in fields and in whole documents."""

import time
from typing import Any

import pytest
from hypothesis import given

from rpa_server import safejson
from rpa_server.progress import redaction
from tests.support import recordings
from tests.support.recordings import json_values

FORM: dict[str, Any] = {
    "cpf": "111.444.777-35", "NOME": "Maria de Teste", "telefone": "(11) 98765-4321", "email": "maria@example.com",
    "placa": "ABC1D23", "cep": "01310-100",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["CPF 111.444.777-35", "CPF 11144477735", "fone (11) 98765-4321", "fone +55 11 98765-4321", "maria@example.com",
     "Placa ABC1D23 recusada", "Placa ABC-1234 recusada", "CEP 01310-100 recusado", "fone (11) 98765 4321",
     "fone 11 987654321", "fone +5511987654321", "fone 5511987654321", "Placa do veículo: abc 1d23", "placa abc1234",
     "CEP: 01310100", "CNPJ 11.111.777/0001-90", "nome,11144477735,x", "11 3876-5432", "abc1d23", "ABC 1234", "abc-1234"],
)  # fmt: skip
def test_what_looks_like_a_person_is_masked_in_a_text(text: str) -> None:
    """A CPF, CNPJ, telephone number, e-mail address, CEP or plate is masked, since error texts may quote the form."""
    masked = redaction.text(text)
    assert "***" in masked
    assert not any(part in masked.lower() for part in ("111", "98765", "maria@", "abc", "01310", "3876"))


@pytest.mark.parametrize(
    "piece", ["x", "1.", "a@", "a.b-", "a@b.", "+55 11 ", "ABC1", "placa ", "cep ", "ABC-12", "(11) 9", "11"]
)
def test_a_text_of_a_megabyte_is_looked_through_in_a_moment(piece: str) -> None:
    """Redacting 1 MiB of any repeated piece takes less than 2 s of CPU: no pattern needs quadratic time."""
    began = time.process_time()
    redaction.text(piece * (2**20 // len(piece)))
    assert time.process_time() - began < 2


def test_every_address_in_a_text_is_masked() -> None:
    """An e-mail address is masked anywhere in a text if its domain has a dot; ``a@b`` stays."""
    text = "a@b.com,<maria.de+x@sub.example.com.br> mailto:x@y.z. fim; a@b é@é.é a@b.c+d@e.f a@b@c.d"
    assert redaction.text(text) == "***,<***> mailto:***. fim; a@b *** *** a@***"


@pytest.mark.parametrize(
    "text",
    ["R$4.631,57", "R$\xa04.025,00", "2025-10-09T19:19:39.933464", "Tela 15 concluída", "100% da tabela FIPE",
     "2025-11-24 17:23:10", "1758748127115", "rpa_v4_20251124_172310_ba6e50a1", "Crédito em até 10x sem juros!",
     "BRL4631,57", "BRL 4631", "Veículo GOL1600 encontrado", "set 2025", "33.33333333333%", "20251124172310", "ISO-8859",
     "550e8400-e29b-41d4-a716-446655440000", "1758748127"],
)  # fmt: skip
def test_prices_times_and_step_texts_are_left_alone(text: str) -> None:
    """Prices, times, ids and step texts pass unchanged, even if they resemble a plate or a personal number."""
    assert redaction.text(text) == text


def test_form_fields_are_dropped_at_any_depth() -> None:
    """Personal fields are dropped at any depth, with a ``nome`` beside them; a coverage's ``nome`` stays."""
    given = {"resumo": [{"x": FORM, "nome": "Compreensiva"}], "parametros_entrada": FORM, "cliente": {"nome": "Maria"}}
    assert redaction.redact(given) == {"resumo": [{"x": {}, "nome": "Compreensiva"}]}


@pytest.mark.parametrize(
    "name",
    ["CPF ", "cpf_int", "cpfCondutor", "senha_login", "data_nascimento_condutor", "dataNascimento", "datanascimento",
     "sexo_condutor", "estado_civil_condutor", "estadoCivil", "endereco_completo", "Endereço", "nome_mae", "nomeDaMãe",
     "nomeSegurado", "nome_completo", "telefone_celular", "celular2", "fone", "placa_veiculo", "Placa do veículo",
     "cep_pernoite", "cnpj_x", "login", "access_token", "authorization", "cnh_numero", "numero_documento", "eMail",
     "numeroWhatsApp", "clientes", "condutores", "CHASSI", "numero-renavam", "cookies", "parâmetros", "DADOS_PESSOAIS",
     "cpfcondutor", "nomecompleto"],
)  # fmt: skip
def test_a_field_is_left_out_for_any_word_in_its_name(name: str) -> None:
    """A field is dropped if any word in its name is personal, in any spelling, and so is a ``nome`` beside it."""
    assert redaction.redact({"x": {name: 11144477735, "NOME": "Maria", "valor": 1}}) == {"x": {"valor": 1}}


@pytest.mark.parametrize(
    "name",
    ["nome", "nome_cobertura", "valor", "valor_mercado", "plano_recomendado", "forma_pagamento", "parcelamento",
     "danos_morais", "app_morte", "morte_invalidez", "responsabilidade_civil", "capital_segurado", "cobertura_condutor",
     "tipo_franquia", "desc_pf", "beneficios", "texto_completo", "descricao_etapa", "timestamp_inicio", "carro_reserva",
     "margem", "percepcao", "modelo"],
)  # fmt: skip
def test_prices_and_coverages_keep_their_names(name: str) -> None:
    """Fields of prices and coverages stay, even if a word of their name is common in forms (``capital_segurado``)."""
    assert redaction.redact({name: "R$ 1,00"}) == {name: "R$ 1,00"}


def test_a_session_keeps_its_id_whatever_that_looks_like() -> None:
    """A session id that looks like a plate is not masked: whoever requests a session knows its id already."""
    given = {"session_id": "abc1d23", "session": "ABC-1234"}
    assert redaction.redact(given) == given


def test_a_document_is_redacted_in_no_time() -> None:
    """Redacting a complete recorded run 100 times takes less than 0.5 s of CPU: each read of one redacts it."""
    document = recordings.success()
    began = time.process_time()
    for _ in range(100):
        redaction.redact(document)
    assert time.process_time() - began < 0.5


def test_what_the_robot_captures_for_pages_passes_untouched() -> None:
    """Recorded estimates and plans contain nothing personal and pass unchanged."""
    for value in (recordings.plans(), recordings.estimates("2026-01-15T09:30:00.123456")):
        assert redaction.redact(value) == value


@given(json_values)
def test_any_value_can_be_redacted_and_a_second_time_changes_nothing(value: Any) -> None:
    """Redacting a redacted value changes nothing, and the given value is not modified."""
    before = safejson.dumps(value)
    once = redaction.redact(value)
    assert redaction.redact(once) == once
    assert safejson.dumps(value) == before


def test_what_is_nested_too_deeply_is_left_out() -> None:
    """Lists and objects nested deeper than 50 levels become null, as in safejson.plain()."""
    value: Any = FORM
    for _ in range(900):
        value = [value]
    assert safejson.dumps(redaction.redact(value)) == b"[" * 50 + b"null" + b"]" * 50


@pytest.mark.parametrize("mark", ["\u0301", "\u0301\u0316", "\u0344", "\u200b"])
@pytest.mark.parametrize("count", [1, 50, 20_000])
def test_e1_marks_in_a_name_hide_nothing(mark: str, count: int) -> None:
    """A personal field is removed, however many combining marks are in its name."""
    names = ("cpf" + mark * count, mark * count + "cpf", "c" + mark * count + "pf")
    assert redaction.redact(dict.fromkeys(names, "11144477735 de Maria")) == {}


def test_e1_a_name_that_is_too_long_is_removed() -> None:
    """A field whose name has more than 200 characters is removed, whatever the name says; one of 200 is kept."""
    assert redaction.redact({"x" * 201: "kept?", "x" * 200: "kept"}) == {"x" * 200: "kept"}
