"""Publisher: updates over HTTP are numbered as the tracker would number them, by whichever server gets them."""

import asyncio
import contextlib
import gc
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rpa_server.backends.base import TTL_S, Store
from rpa_server.backends.files.names import file_name
from rpa_server.backends.files.store import FileStore
from rpa_server.backends.merged import MergedStore
from rpa_server.backends.redis.names import SESSIONS_KEY, progress_key
from rpa_server.backends.redis.store import RedisStore, client
from rpa_server.errors import Conflict, StorageUnavailable
from rpa_server.http.publish import Publisher
from rpa_server.progress import schemas
from rpa_server.progress.outcome import SILENCE_AFTER_FAILURE_S, SILENCE_S
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.update import HISTORY, Cursor
from tests.support import recordings
from tests.support.server import RedisServer
from tests.support.sessions import HTTP, SESSION, Robot


def publication(**body: Any) -> dict[str, Any]:
    """Check a body as the handler does."""
    return schemas.publication(body)


@contextlib.asynccontextmanager
async def redis_store(server: RedisServer) -> AsyncIterator[RedisStore]:
    store = RedisStore(client(server.url))
    async with contextlib.aclosing(store):
        yield store


@pytest.fixture(params=["files", "redis"])
async def store(request: pytest.FixtureRequest, data_dir: Path) -> AsyncIterator[Store]:
    """A FileStore and a RedisStore: each test runs with both."""
    if request.param == "files":
        yield FileStore(data_dir)
        return
    async with redis_store(request.getfixturevalue("redis_process")) as made:
        yield made


async def state(store: Store) -> SessionState:
    current = await store.read(SESSION, 0)
    assert current is not None
    return current


async def test_the_first_step_begins_a_run(store: Store) -> None:
    """For a session that nobody has written the first step is stored after an ``inicio``."""
    cursor = await Publisher(store).publish(SESSION, publication(etapa=1, mensagem="Tela 1", total_etapas=5))
    current = await state(store)
    assert current.cursor == cursor
    assert [update.data["evento"] for update in current.updates] == ["inicio", "progresso"]
    snapshot = current.snapshot
    assert (snapshot["etapa_atual"], snapshot["total_etapas"], snapshot["mensagem"]) == (1, 5, "Tela 1")


async def test_numbering_goes_on(store: Store) -> None:
    """Publications one after the other get consecutive numbers in one run."""
    publisher = Publisher(store)
    cursors = [await publisher.publish(SESSION, publication(etapa=number)) for number in range(1, 6)]
    assert [cursor.seq for cursor in cursors] == [2, 3, 4, 5, 6]
    assert len({cursor.epoch for cursor in cursors}) == 1
    assert [update.seq for update in (await state(store)).updates] == [1, 2, 3, 4, 5, 6]


async def test_another_server_goes_on_where_this_one_was(store: Store) -> None:
    """Two publishers that take turns number one run: neither keeps anything between two publications."""
    one, other = Publisher(store), Publisher(store)
    cursors = [await (one if number % 2 else other).publish(SESSION, publication(etapa=number)) for number in range(6)]
    assert [cursor.seq for cursor in cursors] == [2, 3, 4, 5, 6, 7]


async def test_two_servers_take_turns_on_the_same_files(data_dir: Path) -> None:
    """Two servers that take turns on the same files number one run: each sees what the other has written."""
    one, other = Publisher(FileStore(data_dir)), Publisher(FileStore(data_dir))
    cursors = [await (one if number % 2 else other).publish(SESSION, publication(etapa=number)) for number in range(8)]
    assert [cursor.seq for cursor in cursors] == list(range(2, 10))


async def test_publications_at_once_never_collide(store: Store) -> None:
    """Twenty simultaneous publications get consecutive numbers, and all of them are stored."""
    publisher = Publisher(store)
    cursors = await asyncio.gather(
        *(publisher.publish(SESSION, publication(etapa=1, mensagem=f"m{number}")) for number in range(20))
    )
    assert sorted(cursor.seq for cursor in cursors) == list(range(2, 22))
    updates = (await state(store)).updates
    assert {update.data["mensagem"] for update in updates} >= {f"m{number}" for number in range(20)}
    assert [update.seq for update in updates] == list(range(1, 22))


