"""The one limit for the size of an update, of a run's snapshot and of its history."""

from datetime import datetime
from typing import Any

import pytest

from rpa_server import safejson
from rpa_server.backends.files import json_files
from rpa_server.errors import BadDocument
from rpa_server.http.admission import MAX_BODY
from rpa_server.progress import documents
from rpa_server.progress.limits import HISTORY_BYTES, NOTE_KEY, scalars
from rpa_server.progress.run import Run
from rpa_server.progress.snapshot import ESTIMATES_KEY, MOST_ERRORS
from rpa_server.progress.update import HISTORY, MAX_UPDATE_BYTES, own_update
from rpa_server.watchers.feed import unnumbered_update

NOW = datetime(2025, 10, 9, 19, 19, 39)
HUGE = "x" * 10_000_000
PLANS = {"plano_recomendado": {"valor": "R$ 4.025,00", "texto": HUGE}, "plano_alternativo": {"valor": "R$ 1,00"}}


@pytest.fixture
def run() -> Run:
    return Run("s", "aaaa", NOW)


def size(run: Run) -> int:
    return len(safejson.dumps(run.snapshot))


def checked(run: Run) -> dict[str, Any]:
    """Check that readers take the last update; return it."""
    update = own_update(run.updates[-1].raw)
    assert update is not None
    assert len(update.raw) <= MAX_UPDATE_BYTES
    assert size(run) < 2 * MAX_UPDATE_BYTES
    return update.data


def test_c4_an_update_as_large_as_allowed_is_left_alone(run: Run) -> None:
    """An update of exactly MAX_UPDATE_BYTES is whole; one byte more, and it is cut."""
    run.start(NOW)
    spare = MAX_UPDATE_BYTES - len(run.step(1, "Tela 1", NOW, {"x": ""}).raw)
    fresh = Run("s", "aaaa", NOW)
    fresh.start(NOW)
    assert len(fresh.step(1, "Tela 1", NOW, {"x": "y" * spare}).raw) == MAX_UPDATE_BYTES
    fresh = Run("s", "aaaa", NOW)
    fresh.start(NOW)
    assert NOTE_KEY in fresh.step(1, "Tela 1", NOW, {"x": "y" * (spare + 1)}).data["dados_extra"]


def test_c4_a_step_keeps_its_short_values(run: Run) -> None:
    """Of a step that is too large the texts and the short values stay, with a note; the run goes on and counts it."""
    run.step(3, "Tela 3", NOW, {"tela": HUGE, "numero": 3, "vidros": True, "lista": [1], "nada": None})
    extra = checked(run)["dados_extra"]
    assert {key: extra[key] for key in ("numero", "vidros", "nada")} == {"numero": 3, "vidros": True, "nada": None}
    assert extra["tela"] == "x" * 200
    assert "lista" not in extra
    assert str(MAX_UPDATE_BYTES) in extra[NOTE_KEY]
    assert checked(run)["mensagem"] == "Tela 3"
    run.step(4, "Tela 4", NOW, {"numero": 4})
    assert (run.seq, run.cut, checked(run)["dados_extra"]) == (2, 1, {"numero": 4})


@pytest.mark.parametrize("value", [HUGE, ["x"] * 1_000_000, {str(number): number for number in range(100_000)},
                                   "\x01" * 300_000, "\u0301" * 300_000])  # fmt: skip
def test_c4_whatever_is_too_large_is_cut(run: Run, value: Any) -> None:
    """Every kind of update is cut to the limit, whichever of its values is too large, and so are the end's documents."""
    run.step(1, str(value), NOW, {"x": value, str(value)[:300_000]: 1}, {"coberturas_detalhadas": value})
    checked(run)
    run.estimates({"coberturas_detalhadas": value}, NOW)
    assert NOTE_KEY in checked(run)["estimativas"]
    run.error(str(value), str(value), NOW)
    checked(run)
    run.finish("success" + str(value), NOW, {"x": value, **PLANS}, str(value))
    end = checked(run)["resultado"]
    assert end["plano_recomendado"]["valor"] == "R$ 4.025,00"
    documents = run.documents()
    assert documents["result"]["dados_finais"] == end
    assert all(len(safejson.dumps(document)) < 2 * MAX_UPDATE_BYTES for document in documents.values())


def test_e11_what_many_updates_attach_together_is_bounded(run: Run) -> None:
    """However many small objects are merged, the snapshot stays bounded; the end's plans still come through."""
    for number in range(60):
        run.step(3, "Tela 3", NOW, {f"{number}-{key}": key for key in range(800)})
        checked(run)
    assert 0 < run.cut < 60
    run.finish("success", NOW, {"plano_recomendado": {"valor": "R$ 4.025,00"}})
    assert checked(run)["resultado"]["plano_recomendado"] == {"valor": "R$ 4.025,00"}
    assert run.snapshot["estado"] == "sucesso"


