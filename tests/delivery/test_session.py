"""One session: what each client gets of a run, whatever happens to messages, reads and clients."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server.backends.redis.names import channel
from rpa_server.delivery.audience import STALL_S
from rpa_server.delivery.session import GRACE_S, PATIENCE_S, Session
from rpa_server.errors import StorageUnavailable
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.update import HISTORY, START, Cursor, Update
from rpa_server.watchers.feed import Feed
from tests.support.examples import examples
from tests.support.sessions import SESSION, ManualClock, Robot, SlowStore, Viewer, make_hub, settle, watch

# -- joining


async def test_a_joiner_gets_what_is_published_while_the_store_is_read() -> None:
    """A client gets each update published between join() and begin() exactly once."""
    robot = Robot(steps=2)
    store = SlowStore(robot.state())
    session = make_hub(store).session(SESSION)
    store.hold()
    joining = asyncio.create_task(watch(session, Viewer()))
    await settle()
    for update in robot.steps(3):
        session.publish(update)
    store.stored = robot.state()
    store.release()
    viewer = await joining
    await settle()
    assert viewer.check() == Cursor("aaaa", 5)
    assert session.state is not None and session.state.snapshot == robot.run.snapshot


async def test_a_joiner_gets_unnumbered_updates_that_come_while_the_store_is_read() -> None:
    """A client gets each unnumbered update published between join() and begin() exactly once."""
    store = SlowStore(Robot(steps=2).state())
    session = make_hub(store).session(SESSION)
    store.hold()
    joining = asyncio.create_task(watch(session, Viewer()))
    await settle()
    session.publish(unnumbered("Tela 3"))
    store.release()
    viewer = await joining
    session.publish(unnumbered("Tela 4"))
    assert viewer.texts == ["Tela 3", "Tela 4"]


def unnumbered(text: str) -> Update:
    """Make an update as feed.unnumbered_update does."""
    return Update(b'{"type":"progress_update","mensagem":"%b"}' % text.encode(), None, 0, False)


async def test_many_joiners_share_one_read() -> None:
    """Fifty viewers that come at once cause one read of the store."""
    store = SlowStore(Robot(steps=2).state())
    session = make_hub(store).session(SESSION)
    viewers = await asyncio.gather(*(watch(session, Viewer()) for _ in range(50)))
    assert store.reads == 1
    assert all(viewer.got == [("sync", Cursor("aaaa", 2))] for viewer in viewers)


async def test_a_joiner_that_is_cancelled_does_not_stop_the_read_of_the_others() -> None:
    """A viewer that leaves during the read of the store does not cancel the read for others."""
    store = SlowStore(Robot(steps=2).state())
    session = make_hub(store).session(SESSION)
    store.hold()
    leaving, staying = (asyncio.create_task(watch(session, Viewer())) for _ in range(2))
    await settle()
    leaving.cancel()
    await settle()
    store.release()
    assert (await staying).check() == Cursor("aaaa", 2)


async def test_an_unknown_session_is_synced_with_nothing() -> None:
    """Before anybody has written a session, its first message has no position and is not recovered."""
    viewer = await watch(make_hub(SlowStore()).session(SESSION), Viewer(), START)
    assert viewer.got == [("sync", None)]
    assert viewer.recovered is False


async def test_the_first_update_reaches_who_waits_for_it() -> None:
    """A viewer of a session that does not exist yet gets every update of its run from the first one on."""
    robot, store = Robot(), SlowStore()
    session = make_hub(store).session(SESSION)
    viewer = await watch(session, Viewer())
    for update in robot.steps(3):
        store.stored = robot.state()
        session.publish(update)
    await settle()
    assert viewer.seqs == [1, 2, 3]


@pytest.mark.parametrize("seq", range(6))
async def test_a_known_cursor_is_continued(seq: int) -> None:
    """After a known cursor the client gets every later update, each once, in order."""
    store = SlowStore(Robot(steps=5).state())
    cursor = Cursor("aaaa", seq) if seq else START
    viewer = await watch(make_hub(store).session(SESSION), Viewer(), cursor)
    assert viewer.recovered is True
    assert viewer.seqs == list(range(seq + 1, 6))
    assert viewer.check() == Cursor("aaaa", 5)


@pytest.mark.parametrize("cursor", [Cursor("bbbb", 3), Cursor("aaaa", 6), Cursor("bbbb", 0)])
async def test_a_cursor_that_proves_nothing_gets_the_snapshot(cursor: Cursor) -> None:
    """A cursor of another run, or one that is ahead, is not recovered: the client gets the snapshot."""
    store = SlowStore(Robot(steps=5).state())
    viewer = await watch(make_hub(store).session(SESSION), Viewer(), cursor)
    assert viewer.got == [("sync", Cursor("aaaa", 5))]
    assert viewer.recovered is False


async def join_in_vain(session: Session, store: SlowStore) -> Viewer:
    """Let a viewer join, and the load fail, while no store answers; return the viewer."""
    store.failing = True
    viewer = Viewer()
    session.join(viewer)
    with pytest.raises(StorageUnavailable):
        await session.load()
    return viewer


async def test_a_store_that_fails_is_reported_and_asked_again() -> None:
    """While no store answers load() raises StorageUnavailable; the next load() reads again."""
    store = SlowStore(Robot(steps=2).state())
    session = make_hub(store).session(SESSION)
    viewer = await join_in_vain(session, store)
    store.failing = False
    await session.load()
    session.begin(viewer, None)
    assert viewer.got == [("sync", Cursor("aaaa", 2))]


async def test_who_began_without_a_store_gets_the_state_once_it_answers() -> None:
    """A stream opened while no store answered is brought up to date by the first successful read."""
    store = SlowStore(Robot(steps=2).state())
    session = make_hub(store).session(SESSION)
    viewer = await join_in_vain(session, store)
    session.begin(viewer, None)
    store.failing = False
    session.changed()
    await settle()
    assert viewer.check() == Cursor("aaaa", 2)


async def test_who_comes_back_while_no_store_answers_gets_the_state_once_one_does() -> None:
    """A client with a cursor gets nothing until a store answers: an empty start would make old updates look new."""
    robot = Robot(steps=5)
    store = SlowStore(robot.state())
    session = make_hub(store).session(SESSION)
    viewer = await join_in_vain(session, store)
    session.begin(viewer, Cursor("aaaa", 3))
    assert viewer.got == []
    store.failing = False
    session.changed()
    await settle()
    assert viewer.got == [("sync", Cursor("aaaa", 3)), ("update", Cursor("aaaa", 4)), ("update", Cursor("aaaa", 5))]


@pytest.mark.parametrize("returns", [True, False])
async def test_who_comes_back_to_a_run_that_redis_lost_waits_a_while_for_it(returns: bool) -> None:
    """A client whose run no store has gets an empty start, unless the robot stores the run again within PATIENCE_S."""
    clock = ManualClock()
    robot = Robot(steps=5)
    store = SlowStore()
    session = make_hub(store, clock=clock).session(SESSION)
    viewer = await watch(session, Viewer(), Cursor("aaaa", 4))
    assert viewer.got == []
    if returns:
        store.stored = robot.state()
        session.changed()
        await settle()
        assert viewer.got == [("sync", Cursor("aaaa", 4)), ("update", Cursor("aaaa", 5))]
    clock.advance(PATIENCE_S)
    assert viewer.count("sync") == 1
    assert viewer.recovered is returns


# -- delivery


async def test_updates_are_delivered_once_and_in_order() -> None:
    """Every update reaches every client once, in order, without another read of the store."""
    robot = Robot(steps=2)
    store = SlowStore(robot.state())
    hub = make_hub(store)
    session = hub.session(SESSION)
    viewers = [await watch(session, Viewer()) for _ in range(3)]
    for update in robot.steps(20):
        hub.publish(SESSION, update)
    assert all(viewer.seqs == list(range(3, 23)) for viewer in viewers)
    assert store.reads == 1
    assert hub.counters.delivered == 60


async def test_a_duplicate_is_dropped() -> None:
    """An update that was seen is not delivered again, however old it is."""
    robot = Robot(steps=2)
    store = SlowStore(robot.state())
    session = make_hub(store).session(SESSION)
    viewer = await watch(session, Viewer())
    updates = robot.steps(3)
    for update in (*updates, updates[2], updates[0], robot.run.updates[0]):
        session.publish(update)
    await settle()
    assert viewer.seqs == [3, 4, 5]
    assert store.reads == 1


async def test_a_hole_is_filled_from_the_store() -> None:
    """If a message was lost, its update is read from the store, and every client gets all updates in order."""
    robot = Robot(steps=1)
    store = SlowStore(robot.state())
    session = make_hub(store).session(SESSION)
    viewer = await watch(session, Viewer())
    robot.step()  # not published: a lost message
    update = robot.step()
    store.stored = robot.state()
    session.publish(update)
    await settle()
    assert viewer.seqs == [2, 3]
    assert viewer.count("reset") == 0


async def test_what_comes_while_a_hole_is_filled_follows_it() -> None:
    """Updates that arrive while the store is read because of a gap are delivered after the missing ones."""
    robot = Robot(steps=1)
    store = SlowStore(robot.state())
    session = make_hub(store).session(SESSION)
    viewer = await watch(session, Viewer())
    store.hold()
    robot.step()  # not published: a lost message
    third = robot.step()
    store.stored = robot.state()
    session.publish(third)
    await settle()
    for update in robot.steps(4):
        session.publish(update)
    assert viewer.seqs == []
    store.stored = robot.state()
    store.release()
    await settle()
    assert viewer.seqs == [2, 3, 4, 5, 6, 7]
    assert viewer.count("reset") == 0


async def test_a_hole_stays_known_while_the_store_is_down() -> None:
    """If the read after a gap fails, the next update causes another read, and nothing is lost."""
    robot = Robot(steps=1)
    store = SlowStore(robot.state())
    session = make_hub(store).session(SESSION)
    viewer = await watch(session, Viewer())
    store.failing = True
    robot.step()  # not published: a lost message
    session.publish(robot.step())
    await settle()
    assert viewer.seqs == []
    store.failing = False
    update = robot.step()
    store.stored = robot.state()
    session.publish(update)
    await settle()
    assert viewer.seqs == [2, 3, 4]


async def test_a_read_that_is_overtaken_changes_nothing() -> None:
    """A read that began before updates arrived causes neither a reset nor a repeated update."""
    robot = Robot(steps=3)
    store = SlowStore(robot.state())
    session = make_hub(store).session(SESSION)
    viewer = await watch(session, Viewer())
    store.hold()
    session.changed()
    await settle()
    for update in robot.steps(2):
        session.publish(update)
    store.release()
    await settle()
    assert viewer.got == [("sync", Cursor("aaaa", 3)), ("update", Cursor("aaaa", 4)), ("update", Cursor("aaaa", 5))]
    assert session.cursor == Cursor("aaaa", 5)


@pytest.mark.parametrize("stored", [False, True])
async def test_an_update_that_no_store_ever_holds_does_not_read_for_ever(stored: bool) -> None:
    """An update that no store has (an evicted key, another database) causes a few reads, not a loop."""
    store = SlowStore(Robot(steps=2).state() if stored else None)
    session = make_hub(store).session(SESSION)
    await watch(session, Viewer())
    session.publish(Robot("bbbb", steps=9).step())
    for _ in range(10):
        await settle()
    assert store.reads < 10


async def test_an_update_that_no_store_holds_keeps_nobody_from_joining() -> None:
    """A viewer that joins while an update that no store has is pending is synced nevertheless."""
    store = SlowStore(None)
    session = make_hub(store).session(SESSION)
    store.hold()
    joining = asyncio.create_task(watch(session, Viewer()))
    await settle()
    session.publish(Robot("bbbb", steps=9).step())
    store.release()
    for _ in range(10):
        await settle()
    done = joining.done()
    joining.cancel()
    assert done


async def test_a_late_update_of_the_run_before_is_dropped() -> None:
    """An update of the previous run is not delivered, and causes a few reads at most, not a loop."""
    old, new = Robot(steps=4), Robot("bbbb", steps=2, minute=5)
    store = SlowStore(new.state())
    session = make_hub(store).session(SESSION)
    viewer = await watch(session, Viewer())
    session.publish(old.step())
    for _ in range(10):
        await settle()
    assert viewer.got == [("sync", Cursor("bbbb", 2))]
    assert store.reads < 10


async def test_a_new_run_is_one_reset() -> None:
    """A new run resets every client once; the run's updates follow the reset."""
    old, new = Robot(steps=4), Robot("bbbb", minute=5)
    store = SlowStore(old.state())
    session = make_hub(store).session(SESSION)
    viewers = [await watch(session, Viewer()) for _ in range(2)]
    for _ in range(5):
        update = new.step()
        store.stored = new.state()
        session.publish(update)
    await settle()
    for viewer in viewers:
        assert viewer.count("reset") == 1
        assert viewer.check() == Cursor("bbbb", 5)


