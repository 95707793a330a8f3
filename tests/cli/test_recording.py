"""Recorded runs turned into a robot's calls and replayed through the real tracker."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server import safejson
from rpa_server.cli import recording
from rpa_server.cli.demo import RECORDING
from rpa_server.errors import BadDocument
from rpa_server.tracker import ProgressTracker
from tests.support import recordings
from tests.support.recordings import Document, any_entries
from tests.support.server import ROOT

SAMPLES = ROOT.parent / "shared" / "samples"
#: The real recordings; [None] if they are missing, so that one test is skipped and says so.
SAMPLE_NAMES: list[str | None] = [*sorted(path.name for path in SAMPLES.glob("history_*.json"))] or [None]
#: Keys that only our tracker's documents have, and then keys that differ between two equal runs.
OURS = ("epoch", "seq", "estado", "final", "began", "stepped", "writer")
TIMES = ("timestamp", "timestamp_inicio", "timestamp_atualizacao", "timestamp_fim")


@pytest.fixture
def rpa_data(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Path:
    """The directory that a tracker writes to."""
    monkeypatch.setenv("RPA_DATA_DIR", str(data_dir))
    monkeypatch.delenv("RPA_CONFIG", raising=False)
    return data_dir


def replay(document: Document, session_id: str) -> ProgressTracker:
    """Make the recorded calls on a tracker that writes files."""
    recorded = recording.parse(safejson.dumps(document))
    tracker = ProgressTracker(total_etapas=recorded.total, session_id=session_id, tipo="json")
    for step in recorded.steps:
        step.report(tracker)
    assert tracker.lost == 0
    return tracker


def bare(thing: Any, *without: str) -> Any:
    """Return a copy of *thing* without the keys *without*; objects inside it keep all their keys."""
    return {key: value for key, value in thing.items() if key not in without}


def read(path: Path) -> Document:
    document: Document = json.loads(path.read_bytes())
    return document


def assert_recorded_alike(written: Document, recorded: Document) -> None:
    """Assert that two histories agree in everything the robot reported."""
    keys = ("etapa", "status", "mensagem", "dados_extra", "erro")
    assert [{key: entry[key] for key in keys} for entry in written["historico"]] == [
        {key: entry[key] for key in keys} for entry in recorded["historico"]
    ]
    assert bare(written, "historico", *TIMES, *OURS) == bare(recorded, "historico", *TIMES, *OURS)


def assert_ends_alike(written: Document, recorded: Document) -> None:
    """Assert that two snapshots agree in everything the robot reported."""
    assert bare(written, "erros", *TIMES, *OURS) == bare(recorded, "erros", *TIMES, *OURS)
    assert [bare(error, "timestamp") for error in written["erros"]] == [
        bare(error, "timestamp") for error in recorded["erros"]
    ]


@pytest.mark.parametrize("name", recordings.ALL)
def test_a_replayed_run_leaves_the_files_that_were_recorded(name: str, rpa_data: Path) -> None:
    """A replayed run has the recorded entries and the recorded last snapshot, however the deployed robot ended it."""
    recorded = recordings.ALL[name]
    session_id = recorded["session_id"]
    replay(recorded, session_id)
    assert_recorded_alike(read(rpa_data / f"history_{session_id}.json"), recorded)
    assert_ends_alike(read(rpa_data / f"progress_{session_id}.json"), recordings.progress_of(recorded))


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_a_replayed_sample_leaves_the_files_of_the_deployed_robot(name: str | None, rpa_data: Path) -> None:
    """Replaying a real recording, if there is one, writes the deployed robot's entries and last snapshot again."""
    if name is None:
        pytest.skip(f"{SAMPLES} is not there")
    recorded = read(SAMPLES / name)
    session_id = recorded["session_id"]
    replay(recorded, session_id)
    assert_recorded_alike(read(rpa_data / f"history_{session_id}.json"), recorded)
    last = read(SAMPLES / name.replace("history_", "progress_"))
    assert_ends_alike(read(rpa_data / f"progress_{session_id}.json"), last)
    assert_ends_alike(recordings.progress_of(recorded), last)


