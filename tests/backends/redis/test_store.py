"""RedisStore on a real redis-server."""

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
from rpa_server.backends.redis.writer import RedisWriter, connect
from rpa_server.config import load
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
    """Append the robot's run to *store* and return the robot."""
    assert await store.append(robot.run)
    return robot


def resumed(robot: Robot, writer: str = "") -> Run:
    return Run.resume(SESSION, robot.state(), writer)


# -- reading


async def test_what_was_appended_is_read(store: RedisStore) -> None:
    """The cursor, snapshot and updates of an appended run are read back unchanged."""
    robot = await fill(store, Robot(steps=5))
    state = await store.read(SESSION, 0)
    assert state is not None
    assert state.cursor == Cursor("aaaa", 5)
    assert state.snapshot == robot.run.snapshot
    assert [update.raw for update in state.updates] == [update.raw for update in robot.run.updates]


async def test_nothing_is_none(store: RedisStore) -> None:
    """For a session that nobody has written read() returns None, and positions() and sessions() return nothing."""
    assert await store.read(SESSION) is None
    assert await store.positions([SESSION]) == {}
    assert await store.sessions(10) == []


async def test_a_long_run_keeps_its_position_and_its_last_updates(store: RedisStore) -> None:
    """Of a run longer than the stream, position, snapshot and at least the last HISTORY updates are read."""
    robot = Robot()
    for _ in range(4):
        run = resumed(robot) if robot.run.seq else robot.run
        robot.run = run
        robot.steps(HISTORY - 1)
        assert await store.append(run)
    state = await store.read(SESSION, 0)
    assert state is not None
    assert state.cursor == Cursor("aaaa", 4 * (HISTORY - 1))
    assert state.snapshot == robot.run.snapshot
    assert len(state.updates) >= HISTORY
    assert state.updates[-1].seq == state.seq


async def test_an_evicted_snapshot_is_rebuilt(store: RedisStore, redis_process: RedisServer) -> None:
    """If Redis evicted the snapshot for lack of memory, it is rebuilt from the updates in the stream."""
    robot = await fill(store, Robot(steps=5))
    with redis_process.client() as connection:
        connection.delete(KEYS["progress"])
    state = await store.read(SESSION)
    assert state is not None
    assert (state.cursor, state.snapshot["mensagem"]) == (Cursor("aaaa", 5), robot.run.snapshot["mensagem"])


async def test_an_evicted_history_leaves_the_snapshot(store: RedisStore, redis_process: RedisServer) -> None:
    """If Redis evicted the stream, position and snapshot are read, but no update."""
    robot = await fill(store, Robot(steps=5))
    with redis_process.client() as connection:
        connection.delete(KEYS["history"])
    state = await store.read(SESSION)
    assert state is not None
    assert (state.cursor, state.snapshot, state.updates) == (Cursor("aaaa", 5), robot.run.snapshot, [])
    assert state.since(Cursor("aaaa", 3)) is None


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"\xff\xfe", b'{"etapa_atual": "x"}', b'{"a":' * 10_000])
async def test_a_broken_snapshot_is_nothing(store: RedisStore, redis_process: RedisServer, garbage: bytes) -> None:
    """An invalid snapshot raises nothing: read() returns None."""
    with redis_process.client() as connection:
        connection.set(KEYS["progress"], garbage)
    assert await store.read(SESSION) is None


async def test_a_broken_stream_is_left_out(store: RedisStore, redis_process: RedisServer) -> None:
    """Entries of the stream that are not updates are ignored; position and snapshot come from the snapshot's key."""
    robot = await fill(store, Robot(steps=3))
    with redis_process.client() as connection:
        connection.xadd(KEYS["history"], {"data": b"garbage"})
        connection.xadd(KEYS["history"], {"other": b"x"})
    state = await store.read(SESSION)
    assert state is not None
    assert (state.cursor, state.snapshot) == (Cursor("aaaa", 3), robot.run.snapshot)


async def test_a_key_of_another_kind_spoils_no_other_session(store: RedisStore, redis_process: RedisServer) -> None:
    """If another program uses a session's key for another type, that session can't be read, but the others can."""
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
    """positions() returns the newest cursor of each session in Redis and leaves out unknown sessions."""
    await fill(store, Robot(steps=5))
    assert await store.positions([SESSION, "unknown"]) == {SESSION: Cursor("aaaa", 5)}


@pytest.mark.parametrize("old", [False, True], ids=["", "before 6.2"])
async def test_times_of_writing_are_read_in_one_go(store: RedisStore, redis_process: RedisServer, old: bool) -> None:
    """written() returns when each session was last written, None if unknown, even with a Redis before 6.2."""
    await fill(store, Robot(steps=3))
    if old:
        with redis_process.client() as connected:
            connected.execute_command("ACL", "SETUSER", "default", "-zmscore")
    first, second = await store.written([SESSION, "nobody"])
    assert first is not None
    assert abs(first - time.time()) < 60
    assert second is None


