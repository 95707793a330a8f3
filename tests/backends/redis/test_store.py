"""The Redis store, on a real redis-server."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rpa_server.backends.base import TTL_S
from rpa_server.backends.redis.names import SESSIONS_KEY, channel, history_key, progress_key
from rpa_server.backends.redis.store import RedisStore, client
from rpa_server.errors import StorageUnavailable
from rpa_server.progress.run import Run
from rpa_server.progress.update import HISTORY, Cursor
from tests.support.server import RedisServer
from tests.support.sessions import SESSION, Robot
from tests.support.timing import within

KEYS = {
    "progress": progress_key(SESSION),
    "history": history_key(SESSION),
}
CHANNEL = channel(SESSION).encode()


@pytest.fixture
async def store(redis_process: RedisServer) -> AsyncIterator[RedisStore]:
    """A store on this test's own Redis."""
    made = RedisStore(client(redis_process.url))
    async with contextlib.aclosing(made):
        yield made


async def fill(store: RedisStore, robot: Robot) -> Robot:
    """Store a run in Redis."""
    assert await store.append(robot.run)
    return robot


def resumed(robot: Robot) -> Run:
    return Run.resume(SESSION, robot.state())


# -- reading


async def test_what_was_appended_is_read(store: RedisStore) -> None:
    """Cursor, snapshot and every update are read back as the run had them."""
    robot = await fill(store, Robot(steps=5))
    state = await store.read(SESSION)
    assert state is not None
    assert state.cursor == Cursor("aaaa", 5)
    assert state.snapshot == robot.run.snapshot
    assert [update.raw for update in state.updates] == [update.raw for update in robot.run.updates]


async def test_nothing_is_none(store: RedisStore) -> None:
    """A session that nobody has written is unknown."""
    assert await store.read(SESSION) is None
    assert await store.positions([SESSION]) == {}
    assert await store.sessions(10) == []


async def test_a_long_run_keeps_its_position_and_its_last_updates(store: RedisStore) -> None:
    """For a run longer than the stream the snapshot is complete and the last updates are there."""
    robot = Robot()
    for _ in range(4):
        run = resumed(robot) if robot.run.seq else robot.run
        robot.run = run
        robot.steps(HISTORY - 1)
        assert await store.append(run)
    state = await store.read(SESSION)
    assert state is not None
    assert state.cursor == Cursor("aaaa", 4 * (HISTORY - 1))
    assert state.snapshot == robot.run.snapshot
    assert len(state.updates) >= HISTORY
    assert state.updates[-1].seq == state.seq


async def test_an_evicted_snapshot_is_rebuilt(store: RedisStore, redis_process: RedisServer) -> None:
    """If Redis evicted the snapshot for lack of memory, the history restores it."""
    robot = await fill(store, Robot(steps=5))
    with redis_process.client() as connection:
        connection.delete(KEYS["progress"])
    state = await store.read(SESSION)
    assert state is not None
    assert (state.cursor, state.snapshot["mensagem"]) == (Cursor("aaaa", 5), robot.run.snapshot["mensagem"])


async def test_an_evicted_history_leaves_the_snapshot(store: RedisStore, redis_process: RedisServer) -> None:
    """Without the history the state is known, but no earlier update."""
    robot = await fill(store, Robot(steps=5))
    with redis_process.client() as connection:
        connection.delete(KEYS["history"])
    state = await store.read(SESSION)
    assert state is not None
    assert (state.cursor, state.snapshot, state.updates) == (Cursor("aaaa", 5), robot.run.snapshot, [])
    assert state.since(Cursor("aaaa", 3)) is None


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"\xff\xfe", b'{"etapa_atual": "x"}', b'{"a":' * 10_000])
async def test_a_broken_snapshot_is_nothing(store: RedisStore, redis_process: RedisServer, garbage: bytes) -> None:
    """An invalid snapshot raises nothing: the session is unknown to the Redis store."""
    with redis_process.client() as connection:
        connection.set(KEYS["progress"], garbage)
    assert await store.read(SESSION) is None


async def test_a_broken_stream_is_left_out(store: RedisStore, redis_process: RedisServer) -> None:
    """Entries of a stream that are not updates are left out; the snapshot counts."""
    robot = await fill(store, Robot(steps=3))
    with redis_process.client() as connection:
        connection.xadd(KEYS["history"], {"data": b"garbage"})
        connection.xadd(KEYS["history"], {"other": b"x"})
    state = await store.read(SESSION)
    assert state is not None
    assert (state.cursor, state.snapshot) == (Cursor("aaaa", 3), robot.run.snapshot)


