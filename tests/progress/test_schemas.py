"""Validation of messages, documents and request bodies that other programs make."""

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server.errors import BadDocument, BadRequest
from rpa_server.progress import schemas
from tests.support import recordings
from tests.support.recordings import Document, json_objects, json_values

PLAN = {"etapa": 5, "mensagem": "Tela 5 concluída", "timestamp": "2026-01-15T09:30:00", "dados_extra": {"a": 1}}


# -- other publishers


@pytest.mark.parametrize(
    "message",
    [
        {},
        PLAN,
        {**PLAN, "estimativas": {"coberturas_detalhadas": []}},
        {**PLAN, "etapa": 5.5, "more": [1], "type": "whatever"},
        {**PLAN, "etapa": "estimativas", "dados_extra": None, "mensagem": None},
    ],
)
def test_a_message_in_the_plans_shape_passes_untouched(message: Document) -> None:
    """A message in the plan's shape is returned unchanged, with missing keys and with keys of its writer's own."""
    before = copy.deepcopy(message)
    assert schemas.unnumbered_update(message) is message
    assert message == before


@pytest.mark.parametrize(
    "message",
    [
        None, [], "text", 5,
        {"etapa": True}, {"etapa": None}, {"etapa": [5]}, {"etapa": {}},
        {"mensagem": 5}, {"dados_extra": []}, {"dados_extra": "x"}, {"estimativas": []}, {"estimativas": "x"},
    ],
)  # fmt: skip
def test_a_message_of_another_shape_is_a_bad_document(message: object) -> None:
    """A message that is no object, or has a field of another type than in the plan, raises BadDocument."""
    with pytest.raises(BadDocument):
        schemas.unnumbered_update(message)


@settings(deadline=None)
@given(json_values)
def test_a_message_without_a_position_is_taken_or_a_bad_document(message: Any) -> None:
    """Any published JSON value is returned as it is or raises BadDocument, no other exception."""
    with contextlib.suppress(BadDocument):
        assert schemas.unnumbered_update(message) is message


# -- files


@pytest.mark.parametrize("name", recordings.ALL)
def test_deployed_documents_pass(name: str) -> None:
    """Every recorded history and snapshot passes validation unchanged."""
    history = recordings.ALL[name]
    progress = recordings.progress_of(history)
    assert schemas.history(history) == history
    assert schemas.progress(progress) == progress


def test_what_older_writers_leave_out_is_filled_in() -> None:
    """Keys that older writers omit are filled in, so that callers need not check whether they exist."""
    assert schemas.progress({}) == {
        "etapa_atual": 0.0,
        "total_etapas": 15,
        "percentual": 0.0,
        "status": "",
        "mensagem": "",
        "timestamp_inicio": "",
        "timestamp_atualizacao": "",
        "dados_extra": {},
        "erros": [],
    }
    entry = {"etapa": 1, "timestamp": "t", "status": "executando"}
    found = schemas.history({"timestamp_inicio": "t", "historico": [entry]})
    assert found["total_etapas"] == 15
    assert found["historico"] == [{**entry, "mensagem": "", "dados_extra": None, "erro": None}]


def test_what_is_filled_in_is_not_shared() -> None:
    """Each document gets filled-in containers of its own: changing one document never changes another."""
    first, second = schemas.progress({}), schemas.progress({})
    first["dados_extra"]["a"] = 1
    first["erros"].append({"erro": "x", "contexto": "", "timestamp": "t"})
    assert second["dados_extra"] == {}
    assert second["erros"] == []


ENTRY = {"etapa": 1, "timestamp": "t", "status": "s"}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"timestamp_inicio": "t"},
        {"historico": []},
        {"timestamp_inicio": "t", "historico": {}},
        {"timestamp_inicio": "t", "historico": [5]},
        {"timestamp_inicio": 5, "historico": []},
        {"timestamp_inicio": "t", "historico": [], "total_etapas": 0},
        {"timestamp_inicio": "t", "historico": [], "total_etapas": "15"},
        {"timestamp_inicio": "t", "historico": [], "total_etapas": True},
        {"timestamp_inicio": "t", "historico": [{**ENTRY, "etapa": True}]},
        {"timestamp_inicio": "t", "historico": [{**ENTRY, "etapa": None}]},
        {"timestamp_inicio": "t", "historico": [{**ENTRY, "status": None}]},
        {"timestamp_inicio": "t", "historico": [{**ENTRY, "timestamp": 5}]},
        {"timestamp_inicio": "t", "historico": [{"etapa": 1}]},
    ],
)
def test_a_broken_history_is_a_bad_document(document: Document) -> None:
    """A history that lacks a key that a replay needs, or has a wrong value for one, raises BadDocument."""
    with pytest.raises(BadDocument):
        schemas.history(document)


