"""Run: the numbering of updates, the status words, the documents to store, and resuming a stored run."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from rpa_server import safejson
from rpa_server.backends.files.names import KINDS
from rpa_server.cli import recording
from rpa_server.progress.documents import from_history
from rpa_server.progress.file_documents import from_files
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.snapshot import is_number
from rpa_server.progress.update import HISTORY, own_update
from tests.support import recordings

BEGAN = datetime(2026, 1, 15, 9, 30)
ESTIMATES = {"coberturas_detalhadas": [{"nome_cobertura": "Ampla"}]}


def at(second: int) -> datetime:
    return BEGAN + timedelta(seconds=second)


def make(steps: int = 0, total: int = 15) -> Run:
    """Return a run that has begun and reported *steps* steps."""
    made = Run("s1", "a1b2", BEGAN, total)
    made.start(at(0))
    for number in range(1, steps + 1):
        made.step(number % 15, f"Passo {number}", at(number), {"passo": number})
    return made


def state_of(made: Run) -> SessionState:
    """Return the state of a store that has the whole run."""
    return SessionState(made.epoch, made.seq, made.snapshot, list(made.updates))


def test_updates_are_numbered_from_one_without_a_hole() -> None:
    """Every call makes one update with the next number; an end with an error text makes two."""
    made = Run("s1", "a1b2", BEGAN)
    made.start(at(0))
    made.step(5, "m", at(1), estimates=ESTIMATES)
    made.estimates(ESTIMATES, at(1))
    made.error("x", "tela 6", at(2))
    made.finish("error", at(3), None, "Placa recusada")
    made.step(15, "Tela 15 falhou", at(4))
    made.finish("success", at(5), {"plano_recomendado": {}})
    assert [update.cursor for update in made.updates] == [("a1b2", seq) for seq in range(1, 9)]
    assert [update.data["evento"] for update in made.updates] == [
        "inicio", "progresso", "estimativas", "erro", "erro", "final", "progresso", "final",
    ]  # fmt: skip
    assert [update.final for update in made.updates] == [False] * 5 + [True] * 3


def test_every_update_is_read_back_as_our_own() -> None:
    """own_update() must recognise every update of a Run: the server routes updates by their head alone."""
    for update in make(20).updates:
        read = own_update(update.raw)
        assert read is not None
        assert read.cursor == update.cursor


def test_the_writers_words_are_the_deployed_ones() -> None:
    """Each kind of entry has the deployed robot's ``status`` and ``mensagem``, which other programs read."""
    made = Run("s1", "a1b2", BEGAN)
    made.start(at(0))
    made.step(0, "Iniciando RPA", at(0))
    made.step(15, "Fim", at(1))
    made.estimates(ESTIMATES, at(1))
    made.finish("error", at(2), None, "Sem preço")
    assert [(entry["etapa"], entry["status"], entry["mensagem"], entry["erro"]) for entry in made.entries] == [
        ("inicio", "iniciando", "ProgressTracker inicializado", None),
        (0, "iniciando", "Iniciando RPA", None),
        (15, "concluido", "Fim", None),
        ("estimativas", "completed", "Estimativas capturadas", None),
        ("erro", "error", "Erro: Sem preço", "Sem preço"),
        ("final", "error", "RPA error", "Sem preço"),
    ]


@pytest.mark.parametrize(
    ("etapa", "number"),
    [(5, 5), (5.5, 5.5), ("5", 5), ("5.5", 5.5), (True, 1), (5.0, 5), ("x", 3), (None, 3), ([], 3), (float("nan"), 3),
     ("nan", 3)],
)  # fmt: skip
def test_a_step_that_is_no_number_leaves_the_step_where_it_is(etapa: Any, number: float) -> None:
    """A step becomes the number that float() makes of it; NaN and any other value leave the step unchanged."""
    update = make(3).step(etapa, "m", at(9))
    assert update.data["etapa"] == number
    assert is_number(update.data["etapa"])


@pytest.mark.parametrize("etapa", [float("inf"), float("-inf"), "inf", "1e999"])
def test_a_step_without_end_leaves_the_step_where_it_is(etapa: Any) -> None:
    """For an infinite step, which JSON can't express, update and history get a finite number."""
    made = make(3)
    update = made.step(etapa, "m", at(9))
    assert is_number(update.data["etapa"])
    assert safejson.loads(safejson.dumps(list(made.entries)))[-1]["etapa"] is not None


@pytest.mark.parametrize("total", [0, -5])
def test_there_is_at_least_one_step(total: int) -> None:
    """A total below 1 counts as 1, so that no percentage divides by zero."""
    made = make(3, total)
    assert made.snapshot["total_etapas"] == 1
    assert made.snapshot["percentual"] == 99.0


def test_documents_have_the_deployed_shapes_plus_the_cursor() -> None:
    """Snapshot and history have every deployed key, and beside them only the cursor, the order, and what the run means."""
    made = make(3)
    documents = made.documents()
    assert set(documents) == {"progress", "history"}
    expected = recordings.progress_of(recordings.ALL["success"])
    assert set(documents["progress"]) - set(expected) == {"epoch", "seq", "estado", "final", "began", "stepped", "writer"}
    assert set(expected) <= set(documents["progress"])
    deployed = recordings.ALL["success"]
    assert set(documents["history"]) - set(deployed) == {"epoch", "seq", "began"}
    for entry in documents["history"]["historico"]:
        assert set(deployed["historico"][0]) <= set(entry)
    for document in documents.values():
        assert (document["epoch"], document["seq"]) == ("a1b2", 4)