async def test_two_servers_at_once_never_collide_on_redis(redis_process: RedisServer) -> None:
    """Twenty simultaneous publications over two servers on one Redis get consecutive numbers in one run."""
    async with redis_store(redis_process) as first, redis_store(redis_process) as second:
        publishers = (Publisher(first), Publisher(second))
        await publishers[0].publish(SESSION, publication(etapa=0))
        cursors = await asyncio.gather(
            *(publishers[number % 2].publish(SESSION, publication(etapa=1)) for number in range(20))
        )
        assert sorted(cursor.seq for cursor in cursors) == list(range(3, 23))
        assert len({cursor.epoch for cursor in cursors}) == 1
        assert [update.seq for update in (await state(first)).updates] == list(range(1, 23))


async def test_two_servers_begin_one_run_on_redis(redis_process: RedisServer) -> None:
    """Two simultaneous first publications over two servers lose nothing: both are in the stored run."""
    async with redis_store(redis_process) as first, redis_store(redis_process) as second:
        cursors = await asyncio.gather(
            *(Publisher(store).publish(SESSION, publication(etapa=1)) for store in (first, second))
        )
        current = await state(first)
        assert {cursor.epoch for cursor in cursors} == {current.epoch}
        assert sorted(cursor.seq for cursor in cursors) == [2, 3]


# -- the kinds of publication


async def test_a_step_with_estimates_tells_of_both(store: Store) -> None:
    """A step with estimates makes two updates, the step and the estimates, as with the tracker."""
    estimates = {"coberturas_detalhadas": [{"nome_cobertura": "Compreensiva"}]}
    cursor = await Publisher(store).publish(SESSION, publication(etapa=5, estimativas=estimates))
    current = await state(store)
    assert cursor == current.cursor
    assert [update.data["evento"] for update in current.updates] == ["inicio", "progresso", "estimativas"]
    assert current.view()["estimativas"] == estimates


async def test_an_error_does_not_end_the_run(store: Store) -> None:
    """An error is recorded in the snapshot with its context, and does not end the run."""
    publisher = Publisher(store)
    await publisher.publish(SESSION, publication(etapa=2))
    await publisher.publish(SESSION, publication(erro="Placa recusada", contexto="tela 2"))
    current = await state(store)
    assert current.snapshot["final"] is False
    assert [(error["erro"], error["contexto"]) for error in current.snapshot["erros"]] == [("Placa recusada", "tela 2")]


@pytest.mark.parametrize(("status", "estado"), [("success", "sucesso"), ("error", "erro"), ("cancelado", "cancelado")])
async def test_the_end_is_final(store: Store, status: str, estado: str) -> None:
    """The end is stored with the ``estado`` of its status and with its plans as the result."""
    publisher = Publisher(store)
    await publisher.publish(SESSION, publication(etapa=1))
    plans = {"plano_recomendado": {"valor": "R$ 1"}}
    await publisher.publish(SESSION, publication(status_final=status, dados_finais=plans))
    view = (await state(store)).view()
    assert (view["final"], view["estado"], view["percentual"]) == (True, estado, 100.0)
    assert view["resultado"] == plans


async def test_the_error_of_the_end_comes_before_it(store: Store) -> None:
    """An end with an error text records the error, then the end; publish() returns the position of the end."""
    publisher = Publisher(store)
    cursor = await publisher.publish(SESSION, publication(status_final="error", erro_final="Cotação manual"))
    current = await state(store)
    assert [update.data["evento"] for update in current.updates] == ["inicio", "erro", "final"]
    assert current.cursor == cursor
    assert current.snapshot["estado"] == "cotacao_manual"


async def test_step_0_behind_the_end_begins_a_new_run(store: Store) -> None:
    """Step 0 after the end makes a new epoch that counts from 1; any other step stays in the old one."""
    publisher = Publisher(store)
    old = await publisher.publish(SESSION, publication(status_final="success"))
    late = await publisher.publish(SESSION, publication(etapa=15, mensagem="tarde"))
    assert late == Cursor(old.epoch, old.seq + 1)
    new = await publisher.publish(SESSION, publication(etapa=0, mensagem="De novo"))
    assert new.epoch != old.epoch
    assert new.seq == 2
    current = await state(store)
    assert (current.epoch, current.snapshot["final"], current.snapshot["mensagem"]) == (new.epoch, False, "De novo")


