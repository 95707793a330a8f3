"""The channel: updates without numbers, garbage, errors in the task that reads it, and an end that no page watched."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from tests.support.faults.fleet import figures, live_line, scene
from tests.support.faults.judge import judge
from tests.support.faults.robots import Plan, Robots, working
from tests.support.faults.table import Row
from tests.support.faults.viewers import Crowd
from tests.support.server import (
    EventWatcher,
    PollWatcher,
    RedisServer,
    Server,
    SocketWatcher,
    Watcher,
    running,
    until,
    watching,
)
from tests.support.timing import within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)


# -- R16: writers that don't number


def unnumbered_snapshot(session_id: str, step: int, started: datetime) -> str:
    """Return a snapshot as a deployed robot stores it in Redis, encoded."""
    return json.dumps(
        {
            "etapa_atual": step, "total_etapas": 15, "percentual": step / 15 * 100, "status": "executando",
            "mensagem": f"passo {step}", "timestamp_inicio": started.isoformat(),
            "timestamp_atualizacao": (started + timedelta(seconds=step)).isoformat(), "dados_extra": {}, "erros": [],
            "session_id": session_id,
        }
    )  # fmt: skip


@pytest.mark.parametrize("stores", [False, True], ids=["alone", "beside a snapshot"])
async def test_R16_unnumbered(
    tmp_path: Path, redis_process: RedisServer, redis_backed: Server, record: Record, stores: bool
) -> None:
    """Each update of a writer that numbers nothing arrives once; a later viewer gets the stored snapshot, if any."""
    steps, session_id, url = 14, "unnumbered", redis_backed.url
    watchers = [SocketWatcher(url, session_id), EventWatcher(url, session_id)]
    later: list[Watcher] = [SocketWatcher(url, session_id), EventWatcher(url, session_id)]
    started = datetime.now().replace(microsecond=0)
    with redis_process.client() as client:
        async with watching(*watchers):
            await until(lambda: all(watcher.messages for watcher in watchers))
            for step in range(1, steps + 1):
                if stores:
                    client.set(f"rpa:progress:{session_id}", unnumbered_snapshot(session_id, step, started), ex=86400)
                client.publish(f"rpa_progress:{session_id}", json.dumps({"etapa": step, "mensagem": f"passo {step}"}))
                await asyncio.sleep(0.1)
            await asyncio.sleep(2.5)  # time for a position check, which must send nothing again
            async with watching(*later), aiohttp.ClientSession() as http:
                await until(lambda: all(watcher.messages for watcher in later))
                async with http.get(f"{url}/api/sessions/{session_id}") as response:
                    polled = await response.json()
    steps_seen = [[update["etapa"] for update in watcher.updates] for watcher in watchers]
    snapshots = [answer.get("snapshot") for answer in (*(watcher.messages[0] for watcher in later), polled)]
    shown = [snapshot and snapshot["etapa_atual"] for snapshot in snapshots]
    record(
        Row(
            f"R16 bare PUBLISH {'beside a snapshot' if stores else 'alone'}",
            clients=len(watchers),
            updates=steps,
            lost=sum(steps - len(set(seen)) for seen in steps_seen),
            duplicated=sum(len(seen) - len(set(seen)) for seen in steps_seen),
            misordered=sum(seen != sorted(seen) for seen in steps_seen),
            more=f"who came later saw step {shown}",
        )
    )
    assert steps_seen == [list(range(1, steps + 1))] * len(watchers)
    assert shown == [steps if stores else None] * 3


# -- R17: garbage

GARBAGE = (
    b"",
    b"hello",
    bytes(range(256)),
    b'{"mensagem": "\xff\xfe"}',
    b'{"etapa": NaN}',
    b'{"etapa": 5, "mensagem": "Tela',
    b"[" * 100_000,
    b'{"etapa": 1, "dados_extra": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
)


@pytest.mark.serial
async def test_R17_garbage(tmp_path: Path, redis_process: RedisServer, record: Record, full: bool) -> None:
    """Garbage is dropped and counted, and a good message after it is delivered within 100 ms."""
    rounds = 200 if full else 20
    async with scene(tmp_path, redis_process.url, near=2, far=2, viewers=20) as fleet:
        sessions = sorted({viewer.session_id for viewer in fleet.crowd.viewers})
        before = await figures(fleet.server)
        delays_s = []
        async with live_line(fleet.server, redis_process) as through_s:
            for number in range(rounds):
                with redis_process.client() as client:
                    for raw in GARBAGE:
                        client.publish(f"rpa_progress:{sessions[number % len(sessions)]}", raw)
                delays_s.append(await through_s())
        after = await figures(fleet.server)
        verdict = await fleet.end()
    counted = after["rpa_messages_garbage_total"] - before["rpa_messages_garbage_total"]
    delays_s.sort()
    # The 99th percentile: one late message in a hundred may be due to something else on this machine.
    worst_s = delays_s[int(0.99 * (len(delays_s) - 1))]
    more = f"{counted:.0f} of {rounds * len(GARBAGE)} counted, next good message {worst_s * 1000:.0f} ms"
    record(verdict.row(f"R17 garbage x{rounds * len(GARBAGE)}", more))
    assert verdict.faults == CLEAN, verdict.worst
    assert counted == rounds * len(GARBAGE)
    within(worst_s, 0.1)


# -- R20: an exception while reading the subscription

_FAILING = """
import sys
from aiohttp import web
from rpa_server.watchers.feed import Feed