def test_result_and_session_come_with_the_end() -> None:
    """From the end on there are a result document with the plans and a session document, both with the status."""
    made = make(3)
    made.finish("success", at(9), recordings.plans())
    documents = made.documents()
    assert set(documents) == set(KINDS)
    assert documents["result"]["dados_finais"] == recordings.plans()
    assert documents["result"]["status"] == "success"
    assert documents["session"]["etapas_executadas"] == 15
    assert documents["session"]["status"] == "success"
    for document in documents.values():
        assert document["session_id"] == "s1"


def test_documents_are_not_changed_by_what_comes_later() -> None:
    """Later reports don't change returned documents, which may still be waiting to be written."""
    made = make(3)
    before = safejson.dumps(made.documents())
    documents = made.documents()
    made.step(4, "depois", at(9), {"a": 1})
    made.error("x", "", at(9))
    assert safejson.dumps(documents) == before


def test_a_resumed_run_counts_on_where_it_was() -> None:
    """A resumed run has the same epoch and snapshot, and its first update has the next number."""
    made = make(7)
    resumed = Run.resume("s1", state_of(made))
    assert resumed.snapshot == made.snapshot
    assert resumed.added() == []
    update = resumed.step(8, "m", at(9))
    assert update.cursor == ("a1b2", 9)
    assert resumed.added() == [update]
    assert [each.seq for each in resumed.updates] == list(range(1, 10))


@pytest.mark.parametrize("ends", [0, 1, 2])
def test_resuming_from_stored_documents_loses_nothing(ends: int) -> None:
    """A run resumed from its files makes the same documents, result included, as its first writer did."""
    made = make(4)
    made.error("Placa recusada", "tela 2", at(5))
    made.estimates(ESTIMATES, at(5))
    for second in range(ends):
        made.finish("success", at(6 + second), recordings.plans())
    stored = safejson.loads(safejson.dumps(made.documents()))
    stored_state = from_files("s1", stored["progress"], stored["history"])
    assert stored_state is not None
    assert safejson.loads(safejson.dumps(Run.resume("s1", stored_state).documents())) == stored


def test_resuming_leaves_the_stored_state_as_it_was() -> None:
    """Resuming a run and reporting to it does not modify the stored state, which the server keeps for viewers."""
    before = state_of(make(7))
    snapshot, updates = before.snapshot.copy(), list(before.updates)
    resumed = Run.resume("s1", before)
    resumed.step(8, "m", at(9), {"a": 1})
    resumed.error("x", "", at(9))
    assert (before.seq, before.snapshot, before.updates) == (8, snapshot, updates)


@pytest.mark.parametrize("started", ["", "ontem", "2026-01-15T09:30:00Z", "2026-13-45", "1758748127.1"])
def test_a_run_whose_start_is_no_time_is_resumed_all_the_same(started: str) -> None:
    """A run is resumed whatever text another program stored as its start, even if that is no time."""
    found = from_history("s1", {"timestamp_inicio": started, "historico": recordings.ALL["stuck"]["historico"]})
    assert Run.resume("s1", found).step(1, "m", at(9)).seq == 3


def test_memory_and_history_are_bounded() -> None:
    """A run keeps only its last HISTORY updates and entries, however long it lasts."""
    made = make(HISTORY + 100)
    assert made.seq == HISTORY + 101
    assert len(made.updates) == len(made.entries) == HISTORY
    assert made.updates[0].seq == made.entries[0]["seq"] == 102
    assert made.updates[-1].seq == made.entries[-1]["seq"] == HISTORY + 101


@pytest.mark.parametrize("name", recordings.ALL)
def test_a_recorded_run_is_recorded_alike(name: str) -> None:
    """A recorded run's calls make the same entries, apart from times, that the deployed robot made of them."""
    deployed = recordings.ALL[name]
    made = Run("s1", "a1b2", BEGAN, deployed["total_etapas"])
    made.start(at(0))

    class Robot:
        """Makes the recorded calls on the run itself, without a tracker."""

        def update_progress(self, etapa: float, mensagem: str, dados_extra: dict[str, Any] | None) -> None:
            made.step(etapa, mensagem, at(1), dados_extra)

        def update_progress_with_estimativas(
            self,
            etapa: float,
            mensagem: str,
            dados_extra: dict[str, Any] | None,
            estimativas: dict[str, Any] | None,
        ) -> None:
            raise AssertionError("the deployed robot never does")

        def add_estimativas(self, estimativas: dict[str, Any]) -> None:
            made.estimates(estimativas, at(1))

        def add_error(self, erro: str, contexto: str) -> None:
            made.error(erro, contexto, at(1))

        def finalizar(self, status_final: str, dados_finais: dict[str, Any] | None, erro_final: str | None) -> None:
            made.finish(status_final, at(1), dados_finais, erro_final)

    for step in recording.parse(safejson.dumps(deployed)).steps:
        step.report(Robot())
    keys = ("etapa", "status", "mensagem", "dados_extra", "erro")
    written = [tuple(entry[key] for key in keys) for entry in made.documents()["history"]["historico"]]
    assert written == [tuple(entry[key] for key in keys) for entry in deployed["historico"]]