async def test_a_gap_in_the_history_is_one_reset() -> None:
    """If the store's history does not reach back to what clients know, they are reset once."""
    robot = Robot(steps=3)
    store = SlowStore(robot.state())
    session = make_hub(store).session(SESSION)
    viewer = await watch(session, Viewer())
    robot.steps(10)
    state = robot.state()
    state.updates = state.updates[-4:]
    store.stored = state
    session.changed()
    await settle()
    assert viewer.got == [("sync", Cursor("aaaa", 3)), ("reset", Cursor("aaaa", 13))]


async def test_snapshots_without_a_history_are_updates() -> None:
    """For a writer without a history each newer snapshot is the next update, however far its number jumps."""

    def snapshot(seq: int) -> SessionState:
        robot = Robot("s123", steps=1)
        update = Update(robot.run.updates[0].raw.replace(b'"seq":1,', b'"seq":%d,' % seq), "s123", seq, False)
        return SessionState("s123", seq, robot.run.snapshot.copy(), [update], sparse=True)

    store = SlowStore(snapshot(1))
    session = make_hub(store).session(SESSION)
    viewer = await watch(session, Viewer())
    for seq in (500_001, 500_001, 900_000):
        store.stored = snapshot(seq)
        session.changed()
        await settle()
    assert viewer.got == [("sync", Cursor("s123", 1)), *(("update", Cursor("s123", n)) for n in (500_001, 900_000))]