async def test_step_0_of_a_running_run_is_a_step(store: Store) -> None:
    """Step 0 during a run belongs to that run."""
    publisher = Publisher(store)
    first = await publisher.publish(SESSION, publication(etapa=3))
    second = await publisher.publish(SESSION, publication(etapa=0))
    assert second == Cursor(first.epoch, first.seq + 1)


async def test_a_message_is_made_where_none_is_given(store: Store) -> None:
    """A step without a message gets one made of its number, such as "Etapa 5.5"."""
    publisher = Publisher(store)
    await publisher.publish(SESSION, publication(etapa=5))
    await publisher.publish(SESSION, publication(etapa=5.5))
    current = await state(store)
    assert [update.data["mensagem"] for update in current.updates[1:]] == ["Etapa 5", "Etapa 5.5"]
    assert [update.data["etapa"] for update in current.updates[1:]] == [5, 5.5]


# -- runs begun elsewhere, other writers, other sessions


async def test_a_run_that_only_the_files_know_goes_on(data_dir: Path, redis_process: RedisServer) -> None:
    """A run that began in the files while Redis was down keeps its numbers when Redis is back."""
    files = FileStore(data_dir)
    publisher = Publisher(files)
    began = [await publisher.publish(SESSION, publication(etapa=number)) for number in (1, 2)][-1]
    async with redis_store(redis_process) as redis:
        both = MergedStore([redis, files])
        cursor = await Publisher(both).publish(SESSION, publication(etapa=3))
        current = await state(both)
    assert cursor == current.cursor == Cursor(began.epoch, began.seq + 1)
    assert [update.seq for update in current.updates] == [1, 2, 3, 4]


async def test_two_servers_at_once_go_on_with_a_run_that_only_the_files_know(
    data_dir: Path, redis_process: RedisServer
) -> None:
    """When two servers copy a run from the files into Redis at the same time, neither's update is lost."""
    async with redis_store(redis_process) as first, redis_store(redis_process) as second:
        for number in range(10):
            name = f"s{number}"
            began = await Publisher(FileStore(data_dir)).publish(name, publication(etapa=1))
            stores = [MergedStore([redis, FileStore(data_dir)]) for redis in (first, second)]
            cursors = await asyncio.gather(*(Publisher(store).publish(name, publication(etapa=2)) for store in stores))
            assert sorted(cursors) == [Cursor(began.epoch, began.seq + 1), Cursor(began.epoch, began.seq + 2)]
            assert await first.positions([name]) == {name: max(cursors)}


async def test_a_run_longer_than_its_history_goes_on(data_dir: Path, redis_process: RedisServer) -> None:
    """A run of more updates than are kept continues its numbers, in the files and in Redis."""
    robot = Robot(steps=HISTORY + 20, writer=HTTP)
    async with redis_store(redis_process) as redis:
        stores: list[Store] = [FileStore(data_dir), redis]
        for store in stores:
            run = Run.resume(SESSION, robot.state())
            run.base = 0
            if isinstance(store, RedisStore):
                assert await store.hand_in(run)
            else:
                assert await store.append(run)
            cursor = await Publisher(store).publish(SESSION, publication(etapa=3))
            assert cursor == Cursor("aaaa", HISTORY + 21)


def deployed_run(data_dir: Path, redis: RedisServer | None, status: str, history: bool = False) -> dict[str, bytes]:
    """Write a run as a deployed robot does, into Redis if given, else into files; return what stored() returns."""
    document = {"etapa_atual": 3, "total_etapas": 15, "status": status, "mensagem": "x", "percentual": 20.0,
                "timestamp_inicio": "2025-10-09T19:19:39", "timestamp_atualizacao": "2025-10-09T19:20:39",
                "dados_extra": {}, "erros": []}  # fmt: skip
    if redis is not None:
        with redis.client() as connected:
            connected.set(f"rpa:progress:{SESSION}", json.dumps(document), ex=86400)
    else:
        data_dir.mkdir(exist_ok=True)
        (data_dir / file_name("progress", SESSION)).write_text(json.dumps(document))
        if history:
            (data_dir / file_name("history", SESSION)).write_text(json.dumps(recordings.stuck()))
    return stored(data_dir, redis)


