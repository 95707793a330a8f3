"""The states that FileStore reads from deployed robots' files, above all from result and session files."""

import json
import os
from pathlib import Path

import pytest

from rpa_server.backends.files.names import file_name
from rpa_server.backends.files.store import FileStore
from tests.support import recordings
from tests.support.recordings import Document


def put(directory: Path, kind: str, session_id: str, document: Document | str, at_s: float | None = None) -> None:
    """Truncate and rewrite a file of a session, as the deployed robot does; *at_s* sets its time of change."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / file_name(kind, session_id)
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    if at_s is not None:
        os.utime(path, (at_s, at_s))


async def test_a_result_beside_a_snapshot_is_read(data_dir: Path) -> None:
    """If there are only a result document and a snapshot without plans, the plans come from the result document."""
    history = recordings.ALL["success"]
    put(data_dir, "progress", "s1", {**recordings.progress_of(history), "dados_extra": {}})
    put(data_dir, "result", "s1", recordings.result_of(history) or {})
    state = await FileStore(data_dir).read("s1")
    assert state is not None
    assert state.view()["resultado"] == recordings.plans()


@pytest.mark.parametrize("broken", ["", '{"status": "succ', "[]"])
async def test_a_broken_result_holds_nothing_back(data_dir: Path, broken: str) -> None:
    """A broken result document neither hides the run in the history file nor counts as a broken read."""
    history, store = recordings.ALL["success"], FileStore(data_dir)
    put(data_dir, "result", "s1", broken)
    for length in (3, 9, len(history["historico"])):
        put(data_dir, "history", "s1", {**history, "historico": history["historico"][:length]})
        state = await store.read("s1")
        assert state is not None
        assert state.seq == length
        assert (state.view()["estado"] == "sucesso") is (length > 9)
    assert store.broken == 0


async def test_a_result_alone_is_read_and_a_session_alone_is_nothing(data_dir: Path) -> None:
    """A session document alone is no state and does not count as broken; a result beside it is read as the end."""
    store = FileStore(data_dir)
    put(data_dir, "session", "s1", {"version": "v3.5.0", "start_time": "2026-01-15T09:30:00", "status": "running"})
    assert await store.read("s1") is None
    put(data_dir, "result", "s1", recordings.result_of(recordings.ALL["success"]) or {})
    state = await store.read("s1")
    assert state is not None
    assert state.view()["estado"] == "sucesso"
    assert store.broken == 0


async def test_a_state_knows_when_its_newest_file_was_written(data_dir: Path) -> None:
    """``written_s`` is the newest file's time of change, not a time that the robot wrote, whose zone is unknown."""
    history = recordings.ALL["stuck"]
    put(data_dir, "progress", "s1", recordings.progress_of(history), at_s=1_700_000_000.0)
    put(data_dir, "history", "s1", history, at_s=1_700_000_900.5)
    state = await FileStore(data_dir).read("s1")
    assert state is not None
    assert state.written_s == pytest.approx(1_700_000_900.5)


async def test_a_snapshot_that_goes_back_is_followed_and_not_believed(data_dir: Path) -> None:
    """If a snapshot goes back to step 0, as after an exception, ``percentual`` does not fall; the end makes it 100."""
    history, store = recordings.ALL["interrupted"], FileStore(data_dir)
    percents = []
    for number, part in enumerate(recordings.prefixes(history)):
        put(data_dir, "progress", "s1", recordings.progress_of(part, history), at_s=1_700_000_000.0 + number)
        state = await store.read("s1")
        assert state is not None
        percents.append(state.snapshot["percentual"])
    assert percents == sorted(percents)
    assert percents[-1] == 100.0


@pytest.mark.skipif(not recordings.FILE_SETS, reason="no real file sets here")
@pytest.mark.parametrize("session_id", recordings.FILE_SETS)
async def test_every_real_file_set_is_a_state(data_dir: Path, session_id: str) -> None:
    """The real files of every generation of the robot are read as a state with the expected ``estado``."""
    for kind, document in recordings.FILE_SETS[session_id].items():
        put(data_dir, kind, session_id, document)
    store = FileStore(data_dir)
    state = await store.read(session_id)
    assert state is not None
    assert store.broken == 0
    assert await store.sessions(5) == [session_id]
    expected = {
        "2d4c17d1": ("cotacao_manual", True),  # a success with "N/A" for both prices
        "b5768e19": ("sucesso", True),
        "teste_php": ("sucesso", True),
        "0eb91e34": ("sucesso", True),
        "0df87bac": ("cotacao_manual", True),
        "2cbbb05c": ("cotacao_manual", True),
    }
    view = state.view()
    assert (view["estado"], view["final"]) == expected.get(session_id, ("executando", False))
    assert (view["resultado"] is None) or view["final"]