async def test_more_updates_than_are_kept_may_come_while_the_store_is_read() -> None:
    """If more updates arrive during a read than are kept, the client reaches the last one without a silent gap."""
    robot, store = Robot(steps=1), SlowStore()
    store.stored = robot.state()
    session = make_hub(store).session(SESSION)
    viewer = await watch(session, Viewer())
    store.hold()
    session.changed()
    robot.step()  # not published: a lost message
    await settle()
    for update in robot.steps(HISTORY + 50):
        session.publish(update)
    store.stored = robot.state()
    store.release()
    await settle()
    assert viewer.check() == Cursor("aaaa", HISTORY + 52)


async def test_the_snapshot_is_folded_up_to_date() -> None:
    """After any number of updates the snapshot equals the robot's."""
    robot = Robot(steps=1)
    session = make_hub(SlowStore(robot.state())).session(SESSION)
    await watch(session, Viewer())
    first = robot.run.error("Placa recusada", "", robot.run_time())  # the snapshot has it, but the last 500 updates don't
    for update in (first, *robot.steps(2 * HISTORY + 7)):
        session.publish(update)
    state = session.state
    assert state is not None
    assert state.snapshot == robot.run.snapshot
    assert state.since(Cursor("aaaa", state.seq - HISTORY)) == list(robot.run.updates)


