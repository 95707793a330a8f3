"""Several faults of Redis and of the server within one run."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.faults.fleet import Fleet, kill_subscribers, outage, scene
from tests.support.faults.table import Row
from tests.support.server import RedisServer, Server
from tests.support.timing import within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)


async def kill_times(backend: RedisServer, times: int) -> int:
    """Make Redis close its subscriptions, five times a second, until *times* were closed; return how many were."""
    killed = 0
    while killed < times:
        killed += await asyncio.to_thread(kill_subscribers, backend)
        await asyncio.sleep(0.2)
    return killed


async def freeze(backend: RedisServer, length_s: float) -> None:
    """Freeze Redis by SIGSTOP for *length_s*."""
    backend.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(length_s)
    finally:
        backend.signal(signal.SIGCONT)


async def restart(fleet: Fleet, length_s: float) -> None:
    """Kill the server and start it again *length_s* later."""
    await asyncio.to_thread(fleet.server.kill)
    await asyncio.sleep(length_s)
    await asyncio.to_thread(fleet.server.start)


async def test_R_one_after_the_other(tmp_path: Path, redis_process: RedisServer, record: Record, full: bool) -> None:
    """No update is lost if subscriptions are killed often, Redis is wiped and frozen, and the server is killed."""
    times, viewers, frozen_s = (34, 200, 10.0) if full else (5, 60, 4.0)
    async with scene(tmp_path, redis_process.url, near=10, far=10, viewers=viewers, every_s=0.2) as fleet:
        killed = await kill_times(redis_process, times)
        await outage(redis_process, 3.0)
        await asyncio.sleep(2.0)
        killed += await kill_times(redis_process, times)
        await freeze(redis_process, frozen_s)
        await asyncio.sleep(2.0)
        killed += await kill_times(redis_process, times)
        await restart(fleet, 2.0)
        await fleet.crowd.until_up()
        await asyncio.sleep(2.0)
        verdict = await fleet.end()
    what = f"R all: subscriptions killed x{killed}, wiped 3 s, frozen {frozen_s:g} s, server killed"
    record(verdict.row(what))
    assert verdict.faults == CLEAN, verdict.worst
    assert verdict.most_resets <= 1
    within(verdict.block_s, 1.0)


@pytest.mark.faults_full
@pytest.mark.parametrize("how", ["wiped", "frozen"])
async def test_R_server_killed_in_an_outage(
    tmp_path: Path, redis_process: RedisServer, record: Record, how: str
) -> None:
    """A server that restarts while Redis is away can't read some runs: viewers get nothing wrong and miss no update.
    """
    async with scene(tmp_path, redis_process.url, near=4, far=4, viewers=200, every_s=0.2) as fleet:
        await asyncio.sleep(1.5)
        failing = outage(redis_process, 7.0) if how == "wiped" else freeze(redis_process, 7.0)
        task = asyncio.create_task(failing)
        await asyncio.sleep(1.5)
        await restart(fleet, 1.0)
        await task
        since_s = time.monotonic()
        await asyncio.sleep(5.0)
        verdict = await fleet.end()
        live_s = fleet.live_again_s(since_s)
    record(verdict.row(f"R all: server killed while Redis is {how}", f"live {live_s:.2f} s after Redis"))
    assert verdict.faults == CLEAN, verdict.worst
    assert verdict.most_resets <= 1
    within(live_s, 5.0)
    within(verdict.block_s, 1.0)


@pytest.mark.faults_full
async def test_R_two_servers(tmp_path: Path, redis_process: RedisServer, record: Record) -> None:
    """Viewers that move between two servers, each killed in turn, miss nothing and continue from their cursor."""
    servers = [Server(tmp_path / name / "rpa_data", redis_process.url) for name in ("one", "two")]
    for server in servers:
        server.log.parent.mkdir()
    async with scene(tmp_path, redis_process.url, near=0, far=10, viewers=100, every_s=0.2, servers=servers) as fleet:
        for _ in range(3):
            for server in servers:
                await kill_times(redis_process, 3)
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(1.0)
                await asyncio.to_thread(server.start)
                await fleet.crowd.until_up()
        verdict = await fleet.end(settle_s=2.0)
        moves = sum(len(viewer.tries) > 1 for viewer in fleet.crowd.viewers)
    record(verdict.row("R all: two servers killed in turn, three times", f"{moves} viewers moved"))
    assert verdict.faults == CLEAN, verdict.worst
    assert verdict.resets == 0
    within(verdict.block_s, 1.0)