@pytest.mark.parametrize(
    "document",
    [
        {"etapa_atual": "quinta"}, {"etapa_atual": None}, {"etapa_atual": True}, {"etapa_atual": float("inf")},
        {"total_etapas": 0}, {"total_etapas": 1.5}, {"percentual": float("nan")}, {"status": 5},
        {"dados_extra": []}, {"erros": {}}, {"timestamp_inicio": 5},
    ],
)  # fmt: skip
def test_a_broken_snapshot_is_a_bad_document(document: Document) -> None:
    """A snapshot with a value of a wrong type or out of range raises BadDocument."""
    with pytest.raises(BadDocument):
        schemas.progress(document)


@settings(deadline=None)
@given(json_objects)
def test_a_document_is_taken_or_a_bad_document(document: Document) -> None:
    """Whatever JSON object a file contains, it passes or raises BadDocument, no other exception."""
    for check in (schemas.history, schemas.progress):
        with contextlib.suppress(BadDocument):
            check(document)


# -- publishing over HTTP


@pytest.mark.parametrize(
    "body",
    [
        {"etapa": 5, "mensagem": "Tela 5 concluída", "dados_extra": {}, "estimativas": {}, "total_etapas": 15},
        {"etapa": 0},
        {"etapa": 5.5, "dados_extra": None},
        {"erro": "Placa recusada", "contexto": "tela 2"},
        {"status_final": "success", "dados_finais": {}, "erro_final": None},
        {"etapa": 1, "mensagem": "m" * 2000, "total_etapas": 1000},
    ],
)
def test_the_bodies_of_the_contract_pass(body: Document) -> None:
    """A valid body keeps its values, and omitted keys that have a default are filled in."""
    found = schemas.publication(body)
    assert {key: found[key] for key in body} == body
    assert {"mensagem", "dados_extra", "estimativas", "total_etapas", "contexto", "dados_finais", "erro_final"} <= set(
        found
    )


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "exactly one of etapa, erro, status_final"),
        ({"mensagem": "m"}, "exactly one of"),
        ({"etapa": 1, "erro": "x"}, "exactly one of"),
        ({"etapa": 1, "status_final": "success"}, "exactly one of"),
        ({"etapa": 1, "surprise": 1}, "surprise"),
        ({"etapa": "quinta"}, "etapa"),
        ({"etapa": None}, "etapa"),
        ({"etapa": True}, "etapa"),
        ({"etapa": float("inf")}, "etapa"),
        ({"etapa": float("nan")}, "etapa"),
        ({"etapa": 1, "mensagem": "m" * 2001}, "mensagem"),
        ({"etapa": 1, "mensagem": None}, "mensagem"),
        ({"etapa": 1, "dados_extra": []}, "dados_extra"),
        ({"etapa": 1, "estimativas": "x"}, "estimativas"),
        ({"etapa": 1, "total_etapas": 0}, "total_etapas"),
        ({"etapa": 1, "total_etapas": 1001}, "total_etapas"),
        ({"etapa": 1, "total_etapas": "15"}, "total_etapas"),
        ({"erro": "x" * 2001}, "erro"),
        ({"erro": 5}, "erro"),
        ({"status_final": ""}, "status_final"),
        ({"status_final": "x" * 65}, "status_final"),
        ({"status_final": "success", "dados_finais": 5}, "dados_finais"),
    ],
)
def test_a_wrong_body_is_a_bad_request_that_names_what_is_wrong(body: Document, named: str) -> None:
    """The message of BadRequest is one line, for the robot's log, and names the field or rule that was broken."""
    with pytest.raises(BadRequest) as caught:
        schemas.publication(body)
    text = str(caught.value)
    assert text.startswith("The body is not valid: ")
    assert named in text
    assert "\n" not in text


@settings(deadline=None)
@given(json_objects | st.fixed_dictionaries({"etapa": json_values}, optional={"dados_extra": json_values}))
def test_a_body_is_taken_or_a_bad_request(body: Document) -> None:
    """Whatever JSON object was posted, it passes or raises BadRequest, no other exception."""
    with contextlib.suppress(BadRequest):
        schemas.publication(body)


# -- messages about a broken history


def test_a_broken_entry_is_named_by_its_index() -> None:
    """The message about a broken history entry names the entry's index and field, so that it can be found."""
    with pytest.raises(BadDocument, match=r"historico\.1\.status"):
        schemas.history({"timestamp_inicio": "t", "historico": [ENTRY, {"etapa": 1, "timestamp": "t"}]})


def test_ten_thousand_broken_entries_make_a_short_message() -> None:
    """The message about 10,000 broken entries is shorter than 2,000 characters, since it goes into the log."""
    with pytest.raises(BadDocument) as caught:
        schemas.history({"timestamp_inicio": "t", "historico": [{}] * 10_000})
    assert len(str(caught.value)) < 2000