async def test_a_resumed_client_needs_no_store() -> None:
    """A client that returns to a watched session is continued from memory."""
    robot = Robot(steps=2)
    store = SlowStore(robot.state())
    session = make_hub(store).session(SESSION)
    await watch(session, Viewer())
    for update in robot.steps(10):
        session.publish(update)
    viewer = await watch(session, Viewer(), Cursor("aaaa", 5))
    assert viewer.seqs == [6, 7, 8, 9, 10, 11, 12]
    assert store.reads == 1


# -- clients that lag


async def test_a_lagging_client_catches_up_in_order() -> None:
    """A lagging client gets every update once it has accepted what is pending; others are served meanwhile."""
    robot = Robot(steps=1)
    hub = make_hub(SlowStore(robot.state()))
    session = hub.session(SESSION)
    slow, quick = await watch(session, Viewer()), await watch(session, Viewer())
    slow.pending = 100_000
    for update in robot.steps(20):
        session.publish(update)
    assert slow.seqs == []
    assert quick.seqs == list(range(2, 22))
    slow.pending = 0
    async with asyncio.timeout(1):
        while not slow.seqs:  # noqa: ASYNC110 - the hub's own task serves it
            await asyncio.sleep(0.005)
    session.publish(robot.step())
    assert slow.seqs == quick.seqs == list(range(2, 23))
    assert hub.counters.aborted == hub.counters.resets == 0


