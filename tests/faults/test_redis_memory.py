"""Redis runs out of memory and evicts live sessions: pages that watch them get the same answers as before."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import aiohttp
import pytest
import redis

from rpa_server.backends.redis import append
from tests.support.faults.fleet import scene
from tests.support.faults.robots import Robots
from tests.support.faults.table import Row
from tests.support.server import RedisServer, until
from tests.support.sessions import Robot
from tests.support.timing import within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)


class Poller:
    """A page that polls a session twice a second, without ``wait``.

    Attributes:
        bad: descriptions of answers that are not 200, show 0 %, or less than an earlier one.
        percents: the ``percentual`` of each answer.
    """

    def __init__(self, url: str, session_id: str) -> None:
        self._address = f"{url}/api/sessions/{session_id}"
        self.bad: list[str] = []
        self.percents: list[float] = []

    async def run(self, http: aiohttp.ClientSession) -> None:
        while True:
            async with http.get(self._address) as response:
                body = await response.json()
            if response.status != 200:
                self.bad.append(f"{response.status} {body}")
            else:
                self.percents.append(body["snapshot"]["percentual"])
                if self.percents[-1] == 0 or self.percents[-1] < max(self.percents):
                    self.bad.append(f"{self.percents[-1]} % behind {max(self.percents)} %")
            await asyncio.sleep(0.5)


def junk(backend: RedisServer, keys: int = 8000) -> None:
    """Store *keys* keys of 1 kB as another program might, so that Redis has to evict others."""
    with backend.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(keys):
            pipeline.set(f"cache:{number}", "x" * 1000)
        pipeline.execute()


def stored_keys(backend: RedisServer, sessions: set[str]) -> int:
    """Return how many of the snapshots and histories of these sessions Redis still has."""
    with backend.client() as client:
        names = [f"rpa:{kind}:{session}" for session in sessions for kind in ("progress", "history")]
        return int(client.exists(*names))


async def test_R8_evicted(tmp_path: Path, record: Record, full: bool) -> None:
    """With ``allkeys-lru``, 5 MB and 8,000 other keys at once, polls of a live session get no 404, 0 % or older state."""
    backend = RedisServer().start("--maxmemory", "5mb", "--maxmemory-policy", "allkeys-lru")
    evicted = keys = 0
    try:
        async with scene(tmp_path, backend.url, near=4, far=4, viewers=40) as fleet, aiohttp.ClientSession() as http:
            warned = "maxmemory-policy" in fleet.server.log.read_text()
            sessions = {viewer.session_id for viewer in fleet.crowd.viewers}
            await until(lambda: all(viewer.seq >= 5 for viewer in fleet.crowd.viewers))
            pollers = [Poller(fleet.server.url, session) for session in sorted(sessions)]
            tasks = [asyncio.create_task(poller.run(http)) for poller in pollers]
            await until(lambda: all(poller.percents for poller in pollers))
            for _ in range(5 if full else 1):
                await pause(fleet.robots, "pause")
                await asyncio.to_thread(junk, backend)
                evicted, keys = evicted + 2 * len(sessions) - stored_keys(backend, sessions), keys + 2 * len(sessions)
                await asyncio.sleep(2.5)  # time for two position checks and five polls
                await pause(fleet.robots, "go")
                await asyncio.sleep(0.5)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            verdict = await fleet.end()
    finally:
        backend.kill()
    bad = [text for poller in pollers for text in poller.bad]
    asked = sum(len(poller.percents) for poller in pollers)
    more = f"{evicted} of {keys} keys evicted, {len(bad)} bad of {asked + len(bad)} polls, warned: {warned}"
    record(verdict.row("R8 evicted by allkeys-lru", more))
    assert evicted > 0
    assert not warned
    assert bad == []
    assert verdict.faults == CLEAN, verdict.worst
    assert verdict.resets == 0
    within(verdict.block_s, 1.0)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "volatile-ttl"])
def test_b16_finished_sessions_are_evicted_before_live_ones(policy: str) -> None:
    """With memory full of sessions, those that are still written keep snapshot and whole stream, however slowly they go."""
    backend = RedisServer().start("--maxmemory", "5mb", "--maxmemory-policy", policy, "--maxmemory-samples", "32")
    live = [session(f"live{number}", steps=1) for number in range(20)]
    finished = (session(f"old{number}", steps=20) for number in itertools.count())
    try:
        with backend.client() as client:
            put(client, live)
            # The clock of allkeys-lru has seconds, hence the pauses.
            for _ in range(3):
                put(client, itertools.islice(finished, 60))
                time.sleep(1.05)
                for robot in live:
                    robot.step()
                put(client, live, 1)
            while client.info("stats")["evicted_keys"] < 60:
                put(client, itertools.islice(finished, 10))
            streams = [client.xlen(f"rpa:history:{robot.run.session_id}") for robot in live]
            snapshots = [client.exists(f"rpa:progress:{robot.run.session_id}") for robot in live]
    finally:
        backend.kill()
    assert streams == [robot.run.seq for robot in live]
    assert snapshots == [1] * len(live)


def session(session_id: str, steps: int) -> Robot:
    """Return a robot of its own run and session."""
    robot = Robot(session_id, steps)
    robot.run.session_id = session_id
    return robot


def put(client: redis.Redis, robots: Iterable[Robot], last: int = 0) -> None:
    """Write the runs as their trackers would: all of their updates or, if *last* is given, so many."""
    for robot in robots:
        updates = list(robot.run.updates)[-last:]
        call = append.call(robot.run, updates)
        assert append.answer(client.eval(append.SCRIPT, len(call.keys), *call.keys, *call.args)).kind == "ok"


async def pause(fleet: Sequence[Robots], word: str) -> None:
    """Send the robots ``pause`` or ``go``, and wait 0.2 s for calls in progress."""
    for robots in fleet:
        robots.tell(word)
    await asyncio.sleep(0.2)