async def test_sessions_are_listed_newest_first(store: RedisStore, redis_process: RedisServer) -> None:
    """sessions() returns the most recently written session first, and leaves out invalid ids."""
    for name, final in (("a", True), ("b", False), ("c", False), ("a", False)):
        robot = Robot(f"run{time.monotonic_ns()}", steps=1, minute=not final)
        robot.run.session_id = name
        if final:
            robot.finish()
        assert await store.append(robot.run)
    assert await store.sessions(2) == ["a", "c"]
    with redis_process.client() as connection:
        connection.zadd(SESSIONS_KEY, {"../x": time.time() + 9, b"\xff": time.time() + 9})
    assert await store.sessions(10) == ["a", "c", "b"]


async def test_b7_a_full_redis_is_read(store: RedisStore, redis_process: RedisServer) -> None:
    """If Redis' memory is full and it evicts nothing, every read works, of a tracker, too, and so does deleting."""
    robot = await fill(store, Robot(steps=5))
    with redis_process.client() as connection:
        connection.config_set("maxmemory", "1")
    state = await store.read(SESSION, 0)
    assert state is not None
    assert (state.cursor, len(state.updates)) == (Cursor("aaaa", 5), 5)
    assert await store.sessions(5) == [SESSION]
    assert await store.positions([SESSION]) == {SESSION: Cursor("aaaa", 5)}
    writer = RedisWriter(connect(redis_process.url))
    writer.open()
    state = writer.read(SESSION)
    assert state is not None
    assert state.updates[-1].raw == robot.run.updates[-1].raw
    writer.delete(SESSION)
    assert await store.read(SESSION) is None
    writer.close()


async def test_b7_what_is_read_during_writes_belongs_together(store: RedisStore, redis_process: RedisServer) -> None:
    """Snapshot, position and updates read while runs are written agree with each other, without a transaction."""

    async def write(made: RedisStore) -> None:
        for epoch in ("aaaa", "bbbb", "cccc"):
            robot = Robot(epoch)
            for _ in range(60):
                robot.step()
                assert await made.hand_in(robot.run)

    async with contextlib.aclosing(RedisStore(client(redis_process.url))) as other:
        task = asyncio.create_task(write(other))
        found: set[Cursor] = set()
        while not task.done():
            state = await store.read(SESSION, 0)
            if state is not None:
                found.add(state.cursor)
                assert [update.cursor for update in state.updates] == [
                    Cursor(state.epoch, seq) for seq in range(state.seq - len(state.updates) + 1, state.seq + 1)
                ]
                if state.updates:
                    assert state.updates[-1].data["mensagem"] == state.snapshot["mensagem"]
        await task
    assert len(found) > 20


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
    """Every key that append() writes expires within a day."""
    robot = Robot(steps=2)
    robot.finish()
    await fill(store, robot)
    with redis_process.client() as connection:
        keys: Any = connection.keys("*")
        assert len(keys) >= 5
        for key in keys:
            assert 0 < connection.ttl(key) <= TTL_S


async def test_numbers_that_are_taken_are_refused(store: RedisStore) -> None:
    """If another writer has continued the run since it was resumed, append() returns False and writes nothing."""
    robot = await fill(store, Robot(steps=2))
    mine, theirs = resumed(robot, "a"), resumed(robot, "b")
    for run in (mine, theirs):
        run.step(3, "x", robot.run_time())
    assert await store.append(theirs)
    assert not await store.append(mine)
    assert await store.positions([SESSION]) == {SESSION: Cursor("aaaa", 3)}


async def test_writers_at_once_take_each_number_once(redis_process: RedisServer) -> None:
    """If ten servers append an update with the same number at once, exactly one succeeds."""
    async with contextlib.AsyncExitStack() as stack:
        stores = [RedisStore(client(redis_process.url)) for _ in range(10)]
        for made in stores:
            await stack.enter_async_context(contextlib.aclosing(made))
        robot = await fill(stores[0], Robot(steps=2))
        runs = [resumed(robot, f"w{number}") for number in range(len(stores))]
        for run in runs:
            run.step(3, "x", robot.run_time())
        done = await asyncio.gather(*(made.append(run) for made, run in zip(stores, runs, strict=True)))
        assert sorted(done) == [False] * 9 + [True]


async def test_where_scripts_are_forbidden_reading_goes_on(store: RedisStore, redis_process: RedisServer) -> None:
    """If Redis forbids scripts, append() raises StorageUnavailable and writes nothing; reading still works."""
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
    """append() needs EVAL and EVALSHA, but not the command SCRIPT, which an ACL may forbid."""
    with redis_process.client() as connection:
        connection.execute_command("ACL", "SETUSER", "default", "-script")
    async with contextlib.aclosing(RedisStore(client(redis_process.url))) as store:
        await fill(store, Robot(steps=2))