def test_e11_errors_are_bounded(run: Run) -> None:
    """A snapshot has the latest errors, however many there were and however long they are."""
    for number in range(3 * MOST_ERRORS):
        run.error(f"{number} {'x' * 20_000}", "tela", NOW)
        checked(run)
    assert len(run.snapshot["erros"]) == MOST_ERRORS
    assert run.snapshot["erros"][-1]["erro"].startswith(f"{3 * MOST_ERRORS - 1} ")


def test_c4_a_snapshot_is_measured_only_when_it_may_be_too_large(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many updates of a usual size cost no second encoding each: the snapshot is measured every 256 kB of updates."""
    encoded = []
    encode = safejson.dumps

    def dumps(value: Any) -> bytes:
        encoded.append(value)
        return encode(value)

    monkeypatch.setattr(safejson, "dumps", dumps)
    for number in range(HISTORY):
        run.step(number % 15, "Tela", NOW, {"texto": "x" * 1000})
    assert len(encoded) <= HISTORY + 5


def test_c4_a_history_is_bounded_in_bytes(run: Run) -> None:
    """The oldest updates are dropped beyond HISTORY_BYTES, in a resumed run, too; the history document can be read."""
    for _ in range(40):
        run.step(3, "Tela 3", NOW, {"x": "y" * 200_000})
    assert sum(len(update.raw) for update in run.updates) <= HISTORY_BYTES
    assert [entry["seq"] for entry in run.entries] == [update.seq for update in run.updates]
    assert run.updates[-1].seq == run.seq == 40
    assert len(safejson.dumps(run.documents()["history"])) < json_files.MAX_BYTES


def test_c4_no_reader_takes_what_no_writer_may_write() -> None:
    """The limits of POST and PUBLISH are that of an update; a larger message is none of ours."""
    assert MAX_BODY == MAX_UPDATE_BYTES
    update = Run("s", "aaaa", NOW).start(NOW)
    assert own_update(update.raw[:-1] + b" " * (MAX_UPDATE_BYTES - len(update.raw)) + b"}") is not None
    assert own_update(update.raw[:-1] + b" " * (MAX_UPDATE_BYTES - len(update.raw) + 1) + b"}") is None
    with pytest.raises(BadDocument, match="larger"):
        unnumbered_update(b'{"mensagem":"%b"}' % (b"x" * 4 * MAX_UPDATE_BYTES))


def test_c4_what_another_program_publishes_is_cut() -> None:
    """A message of another program keeps its step, its text and its short values, whatever else makes it too large."""
    given = {"etapa": 3, "mensagem": "Tela 3", "dados_extra": {"html": HUGE[:300_000], "n": 1}, "lista": [HUGE[:300_000]]}
    update = unnumbered_update(safejson.dumps(given))
    assert len(update.raw) <= MAX_UPDATE_BYTES
    assert (update.data["type"], update.data["etapa"], update.data["mensagem"]) == ("progress_update", 3, "Tela 3")
    assert (update.data["dados_extra"]["n"], "lista" in update.data) == (1, False)
    assert NOTE_KEY in update.data["dados_extra"]


def test_c4_what_a_deployed_robot_left_is_cut_when_it_is_read() -> None:
    """A deployed robot's history and snapshot give updates below the limit, whatever is in the files."""
    entry = {"etapa": 5, "timestamp": "2025", "status": "x", "mensagem": "m", "dados_extra": {"html": HUGE, "n": 1}}
    history = {"timestamp_inicio": "2025", "historico": [entry, {**entry, "etapa": "estimativas"}]}
    progress = {"etapa_atual": 5, "status": "executando", "mensagem": "m", "timestamp_inicio": "2025",
                "timestamp_atualizacao": "2025", "dados_extra": {ESTIMATES_KEY: {"html": HUGE}, "n": 1},
                "erros": [{"erro": HUGE}]}  # fmt: skip
    for state in (documents.from_history("s", history), documents.from_progress("s", progress)):
        assert all(len(update.raw) <= MAX_UPDATE_BYTES for update in state.updates)
        assert len(safejson.dumps(state.view())) < 2 * MAX_UPDATE_BYTES
        assert state.snapshot["dados_extra"]["n"] == 1


def test_scalars_leave_short_values_alone() -> None:
    """Names longer than 200 characters, lists and objects go; of plans their short values stay, and only those if asked."""
    given = {"a": 1, "b" * 201: 1, "c": [1], "d": {"e": 1}, "plano_recomendado": {"valor": "1", "x": []}}
    whole, plans = scalars(given), scalars(given, plans_only=True)
    assert set(whole) == {NOTE_KEY, "a", "plano_recomendado"}
    assert set(plans) == {NOTE_KEY, "plano_recomendado"}
    assert set(whole["plano_recomendado"]) == {NOTE_KEY, "valor"}
