"""The network between server, robots and Redis fails: lost packets, late answers, unresolved names, a new master."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from tests.support.faults.fleet import Heartbeat, scene
from tests.support.faults.network import FarRedis, Link, Proxy, why_no_namespaces
from tests.support.faults.robots import Plan, Robots, working
from tests.support.faults.table import Row
from tests.support.server import RedisServer, Server, free_port, redis_server, running
from tests.support.timing import within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)


class Severable(NamedTuple):
    """A Redis whose network can be cut silently: no byte passes, and no connection is closed.

    Attributes:
        url: its URL.
        cut, mend: functions that cut the network and restore it.
        how: how it is cut, for the table.
    """

    url: str
    cut: Callable[[], None]
    mend: Callable[[], None]
    how: str


@contextmanager
def severable() -> Iterator[Severable]:
    """Run a Redis behind its own link or, if no network namespace can be made, behind a proxy that stops bytes."""
    with ExitStack() as stack:
        if not why_no_namespaces():
            link = stack.enter_context(Link())
            far = FarRedis(link).start()
            stack.callback(far.kill)
            yield Severable(far.url, link.down, link.up, "link down")
        else:
            proxy = stack.enter_context(Proxy(stack.enter_context(redis_server()).port).running())
            yield Severable(
                proxy.url, lambda: setattr(proxy, "swallows", True), lambda: setattr(proxy, "swallows", False), "swallowed"
            )


async def test_R4_unreachable(tmp_path: Path, record: Record, full: bool) -> None:
    """While no packet reaches Redis, the server answers promptly; within 5 s after the outage it is live again."""
    length_s = 120.0 if full else 5.0
    # A server without Redis shows by how much the machine alone delays answers.
    control = Server(tmp_path / "control", "none")
    with ExitStack() as stack:
        backend = stack.enter_context(severable())
        async with scene(tmp_path, backend.url, near=2, far=2, viewers=20, every_s=0.5) as fleet:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(stack.enter_context, running(control))
            async with Heartbeat(fleet.server).taken() as heartbeat, Heartbeat(control).taken() as still:
                await asyncio.to_thread(backend.cut)
                await asyncio.sleep(length_s)
                await asyncio.to_thread(backend.mend)
                mended_s = time.monotonic()
            await asyncio.sleep(6.0 if full else 3.0)
            verdict = await fleet.end()
            live_s = fleet.live_again_s(mended_s)
    more = (
        f"live {live_s:.2f} s after, loop lag p99 {heartbeat.p99_s * 1000:.1f} ms ({still.p99_s * 1000:.1f} ms without), "
        f"CPU {heartbeat.cpu * 100:.1f} %"
    )
    record(verdict.row(f"R4 {backend.how} for {length_s:g} s", more))
    assert verdict.faults == CLEAN, verdict.worst
    assert heartbeat.cpu <= 0.1
    within(heartbeat.p99_s, 0.1 + still.p99_s)
    within(live_s, 5.0)
    within(verdict.block_s, 1.0)


# -- the robot's side

#: By how many seconds the p99 of calls may exceed the control robot's, once the robot noticed that Redis is away.
FILES_S = 0.005


def one_robot(directory: Path, url: str, prefix: Sequence[str] = ()) -> Robots:
    return Robots(directory, Plan(["alone"], every_s=0.02, start_s=0), url, directory / "rpa_data", prefix)


@contextmanager
def beside_control(robots: Robots, directory: Path) -> Iterator[Robots]:
    """Run *robots* and a control robot on files alone; yield the latter, whose calls show the delays without Redis."""
    plan = Plan(["control"], robots.plan.every_s, start_s=0)
    control = Robots(directory, plan, "none", directory / "control_data")
    with working(control, robots):
        yield control
        robots.stop()
        control.stop()


#: Seconds after a fault within which the first call that it delays has begun.
_STRUCK_S = 2.0


def judged(record: Record, what: str, robots: Robots, control: Robots, since_s: float) -> tuple[float, float]:
    """Record a row about one robot.

    Returns:
        In seconds, its longest call, and by how much the p99 of its later calls exceeds that of the control robot.
        Later means after the call that the fault at *since_s* delayed.
    """
    calls, plain = robots.reports()["alone"], control.reports()["control"]
    worst = max(calls, key=lambda call: call.block_s)
    # The call that the fault delayed; the longest of all may be a later one, delayed by the machine.
    struck = max((call for call in calls if call.called_s < since_s + _STRUCK_S), key=lambda call: call.block_s)
    since_s = max(since_s, struck.called_s)
    p99_s, plain_s = (p99([call.block_s for call in made if call.called_s > since_s]) for made in (calls, plain))
    more = f"behind it p99 {p99_s * 1000:.1f} ms, without Redis {plain_s * 1000:.1f} ms"
    record(Row(f"R5 {what}", updates=len(calls), block_s=worst.block_s, more=more))
    return worst.block_s, p99_s - plain_s


def p99(values: Sequence[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


@pytest.mark.serial
@pytest.mark.parametrize("when", [pytest.param("at the start", marks=pytest.mark.faults_full), "in mid-run"])
def test_R5_black_hole(tmp_path: Path, record: Record, full: bool, when: str) -> None:
    """A Redis that stops answering costs a robot one wait below 1 s; later calls are as fast as with files alone."""
    with severable() as backend:
        if when == "at the start":
            backend.cut()
        robots = one_robot(tmp_path, backend.url)
        with beside_control(robots, tmp_path) as control:
            time.sleep(1.0)
            cut_s = time.monotonic()
            backend.cut()
            time.sleep(30.0 if full else 4.0)
    block_s, later_s = judged(record, f"{backend.how} {when}", robots, control, cut_s)
    within(block_s, 1.0)
    within(later_s, FILES_S)


@pytest.mark.serial
def test_R5_no_names(tmp_path: Path, record: Record, full: bool) -> None:
    """When Redis closes the connection and its host's name no longer resolves, no call of a robot takes 1 s."""
    if why_no_namespaces():
        pytest.skip(why_no_namespaces())
    with Link() as link, redis_server() as local:
        local.kill()
        local.start("--bind", "0.0.0.0", "--protected-mode", "no")
        # With a name server that never answers, resolving a name takes ten seconds and more.
        link.resolver("10.213.255.1", f"{link.near} redis.example")
        robots = one_robot(tmp_path, f"redis://redis.example:{local.port}/0", link.prefix)
        with beside_control(robots, tmp_path) as control:
            time.sleep(1.0)
            assert any("[OK] Redis conectado" in line for line in robots.findings)
            link.resolver("10.213.255.1")
            cut_s = time.monotonic()
            local.kill()
            time.sleep(30.0 if full else 4.0)
    block_s, later_s = judged(record, "connection closed, no name server", robots, control, cut_s)
    within(block_s, 1.0)
    within(later_s, FILES_S)