async def test_an_address_changes_no_bound(redis_process: RedisServer) -> None:
    """Options in the Redis URL, ``socket_timeout`` for one, don't override the ones that the store relies on."""
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


@pytest.mark.parametrize(
    "option",
    ["protocol=3", "socket_timeout=-1", "socket_connect_timeout=nan", "socket_read_size=1", "socket_keepalive=yes", "db=3",
     "retry_on_timeout=yes", "max_connections=1", "health_check_interval=1", "legacy_responses=no", "decode_responses=yes",
     "encoding=latin-1", "client_name=robot", "username=default", "port=1"],
)  # fmt: skip
async def test_b12_no_option_that_is_taken_fails_later(redis_process: RedisServer, option: str) -> None:
    """With each option of an address that the settings take, server and robot store and read, many calls at once."""
    url = load({"RPA_REDIS_URL": f"redis://127.0.0.1:{redis_process.port}?{option}"}).redis_url
    assert url is not None
    async with contextlib.aclosing(RedisStore(client(url))) as store:
        robot = await fill(store, Robot(steps=2))
        states = await asyncio.gather(*(store.read(SESSION) for _ in range(20)))
        assert {state and state.seq for state in states} == {2}
        assert await store.sessions(5) == [SESSION]
        assert (await store.written([SESSION]))[0]
        robot.step()
        writer = RedisWriter(connect(url))
        writer.open()
        writer.write(robot.run)
        assert (state := writer.read(SESSION)) and state.seq == 3
        writer.close()


async def test_scripts_may_be_flushed(store: RedisStore, redis_process: RedisServer) -> None:
    """If Redis lost the cached script, by SCRIPT FLUSH or a restart, append() sends it again."""
    robot = await fill(store, Robot(steps=2))
    with redis_process.client() as connection:
        connection.script_flush()
    run = resumed(robot)
    run.step(3, "x", robot.run_time())
    assert await store.append(run)


# -- a Redis that fails


async def refused(store: RedisStore) -> float:
    """Check that each method below raises StorageUnavailable; return the seconds that the slowest call took."""
    robot = Robot(steps=1)
    slowest = 0.0
    for call in (store.read(SESSION), store.sessions(5), store.positions([SESSION]), store.append(robot.run)):
        began = time.monotonic()
        with pytest.raises(StorageUnavailable) as caught:
            await call
        slowest = max(slowest, time.monotonic() - began)
        assert "Redis" in str(caught.value)
    return slowest


async def test_a_redis_that_is_gone_is_reported_at_once(store: RedisStore, redis_process: RedisServer) -> None:
    """While Redis is down, reading and appending fail within 0.5 s; once it is back, reading works again."""
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
    """If Redis hangs, the first call fails after the timeout of 1 s and the next one at once."""
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


async def test_a_redis_that_refuses_is_reported(redis_process: RedisServer) -> None:
    """If Redis requires a password that the URL lacks, reading and appending fail within 0.5 s."""
    with redis_process.client() as connection:
        connection.config_set("requirepass", "secret")
    async with contextlib.aclosing(RedisStore(client(redis_process.url))) as store:
        assert await refused(store) < 0.5


@pytest.mark.parametrize(
    ("policy", "megabytes", "warned"),
    [("allkeys-lru", 8, False), ("allkeys-lfu", 8, False), ("noeviction", 8, False), ("volatile-ttl", 8, True),
     ("volatile-lru", 8, True), ("volatile-lfu", 8, True), ("volatile-random", 8, True), ("allkeys-random", 8, True),
     ("volatile-ttl", 0, False)],
)  # fmt: skip
async def test_b16_a_redis_that_evicts_live_sessions_is_warned_of(
    store: RedisStore,
    redis_process: RedisServer,
    caplog: pytest.LogCaptureFixture,
    policy: str,
    megabytes: int,
    warned: bool,
) -> None:
    """Only if Redis has a memory limit and evicts live sessions early a warning with the policy's name is logged."""
    with redis_process.client() as connection:
        connection.config_set("maxmemory-policy", policy)
        connection.config_set("maxmemory", f"{megabytes}mb")
    await store.warn_of_eviction()
    assert [policy in record.getMessage() for record in caplog.records] == ([True] if warned else [])
    redis_process.kill()
    await store.warn_of_eviction()  # an unreachable Redis is no error here: nothing is raised


async def test_closing_never_fails(redis_process: RedisServer) -> None:
    """aclose() raises nothing if Redis is down, if the store was never used, or if it is called twice."""
    used, unused = RedisStore(client(redis_process.url)), RedisStore(client("redis://127.0.0.1:1/0"))
    await used.read(SESSION)
    redis_process.kill()
    for store in (used, used, unused):
        await store.aclose()
