"""Clients that stop reading, lose their network, or return after a long absence."""

import asyncio
import itertools
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import psutil
import pytest

from rpa_server.delivery.tcp import UNACKNOWLEDGED_MS
from rpa_server.progress.update import HISTORY
from tests.support.faults import wire
from tests.support.faults.fleet import eventually, figures
from tests.support.faults.inside import Apart, sockets
from tests.support.faults.judge import Verdict, judge
from tests.support.faults.network import Link, why_no_namespaces
from tests.support.faults.robots import Plan, Robots, working
from tests.support.faults.table import Row
from tests.support.faults.viewers import Crowd, LiveViewer, Transport
from tests.support.server import CommandServer, RedisServer, Server, running, watching
from tests.support.timing import fast_enough, within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)
FULL = pytest.mark.faults_full
TRANSPORTS: Sequence[Transport] = ("ws", "sse", "poll")


# -- C1: clients that stop reading


class Gauge(asyncio.Protocol):
    """A fast client for both stream transports: records when each update arrives, and answers pings.

    Args:
        request: the bytes that open the stream.

    Attributes:
        seen: the ``seq`` of each update and the monotonic time of its arrival, in order.
    """

    _SEQ = re.compile(rb'"seq":(\d+),"final"')
    _TAIL = 64
    _PING, _PONG = b"\x89\x00", b"\x8a\x80\0\0\0\0"

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._tail = b""
        self.seen: list[tuple[int, float]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        whole = self._tail + data
        end = 0
        for match in self._SEQ.finditer(whole):
            self.seen.append((int(match[1]), now_s))
            end = match.end()
        if self._PING in data:  # JSON has no NUL byte, so only a ping has these two bytes
            self._transport.write(self._PONG)
        self._tail = whole[max(end, len(whole) - self._TAIL) :]


@asynccontextmanager
async def gauges(port: int, session_id: str, count: int) -> AsyncIterator[list[Gauge]]:
    """Open *count* fast clients, in turn a WebSocket and an event stream; abort them after the block."""
    loop = asyncio.get_running_loop()
    requests = [wire.upgrade(f"/rpa/{session_id}"), wire.get(f"/events/{session_id}")]
    opened = [
        await loop.create_connection(lambda kind=kind: Gauge(requests[kind % 2]), "127.0.0.1", port)  # type: ignore[misc]
        for kind in range(count)
    ]
    try:
        yield [gauge for _, gauge in opened]
    finally:
        for transport, _ in opened:
            transport.abort()


def judged(found: list[Gauge], called: dict[int, float], after: int) -> Verdict:
    """Judge fast clients by the updates after number *after*; *called* has the time of the call for each ``seq``."""
    verdict = Verdict(clients=len(found), updates=len(called))
    due = {seq for seq in called if seq > after}
    for gauge in found:
        numbers = [seq for seq, _ in gauge.seen if seq > after]
        verdict.lost += len(due - set(numbers))
        verdict.duplicated += len(numbers) - len(set(numbers))
        verdict.misordered += sum(now < before for before, now in itertools.pairwise(numbers))
        verdict.delays_s += [at_s - called[seq] for seq, at_s in gauge.seen if seq in due]
    return verdict


async def until_dropped(server: Server, connection: socket.socket, timeout_s: float) -> float:
    """Wait until the server has closed a connection; return the monotonic time, or infinity after *timeout_s*.

    The operating system's list of the server's connections shows it; the client can't notice, as it does not read.
    """
    port = connection.getsockname()[1]
    process = psutil.Process(server.pid)
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if not any(each.raddr and each.raddr.port == port for each in process.net_connections("tcp")):
            return time.monotonic()
        await asyncio.sleep(0.25)
    return float("inf")


class Stall(NamedTuple):
    """The effect of two stalled clients on the others.

    Attributes:
        verdict: that of the other clients.
        rate: how many updates a second the robot made.
        gone_s: for each stalled client, the seconds from the robot's start until the server dropped it.
    """

    verdict: Verdict
    rate: float
    gone_s: list[float]


async def stall(directory: Path, redis_url: str, kind: type[Server], count: int, length_s: float) -> Stall:
    """Let two clients stall beside *count* others, and continue for *length_s* after the server dropped them."""
    data_dir = directory / "rpa_data"
    session = "c1"
    robots = Robots(directory, Plan([session], every_s=0.005, payload=4096, start_s=0.0), redis_url, data_dir)
    with running(kind(data_dir, redis_url)) as server:
        async with gauges(server.port, session, count) as good:
            stalled = [await wire.connect(server.port, 4096) for _ in range(2)]
            requests = wire.upgrade(f"/rpa/{session}"), wire.get(f"/events/{session}")
            for connection, request in zip(stalled, requests, strict=True):
                await asyncio.get_running_loop().sock_sendall(connection, request)
            await asyncio.sleep(0.3)
            with working(robots):
                began_s = time.monotonic()
                gone = await asyncio.gather(*(until_dropped(server, connection, 20.0) for connection in stalled))
                await asyncio.sleep(length_s)
                await asyncio.to_thread(robots.stop)
                await asyncio.sleep(0.5)
            for connection in stalled:
                connection.close()
    reports = robots.reports()[session]
    verdict = judged(good, {report.seq: report.called_s for report in reports}, 1)
    verdict.block_s = max(report.block_s for report in reports)
    rate = (len(reports) - 1) / (reports[-1].called_s - reports[0].called_s)
    return Stall(verdict, rate, [at_s - began_s for at_s in gone])


@pytest.mark.serial
@pytest.mark.parametrize(
    "kind", [pytest.param(Server, id="aiohttp"), pytest.param(CommandServer, id="uvloop", marks=FULL)]
)
async def test_C1_stalled(
    tmp_path: Path, redis_process: RedisServer, record: Record, full: bool, kind: type[Server]
) -> None:
    """Two clients that never read do not delay the others: at 200 updates of 4 kB a second p99 is at most 50 ms."""
    count, length_s = (100, 20.0) if full else (40, 1.0)
    found = await stall(tmp_path, redis_process.url, kind, count, length_s)
    record(
        found.verdict.row(
            f"C1 two stalled beside {count} ({'uvloop' if kind is CommandServer else 'asyncio'})",
            f"{found.rate:.0f} updates/s, stalled ones gone after "
            + ", ".join(f"{gone_s:.1f} s" for gone_s in found.gone_s),
        )
    )
    assert found.verdict.faults == CLEAN
    within(max(found.gone_s), 10.0)
    within(found.verdict.delay_s(0.99), 0.05)
    fast_enough(found.rate >= 150, f"the robot made only {found.rate:.0f} updates a second")


# -- C3 and C5: a link that fails


class OpenServer(Server):
    """A server that listens on every address, so that it can be reached through a link."""

    host = "0.0.0.0"


@pytest.fixture
def link() -> Iterator[Link]:
    """A network namespace with a link that can be cut; skips the test where none can be made."""
    if why := why_no_namespaces():
        pytest.skip(why)
    with Link() as made:
        yield made


def reached(process: psutil.Process, address: str) -> int:
    """Return how many TCP connections a process has to an IP address."""
    return sum(bool(each.raddr and each.raddr.ip == address) for each in process.net_connections("tcp"))


@pytest.mark.parametrize(
    ("name", "request_of"),
    [
        pytest.param("WebSocket", wire.upgrade("/rpa/c3"), id="ws"),
        pytest.param("event stream", wire.get("/events/c3"), id="sse", marks=FULL),
    ],
)
async def test_C3_vanished(
    tmp_path: Path, link: Link, record: Record, full: bool, name: str, request_of: bytes
) -> None:
    """A client that lost its network is dropped in 1.5 heartbeats (SSE: one plus 10 s), and its descriptor freed."""
    heartbeat_s = 15.0 if full else 2.0
    loop = asyncio.get_running_loop()
    with running(OpenServer(tmp_path / "rpa_data", RPA_HEARTBEAT_S=str(heartbeat_s))) as server:
        process = psutil.Process(server.pid)
        (far,) = sockets(link, 1)
        await loop.sock_connect(far, (link.near, server.port))
        transport, _ = await loop.create_connection(lambda: Gauge(request_of), sock=far)

        async def connections() -> float:
            return (await figures(server))["rpa_connections"]

        async def connected() -> bool:
            return await connections() == 1

        async def closed() -> bool:
            return await connections() == 0

        await eventually(connected, 5.0)
        await asyncio.sleep(1.6 * heartbeat_s)  # long enough to show that a client that answers is kept
        assert await connected()
        link.down()
        closed_s = await eventually(closed, 60.0)
        freed_s = closed_s + await eventually(lambda: reached(process, link.far) == 0, 60.0)
        transport.abort()
    record(
        Row(
            f"C3 {name} whose network is gone, heartbeat {heartbeat_s:g} s",
            clients=1,
            more=f"closed after {closed_s:.1f} s, descriptor free after {freed_s:.1f} s",
        )
    )
    # An event stream's client never sends anything, so only the kernel's limit on unacknowledged data can close it.
    limit_s = 1.5 * heartbeat_s if name == "WebSocket" else heartbeat_s + UNACKNOWLEDGED_MS / 1000
    within(closed_s, limit_s + 0.5)
    within(freed_s, 40.0)


async def test_C5_network_cut(
    tmp_path: Path, redis_process: RedisServer, link: Link, record: Record, full: bool
) -> None:
    """After a network failure every client resumes from its cursor, each stream with one new handshake."""
    cut_s = 30.0 if full else 3.0
    environ = {} if full else {"RPA_HEARTBEAT_S": "1"}
    data_dir = tmp_path / "rpa_data"
    server = OpenServer(data_dir, redis_process.url, None, **environ)
    robots = Robots(tmp_path, Plan(["c5-0", "c5-1"]), redis_process.url, data_dir)
    with running(server), working(robots):
        crowd = Crowd([f"http://{link.near}:{server.port}"], robots.plan.sessions, 12, [("ws",), ("sse",), ("poll",)])
        async with Apart(link, crowd).watching() as apart:
            await apart.call(crowd.until_up)
            await asyncio.sleep(1.0)
            link.down()
            await asyncio.sleep(cut_s)
            link.up()
            mended_s = time.monotonic()
            back_s = await eventually(lambda: all(is_back(viewer, mended_s) for viewer in crowd.viewers), 60.0)
            await asyncio.to_thread(robots.stop)
            await apart.call(crowd.until_done)
        verdict = judge(robots.reports(), crowd.viewers, robots.ends())
    streams = [viewer for viewer in crowd.viewers if viewer.transports != ("poll",)]
    handshakes = max(len(viewer.opened) for viewer in streams) - 1
    record(
        verdict.row(
            f"C5 network cut for {cut_s:g} s",
            f"all back {back_s:.1f} s after, with at most {handshakes} handshake",
        )
    )
    assert verdict.faults == CLEAN, verdict.worst
    assert verdict.resets == 0
    assert handshakes == 1


def is_back(viewer: LiveViewer, since_s: float) -> bool:
    """Tell whether the last event of a viewer is an update received after *since_s*."""
    return bool(viewer.events) and viewer.events[-1].kind == "update" and viewer.events[-1].at_s > since_s


# -- C6: a client that missed more than the history has


async def snapshot(server: Server, session_id: str) -> dict[str, Any]:
    """Return the snapshot of a session, by a poll."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/api/sessions/{session_id}") as response:
        answer: dict[str, Any] = (await response.json())["snapshot"]
        return answer


@pytest.mark.parametrize("store", ["redis", pytest.param("files", marks=FULL)])
async def test_C6_gap_beyond_history(
    tmp_path: Path, redis_process: RedisServer, record: Record, store: str
) -> None:
    """A client that missed more updates than are kept gets the current state instead, once, on every transport."""
    url = redis_process.url if store == "redis" else "none"
    data_dir = tmp_path / "rpa_data"
    robots = Robots(tmp_path, Plan(["c6"], every_s=0.003, start_s=0.0), url, data_dir)
    with running(Server(data_dir, url)) as server, working(robots):
        viewers = [LiveViewer([server.url], "c6", [transport]) for transport in TRANSPORTS]
        async with watching(*viewers):
            await eventually(lambda: all(viewer.seq >= 5 for viewer in viewers), 10.0)
        left = max(viewer.seq for viewer in viewers)
        await eventually(lambda: robots.reports()["c6"][-1].seq > left + HISTORY + 50, 30.0, 0.2)
        robots.tell("pause")
        await asyncio.sleep(0.3)  # a call that has begun may still make an update
        async with watching(*viewers):
            newest = robots.reports()["c6"][-1].seq
            await eventually(lambda: all(viewer.seq >= newest for viewer in viewers), 10.0)
            await asyncio.sleep(0.3)
            stored = await snapshot(server, "c6")
            states = [viewer.state() for viewer in viewers]
            robots.tell("go")
            await asyncio.to_thread(robots.stop)
            await eventually(lambda: all(viewer.done for viewer in viewers), 10.0)
        verdict = judge(robots.reports(), viewers, robots.ends())
    record(verdict.row(f"C6 away for more than {HISTORY} updates ({store})"))
    assert verdict.faults == CLEAN, verdict.worst
    assert (verdict.resets, verdict.most_resets) == (len(viewers), 1)
    assert verdict.excused > HISTORY
    assert [lacking(state, stored) for state in states] == [{}] * len(viewers)


def lacking(state: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """Return what of *stored* a client's state lacks or contradicts; its ages grow meanwhile and are ignored."""
    ages = ("idade_ms", "duracao_ms")
    return {key: value for key, value in stored.items() if key not in ages and state.get(key) != value}


@FULL
async def test_C6_gap_while_connected(tmp_path: Path, redis_process: RedisServer, record: Record) -> None:
    """A client that reads on after more updates than the history keeps gets one reset within the same stream."""
    data_dir = tmp_path / "rpa_data"
    plan = Plan(["c6"], every_s=0.003, payload=16_000, start_s=0.0)
    robots = Robots(tmp_path, plan, redis_process.url, data_dir)
    with running(Server(data_dir, redis_process.url)) as server:
        connection = await wire.connect(server.port, 4096)
        await asyncio.get_running_loop().sock_sendall(connection, wire.upgrade("/rpa/c6"))
        await asyncio.sleep(0.3)
        with working(robots):
            await eventually(lambda: robots.reports()["c6"][-1].seq > HISTORY + 150, 30.0, 0.2)
            reading = asyncio.create_task(wire.until_gone(connection))
            await asyncio.sleep(1.0)
            await asyncio.to_thread(robots.stop)
            messages = wire.texts(await reading)
        connection.close()
        last = robots.reports()["c6"][-1].seq
    kinds = [message["type"] for message in messages]
    behind = messages[kinds.index("reset") :] if "reset" in kinds else []
    numbers = [message["seq"] for message in messages[1:]]
    record(
        Row(
            f"C6 takes nothing for more than {HISTORY} updates",
            clients=1,
            updates=last,
            resets=f"{kinds.count('reset')}/{kinds.count('reset')}",
            more=f"{len(messages) - len(behind)} messages before it, {len(behind) - 1} behind it",
        )
    )
    assert kinds.count("reset") == 1
    assert numbers == sorted(set(numbers))
    assert [message["seq"] for message in behind] == list(range(behind[0]["seq"], last + 1))
    assert behind[-1]["final"]