async def test_a_client_that_lags_too_far_is_reset_once() -> None:
    """A client that lags further than the kept updates reach gets one reset, and then the following updates."""
    robot = Robot(steps=1)
    hub = make_hub(SlowStore(robot.state()))
    session = hub.session(SESSION)
    slow = await watch(session, Viewer())
    slow.pending = 100_000
    for update in robot.steps(HISTORY + 100):
        session.publish(update)
    slow.pending = 0
    session.catch_up(0.0)
    session.publish(robot.step())
    assert slow.got[1:] == [("reset", Cursor("aaaa", HISTORY + 101)), ("update", Cursor("aaaa", HISTORY + 102))]
    assert hub.counters.resets == 1


async def test_a_stalled_client_is_aborted() -> None:
    """A client that accepts nothing for STALL_S is aborted, not 0.1 s earlier; the others get their updates."""
    robot = Robot(steps=1)
    clock = ManualClock()
    hub = make_hub(SlowStore(robot.state()), clock=clock)
    session = hub.session(SESSION)
    stalled, quick = await watch(session, Viewer()), await watch(session, Viewer())
    stalled.pending = 100_000
    session.publish(robot.step())
    assert session.catch_up(clock.now_s + STALL_S - 0.1) is True
    assert stalled.count("abort") == 0
    assert session.catch_up(clock.now_s + STALL_S) is False
    session.publish(robot.step())
    assert stalled.got[1:] == [("abort", None)]
    assert quick.seqs == [2, 3]
    assert hub.counters.aborted == 1


async def test_a_slow_client_is_not_a_stalled_one() -> None:
    """A lagging client that accepts some bytes within every STALL_S is never aborted, however long it takes."""
    robot = Robot(steps=1)
    clock = ManualClock()
    hub = make_hub(SlowStore(robot.state()), clock=clock)
    session = hub.session(SESSION)
    slow = await watch(session, Viewer())
    slow.pending = 100_000
    session.publish(robot.step())
    for _ in range(20):
        slow.pending -= 1000
        clock.now_s += STALL_S - 1
        assert session.catch_up(clock.now_s) is True
    slow.pending = 0
    session.catch_up(clock.now_s)
    assert slow.seqs == [2]
    assert hub.counters.aborted == 0


async def test_the_hub_aborts_who_stalls() -> None:
    """The hub's own task aborts a stalled client, even if nothing more is published."""
    robot = Robot(steps=1)
    clock = ManualClock()
    hub = make_hub(SlowStore(robot.state()), clock=clock)
    session = hub.session(SESSION)
    stalled = await watch(session, Viewer())
    stalled.pending = 100_000
    session.publish(robot.step())
    clock.now_s += STALL_S
    async with asyncio.timeout(1):
        while not hub.counters.aborted:  # noqa: ASYNC110 - the hub's own task aborts it
            await asyncio.sleep(0.005)
    assert session.clients() == []