async def test_a_key_of_another_kind_spoils_no_other_session(store: RedisStore, redis_process: RedisServer) -> None:
    """If another program uses our key for something else, that session can't be read, but the next one can."""
    await fill(store, Robot(steps=5))
    with redis_process.client() as connection:
        connection.rpush(progress_key("one"), "x")
        connection.set(history_key("other"), "x")
    for name in ("one", "other"):
        with contextlib.suppress(StorageUnavailable):
            assert await store.read(name) is None
    assert await store.read(SESSION) is not None
    assert await store.positions(["one", "other", SESSION]) == {SESSION: Cursor("aaaa", 5)}


async def test_positions_are_read_in_one_go(store: RedisStore) -> None:
    """The last cursor of each session in Redis is returned; unknown sessions are left out."""
    await fill(store, Robot(steps=5))
    assert await store.positions([SESSION, "unknown"]) == {SESSION: Cursor("aaaa", 5)}


@pytest.mark.parametrize("old", [False, True], ids=["", "before 6.2"])
async def test_times_of_writing_are_read_in_one_go(store: RedisStore, redis_process: RedisServer, old: bool) -> None:
    """Known sessions have a time; for others it is None."""
    await fill(store, Robot(steps=3))
    if old:
        with redis_process.client() as connected:
            connected.execute_command("ACL", "SETUSER", "default", "-zmscore")
    first, second = await store.written([SESSION, "nobody"])
    assert first is not None
    assert abs(first - time.time()) < 60
    assert second is None


async def test_sessions_are_listed_newest_first(store: RedisStore, redis_process: RedisServer) -> None:
    """The most recently written session comes first; invalid session ids are left out."""
    for name in ("a", "b", "c", "a"):
        robot = Robot(f"run{time.monotonic_ns()}", steps=1)
        robot.run.session_id = name
        robot.run.replaces = True
        await store.append(robot.run)
    assert await store.sessions(2) == ["a", "c"]
    with redis_process.client() as connection:
        connection.zadd(SESSIONS_KEY, {"../x": time.time() + 9, b"\xff": time.time() + 9})
    assert await store.sessions(10) == ["a", "c", "b"]


# -- writing


async def test_updates_are_published_as_they_are_stored(store: RedisStore, redis_process: RedisServer) -> None:
    """Every appended update is published on the session's channel, in order, with the same bytes."""
    with redis_process.client() as connection, connection.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(channel(SESSION))
        listener.get_message(timeout=1)
        robot = await fill(store, Robot(steps=3))
        messages: list[Any] = [await asyncio.to_thread(listener.get_message, timeout=1) for _ in range(3)]
    assert [message["data"] for message in messages] == [update.raw for update in robot.run.updates]


async def test_every_key_expires(store: RedisStore, redis_process: RedisServer) -> None:
    """Nothing of a session stays for longer than a day."""
    robot = Robot(steps=2)
    robot.finish()
    await fill(store, robot)
    with redis_process.client() as connection:
        keys: Any = connection.keys("*")
        assert len(keys) >= 5
        for key in keys:
            assert 0 < connection.ttl(key) <= TTL_S


async def test_numbers_that_are_taken_are_refused(store: RedisStore) -> None:
    """If another writer continued the session meanwhile, nothing is written and the caller gets False."""
    robot = await fill(store, Robot(steps=2))
    mine, theirs = resumed(robot), resumed(robot)
    for run in (mine, theirs):
        run.step(3, "x", robot.run_time())
    assert await store.append(theirs)
    assert not await store.append(mine)
    assert await store.positions([SESSION]) == {SESSION: Cursor("aaaa", 3)}


async def test_writers_at_once_take_each_number_once(redis_process: RedisServer) -> None:
    """If ten servers append the same number at once, exactly one succeeds."""
    async with contextlib.AsyncExitStack() as stack:
        stores = [RedisStore(client(redis_process.url)) for _ in range(10)]
        for made in stores:
            await stack.enter_async_context(contextlib.aclosing(made))
        robot = await fill(stores[0], Robot(steps=2))
        runs = [resumed(robot) for _ in stores]
        for run in runs:
            run.step(3, "x", robot.run_time())
        done = await asyncio.gather(*(made.append(run) for made, run in zip(stores, runs, strict=True)))
        assert sorted(done) == [False] * 9 + [True]


async def test_where_scripts_are_forbidden_reading_goes_on(store: RedisStore, redis_process: RedisServer) -> None:
    """Appending is refused with the reason, and nothing is written, not even partially; stored data can be read."""
    robot = await fill(store, Robot(steps=2))
    with redis_process.client() as connection:
        connection.execute_command("ACL", "SETUSER", "default", "-evalsha")
    run = resumed(robot)
    run.step(3, "x", robot.run_time())
    with pytest.raises(StorageUnavailable, match="evalsha"):
        await store.append(run)
    state = await store.read(SESSION)
    assert state is not None
    assert state.cursor == Cursor("aaaa", 2)


