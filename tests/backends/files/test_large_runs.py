"""FileWriter: a run of large updates stays readable for the server."""

from datetime import datetime
from pathlib import Path

import pytest

from rpa_server.backends.files.json_files import JOURNAL_BYTES, MAX_BYTES
from rpa_server.backends.files.store import FileStore
from rpa_server.backends.files.writer import FileWriter
from rpa_server.progress.run import Run
from rpa_server.progress.update import HISTORY, MAX_UPDATE_BYTES

NOW = datetime(2025, 10, 9, 19, 19, 39)


@pytest.mark.parametrize("bytes_each", [1_000_000, 250_000, 100_000])
async def test_c4_whatever_a_run_attaches_the_server_can_read_it(tmp_path: Path, bytes_each: int) -> None:
    """After every update, however large, the server has read up to it, with updates that lead there."""
    run, writer, store = Run("s", "aaaa", NOW, 15, 1_768_469_400_000, "robot"), FileWriter(tmp_path), FileStore(tmp_path)
    for number in range(60):
        run.step(number % 15, f"Tela {number}", NOW, {"html": "x" * bytes_each})
        writer.write(run)
        state = await store.read("s")
        assert state is not None
        assert (state.seq, state.updates[-1].raw) == (run.seq, run.updates[-1].raw)
    assert store.broken == 0
    assert (tmp_path / "history_s.json").stat().st_size < MAX_BYTES


@pytest.mark.parametrize("bytes_each", [100, 250_000])
async def test_c4_so_it_is_if_the_run_is_posted(tmp_path: Path, bytes_each: int) -> None:
    """The same of a run that the server writes for a robot: its journal has each update once, in order."""
    store = FileStore(tmp_path)
    run = Run("s", "aaaa", NOW, 15, 1_768_469_400_000, "robot")
    for number in range(40):
        run.step(number % 15, f"Tela {number}", NOW, {"html": "x" * bytes_each})
        assert await store.append(run)
        state = await store.read("s")
        assert state is not None
        assert (state.seq, state.updates[-1].raw) == (run.seq, run.updates[-1].raw)
        run = Run.resume("s", state)
    journal = tmp_path / "updates_s.jsonl"
    lines = journal.read_bytes().splitlines() if journal.exists() else []
    assert len(lines) == len(set(lines))
    assert (not lines) is (bytes_each == 100)


def test_c4_a_journal_is_read_far_enough_for_the_largest_update() -> None:
    """The part of a journal that is read has room for several updates of full size, and for HISTORY usual ones."""
    assert JOURNAL_BYTES >= 4 * (MAX_UPDATE_BYTES + 1)
    assert JOURNAL_BYTES >= HISTORY * 2000