@pytest.mark.faults_full
@pytest.mark.parametrize("delay_s", [0.2, 0.45])
def test_R5_slow(tmp_path: Path, record: Record, delay_s: float) -> None:
    """If Redis answers each command late, but within the time limit, the waits within one call do not add up to 1 s."""
    with redis_server() as backend, backend.client() as client:
        client.config_set("requirepass", "segredo")
        with Proxy(backend.port).running() as proxy:
            robots = one_robot(tmp_path, f"redis://:segredo@127.0.0.1:{proxy.port}/3")
            with working(robots):
                for _ in range(5):
                    time.sleep(0.5)
                    proxy.delay_s = delay_s
                    time.sleep(1.0)
                    proxy.reset()
                    client.script_flush()
                    time.sleep(1.5)
                    proxy.delay_s = 0.0
                    proxy.reset()
                robots.stop()
    calls = robots.reports()["alone"]
    worst_s = max(call.block_s for call in calls)
    record(Row(f"R5 every answer {delay_s:g} s late", updates=len(calls), block_s=worst_s))
    within(worst_s, 1.0)


# -- failover


async def post(server: Server, session_id: str) -> int:
    """Publish a step over HTTP; return the status."""
    event = {"etapa": 1, "mensagem": "passo"}
    address = f"{server.url}/api/sessions/{session_id}/events"
    async with aiohttp.ClientSession() as http, http.post(address, json=event) as response:
        return response.status


@pytest.mark.faults_full
@pytest.mark.parametrize("how", ["killed", "frozen", "demoted"])
async def test_R10_failover(tmp_path: Path, record: Record, how: str) -> None:
    """When a replica becomes master and new connections lead to it, all use it within 10 s, and nothing is lost."""
    with redis_server() as old, replica_of(old) as new, Proxy(old.port).running() as proxy:
        async with scene(tmp_path, proxy.url, near=2, far=4, viewers=30, every_s=0.2) as fleet:
            await asyncio.sleep(2.0)
            with new.client() as client, old.client() as old_client:
                if how == "killed":
                    old.kill()
                elif how == "frozen":
                    old.signal(signal.SIGSTOP)
                client.replicaof("NO", "ONE")
                if how == "demoted":
                    old_client.replicaof("127.0.0.1", new.port)
            switched_s = time.monotonic()
            proxy.target = new.port
            await asyncio.sleep(11.0)
            # Both must be stored by the new master, although the server may still be connected to the old one.
            posted = [await post(fleet.server, "posted") for _ in range(2)]
            with new.client() as client:
                stored = client.xlen("rpa:history:posted")
            verdict = await fleet.end()
            live_s = fleet.live_again_s(switched_s)
            backends = {end.backend for robots in fleet.robots for end in robots.ends().values()}
        if how == "frozen":
            old.signal(signal.SIGCONT)
    record(verdict.row(f"R10 failover, old master {how}", f"live {live_s:.2f} s after"))
    assert verdict.faults == CLEAN, verdict.worst
    assert backends == {"redis"}
    assert (posted, stored) == ([201, 201], 3)
    within(live_s, 10.0)
    within(verdict.block_s, 1.0)


@contextmanager
def replica_of(of: RedisServer) -> Iterator[RedisServer]:
    """Run a replica of *of* for the duration of the block; wait until both are connected."""
    replica = RedisServer(free_port()).start("--replicaof", "127.0.0.1", str(of.port))
    try:
        with replica.client() as client:
            deadline = time.monotonic() + 10
            while client.info("replication")["master_link_status"] != "up":
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield replica
    finally:
        replica.kill()
