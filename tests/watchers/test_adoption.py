"""Tasks of the server that no request starts: dead robots' files are copied into Redis, viewers catch up."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rpa_server.backends.files import json_files
from rpa_server.backends.files.store import FileStore
from rpa_server.backends.redis.store import RedisStore, client
from rpa_server.errors import StorageUnavailable
from rpa_server.progress.session_state import SessionState
from rpa_server.watchers import adoption as adoption_module
from rpa_server.watchers import position_check
from rpa_server.watchers.adoption import Adoption
from rpa_server.watchers.position_check import PositionCheck
from tests.support.server import ROOT, RedisServer, Server, running, until, wait_until
from tests.support.sessions import SESSION, Robot, SlowStore, Viewer, make_hub, watch

_ROBOT = """
from rpa_server.tracker import ProgressTracker
tracker = ProgressTracker(session_id="orphan", tipo="json")
for step in range(9):
    tracker.update_progress(step)
tracker.finalizar("success")
"""


def numbers(redis: RedisServer) -> list[int]:
    """Return the ``seq`` of every update of session ``orphan`` in Redis."""
    with redis.client() as client:
        entries: Any = client.xrange("rpa:history:orphan")
    return [int(name.split(b"-")[0]) for name, _ in entries]


@pytest.mark.parametrize("known", [0, 5], ids=["nothing", "the beginning"])
def test_the_files_of_a_dead_robot_are_adopted(data_dir: Path, redis_process: RedisServer, known: int) -> None:
    """The files of a dead robot are copied into Redis, whether Redis had no update of the run or the first five."""
    server = Server(data_dir, redis_process.url)
    subprocess.run([sys.executable, "-c", _ROBOT], env={**server.environ, "RPA_REDIS_URL": "none"}, cwd=ROOT, check=True)
    with running(server):
        wait_until(lambda: numbers(redis_process) == list(range(1, 12)))
    if known:
        with redis_process.client() as client:
            kept: Any = client.xrange("rpa:history:orphan", count=known)
            client.delete("rpa:history:orphan")
            for name, fields in kept:
                client.xadd("rpa:history:orphan", fields, id=name)
            raw: Any = client.get("rpa:progress:orphan")
            client.set("rpa:progress:orphan", raw.replace(b'"seq":11', b'"seq":5'))
        with running(server):
            wait_until(lambda: numbers(redis_process) == list(range(1, 12)))


async def test_every_run_of_the_day_is_adopted_whatever_lies_beside_it(
    data_dir: Path, redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150 newer files of other robots do not prevent any of 150 runs of our tracker from being adopted."""
    monkeypatch.setattr(adoption_module, "_SETTLE_S", 0.0)
    dead = Robot(steps=3)
    for number in range(150):
        dead.run.session_id = dead.run.snapshot["session_id"] = f"dead-{number}"
        json_files.write_all(data_dir, f"dead-{number}", dead.run.documents())
    for number in range(150):
        (data_dir / f"progress_other-{number}.json").write_text('{"etapa_atual": 1, "total_etapas": 15}')
    store = RedisStore(client(redis_process.url))
    adoption = Adoption(FileStore(data_dir), store)
    adoption.want()
    task = asyncio.create_task(adoption.run())
    await until(lambda: adoption.adopted == 150)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert len(await store.sessions(1000)) == 150
    await store.aclose()


class UpToDate(RedisStore):
    """A stand-in for Redis: every session was last written at time 1.0 and is at the robot's current position."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot

    async def written(self, session_ids: Any) -> list[float | None]:
        return [1.0] * len(session_ids)

    async def positions(self, session_ids: Any) -> Any:
        return dict.fromkeys(session_ids, self._robot.state().cursor)


async def test_a_viewer_that_is_behind_is_looked_after_until_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer that missed the final message gets it although the next three reads of the store fail."""
    monkeypatch.setattr(position_check, "CHECK_S", 0.02)
    robot = Robot(steps=3)
    store = SlowStore(robot.state())
    hub = make_hub(store)
    session = hub.session(SESSION)
    viewer = await watch(session, Viewer())
    robot.finish()
    store.stored = robot.state()
    failures = 3
    read = store.read

    async def failing(session_id: str, after: int | None = None) -> SessionState | None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StorageUnavailable("not now")
        return await read(session_id, after)

    monkeypatch.setattr(store, "read", failing)
    task = asyncio.create_task(PositionCheck(hub, UpToDate(robot)).run())
    await until(lambda: viewer.count("update") == 1)
    task.cancel()
    assert failures < 0
    assert session.final


async def test_files_that_cannot_be_read_delay_no_other_session(data_dir: Path, redis_process: RedisServer) -> None:
    """A session whose files can't be read now keeps no other session from being adopted."""
    for name in ("dead", "unreadable"):
        json_files.write_all(data_dir, name, Robot(steps=3).run.documents())
    files, read = FileStore(data_dir), FileStore(data_dir).read

    async def sometimes(session_id: str, after: int | None = None) -> SessionState | None:
        if session_id == "unreadable":
            raise StorageUnavailable("The session's files can't be read now.")
        return await read(session_id, after)

    files.read = sometimes  # type: ignore[method-assign]
    store = RedisStore(client(redis_process.url))
    async with contextlib.aclosing(store):
        adoption = Adoption(files, store)
        await adoption._look()
    assert adoption.adopted == 1