async def test_who_lags_gets_what_a_read_found() -> None:
    """Updates that a read found reach lagging clients, too, even if all clients lag."""
    robot = Robot(steps=1)
    store = SlowStore(robot.state())
    session = make_hub(store).session(SESSION)
    slow = await watch(session, Viewer())
    slow.pending = 100_000
    session.publish(robot.step())
    robot.steps(3)  # not published: a lost message
    store.stored = robot.state()
    session.changed()
    await settle()
    slow.pending = 0
    session.catch_up(0.0)
    session.publish(robot.step())
    await settle()
    assert slow.check() == Cursor("aaaa", 6)


async def test_who_lags_is_reset_by_a_new_run() -> None:
    """A new run reaches a lagging client as one reset; the rest of the old run does not follow."""
    old, new = Robot(steps=1), Robot("bbbb", steps=1, minute=5)
    store = SlowStore(old.state())
    session = make_hub(store).session(SESSION)
    slow = await watch(session, Viewer())
    slow.pending = 100_000
    for update in old.steps(3):
        session.publish(update)
    store.stored = new.state()
    session.publish(new.run.updates[-1])
    await settle()
    slow.pending = 0
    session.catch_up(0.0)
    session.publish(new.step())
    assert slow.got[1:] == [("reset", Cursor("bbbb", 1)), ("update", Cursor("bbbb", 2))]


# -- leaving


async def test_a_client_may_leave_in_any_state() -> None:
    """A client may leave before beginning, afterwards, while lagging, twice, and without having joined."""
    robot = Robot(steps=1)
    session = make_hub(SlowStore(robot.state())).session(SESSION)
    joining, watching, lagging = Viewer(), Viewer(), Viewer()
    session.join(joining)
    await watch(session, watching)
    await watch(session, lagging)
    lagging.pending = 100_000
    session.publish(robot.step())
    assert set(session.clients()) == {joining, watching, lagging}
    for viewer in (joining, watching, lagging, lagging, Viewer()):
        session.leave(viewer)
    assert session.clients() == []
    lagging.pending = 0
    session.publish(robot.step())
    assert session.catch_up(1e9) is False
    assert joining.got == []
    assert watching.seqs == [2]
    assert lagging.seqs == []


async def test_a_client_may_leave_while_an_update_is_delivered() -> None:
    """A client that leaves while an update is written to it keeps no other client from getting updates."""
    robot = Robot(steps=1)
    session = make_hub(SlowStore(robot.state())).session(SESSION)
    last = Viewer()

    class Leaver(Viewer):
        def write(self, frame: bytes) -> bool:
            session.leave(self)
            return super().write(frame)

    await watch(session, Leaver())
    await watch(session, last)
    for update in robot.steps(2):
        session.publish(update)
    assert last.seqs == [2, 3]
    assert session.clients() == [last]


# -- the end


async def test_streams_end_a_grace_behind_the_final_update() -> None:
    """Updates within GRACE_S after the final one are still delivered; then every stream ends."""
    clock = ManualClock()
    robot = Robot(steps=1)
    session = make_hub(SlowStore(robot.state()), clock=clock).session(SESSION)
    viewer = await watch(session, Viewer())
    session.publish(robot.finish())
    session.publish(robot.step())
    assert viewer.count("finish") == 0
    await settle()
    clock.advance(GRACE_S)
    assert viewer.got[1:] == [("update", Cursor("aaaa", 2)), ("update", Cursor("aaaa", 3)), ("finish", None)]
    assert session.final


async def test_who_comes_behind_the_end_gets_the_state_and_then_the_end() -> None:
    """A client that joins after the end gets what it lacks, and GRACE_S later the end of its stream."""
    clock = ManualClock()
    robot = Robot(steps=1)
    robot.finish()
    session = make_hub(SlowStore(robot.state()), clock=clock).session(SESSION)
    viewer = await watch(session, Viewer(), Cursor("aaaa", 1))
    await settle()
    clock.advance(GRACE_S)
    assert viewer.got == [("sync", Cursor("aaaa", 1)), ("update", Cursor("aaaa", 2)), ("finish", None)]