async def test_a_server_without_the_command_script_can_append(redis_process: RedisServer) -> None:
    """EVAL and EVALSHA are all that is needed."""
    with redis_process.client() as connection:
        connection.execute_command("ACL", "SETUSER", "default", "-script")
    async with contextlib.aclosing(RedisStore(client(redis_process.url))) as store:
        await fill(store, Robot(steps=2))


async def test_an_address_changes_no_bound(redis_process: RedisServer) -> None:
    """Options in the address don't change the options that the store relies on."""
    url = f"{redis_process.url}?socket_timeout=60&protocol=3&decode_responses=1&health_check_interval=1"
    async with contextlib.aclosing(RedisStore(client(url))) as store:
        await fill(store, Robot(steps=2))
        assert await store.positions([SESSION]) == {SESSION: Cursor("aaaa", 2)}
        redis_process.signal(signal.SIGSTOP)
        try:
            began_s = time.monotonic()
            with pytest.raises(StorageUnavailable):
                await store.read(SESSION)
            assert time.monotonic() - began_s < 2.5
        finally:
            redis_process.signal(signal.SIGCONT)


async def test_scripts_may_be_flushed(store: RedisStore, redis_process: RedisServer) -> None:
    """A Redis that lost the script, by a restart for example, gets it again."""
    robot = await fill(store, Robot(steps=2))
    with redis_process.client() as connection:
        connection.script_flush()
    run = resumed(robot)
    run.step(3, "x", robot.run_time())
    assert await store.append(run)


# -- a Redis that fails


async def refused(store: RedisStore) -> float:
    """Check that every call raises StorageUnavailable; return the seconds that the slowest took."""
    robot = Robot(steps=1)
    slowest = 0.0
    for call in (store.read(SESSION), store.sessions(5), store.positions([SESSION]), store.append(robot.run)):
        began = time.monotonic()
        with pytest.raises(StorageUnavailable) as caught:
            await call
        slowest = max(slowest, time.monotonic() - began)
        assert "Redis" in str(caught.value)
    return slowest


async def test_a_redis_that_is_gone_is_told_at_once(store: RedisStore, redis_process: RedisServer) -> None:
    """Without Redis every call fails at once; when it is back the next calls work."""
    await fill(store, Robot(steps=2))
    redis_process.kill()
    assert await refused(store) < 0.5
    redis_process.start()
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(StorageUnavailable):
                assert await store.read(SESSION) is None
                break
            await asyncio.sleep(0.02)


async def test_a_redis_that_hangs_costs_a_second_once(store: RedisStore, redis_process: RedisServer) -> None:
    """A Redis that does not answer costs one timeout; calls after that are refused at once."""
    await fill(store, Robot(steps=2))
    redis_process.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(StorageUnavailable):
            await store.read(SESSION)
        within(time.monotonic() - began, 2.5)
        began = time.monotonic()
        with pytest.raises(StorageUnavailable):
            await store.read(SESSION)
        within(time.monotonic() - began, 0.1)
    finally:
        redis_process.signal(signal.SIGCONT)


async def test_a_redis_that_refuses_is_told(redis_process: RedisServer) -> None:
    """A wrong password has the same effect as a missing Redis."""
    with redis_process.client() as connection:
        connection.config_set("requirepass", "secret")
    async with contextlib.aclosing(RedisStore(client(redis_process.url))) as store:
        assert await refused(store) < 0.5


@pytest.mark.parametrize(
    ("policy", "megabytes", "warned"),
    [("allkeys-lru", 8, True), ("allkeys-random", 8, True), ("allkeys-lru", 0, False), ("volatile-ttl", 8, False),
     ("noeviction", 8, False)],
)  # fmt: skip
async def test_a_redis_that_evicts_live_sessions_is_warned_of(
    store: RedisStore,
    redis_process: RedisServer,
    caplog: pytest.LogCaptureFixture,
    policy: str,
    megabytes: int,
    warned: bool,
) -> None:
    """A warning is logged for a Redis that may evict any key, with its policy's name, and for no other."""
    with redis_process.client() as connection:
        connection.config_set("maxmemory-policy", policy)
        connection.config_set("maxmemory", f"{megabytes}mb")
    await store.warn_of_eviction()
    assert [policy in record.getMessage() for record in caplog.records] == ([True] if warned else [])
    redis_process.kill()
    await store.warn_of_eviction()  # there is no server to ask


async def test_closing_never_fails(redis_process: RedisServer) -> None:
    """A store can be closed whether Redis is there or not, used or not, and repeatedly."""
    used, unused = RedisStore(client(redis_process.url)), RedisStore(client("redis://127.0.0.1:1/0"))
    await used.read(SESSION)
    redis_process.kill()
    for store in (used, used, unused):
        await store.aclose()