@pytest.mark.parametrize("name", recordings.ALL)
def test_a_replayed_run_can_be_replayed_again(name: str, rpa_data: Path) -> None:
    """A history that our tracker wrote can be replayed like a deployed robot's, with the same result."""
    first = replay(recordings.ALL[name], "first")
    written = read(rpa_data / "history_first.json")
    second = replay(written, "second")
    assert_recorded_alike({**read(rpa_data / "history_second.json"), "session_id": "first"}, written)
    assert_ends_alike({**second.get_progress(), "session_id": "first"}, first.get_progress())


def test_every_kind_of_call_survives_recording_and_replaying(rpa_data: Path) -> None:
    """Every kind of tracker call, even those that deployed robots never make, is replayed as it was recorded."""
    estimates = {"coberturas_detalhadas": [{"nome_cobertura": "Ampla"}]}
    tracker = ProgressTracker(session_id="first", tipo="json")
    tracker.update_progress(1, "um", {"placa": "AAA0A00"})
    tracker.update_progress_with_estimativas(5, "cinco", {"a": 1}, estimates)
    tracker.update_progress_with_estimativas(5.5, "sem estimativas", None, None)
    tracker.add_estimativas({**estimates, "resumo": 1})
    tracker.add_error("Placa recusada", "tela 2")
    tracker.add_error("Placa recusada", "tela 2")
    tracker.finalizar("error", {"plano_recomendado": {}}, "Placa recusada")
    tracker.finalizar("success", recordings.plans())
    written = read(rpa_data / "history_first.json")
    again = replay(written, "second")
    assert_recorded_alike({**read(rpa_data / "history_second.json"), "session_id": "first"}, written)
    assert_ends_alike({**again.get_progress(), "session_id": "first"}, tracker.get_progress())


@pytest.mark.parametrize("name", recordings.ALL)
def test_steps_come_in_order_and_at_their_time(name: str) -> None:
    """Each step has a text and its seconds since the first entry; the seconds never decrease."""
    document = recordings.ALL[name]
    steps = recording.parse(safejson.dumps(document)).steps
    times = [step.at_s for step in steps]
    assert times == sorted(times)
    assert 0 < times[0] < 0.1
    assert all(step.text for step in steps)
    assert recording.parse(safejson.dumps(document)).session_id == document["session_id"]


def test_one_call_that_made_two_entries_is_one_step() -> None:
    """finalizar() with an error text writes an error and the end; the two entries are replayed as one call."""
    document = recordings.ALL["manual"]
    steps = recording.parse(safejson.dumps(document)).steps
    errors = [entry for entry in document["historico"] if entry["etapa"] == "erro"]
    assert len(steps) == len(document["historico"]) - 1 - len(errors)