def stored(data_dir: Path, redis: RedisServer | None) -> dict[str, bytes]:
    """Return everything in the files, or else in Redis, by file name or key."""
    if redis is None:
        return {path.name: path.read_bytes() for path in data_dir.iterdir()}
    with redis.client() as connected:
        return {str(key): connected.dump(key) for key in connected.scan_iter()}


@pytest.mark.parametrize("body", [{"etapa": 4}, {"etapa": 0}, {"erro": "x"}, {"status_final": "success"}], ids=str)
@pytest.mark.parametrize("kind", ["snapshot", "history", "redis"])
async def test_what_another_robot_is_writing_is_left_to_it(
    data_dir: Path, redis_process: RedisServer, kind: str, body: dict[str, Any]
) -> None:
    """Publishing anything to a session that a deployed robot is writing raises Conflict and changes nothing stored."""
    redis = redis_process if kind == "redis" else None
    before = deployed_run(data_dir, redis, "executando", history=kind == "history")
    async with contextlib.AsyncExitStack() as stack:
        store: Store = FileStore(data_dir) if redis is None else await stack.enter_async_context(redis_store(redis))
        with pytest.raises(Conflict):
            await Publisher(store).publish(SESSION, publication(**body))
    assert stored(data_dir, redis) == before


@pytest.mark.parametrize("kind", ["ended", "gone"])
async def test_behind_another_robots_run_a_new_one_of_ours_begins(data_dir: Path, kind: str) -> None:
    """A deployed robot's session may be reused once its run has ended, or counts as expired after a long silence."""
    deployed_run(data_dir, None, "success" if kind == "ended" else "executando")
    if kind == "gone":
        long_ago_s = time.time() - SILENCE_S - 1
        os.utime(data_dir / file_name("progress", SESSION), (long_ago_s, long_ago_s))
    store = FileStore(data_dir)
    cursor = await Publisher(store).publish(SESSION, publication(etapa=4))
    assert cursor.seq == 2
    assert (await state(store)).cursor == cursor


# -- the run of a tracker

STEP, ERROR, END = {"etapa": 4}, {"erro": "x"}, {"status_final": "success", "dados_finais": {"plano_recomendado": {}}}


async def tracked(store: Store, ended: bool = False) -> SessionState:
    """Store a run of a tracker, not published over HTTP; return its state."""
    robot = Robot(steps=3, writer="a1b2c3d4")
    if ended:
        robot.finish()
    assert await store.append(robot.run)
    return await state(store)


def silenced(data_dir: Path, request: pytest.FixtureRequest, seconds: float) -> None:
    """Make the last write of the session *seconds* older than it is."""
    if data_dir.exists():
        then_s = time.time() - seconds
        for path in data_dir.iterdir():
            os.utime(path, (then_s, then_s))
        return
    with request.getfixturevalue("redis_process").client() as connected:
        connected.zincrby(SESSIONS_KEY, -seconds, SESSION)
        connected.expire(progress_key(SESSION), TTL_S - round(seconds))


@pytest.mark.parametrize("body", [STEP, {"etapa": 0}, ERROR, END], ids=str)
async def test_e2_nobody_speaks_for_a_live_tracker(store: Store, body: dict[str, Any]) -> None:
    """Publishing anything to a session whose tracker is at work raises Conflict, and the run stays as it was."""
    before = await tracked(store)
    with pytest.raises(Conflict):
        await Publisher(store).publish(SESSION, publication(**body))
    after = await state(store)
    assert (after.cursor, after.snapshot) == (before.cursor, before.snapshot)
    assert [update.raw for update in after.updates] == [update.raw for update in before.updates]


@pytest.mark.parametrize("over", ["ended", "expired"])
@pytest.mark.parametrize("body", [ERROR, END], ids=str)
async def test_e2_nobody_ends_a_trackers_run_that_is_over(
    store: Store, data_dir: Path, request: pytest.FixtureRequest, body: dict[str, Any], over: str
) -> None:
    """An error or an end published behind a tracker's run raises Conflict: it would replace that run's result."""
    before = await tracked(store, ended=over == "ended")
    silenced(data_dir, request, 0 if over == "ended" else SILENCE_S + 1)
    with pytest.raises(Conflict):
        await Publisher(store).publish(SESSION, publication(**body))
    after = await state(store)
    assert (after.cursor, after.snapshot) == (before.cursor, before.snapshot)


