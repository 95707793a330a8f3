"""The hub: which clients are admitted, what is left after they have gone, and how it closes."""

import asyncio
import gc
import logging

import pytest

from rpa_server.delivery.hub import Hub
from rpa_server.delivery.session import Session
from rpa_server.errors import ServerFull
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.update import Cursor, Update
from tests.support.sessions import SESSION, Robot, SlowStore, Viewer, make_hub, settle


class Guest(Viewer):
    """A viewer that stays connected until its stream ends, as if a handler served it.

    Args:
        obedient: if True it leaves at restart(), like a handler whose stream ends; if False only at abort() or go().
    """

    def __init__(self, obedient: bool = True) -> None:
        super().__init__()
        self._obedient = obedient
        self._gone = asyncio.Event()

    def restart(self) -> None:
        super().restart()
        if self._obedient:
            self._gone.set()

    def abort(self) -> None:
        super().abort()
        self._gone.set()

    def go(self) -> None:
        self._gone.set()

    async def stay(self, hub: Hub, session_id: str = SESSION) -> None:
        """Watch the session as a handler does, until the stream ends."""
        with hub.visit(session_id, self) as session:
            await session.load()
            session.begin(self, None)
            await self._gone.wait()


def others() -> set[asyncio.Task[None]]:
    """Return all tasks except the test's own."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def test_nothing_is_left_behind_the_last_viewer() -> None:
    """When the last viewer has gone, neither its session nor any task remains."""
    robot = Robot(steps=2)
    hub = make_hub(SlowStore(robot.state()))
    guests = [Guest() for _ in range(3)]
    staying = [asyncio.create_task(guest.stay(hub)) for guest in guests]
    await settle()
    assert [session.session_id for session in hub.watched()] == [SESSION]
    guests[0].pending = 100_000
    hub.publish(SESSION, robot.step())
    assert hub.connections == 3
    for guest in guests:
        guest.go()
    await asyncio.gather(*staying)
    async with asyncio.timeout(1):
        while others():  # noqa: ASYNC110 - the hub's own task ends by itself
            await asyncio.sleep(0.005)
    staying.clear()
    gc.collect()
    assert hub.watched() == []
    assert hub.connections == 0


async def test_nothing_is_left_where_a_viewer_left_during_the_read() -> None:
    """Nothing remains of a viewer that disconnects during the read of the store, once the store has answered."""
    store = SlowStore(Robot(steps=2).state())
    hub = make_hub(store)
    store.hold()
    staying = asyncio.create_task(Guest().stay(hub))
    await settle()
    staying.cancel()
    del staying  # the exception's traceback refers to the session
    store.release()
    await settle()
    gc.collect()
    assert hub.watched() == []
    assert others() == set()
    assert hub.connections == 0


async def test_the_session_lives_as_long_as_somebody_watches() -> None:
    """If one of two viewers leaves, the other one keeps the session and gets its updates."""
    robot = Robot(steps=2)
    hub = make_hub(SlowStore(robot.state()))
    leaving, staying = Guest(), Guest()
    tasks = [asyncio.create_task(guest.stay(hub)) for guest in (leaving, staying)]
    await settle()
    leaving.go()
    await tasks[0]
    gc.collect()
    hub.publish(SESSION, robot.step())
    assert staying.seqs == [3]
    staying.go()
    await tasks[1]


async def test_what_nobody_watches_costs_nothing() -> None:
    """Updates of sessions that nobody watches are dropped: no session, no read, no task."""
    store = SlowStore()
    hub = make_hub(store)
    hub.publish(SESSION, Robot().step())
    hub.changed(SESSION)
    hub.all_changed()
    await settle()
    assert hub.watched() == []
    assert store.reads == 0
    assert others() == set()


async def test_an_update_reaches_its_own_session_only() -> None:
    """An update reaches the viewers of its session and no viewer of another one."""
    robot = Robot()
    store = SlowStore()
    hub = make_hub(store)
    here, there = Guest(), Guest()
    tasks = [asyncio.create_task(here.stay(hub)), asyncio.create_task(there.stay(hub, "other"))]
    await settle()
    update = robot.step()
    store.stored = robot.state()
    hub.publish(SESSION, update)
    await settle()
    assert here.seqs == [1]
    assert there.seqs == []
    await hub.close()
    await asyncio.gather(*tasks)


async def test_all_changed_reads_every_watched_session() -> None:
    """all_changed() reads every watched session again, for messages that a broken subscription missed."""
    robot = Robot(steps=1)
    store = SlowStore(robot.state())
    hub = make_hub(store)
    guest = Guest()
    task = asyncio.create_task(guest.stay(hub))
    await settle()
    robot.steps(2)
    store.stored = robot.state()
    hub.all_changed()
    await settle()
    assert guest.check() == Cursor("aaaa", 3)
    guest.go()
    await task


# -- room for clients


async def test_a_full_server_refuses() -> None:
    """A connection beyond the limit is refused and creates no session; after one has left, the next is admitted."""
    hub = make_hub(SlowStore(), most=2)
    with hub.visit("a", Viewer()), hub.visit("a", Viewer()):
        with pytest.raises(ServerFull), hub.visit("b", Viewer()):
            pass
        assert hub.connections == 2
        gc.collect()
        assert [session.session_id for session in hub.watched()] == ["a"]
    with hub.visit("b", Viewer()):
        assert hub.connections == 1


async def test_a_handler_that_fails_gives_its_room_back() -> None:
    """If a handler raises, its connection no longer counts, and its client has left the session."""
    hub = make_hub(SlowStore())
    kept: list[Session] = []
    with pytest.raises(ZeroDivisionError), hub.visit(SESSION, Viewer()) as session:
        kept.append(session)
        raise ZeroDivisionError
    assert hub.connections == 0
    assert kept[0].clients() == []


# -- failures in the background


async def test_a_task_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The exception of a background task is logged, not lost."""

    async def work() -> None:
        raise ZeroDivisionError("on purpose")

    make_hub(SlowStore()).tasks.spawn(work())
    await settle()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "on purpose" in caplog.text