async def test_a_final_state_that_a_read_found_ends_streams_too() -> None:
    """If the message with the final update was lost, the read that finds the update ends the streams."""
    clock = ManualClock()
    robot = Robot(steps=1)
    store = SlowStore(robot.state())
    session = make_hub(store, clock=clock).session(SESSION)
    viewer = await watch(session, Viewer())
    robot.finish()
    store.stored = robot.state()
    session.changed()
    await settle()
    clock.advance(GRACE_S)
    assert viewer.got[1:] == [("update", Cursor("aaaa", 2)), ("finish", None)]


async def test_a_new_run_within_the_grace_keeps_streams_open() -> None:
    """A new run that begins within GRACE_S after the final update keeps every stream open."""
    clock = ManualClock()
    old, new = Robot(steps=1), Robot("bbbb", steps=1, minute=5)
    store = SlowStore(old.state())
    session = make_hub(store, clock=clock).session(SESSION)
    viewer = await watch(session, Viewer())
    session.publish(old.finish())
    store.stored = new.state()
    session.publish(new.run.updates[-1])
    await settle()
    clock.advance(GRACE_S)
    session.publish(new.step())
    assert viewer.count("finish") == 0
    assert viewer.check() == Cursor("bbbb", 2)


async def test_who_stays_behind_the_end_sees_the_next_run() -> None:
    """A client that stays connected after the end gets the next run; one whose stream ended gets nothing more."""
    clock = ManualClock()
    old, new = Robot(steps=1), Robot("bbbb", steps=1, minute=5)
    store = SlowStore(old.state())
    session = make_hub(store, clock=clock).session(SESSION)
    ending, staying = await watch(session, Viewer()), await watch(session, Viewer(stays=True))
    session.publish(old.finish())
    await settle()
    clock.advance(GRACE_S)
    session.publish(old.step())
    store.stored = new.state()
    session.publish(new.run.updates[-1])
    await settle()
    assert [kind for kind, _ in ending.got] == ["sync", "update", "finish"]
    assert [kind for kind, _ in staying.got if kind != "finish"] == ["sync", "update", "update", "reset"]
    assert staying.check() == Cursor("bbbb", 1)


async def test_who_lags_is_ended_behind_everything() -> None:
    """The stream of a client that lags at the end is ended only after every update was sent to it."""
    clock = ManualClock()
    robot = Robot(steps=1)
    session = make_hub(SlowStore(robot.state()), clock=clock).session(SESSION)
    slow = await watch(session, Viewer())
    slow.pending = 100_000
    session.publish(robot.step())
    session.publish(robot.finish())
    await settle()
    clock.advance(GRACE_S)
    assert slow.got[1:] == []
    slow.pending = 0
    session.catch_up(clock.steady_s())
    assert slow.count("finish") == 0
    clock.advance(GRACE_S)
    assert slow.got[1:] == [("update", Cursor("aaaa", 2)), ("update", Cursor("aaaa", 3)), ("finish", None)]


# -- whatever happens


