"""How the deployed robot's snapshots and end documents, of all its generations, are interpreted."""

import time
from collections.abc import Iterator
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


# -- times of an end


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        ("2025-10-09 19:19:39", True),
        ("2025-10-09 19:19:39.123456", True),
        ("2025-10-09 19:17:59", False),
        (1760048379, True),
        (1760048379123, True),
        ("1760048379", True),
        ("2025-10-09T22:19:39Z", True),
        ("2025-10-10T00:19:39+02:00", True),
        ("2025-10-08T22:19:39Z", False),
        ("há pouco", True),
    ],
)
def test_a10_an_end_counts_in_whatever_form_its_time_is(at: object, counts: bool) -> None:
    """A run that began at 19:18 has ended if the end document's time means a later moment, or one that can't be
    compared; a time that is earlier in every zone is an earlier run's.
    """
    progress = {**recordings.progress_of(recordings.ALL["success"]), "timestamp_inicio": "2025-10-09T19:18:00.5"}
    progress |= {"status": "executando", "timestamp_atualizacao": "2025-10-09T19:19:38.5", "etapa_atual": 15}
    result = {"status": "success", "timestamp_fim": at, "dados_finais": recordings.plans(), "session_id": "s1"}
    found = from_files("s1", progress, None, result=result)
    assert found is not None
    assert found.view()["estado"] == ("sucesso" if counts else "executando")
    before = from_files("s1", progress, None)
    assert before is not None
    assert (found.seq > before.seq) is counts


@pytest.mark.parametrize("form", ["2025-10-09T22:18:00Z", "2025-10-09T19:18:00-03:00"])
def test_a10_offsets_are_compared_as_moments(form: str) -> None:
    """Of a run whose times have zones, an end in another zone counts if it is the later moment."""
    end = {"status": "success", "timestamp_fim": "2025-10-10T00:19:39+02:00"}
    assert deployed.end_of(end, None, form) is not None
    assert deployed.end_of({**end, "timestamp_fim": "2025-10-10T00:17:39+02:00"}, None, form) is None
    assert deployed.end_of({**end, "timestamp_fim": 1760048279}, None, form) is None


@pytest.mark.parametrize(
    ("begun", "counts"),
    [("2025-10-09 19:18:00", True), ("2025-10-09T19:17:59.995", True), ("2025-10-09T18:00:00", False), (None, True)],
)
def test_a10_where_times_cant_be_compared_the_session_document_shows_the_run(begun: str | None, counts: bool) -> None:
    """An end whose zone is unknown counts unless the session document beside it began before the run did."""
    result = {"status": "success", "timestamp_fim": "2025-10-09T22:19:39Z"}
    session = {"timestamp_inicio": begun, "timestamp_fim": "2025-10-09T22:19:39Z", "status": "success"}
    assert (deployed.end_of(result, session, "2025-10-09T19:18:00") is not None) is counts
    assert (deployed.end_of(None, session, "2025-10-09T19:18:00") is not None) is counts


def test_a10_a_session_document_of_this_very_beginning_is_this_runs() -> None:
    """A session document with the run's own beginning ends the run, even if the robot's clock went back meanwhile."""
    session = {"timestamp_inicio": "2025-10-09T00:10:00", "timestamp_fim": "2025-10-08T23:30:00", "status": "success"}
    assert deployed.end_of(None, session, "2025-10-09T00:10:00") is not None
    assert deployed.end_of(None, session, "2025-10-09T00:20:00") is None


@pytest.mark.parametrize("at", ["2001-01-01T00:00:00", "2025-10-09T19:19:39", 5])
def test_a10_an_end_document_with_an_epoch_is_that_runs(at: object) -> None:
    """Our tracker's end documents name their run: they count for it, whatever their times, and for no other."""
    result = {"status": "success", "timestamp_fim": at, "epoch": "aaaa", "seq": 9}
    assert deployed.end_of(result, None, "2025-10-09T19:18:00", "aaaa") is not None
    assert deployed.end_of(result, None, "2000-01-01T00:00:00", "bbbb") is None
    assert deployed.end_of(result, None, "2000-01-01T00:00:00") is None
    assert deployed.end_of(result, None, "") is not None


