"""How many sessions there are, by what has become of them."""

import asyncio

from rpa_server.errors import StorageUnavailable
from rpa_server.legacy.session_counts import SessionCounts
from rpa_server.progress.documents import from_history
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from tests.support import recordings


class Shelf:
    """A store of recorded runs.

    Attributes:
        reads: how many were read.
        pause_s: how long a read takes.
    """

    def __init__(self, *names: str) -> None:
        self.held = {name: from_history(name, recordings.ALL[name]) for name in names}
        self.reads = 0
        self.pause_s = 0.0
        self.away = False

    async def read(self, session_id: str) -> SessionState | None:
        self.reads += 1
        await asyncio.sleep(self.pause_s)
        if self.away:
            raise StorageUnavailable("The test's store is down.")
        return self.held.get(session_id)

    async def sessions(self, limit: int) -> list[str]:
        if self.away:
            raise StorageUnavailable("The test's store is down.")
        return list(self.held)[:limit]

    async def append(self, run: Run) -> bool:
        raise NotImplementedError


class Clock:
    """A time that the test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def test_every_session_is_counted_by_what_became_of_it() -> None:
    """A robot that is silent for too long is not running."""
    shelf, clock = Shelf("success", "hiccup", "manual", "interrupted", "stuck", "failed_without_end"), Clock()
    shelf.held["stuck"].written_s = clock.now_s - 10
    shelf.held["failed_without_end"].written_s = clock.now_s - 31
    count = await SessionCounts(shelf, clock).count()
    assert count == {"sucesso": 2, "cotacao_manual": 1, "erro": 2, "executando": 1}


async def test_asking_often_costs_nothing() -> None:
    """A dashboard asks every five seconds, and there may be many."""
    shelf, clock = Shelf("success", "manual"), Clock()
    census = SessionCounts(shelf, clock)
    for _ in range(5):
        await census.count()
    assert shelf.reads == 2
    clock.now_s += 11
    await census.count()
    assert shelf.reads == 4


async def test_nobody_waits_for_a_long_count() -> None:
    """Who asks meanwhile is told how far it is, then what the last one found."""
    shelf, clock = Shelf("success", "manual", "stuck"), Clock()
    shelf.pause_s = 0.02
    census = SessionCounts(shelf, clock)
    first = sum((await census.count()).values())
    assert first < 3
    assert census._task is not None
    await census._task
    assert sum((await census.count()).values()) == 3
    clock.now_s += 11
    assert sum((await census.count()).values()) == 3
    await census.close()


async def test_the_last_count_stands_while_no_store_answers() -> None:
    """And before there is one, nothing is known."""
    shelf, clock = Shelf("success"), Clock()
    shelf.away = True
    census = SessionCounts(shelf, clock)
    assert await census.count() == {}
    shelf.away = False
    assert await census.count() == {"sucesso": 1}
    shelf.away, clock.now_s = True, clock.now_s + 11
    assert await census.count() == {"sucesso": 1}


async def test_closing_ends_a_count_and_can_be_done_twice() -> None:
    """At shutdown nothing is left over."""
    shelf = Shelf("success")
    shelf.pause_s = 10.0
    census = SessionCounts(shelf, Clock())
    await census.count()
    await census.close()
    await census.close()
