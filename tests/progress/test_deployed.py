"""How the deployed robot's snapshots and end documents, of all its generations, are interpreted."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpa_server.progress import deployed
from rpa_server.progress.deployed import End
from rpa_server.progress.file_documents import from_files
from rpa_server.progress.shapes import Snapshot
from rpa_server.progress.snapshot import begin
from tests.support import recordings
from tests.support.recordings import Document

V350: Document = {
    "session_id": "s1", "etapa_atual": 4, "total_etapas": 15, "percentual": 26.7, "status": "Tela 4 concluída",
    "descricao_etapa": "", "tempo_decorrido": 12.5, "tempo_estimado_restante": 30, "dados_extras": None,
    "timestamp": 1758748127.0, "created_at": "2025-09-24T21:08:47",
}  # fmt: skip
V340: Document = {
    "timestamp": "2025-09-20T10:00:30", "etapa_atual": 15, "total_etapas": 15, "percentual": 100.0,
    "status": "Processo concluído", "descricao_etapa": "Captura", "tempo_decorrido": 30.0, "tempo_estimado_restante": 0,
    "details": {"planos": {"plano_recomendado": {"valor": "R$ 1.234,56"}}, "outro": 1}, "json_retorno": "{}",
}  # fmt: skip
PLAIN: Document = {
    "session_id": "s1", "etapa_atual": 9, "total_etapas": 15, "mensagem": "Tela 9 falhou",
    "timestamp": "2025-09-26T11:58:06.281132", "dados": None, "has_more": True,
}  # fmt: skip
RESULT350: Document = {
    "session_id": "s1", "status_final": "success", "resultado_json": recordings.plans(), "tempo_total": 20.0,
    "finished_at": "2099-09-24T18:11:57.223034",
}  # fmt: skip


def snapshot(**more: Any) -> Snapshot:
    """Return a deployed robot's snapshot with the keys of *more*; the others don't matter."""
    made = {**begin("s1", "2026-01-15T09:30:00", 15), "status": "executando", "etapa_atual": 5, **more}
    return cast("Snapshot", made)


# -- older generations


def test_todays_snapshot_is_left_as_it_is() -> None:
    """A snapshot in today's shape is returned unchanged; only older shapes are converted."""
    document = recordings.progress_of(recordings.ALL["success"])
    assert deployed.in_todays_shape(document) is document
    assert deployed.in_todays_shape({"etapa_atual": 1}) == {"etapa_atual": 1}


@pytest.mark.parametrize("document", [V350, V340, PLAIN], ids=["v3.5.0", "v3.4.0", "neither status nor percentage"])
def test_an_older_snapshot_says_the_same_in_todays_words(document: Document) -> None:
    """An older snapshot gives its text and a percentage up to 99; it is not final, whatever its ``status`` says."""
    found = from_files("s1", document, None)
    assert found is not None
    view = found.view()
    assert view["mensagem"] == document.get("mensagem", document.get("status"))
    assert view["percentual"] == pytest.approx(min(document["etapa_atual"] / 15 * 100, 99.0), abs=0.1)
    assert (view["final"], view["estado"]) == (False, "executando")
    assert found.seq > 1


def test_the_plans_of_the_oldest_are_found_where_it_put_them() -> None:
    """The plans of v3.4.0, found under ``details.planos``, become keys of ``dados_extra``."""
    found = deployed.in_todays_shape(V340)["dados_extra"]
    assert found["plano_recomendado"] == {"valor": "R$ 1.234,56"}
    assert found["outro"] == 1


def test_what_v350_calls_created_is_the_time_of_its_last_change() -> None:
    """Two snapshots of v3.5.0 with different ``created_at``, the time of the last change, belong to one run."""
    changed = {"timestamp": V350["timestamp"] + 0.25, "created_at": "2025-09-24T21:08:47.25"}
    later = {**V350, **changed, "tempo_decorrido": 12.7503}
    first, second = from_files("s1", V350, None), from_files("s1", later, None)
    assert first is not None
    assert second is not None
    assert second.epoch == first.epoch
    assert second.seq == first.seq + 250_000


def test_the_end_of_v350_is_understood() -> None:
    """A result document of v3.5.0, with keys of its own, ends the run and supplies its plans."""
    found = from_files("s1", V350, None, result=RESULT350)
    assert found is not None
    assert found.view()["estado"] == "sucesso"
    assert found.view()["resultado"] == recordings.plans()
    assert found.snapshot["etapa_atual"] == 15


