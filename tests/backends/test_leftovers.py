"""What robots left in files is handed in to a real Redis."""

from datetime import datetime
from pathlib import Path

import pytest
import redis

from rpa_server.backends import leftovers
from rpa_server.backends.files.writer import FileWriter
from rpa_server.backends.redis import append
from rpa_server.backends.redis.writer import RedisWriter
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from tests.support.server import RedisServer

STARTED = datetime(2026, 1, 15, 9, 30)
BEGAN = 1_768_480_200_000


def left(directory: Path, name: str = "s1", epoch: str = "aaaa", began: int = BEGAN) -> Run:
    """Leave a finished run in the files, marked as one that Redis lacks."""
    run = Run(name, epoch, STARTED, 15, began, "w1")
    run.start(STARTED)
    run.step(1, "Tela 1", STARTED)
    run.finish("success", STARTED)
    FileWriter(directory).write(run)
    leftovers.mark(directory, name)
    return run


def read(client: redis.Redis, name: str = "s1") -> SessionState | None:
    writer = RedisWriter(client)
    writer.open()
    try:
        return writer.read(name)
    finally:
        writer.close()


def test_a_marked_run_is_handed_in_once(client: redis.Redis, data_dir: Path) -> None:
    """Redis gets the run with its end, and then files and mark are gone; what Redis has of it already is not doubled."""
    run = left(data_dir)
    writer = RedisWriter(client)
    writer.open()
    writer.write(run)
    writer.close()
    left(data_dir, "s2")
    leftovers.hand_in_marked(data_dir, RedisWriter(client))
    for name in ("s1", "s2"):
        state = read(client, name)
        assert state is not None
        assert (state.seq, state.snapshot["final"]) == (3, True)
        assert [update.seq for update in state.updates] == [1, 2, 3]
    assert list(data_dir.iterdir()) == []


def test_a_run_that_is_not_the_current_one_stays_in_its_files(client: redis.Redis, data_dir: Path) -> None:
    """A newer run in Redis is left alone; the older one's mark goes, so that nobody tries again, its files stay."""
    left(data_dir)
    writer, newer = RedisWriter(client), Run("s1", "bbbb", STARTED, 15, BEGAN + 5000, "w2")
    newer.step(1, "Tela 1", STARTED)
    writer.open()
    writer.write(newer)
    writer.close()
    leftovers.hand_in_marked(data_dir, RedisWriter(client))
    state = read(client)
    assert state is not None
    assert state.epoch == "bbbb"
    assert leftovers.sessions_in(data_dir) == ["s1"]
    assert not (data_dir / ".unsent").exists()


def test_the_own_session_and_what_is_not_marked_are_left_alone(client: redis.Redis, data_dir: Path) -> None:
    """Only marked sessions are looked at, and not the one that the caller itself writes."""
    left(data_dir)
    left(data_dir, "s2")
    leftovers.unmark(data_dir, "s2")
    leftovers.hand_in_marked(data_dir, RedisWriter(client), but="s1")
    assert client.keys("*") == []
    assert leftovers.sessions_in(data_dir) == ["s1", "s2"]


def test_while_redis_is_away_everything_stays(redis_process: RedisServer, data_dir: Path) -> None:
    """If Redis can't be reached nothing is raised, and files and marks stay; hand_in() tells its caller."""
    left(data_dir)
    redis_process.kill()
    with redis_process.client() as connected:
        leftovers.hand_in_marked(data_dir, RedisWriter(connected))
        with pytest.raises(redis.ConnectionError):
            leftovers.hand_in(data_dir, ["s1"], RedisWriter(connected))
    assert leftovers.sessions_in(data_dir) == ["s1"]
    assert (data_dir / ".unsent" / "s1").exists()


def test_broken_files_stop_nobody_else(client: redis.Redis, data_dir: Path) -> None:
    """Files that can't be read cost that session alone; a mark without files goes."""
    left(data_dir)
    left(data_dir, "broken")
    for path in data_dir.glob("*_broken.json"):
        path.write_bytes(b"{")
    leftovers.mark(data_dir, "nothing")
    leftovers.hand_in_marked(data_dir, RedisWriter(client))
    assert read(client) is not None
    assert {path.name for path in (data_dir / ".unsent").iterdir()} == {"broken"}


def test_what_is_added_meanwhile_is_handed_in_too(client: redis.Redis, data_dir: Path) -> None:
    """If another writer of the run adds an update while the run is handed in, no file goes before Redis has that, too."""
    run = left(data_dir)

    class Meanwhile(RedisWriter):
        added = False

        def send(self, call: append.Call, deadline_s: float) -> None:
            super().send(call, deadline_s)
            if not self.added:
                self.added = True
                run.writer = "w2"
                run.error("tarde", "", STARTED)
                FileWriter(data_dir).write(run)

    leftovers.hand_in_marked(data_dir, Meanwhile(client))
    state = read(client)
    assert state is not None
    assert [update.data["mensagem"] for update in state.updates][-1] == "Erro: tarde"
    assert list(data_dir.iterdir()) == []