@pytest.mark.parametrize("over", ["ended", "expired"])
async def test_e2_a_step_behind_a_trackers_run_begins_a_new_one(
    store: Store, data_dir: Path, request: pytest.FixtureRequest, over: str
) -> None:
    """A step published behind a tracker's run that has ended or expired begins a run of its own, which goes on."""
    before = await tracked(store, ended=over == "ended")
    silenced(data_dir, request, 0 if over == "ended" else SILENCE_S + 1)
    cursor = await Publisher(store).publish(SESSION, publication(**STEP))
    assert (cursor.epoch != before.epoch, cursor.seq) == (True, 2)
    end = await Publisher(store).publish(SESSION, publication(**END))
    assert end == Cursor(cursor.epoch, 3)
    assert (await state(store)).cursor == end


async def test_e2_a_run_silent_after_a_failure_is_over_for_publications(
    store: Store, data_dir: Path, request: pytest.FixtureRequest
) -> None:
    """A step begins a new run as soon as the tracker's run counts as failed, long before any silence does that."""
    robot = Robot(steps=1, writer="a1b2c3d4")
    robot.step("Tela 2 falhou")
    assert await store.append(robot.run)
    silenced(data_dir, request, SILENCE_AFTER_FAILURE_S + 5)
    cursor = await Publisher(store).publish(SESSION, publication(**STEP))
    assert (cursor.epoch != "aaaa", cursor.seq) == (True, 2)
    assert (await state(store)).cursor == cursor


async def test_two_servers_begin_one_run_behind_a_finished_one(data_dir: Path, redis_process: RedisServer) -> None:
    """Two simultaneous first publications behind an ended run lose nothing: both are in one new run."""
    async with redis_store(redis_process) as first, redis_store(redis_process) as second:
        for stores in ((first, second), (FileStore(data_dir), FileStore(data_dir))):
            await tracked(stores[0], ended=True)
            cursors = await asyncio.gather(*(Publisher(store).publish(SESSION, publication(etapa=1)) for store in stores))
            current = await state(stores[1])
            assert {cursor.epoch for cursor in cursors} == {current.epoch}
            assert sorted(cursor.seq for cursor in cursors) == [2, 3]


class Contested:
    """A store in which another writer is always faster."""

    def __init__(self) -> None:
        self.tries = 0

    async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
        return None

    async def sessions(self, limit: int) -> list[str]:
        return []

    async def clock_ahead_s(self) -> float:
        return 0.0

    async def append(self, run: Run) -> bool:
        self.tries += 1
        return False


async def test_a_session_that_others_keep_writing_is_given_up() -> None:
    """If another writer is faster at every attempt, publish() gives up and raises StorageUnavailable."""
    contested = Contested()
    with pytest.raises(StorageUnavailable):
        async with asyncio.timeout(30):
            await Publisher(contested).publish(SESSION, publication(etapa=1))
    assert 1 < contested.tries < 100


async def test_sessions_do_not_wait_for_each_other() -> None:
    """While the store hangs on one session, other sessions can be published to."""
    hanging = asyncio.Event()

    class Hanging(Contested):
        async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
            if session_id == "slow":
                await hanging.wait()
            return None

        async def append(self, run: Run) -> bool:
            return True

    publisher = Publisher(Hanging())
    slow = asyncio.create_task(publisher.publish("slow", publication(etapa=1)))
    async with asyncio.timeout(1):
        assert (await publisher.publish("quick", publication(etapa=1))).seq == 2
    hanging.set()
    await slow


async def test_nothing_is_kept_of_a_session() -> None:
    """After publications to many sessions the publisher has no lock of any session left."""

    class Accepting(Contested):
        async def append(self, run: Run) -> bool:
            return True

    publisher = Publisher(Accepting())
    for number in range(50):
        await publisher.publish(f"s{number}", publication(etapa=1))
    gc.collect()
    assert len(publisher._locks) == 0
