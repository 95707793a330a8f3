"""Redis closes connections, loses its data, freezes: every update still reaches every viewer once."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.faults.fleet import eventually, kill_subscribers, outage, ready, scene
from tests.support.faults.table import Row
from tests.support.server import RedisServer
from tests.support.timing import within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)


@pytest.mark.faults_full
async def test_R1_subscriptions_killed(tmp_path: Path, redis_process: RedisServer, record: Record) -> None:
    """Although Redis closes all subscriptions 100 times, five times a second, each of 200 updates/s arrives once."""
    async with scene(tmp_path, redis_process.url, near=10, far=10, viewers=50) as fleet:
        killed = 0
        while killed < 100:
            killed += await asyncio.to_thread(kill_subscribers, redis_process)
            await asyncio.sleep(0.2)
        verdict = await fleet.end()
    record(verdict.row(f"R1 subscriptions killed x{killed} at 5/s"))
    assert verdict.faults == CLEAN, verdict.worst
    within(verdict.delay_s(0.99), 0.5)
    within(verdict.block_s, 1.0)


@pytest.mark.faults_full
async def test_R2_data_wiped(tmp_path: Path, redis_process: RedisServer, record: Record) -> None:
    """If Redis returns empty after 3 s, no update is lost, and a client gets one state instead of updates at most."""
    async with scene(tmp_path, redis_process.url, near=10, far=10, viewers=200, every_s=0.2) as fleet:
        await asyncio.sleep(2.0)
        opened_s = await outage(redis_process, 3.0)
        await asyncio.sleep(6.0)
        verdict = await fleet.end()
        live_s = fleet.live_again_s(opened_s)
    record(verdict.row("R2 shut down for 3 s, data wiped", f"live {live_s:.2f} s after the port opened"))
    assert verdict.faults == CLEAN, verdict.worst
    assert verdict.most_resets <= 1
    within(live_s, 2.0)
    within(verdict.block_s, 1.0)


@pytest.mark.faults_full
async def test_R3_frozen(tmp_path: Path, redis_process: RedisServer, record: Record) -> None:
    """When Redis answers nothing for 10 s, readiness says so within 5 s, no update is lost, no robot waits 1 s."""
    async with scene(tmp_path, redis_process.url, near=5, far=5, viewers=50, every_s=0.2) as fleet:

        async def degraded() -> bool:
            return bool((await ready(fleet.server))[1]["status"] == "degraded")

        await asyncio.sleep(1.0)
        redis_process.signal(signal.SIGSTOP)
        try:
            frozen_s = time.monotonic()
            noticed_s = await eventually(degraded, 8.0)
            await asyncio.sleep(frozen_s + 10.0 - time.monotonic())
        finally:
            redis_process.signal(signal.SIGCONT)
        thawed_s = time.monotonic()
        await asyncio.sleep(6.0)
        verdict = await fleet.end()
        live_s = fleet.live_again_s(thawed_s)
    more = f"degraded after {noticed_s:.2f} s, live {live_s:.2f} s after SIGCONT"
    record(verdict.row("R3 frozen for 10 s", more))
    assert verdict.faults == CLEAN, verdict.worst
    within(noticed_s, 5.0)
    within(live_s, 5.0)
    within(verdict.block_s, 1.0)


async def test_R6_paused(tmp_path: Path, redis_process: RedisServer, record: Record, full: bool) -> None:
    """If Redis executes commands 3 s late, trackers can't know which were executed, yet each update is stored once."""
    async with scene(tmp_path, redis_process.url, near=5, far=5, viewers=50) as fleet:
        for _ in range(5 if full else 1):
            await asyncio.sleep(0.7)
            with redis_process.client() as client:
                client.client_pause(3000)
            await asyncio.sleep(4.0)
        verdict = await fleet.end(settle_s=2.0)
        with redis_process.client() as client:
            numbers = {session: [int(name.split(b"-")[0]) for name, _ in client.xrange(f"rpa:history:{session}")]
                       for session in {viewer.session_id for viewer in fleet.crowd.viewers}}  # fmt: skip
    record(verdict.row("R6 paused for 3 s, again and again"))
    assert verdict.faults == CLEAN, verdict.worst
    assert verdict.resets == 0
    assert all(seqs == list(range(seqs[0], seqs[-1] + 1)) for seqs in numbers.values())
    within(verdict.block_s, 1.0)
