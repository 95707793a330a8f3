"""MergedStore, over stores in memory and over a real Redis with files."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from rpa_server.backends.base import Store
from rpa_server.backends.files.store import FileStore
from rpa_server.backends.merged import MergedStore
from rpa_server.backends.redis.store import RedisStore, client
from rpa_server.errors import StorageUnavailable
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.update import Cursor
from tests.support.server import RedisServer
from tests.support.sessions import SESSION, Robot


class Shelf:
    """A store in memory.

    Attributes:
        failure: the exception that every call raises, None to raise nothing.
        appended: the runs that were stored.
        refuses: True to make append() return False, as if another writer had stored something first.
        ahead_s: what clock_ahead_s() returns.
    """

    def __init__(self, state: SessionState | None = None, names: tuple[str, ...] = ()) -> None:
        self.state = state
        self.names = list(names)
        self.failure: Exception | None = None
        self.appended: list[Run] = []
        self.refuses = False
        self.ahead_s = 0.0

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
        self._fail()
        return self.state

    async def sessions(self, limit: int) -> list[str]:
        self._fail()
        return self.names[:limit]

    async def append(self, run: Run) -> bool:
        self._fail()
        if self.refuses:
            return False
        self.appended.append(run)
        return True

    async def clock_ahead_s(self) -> float:
        self._fail()
        return self.ahead_s


def failing(error: Exception | None = None) -> Shelf:
    shelf = Shelf()
    shelf.failure = error or StorageUnavailable("on purpose")
    return shelf


def both_ways(one: Store, other: Store) -> list[MergedStore]:
    return [MergedStore([one, other]), MergedStore([other, one])]


# -- reading


async def test_the_further_state_wins() -> None:
    """Of two states of one run the one with the higher ``seq`` is returned, whichever store has it."""
    robot = Robot(steps=2)
    behind = robot.state()
    robot.steps(2)
    for store in both_ways(Shelf(behind), Shelf(robot.state())):
        state = await store.read(SESSION)
        assert state is not None
        assert (state.cursor, state.snapshot) == (Cursor("aaaa", 4), robot.run.snapshot)
        assert [update.seq for update in state.updates] == [1, 2, 3, 4]


async def test_the_later_run_wins() -> None:
    """Of two runs the one that began later is returned, however short it is."""
    old, new = Robot(steps=9), Robot("bbbb", steps=1, minute=5)
    for store in both_ways(Shelf(old.state()), Shelf(new.state())):
        state = await store.read(SESSION)
        assert state is not None
        assert state.cursor == Cursor("bbbb", 1)


async def test_histories_are_joined() -> None:
    """If one store has the first updates of a run and the other its last ones, the state has all of them."""
    robot = Robot(steps=3)
    beginning = robot.state()
    robot.steps(3)
    end = robot.state()
    end.updates = end.updates[-3:]
    for store in both_ways(Shelf(beginning), Shelf(end)):
        state = await store.read(SESSION)
        assert state is not None
        assert state.since(Cursor("aaaa", 1)) == list(robot.run.updates)[1:]


async def test_what_is_stored_is_left_as_it_was() -> None:
    """Merging modifies neither store's state, since a store may cache its state."""
    robot = Robot(steps=3)
    beginning = robot.state()
    robot.steps(3)
    end = robot.state()
    await MergedStore([Shelf(beginning), Shelf(end)]).read(SESSION)
    assert (beginning.seq, len(beginning.updates), end.seq, len(end.updates)) == (3, 3, 6, 6)


async def test_one_store_is_enough() -> None:
    """If only one store has a session, its state is returned."""
    for store in both_ways(Shelf(Robot(steps=2).state()), Shelf()):
        state = await store.read(SESSION)
        assert state is not None
        assert state.cursor == Cursor("aaaa", 2)


async def test_what_nobody_knows_is_none() -> None:
    """If neither store has a session, read() returns None."""
    assert await MergedStore([Shelf(), Shelf()]).read(SESSION) is None


async def test_a_store_that_fails_is_done_without() -> None:
    """If one store fails, the other one's state and session ids are returned."""
    for store in both_ways(failing(), Shelf(Robot(steps=2).state(), ("a", "b"))):
        state = await store.read(SESSION)
        assert state is not None
        assert state.cursor == Cursor("aaaa", 2)
        assert await store.sessions(5) == ["a", "b"]


