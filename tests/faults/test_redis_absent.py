"""Redis is away at the start or for long: robots use files, and Redis gets the missed updates once it answers."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rpa_server.backends.files.names import file_name, journal_name
from rpa_server.backends.redis.names import history_key
from tests.support.faults.fleet import eventually, live_line, scene, shut
from tests.support.faults.robots import Robots
from tests.support.faults.table import Row
from tests.support.server import RedisServer, Server
from tests.support.timing import within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)


def lines_of(server: Server) -> list[str]:
    """Return the lines of the server's log, except those about requests."""
    return [line for line in server.log.read_text().splitlines() if " HTTP/1.1" not in line]


async def test_R12_late(tmp_path: Path, record: Record, full: bool) -> None:
    """A server that starts before Redis delivers from files within 1 s; within 5 s of the start of Redis it is live."""
    absent_s = 60.0 if full else 3.0
    backend = RedisServer()
    server = Server(tmp_path / "rpa_data", backend.url)
    try:
        began_s = time.monotonic()
        await asyncio.to_thread(server.start)
        opened_s = time.monotonic() - began_s
        await asyncio.to_thread(server.stop)
        async with scene(tmp_path, backend.url, near=4, viewers=20, servers=[server]) as fleet:
            await asyncio.sleep(absent_s)
            before = fleet.verdict()
            async with live_line(fleet.server, backend) as through_s:
                await asyncio.to_thread(backend.start)
                live_s = await through_s()
            await asyncio.sleep(2.0)
            verdict = await fleet.end()
            ends = [end.backend for robots in fleet.robots for end in robots.ends().values()]
    finally:
        backend.kill()
    more = f"port open after {opened_s:.2f} s, live {live_s:.2f} s after Redis, {len(before.delays_s)} deliveries before"
    record(verdict.row(f"R12 Redis {absent_s:g} s late", more))
    assert verdict.faults == CLEAN, verdict.worst
    assert before.delays_s and before.delay_s() <= 1.0
    assert set(ends) == {"redis"}
    within(opened_s, 3.0)
    within(live_s, 5.0)
    within(verdict.block_s, 1.0)


def spool(data_dir: Path, session_id: str) -> set[int]:
    """Return the ``seq`` of every update in a session's history file and journal."""
    history = json.loads((data_dir / file_name("history", session_id)).read_text())
    numbers = {entry["seq"] for entry in history["historico"]}
    journal = data_dir / journal_name(session_id)
    if journal.exists():
        numbers |= {json.loads(line)["seq"] for line in journal.read_text().splitlines()}
    return numbers


def reported(robots: Robots) -> int:
    """Return the ``seq`` of the last update of *robots*, which must be a single robot."""
    return robots.reports()[robots.plan.sessions[0]][-1].seq


async def test_R13_long_outage(tmp_path: Path, redis_process: RedisServer, record: Record, full: bool) -> None:
    """While Redis is away, for more updates than HISTORY, files keep every update; then Redis gets the newest."""
    # The short form, too, makes more updates than HISTORY.
    length_s, every_s = (600.0, 0.02) if full else (7.0, 0.01)
    data_dir = tmp_path / "rpa_data"
    async with scene(tmp_path, redis_process.url, near=1, viewers=10, every_s=every_s) as fleet:
        robots = fleet.robots[0]
        await asyncio.sleep(1.0)
        first = reported(robots) + 1
        await asyncio.to_thread(shut, redis_process)
        await asyncio.sleep(length_s)
        robots.tell("pause")
        await asyncio.sleep(0.5)
        last = reported(robots)
        # Redis may have got one or two more updates before it was away.
        missing = set(range(first + 2, last + 1)) - await asyncio.to_thread(spool, data_dir, "near-0")
        robots.tell("go")
        await asyncio.to_thread(redis_process.start)
        replayed_s = await eventually(lambda: in_redis(redis_process) >= last, 15.0)
        removed_s = replayed_s + await eventually(lambda: not list(data_dir.iterdir()), 15.0)
        await asyncio.sleep(1.0)
        verdict = await fleet.end()
        findings, log = robots.findings, lines_of(fleet.server)
        end = robots.ends()["near-0"]
    failed = [line for line in findings if "Traceback" in line or "failed in" in line]
    more = (
        f"spool lacks {len(missing)} of {last - first}, replayed after {replayed_s:.2f} s, files gone after "
        f"{removed_s:.2f} s, {len(findings)} + {len(log)} log lines, {len(failed)} exceptions"
    )
    record(verdict.row(f"R13 no Redis for {length_s:g} s at {1 / every_s:g}/s", more))
    assert verdict.faults == CLEAN, verdict.worst
    assert verdict.resets == 0
    assert not missing
    assert failed == []
    assert len(findings) <= 60
    assert len(log) <= 60
    assert (end.lost, end.backend) == (0, "redis")
    within(replayed_s, 10.0)
    within(removed_s, 10.0)
    within(verdict.block_s, 1.0)


def in_redis(backend: RedisServer) -> int:
    """Return the ``seq`` of the last update of session near-0 in Redis, 0 for none."""
    with backend.client() as client:
        newest: Any = client.xrevrange(history_key("near-0"), count=1)
    return int(newest[0][0].split(b"-")[0]) if newest else 0