@pytest.mark.parametrize("started", ["2025-10-09 19:18:00", "2025-10-09T19:18:00.5", "1760048279"])
def test_a10_ends_alone_are_a_run_in_any_form(started: str) -> None:
    """With only end documents left, the run's times are told whatever their form."""
    session = {"timestamp_inicio": started, "timestamp_fim": 1760048379, "status": "success", "total_etapas": 15}
    found = from_files("s1", None, None, session=session)
    assert found is not None
    assert (found.view()["estado"], found.seq > 0) == ("sucesso", True)


def test_a10_a_later_run_is_later_in_any_form() -> None:
    """A snapshot of a later run wins over a history, and a history over an earlier snapshot, as times tell."""
    history = recordings.ALL["success"]
    began = history["timestamp_inicio"].replace("T", " ")
    progress = {**recordings.progress_of(history), "timestamp_inicio": began}
    found = from_files("s1", progress, history)
    assert found is not None and not found.sparse
    later = {**progress, "timestamp_inicio": "2099-01-01 00:00:00", "timestamp_atualizacao": "2099-01-01 00:00:01"}
    found = from_files("s1", later, history)
    assert found is not None and found.sparse


# -- zones


@pytest.fixture(params=["UTC", "America/Sao_Paulo", "Asia/Tokyo"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this computer be in a zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def brasilia(**more: Any) -> Document:
    """Return a snapshot of v3.5.0 as a robot in Brasília wrote it at 18:08:47, 12.5 s into its run."""
    return {**V350, "timestamp": 1758748127.115589, "created_at": "2025-09-24T18:08:47.115589", **more}


@pytest.mark.usefixtures("zone")
def test_a11_v350_is_read_in_its_own_zone() -> None:
    """Epoch ``timestamp``, local ``finished_at``: wherever the server is, a success with a price is one."""
    result = {**RESULT350, "finished_at": "2025-09-24T18:11:57.223034"}
    found = from_files("s1", brasilia(), None, result=result)
    assert found is not None
    assert found.view()["estado"] == "sucesso"
    assert found.view()["resultado"] == recordings.plans()
    assert found.started == "2025-09-24T18:08:34.615589"
    assert found.snapshot["timestamp_atualizacao"] == "2025-09-24T18:11:57.223034"
    assert found.seq == 180_900_717_223_035


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("created", ["2025-09-24T18:08:47.115589", None], ids=["zone known", "zone unknown"])
def test_a11_an_end_of_an_earlier_v350_run_is_none(created: str | None) -> None:
    """The result of an earlier run under the id does not end this one: times show it, or the session document."""
    result = {**RESULT350, "finished_at": "2025-09-24T18:05:00"}
    session = {"start_time": "2025-09-24T18:08:34.61", "status": "running", "created_at": "2025-09-24T18:08:34.62"}
    found = from_files("s1", brasilia(created_at=created), None, result=result, session=session)
    assert found is not None
    assert found.view()["estado"] == "executando"


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("created", [None, "2025-09-24T18:07:00", "ontem"])
def test_a11_without_a_zone_the_end_counts(created: str | None) -> None:
    """Where nothing shows the zone, times are not compared: the run has ended, and its numbers go on."""
    running = from_files("s1", brasilia(created_at=created), None)
    result = {**RESULT350, "finished_at": "2025-09-24T18:11:57.223034"}
    found = from_files("s1", brasilia(created_at=created), None, result=result)
    assert found is not None and running is not None
    assert found.view()["estado"] == "sucesso"
    assert (found.epoch, found.seq) == (running.epoch, running.seq + 1)
    assert found.snapshot["timestamp_atualizacao"] == "2025-09-24T21:08:47.115589+00:00"