class Listener:
    """Stands in for a tracker and records the calls made on it."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def update_progress(self, *args: Any) -> None:
        self.calls.append(("step", *args))

    def update_progress_with_estimativas(self, *args: Any) -> None:
        self.calls.append(("step with estimates", *args))

    def add_estimativas(self, *args: Any) -> None:
        self.calls.append(("estimates", *args))

    def add_error(self, *args: Any) -> None:
        self.calls.append(("error", *args))

    def finalizar(self, *args: Any) -> None:
        self.calls.append(("end", *args))


def calls(entries: list[Document]) -> list[tuple[Any, ...]]:
    """Return the tracker calls that a recording of *entries* makes."""
    document = {"timestamp_inicio": "2026-01-15T09:30:00", "historico": entries}
    listener = Listener()
    for step in recording.parse(safejson.dumps(document)).steps:
        step.report(listener)
    return listener.calls


def entry(etapa: Any, **more: Any) -> Document:
    plain = {"timestamp": "2026-01-15T09:30:00", "status": "s", "mensagem": "m", "dados_extra": None, "erro": None}
    return {"etapa": etapa, **plain, **more}


def test_an_error_of_its_own_before_the_end_is_a_call_of_its_own() -> None:
    """An error right before the end is a separate call unless the end has the same error text."""
    assert calls([entry("erro", erro="x", contexto="c"), entry("final", erro=None)]) == [
        ("error", "x", "c"),
        ("end", "s", None, None),
    ]
    assert calls([entry("erro", erro="x"), entry("final", erro="y")]) == [("error", "x", ""), ("end", "s", None, "y")]


def test_an_error_without_a_text_before_the_end_is_not_swallowed() -> None:
    """If neither an error nor the end after it has an error text, the error is still a separate call."""
    assert calls([entry("erro", mensagem="Erro: x"), entry("final")])[0] == ("error", "Erro: x", "")


def test_estimates_that_came_with_a_step_are_one_call() -> None:
    """A step with estimates and the entry after it that repeats them are replayed as one call."""
    estimates: Document = {"coberturas_detalhadas": []}
    with_estimates = entry(5, estimativas=estimates)
    assert calls([with_estimates, entry("estimativas", dados_extra=estimates), entry(6)]) == [
        ("step with estimates", 5, "m", None, estimates),
        ("step", 6, "m", None),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"{}", b'{"historico": []}', b'{"timestamp_inicio": "t", "historico": []}',
        b'{"timestamp_inicio": "t", "historico": [{"etapa": 1, "timestamp": "ontem", "status": "s"}]}',
        b'{"timestamp_inicio": "t", "historico": [{"etapa": 1, "status": "s"}]}',
        b'{"timestamp_inicio": "t", "total_etapas": 0, "historico": [{"etapa": 1, "timestamp": "2026-01-15","status":""}]}',
    ],
)  # fmt: skip
def test_what_is_no_recording_is_a_bad_document(data: bytes) -> None:
    """Bytes that are not a valid history with at least one entry raise BadDocument."""
    with pytest.raises(BadDocument):
        recording.parse(data)


def test_a_progress_document_is_no_recording() -> None:
    """A progress document, which a user may take for the history beside it, raises BadDocument."""
    with pytest.raises(BadDocument):
        recording.parse(safejson.dumps(recordings.progress_of(recordings.ALL["success"])))


def test_times_with_and_without_a_zone_are_taken() -> None:
    """Times with a zone are read like times without one: the zone is ignored."""
    entries = [entry(1, timestamp="2026-01-15T09:30:00Z"), entry(2, timestamp="2026-01-15T09:30:01.5+00:00")]
    document = {"timestamp_inicio": "2026-01-15T09:30:00", "historico": [*entries, entry(3)]}
    steps = recording.parse(safejson.dumps(document)).steps
    assert [step.at_s for step in steps] == [0.0, 1.5, 0.0]


@settings(deadline=None)
@given(any_entries, st.sampled_from([None, "s1", 5, []]))
def test_any_history_is_a_recording_or_a_bad_document(entries: list[Document], session_id: Any) -> None:
    """A history with entries is a recording, each of whose steps makes one call; an empty one raises BadDocument."""
    document = {"timestamp_inicio": "t", "session_id": session_id, "historico": entries}
    before = copy.deepcopy(document)
    try:
        recorded = recording.parse(safejson.dumps(document))
    except BadDocument:
        assert not entries
        return
    assert document == before
    assert recorded.session_id == (session_id if isinstance(session_id, str) else None)
    listener = Listener()
    for step in recorded.steps:
        step.report(listener)
    assert len(listener.calls) == len(recorded.steps) <= len(entries)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_a_recording_or_a_bad_document(data: bytes) -> None:
    """Arbitrary bytes raise BadDocument and no other exception."""
    with pytest.raises(BadDocument):
        recording.parse(data)


def test_the_demonstration_is_a_recording() -> None:
    """The demonstration in the package is a recording of 15 steps that lasts 30 to 60 s."""
    recorded = recording.parse(RECORDING.read_bytes())
    assert recorded.session_id == "demo"
    assert recorded.total == 15
    assert 30 < recorded.steps[-1].at_s < 60
