"""SessionCounts: how many sessions there are, by ``estado``."""

import asyncio

from rpa_server.errors import StorageUnavailable
from rpa_server.legacy.session_counts import SessionCounts
from rpa_server.progress.documents import from_history
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from tests.support import recordings


class Shelf:
    """A store that contains recorded runs.

    Attributes:
        states: the stored states, by session.
        reads: how often a session was read.
        pause_s: seconds that one read takes.
        away: if True every call fails.
    """

    def __init__(self, *names: str) -> None:
        self.states = {name: from_history(name, recordings.ALL[name]) for name in names}
        self.reads = 0
        self.pause_s = 0.0
        self.away = False

    async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
        self.reads += 1
        await asyncio.sleep(self.pause_s)
        if self.away:
            raise StorageUnavailable("The test's store is down.")
        return self.states.get(session_id)

    async def sessions(self, limit: int) -> list[str]:
        if self.away:
            raise StorageUnavailable("The test's store is down.")
        return list(self.states)[:limit]

    async def append(self, run: Run) -> bool:
        raise NotImplementedError

    async def clock_ahead_s(self) -> float:
        raise NotImplementedError


class Clock:
    """A clock that the test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def test_every_session_is_counted_by_what_became_of_it() -> None:
    """Sessions are counted by ``estado``; a run silent for too long is not counted as ``executando``."""
    shelf, clock = Shelf("success", "hiccup", "manual", "interrupted", "stuck", "failed_without_end"), Clock()
    shelf.states["stuck"].written_s = clock.now_s - 10
    shelf.states["failed_without_end"].written_s = clock.now_s - 31
    count = await SessionCounts(shelf, clock).count()
    assert count == {"sucesso": 2, "cotacao_manual": 1, "erro": 2, "executando": 1}


async def test_asking_often_costs_nothing() -> None:
    """Within 10 s a count is returned again without a read, since many dashboards ask every five seconds."""
    shelf, clock = Shelf("success", "manual"), Clock()
    counts = SessionCounts(shelf, clock)
    for _ in range(5):
        await counts.count()
    assert shelf.reads == 2
    clock.now_s += 11
    await counts.count()
    assert shelf.reads == 4


async def test_nobody_waits_for_a_long_count() -> None:
    """While a count takes long, callers get its partial result if it is the first, else the last complete count."""
    shelf, clock = Shelf("success", "manual", "stuck"), Clock()
    shelf.pause_s = 0.02
    counts = SessionCounts(shelf, clock)
    first = sum((await counts.count()).values())
    assert first < 3
    assert counts._task is not None
    await counts._task
    assert sum((await counts.count()).values()) == 3
    clock.now_s += 11
    assert sum((await counts.count()).values()) == 3
    await counts.close()


async def test_the_last_count_stands_while_no_store_answers() -> None:
    """While no store answers, count() returns the last complete count, or nothing if there was none."""
    shelf, clock = Shelf("success"), Clock()
    shelf.away = True
    counts = SessionCounts(shelf, clock)
    assert await counts.count() == {}
    shelf.away = False
    assert await counts.count() == {"sucesso": 1}
    shelf.away, clock.now_s = True, clock.now_s + 11
    assert await counts.count() == {"sucesso": 1}


async def test_closing_ends_a_count_and_can_be_done_twice() -> None:
    """close() ends a running count, so that no task outlives the server; a second close() does nothing."""
    shelf = Shelf("success")
    shelf.pause_s = 10.0
    counts = SessionCounts(shelf, Clock())
    await counts.count()
    await counts.close()
    await counts.close()