take = Feed.message

def message(self, channel, raw):
    if raw == b"boom":
        raise RuntimeError("boom")
    take(self, channel, raw)

Feed.message = message
web.main(sys.argv[1:])
"""


class FailingServer(Server):
    """A server in which the message ``boom`` raises an exception while the subscription is read."""

    def command(self) -> list[str]:
        return [sys.executable, "-c", _FAILING, "-H", "127.0.0.1", "-P", str(self.port), "rpa_server:create_app"]


async def test_R20_drain_fails(tmp_path: Path, redis_process: RedisServer, record: Record, full: bool) -> None:
    """Each exception in the task that reads the subscription is counted; updates arrive again within 1 s."""
    times = 50 if full else 5
    server = FailingServer(tmp_path / "rpa_data", redis_process.url)
    async with scene(tmp_path, redis_process.url, near=2, far=2, viewers=20, servers=[server]) as fleet:
        before = await figures(fleet.server)
        back_s = []
        async with live_line(fleet.server, redis_process) as through_s:
            for _ in range(times):
                with redis_process.client() as client:
                    client.publish("rpa_progress:line", "boom")
                back_s.append(await through_s())
        after = await figures(fleet.server)
        verdict = await fleet.end()
    counted = after["rpa_subscription_losses_total"] - before["rpa_subscription_losses_total"]
    record(verdict.row(f"R20 drain fails x{times}", f"back after {max(back_s):.2f} s at worst, {counted:.0f} counted"))
    assert verdict.faults == CLEAN, verdict.worst
    assert counted == times
    within(max(back_s), 1.0)


# -- R21: the end that nobody saw

_HOUR_S = 3600


def an_hour_later(backend: RedisServer | None, data_dir: Path) -> None:
    """Make keys in Redis and files look as if they were written an hour earlier."""
    if backend is not None:
        with backend.client() as client:
            for key in client.keys("rpa:*"):
                client.expire(key, client.ttl(key) - _HOUR_S)
            for name, score in client.zrange("rpa:sessions", 0, -1, withscores=True):
                client.zadd("rpa:sessions", {name: score - _HOUR_S})
    for path in data_dir.glob("*"):
        then = path.stat().st_mtime - _HOUR_S
        os.utime(path, (then, then))


@pytest.mark.parametrize("store", ["redis", pytest.param("files", marks=pytest.mark.faults_full)])
async def test_R21_end_unseen(tmp_path: Path, redis_process: RedisServer, record: Record, store: str) -> None:
    """If a run ends while no page watches and the server then restarts, every page gets the end an hour later."""
    data_dir = tmp_path / "rpa_data"
    url = redis_process.url if store == "redis" else "none"
    robots = Robots(tmp_path, Plan(["unseen"], every_s=0.05), url, data_dir)
    server = Server(data_dir, url)
    crowd = Crowd([server.url], ["unseen"], 10)
    newcomers: list[Watcher] = [kind(server.url, "unseen") for kind in (SocketWatcher, EventWatcher, PollWatcher)]
    with running(server), working(robots):
        async with crowd.watching():
            await crowd.until_up()
            await until(lambda: all(viewer.seq >= 5 for viewer in crowd.viewers))
        await asyncio.to_thread(robots.stop)
        await asyncio.to_thread(server.stop)
        an_hour_later(redis_process if store == "redis" else None, data_dir)
        await asyncio.to_thread(server.start)
        async with crowd.watching():
            assert await crowd.until_done(10.0)
        async with watching(*newcomers):
            await until(lambda: all(watcher.messages for watcher in newcomers))
    verdict = judge(robots.reports(), crowd.viewers, robots.ends())
    first = [watcher.messages[0] for watcher in newcomers]
    finals = [bool((message.get("snapshot") or {}).get("final")) for message in first]
    more = f"final in the first message of {sum(finals)} of {len(finals)} newcomers"
    record(verdict.row(f"R21 end unseen, {store}", more))
    assert verdict.faults == CLEAN, verdict.worst
    assert verdict.resets == 0
    assert finals == [True] * len(newcomers)