class Schedule:
    """A random sequence of events around one session, and the checks that must hold after it."""

    def __init__(self) -> None:
        self.robot = Robot()
        self.runs = 1
        self.store = SlowStore()
        self.clock = ManualClock()
        self.hub = make_hub(self.store, clock=self.clock)
        self.feed = Feed(self.hub)
        self.session = self.hub.session(SESSION)
        self.snapshots: dict[Cursor, Any] = {}
        self.wire: list[Update] = []
        self.viewers: list[Viewer] = []
        self.joining: list[asyncio.Task[Viewer]] = []

    async def play(self, events: list[tuple[str, int]]) -> None:
        self.join(0)
        for name, number in events:
            getattr(self, name)(number)
            if name == "pause":
                await settle()
        await self.end()

    def record(self, count: int) -> None:
        """Let the robot report; as with Redis, the store has an update before it is published."""
        for _ in range(1 + count % 4):
            step = self.robot.step() if count % 3 else self.robot.run.error(f"erro {count}", "", self.robot.run_time())
            self.wire.append(step)
            self.snapshots[Cursor(self.robot.run.epoch, self.robot.run.seq)] = self.robot.run.snapshot
        self.store.stored = self.robot.state()

    def start_over(self, _: int) -> None:
        self.robot = Robot(f"run{self.runs}", minute=self.runs)
        self.runs += 1
        self.record(1)

    def look(self, _: int) -> None:
        """Check that the first message of a client joining now has the robot's state at that message's position."""
        welcome = self.session.welcome()
        if welcome.snapshot is not None:
            assert welcome.at is not None
            expected = self.snapshots[welcome.at]
            assert [welcome.snapshot[key] for key in ("mensagem", "erros")] == [expected["mensagem"], expected["erros"]]

    def _hand(self, update: Update) -> None:
        self.feed.message(channel(SESSION).encode(), update.raw)

    def deliver(self, count: int) -> None:
        for _ in range(1 + count % 4):
            if self.wire:
                self._hand(self.wire.pop(0))

    def reorder(self, number: int) -> None:
        if self.wire:
            self._hand(self.wire.pop(number % len(self.wire)))

    def duplicate(self, number: int) -> None:
        if self.wire:
            self._hand(self.wire[number % len(self.wire)])

    def drop(self, number: int) -> None:
        if self.wire:
            self.wire.pop(number % len(self.wire))

    def join(self, number: int) -> None:
        viewer = Viewer()
        self.viewers.append(viewer)
        seen = self.viewers[number % len(self.viewers)].check() if number % 3 else None
        cursor = seen or (START if number % 2 else None)
        self.joining.append(asyncio.create_task(watch(self.session, viewer, cursor)))

    def leave(self, number: int) -> None:
        index = number % len(self.viewers)
        if index and self.joining[index].done():
            self.session.leave(self.viewers[index])

    def lag(self, number: int) -> None:
        self.viewers[number % len(self.viewers)].pending = 100_000

    def take(self, number: int) -> None:
        self.viewers[number % len(self.viewers)].pending = 0
        self.session.catch_up(self.clock.steady_s())

    def reread(self, _: int) -> None:
        self.session.changed()

    def hold(self, _: int) -> None:
        self.store.hold()

    def release(self, _: int) -> None:
        self.store.release()

    def wait(self, seconds: int) -> None:
        """Advance the clock: PATIENCE_S and STALL_S may pass, so that clients stop waiting or are aborted."""
        self.clock.advance(seconds)

    def pause(self, _: int) -> None:
        """Do nothing here: play() lets other tasks run after this event."""

    async def end(self) -> None:
        self.store.release()
        await settle()
        self.session.changed()
        await settle()
        for viewer in self.viewers:
            viewer.pending = 0
        self.session.catch_up(self.clock.steady_s())
        await settle()
        expected = None if self.store.stored is None else self.store.stored.cursor
        here = self.session.clients()
        for viewer, joined in zip(self.viewers, self.joining, strict=True):
            assert joined.done(), "the store was read for ever"
            at = viewer.check()
            positions = [cursor for _, cursor in viewer.got]
            for (kind, cursor), before in zip(viewer.got[1:], positions, strict=False):
                if kind == "reset" and cursor and before:
                    assert cursor.epoch != before.epoch, f"needless reset: {viewer.got}"
            if viewer in here:
                assert at == expected, f"ends at {at}, not at {expected}: {viewer.got}"
        if self.store.stored is not None:
            assert self.session.state is not None
            assert self.session.state.snapshot == self.store.stored.snapshot
        await self.hub.close()


_EVENTS: dict[str, Any] = {name: name for name in (
    "record", "deliver", "reorder", "duplicate", "drop", "join", "leave", "lag", "take", "reread", "hold", "release",
    "wait", "pause", "start_over", "look",
)}  # fmt: skip


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(_EVENTS)), st.integers(0, 11)), max_size=40))
def test_whatever_happens_nothing_is_lost_doubled_or_out_of_order(events: list[tuple[str, int]]) -> None:
    """Despite loss, repetition, disorder, lag and slow reads clients get each update once, in order, or a reset."""
    asyncio.run(_play(events))


async def _play(events: list[tuple[str, int]]) -> None:
    await Schedule().play(events)