async def test_what_could_not_be_asked_for_is_not_unknown() -> None:
    """If one store fails and the other has nothing, read() raises: the session may be in the store that failed."""
    for store in both_ways(failing(), Shelf()):
        with pytest.raises(StorageUnavailable):
            await store.read(SESSION)


async def test_without_any_store_it_is_reported() -> None:
    """If both stores fail, every call raises StorageUnavailable."""
    store = MergedStore([failing(), failing()])
    for call in (store.read(SESSION), store.sessions(5), store.append(Robot(steps=1).run), store.clock_ahead_s()):
        with pytest.raises(StorageUnavailable):
            await call


async def test_a_bug_is_not_taken_for_a_store_that_fails() -> None:
    """An exception other than StorageUnavailable is not swallowed, since it is a bug and no failing store."""
    for store in both_ways(failing(ZeroDivisionError("a bug")), Shelf(Robot(steps=2).state())):
        with pytest.raises(ZeroDivisionError):
            await store.read(SESSION)
        with pytest.raises(ZeroDivisionError):
            await store.sessions(5)


async def test_both_stores_are_asked_at_once() -> None:
    """Two slow stores are read at the same time, not one after the other."""
    meeting = asyncio.Barrier(2)

    class Slow(Shelf):
        async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
            await meeting.wait()
            return None

    async with asyncio.timeout(1):
        assert await MergedStore([Slow(), Slow()]).read(SESSION) is None


# -- the list of sessions


async def test_sessions_are_listed_once() -> None:
    """sessions() returns the ids of both stores, each once, and no more than the limit."""
    store = MergedStore([Shelf(None, ("a", "b")), Shelf(None, ("b", "c"))])
    assert await store.sessions(10) == ["a", "b", "c"]
    assert len(await store.sessions(2)) == 2


# -- writing


async def test_the_first_store_takes_it() -> None:
    """A run is appended only to the first store, as long as that one works."""
    first, second = Shelf(), Shelf()
    run = Robot(steps=1).run
    assert await MergedStore([first, second]).append(run)
    assert (first.appended, second.appended) == ([run], [])


async def test_the_second_store_takes_it_where_the_first_fails() -> None:
    """If the first store fails, the run is appended to the second one."""
    second = Shelf()
    run = Robot(steps=1).run
    assert await MergedStore([failing(), second]).append(run)
    assert second.appended == [run]


async def test_a_refusal_is_not_taken_elsewhere() -> None:
    """If another writer makes the first store refuse a run, append() returns False and the second gets nothing."""
    first, second = Shelf(), Shelf()
    first.refuses = True
    assert not await MergedStore([first, second]).append(Robot(steps=1).run)
    assert second.appended == []


async def test_the_clock_is_that_of_the_store_that_would_be_written() -> None:
    """clock_ahead_s() is the first store's, and the second one's while the first fails: that store orders a new run."""
    first, second = Shelf(), Shelf()
    first.ahead_s, second.ahead_s = 7200.0, 1.0
    store = MergedStore([first, second])
    assert await store.clock_ahead_s() == 7200.0
    first.failure = StorageUnavailable("on purpose")
    assert await store.clock_ahead_s() == 1.0


# -- real stores


async def test_a_run_that_moved_between_the_stores_is_whole(data_dir: Path, redis_process: RedisServer) -> None:
    """A run that began in Redis and continued in files is read as one run, even when Redis is down afterwards."""
    files = FileStore(data_dir)
    async with contextlib.aclosing(RedisStore(client(redis_process.url))) as redis:
        store = MergedStore([redis, files])
        robot = Robot(steps=2)
        assert await store.append(robot.run)
        robot.run = Run.resume(SESSION, robot.state())
        robot.steps(2)
        assert await files.append(robot.run)
        state = await store.read(SESSION)
        assert state is not None
        assert state.cursor == Cursor("aaaa", 4)
        assert [update.seq for update in state.updates] == [1, 2, 3, 4]
        redis_process.kill()
        state = await store.read(SESSION)
        assert state is not None
        assert state.cursor == Cursor("aaaa", 4)