def test_a_session_document_ends_a_run_whose_result_is_lost() -> None:
    """Without a result, a session document ends the run, without plans, unless its status is ``running``."""
    ended = {"version": "v3.5.0", "status": "success", "finished_at": "2099-01-01T00:00:00"}
    running = {**ended, "status": "running"}
    del running["finished_at"]
    assert deployed.end_of(None, ended, "") == End("success", "2099-01-01T00:00:00", {})
    assert deployed.end_of(None, running, "") is None


# -- ends


@pytest.mark.parametrize(
    ("result", "found"),
    [
        ({"status": "success", "timestamp_fim": "2026-01-15T10:00:00", "dados_finais": {"a": 1}}, True),
        ({"status": "success", "timestamp_fim": "2026-01-15T09:00:00", "dados_finais": {}}, False),
        ({"status": "executando", "timestamp_fim": "2026-01-15T10:00:00"}, False),
        ({"status": 5, "timestamp_fim": "2026-01-15T10:00:00"}, False),
        ({"status": "success", "timestamp_fim": None}, False),
        ({"status": "success", "timestamp_fim": "2026-01-15T10:00:00", "dados_finais": "texto"}, True),
        ({}, False),
        (None, False),
    ],
)
def test_an_end_is_one_only_with_its_word_and_behind_the_beginning(result: Document | None, found: bool) -> None:
    """A result document is an end only if its status means one and its time is not before the run began."""
    end = deployed.end_of(result, None, "2026-01-15T09:30:00")
    assert (end is not None) is found
    assert end is None or isinstance(end.data, dict)


@pytest.mark.parametrize(
    ("status", "errors", "final", "estado"),
    [
        ("executando", [], False, "executando"),
        ("concluido", [], False, "executando"),
        ("completed", [], False, "executando"),
        ("success", [], True, "sucesso"),
        ("warning", [], True, "sucesso"),
        ("error", [{"erro": "Cotação manual necessária", "contexto": "finalizacao"}], True, "cotacao_manual"),
        ("concluido", [{"erro": "Cotação manual necessária", "contexto": "finalizacao"}], True, "cotacao_manual"),
        ("concluido", [{"erro": "Placa recusada", "contexto": "tela 2"}], False, "executando"),
        ("concluido", [None, "finalizacao"], False, "executando"),
    ],
)
def test_a_snapshot_has_ended_where_the_robot_ended_it(status: str, errors: list[Any], final: bool, estado: str) -> None:
    """A snapshot is final if its status means an end or ``erros`` has the error that ended the run."""
    concluded = snapshot(status=status, erros=errors)
    deployed.conclude(concluded, None)
    assert (concluded["final"], concluded["estado"]) == (final, estado)


def test_concluding_twice_is_concluding_once() -> None:
    """A second conclude() changes nothing; with an end document that was found later it ends the run."""
    concluded = snapshot(percentual=250.0, etapa_atual=20)
    deployed.conclude(concluded, None)
    once = concluded.copy()
    deployed.conclude(concluded, None)
    assert concluded == once
    assert (concluded["percentual"], concluded["etapa_atual"]) == (99.0, 15)
    deployed.conclude(concluded, End("success", "2026-01-15T10:00:00", {}))
    assert (concluded["percentual"], concluded["final"]) == (100.0, True)
    assert concluded["timestamp_atualizacao"] == "2026-01-15T10:00:00"


@given(st.booleans(), st.booleans(), st.floats(0, 99), st.floats(0, 99), st.integers(0, 15), st.integers(0, 15))
def test_nothing_that_was_seen_goes_back(
    was_final: bool, is_final: bool, percent: float, later_percent: float, step: int, later_step: int
) -> None:
    """keep_seen() keeps the earlier end, milestones and higher percentage, and the step if the new one is 0."""
    seen = {"estimativas_tela_5": {"a": 1}}
    before = snapshot(final=was_final, estado="erro", percentual=percent, etapa_atual=step, dados_extra=seen)
    after = snapshot(final=is_final, estado="executando", percentual=later_percent, etapa_atual=later_step)
    deployed.keep_seen(before, after)
    assert after["percentual"] == max(percent, later_percent)
    assert after["final"] is (was_final or is_final)
    assert not was_final or after["estado"] == "erro"
    assert after["dados_extra"] == seen
    assert after["etapa_atual"] == (later_step or step)


def test_a_snapshot_is_numbered_by_how_long_its_run_has_lasted() -> None:
    """seq_of() is 1 plus the run's duration in microseconds, and 1 if the times can't be parsed."""
    changed = snapshot(timestamp_atualizacao="2026-01-15T09:30:00.000007")
    assert deployed.seq_of(changed, False) == 8
    assert deployed.seq_of(changed, True) > 10**14
    assert deployed.seq_of(snapshot(timestamp_atualizacao="ontem"), False) == 1