async def test_a_store_that_is_down_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """A store that fails for 50 sessions makes one line in the log, not one per session."""
    store = SlowStore()
    store.failing = True
    hub = make_hub(store)
    kept = [hub.session(f"s{number}") for number in range(50)]
    hub.all_changed()
    await settle()
    assert len(kept) == store.reads == 50
    assert len(caplog.records) == 1


async def test_a_bug_in_one_read_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception during a read is logged, and the next read works."""
    robot = Robot(steps=1)
    calls: list[str] = []

    class Buggy(SlowStore):
        async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
            calls.append(session_id)
            if len(calls) == 2:
                raise ZeroDivisionError("on purpose")
            return robot.state()

    hub = make_hub(Buggy())
    guest = Guest()
    task = asyncio.create_task(guest.stay(hub))
    await settle()
    robot.step()
    for _ in range(2):
        hub.changed(SESSION)
        await settle()
    assert guest.check() == Cursor("aaaa", 2)
    assert "on purpose" in caplog.text
    guest.go()
    await task


# -- the end


async def test_closing_tells_everyone_to_come_back() -> None:
    """close() calls restart() once on every client, lagging ones included; afterwards no client is admitted."""
    robot = Robot(steps=1)
    store = SlowStore(robot.state())
    hub = make_hub(store)
    watching, lagging, other = Guest(), Guest(), Guest()
    tasks = [asyncio.create_task(guest.stay(hub)) for guest in (watching, lagging)]
    tasks.append(asyncio.create_task(other.stay(hub, "other")))
    await settle()
    lagging.pending = 100_000
    hub.publish(SESSION, robot.step())
    began = asyncio.get_running_loop().time()
    await hub.close()
    assert asyncio.get_running_loop().time() - began < 0.5
    assert all(guest.count("restart") == 1 for guest in (watching, lagging, other))
    await asyncio.gather(*tasks)
    with pytest.raises(ServerFull), hub.visit(SESSION, Viewer()):
        pass
    assert others() == set()


async def test_closing_reaches_who_is_still_joining() -> None:
    """A viewer whose state is still being read does not delay close()."""
    store = SlowStore(Robot(steps=1).state())
    hub = make_hub(store)
    store.hold()
    guest = Guest()
    task = asyncio.create_task(guest.stay(hub))
    await settle()
    async with asyncio.timeout(2):
        await hub.close()
        await asyncio.gather(task, return_exceptions=True)
    assert hub.connections == 0


async def test_who_stays_is_aborted() -> None:
    """A client that does not leave after restart() is aborted within 2 s."""
    hub = make_hub(SlowStore())
    guest = Guest(obedient=False)
    task = asyncio.create_task(guest.stay(hub))
    await settle()
    async with asyncio.timeout(2):
        await hub.close()
        await task
    assert (guest.count("restart"), guest.count("abort")) == (1, 1)


async def test_closing_twice_is_closing_once() -> None:
    """A second close(), at the same time or later, does nothing and does not fail."""
    hub = make_hub(SlowStore())
    guest = Guest()
    task = asyncio.create_task(guest.stay(hub))
    await settle()
    await asyncio.gather(hub.close(), hub.close())
    await task
    await hub.close()
    assert guest.count("restart") == 1


async def test_closing_an_unused_hub_is_quick() -> None:
    """Without viewers close() takes less than 0.1 s."""
    async with asyncio.timeout(0.1):
        await make_hub(SlowStore()).close()


async def test_nothing_is_sent_behind_the_close_frame() -> None:
    """After restart() a client gets no more updates, which would follow its close frame."""
    robot = Robot(steps=1)
    hub = make_hub(SlowStore(robot.state()))
    guest = Guest(obedient=False)
    task = asyncio.create_task(guest.stay(hub))
    await settle()
    closing = asyncio.create_task(hub.close())
    await settle()
    hub.publish(SESSION, robot.step())
    guest.go()
    await asyncio.gather(task, closing)
    assert [kind for kind, _ in guest.got][:2] == ["sync", "restart"]
    assert guest.seqs == []


# -- counters


async def test_the_figures_count_what_happened() -> None:
    """``delivered`` counts each update once for each client that got it, at once or after lagging."""
    robot = Robot(steps=1)
    hub = make_hub(SlowStore(robot.state()))
    quick, slow = Guest(), Guest()
    tasks = [asyncio.create_task(guest.stay(hub)) for guest in (quick, slow)]
    await settle()
    slow.pending = 100_000
    updates: list[Update] = robot.steps(3)
    for update in updates:
        hub.publish(SESSION, update)
    assert hub.counters.delivered == 3
    slow.pending = 0
    hub.session(SESSION).catch_up(0.0)
    assert hub.counters.delivered == 6
    await hub.close()
    await asyncio.gather(*tasks)
