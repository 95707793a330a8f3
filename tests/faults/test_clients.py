"""Clients that stall, whose network fails, who were away for long, and who sit behind odd proxies."""

import asyncio
import itertools
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from ..support import CommandServer, RedisServer, Server, running
from . import wire
from .judge import Verdict
from .robots import Plan, Robots, working
from .table import Row

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)
FULL = pytest.mark.faults_full


# -- C1


class Gauge(asyncio.Protocol):
    """A quick client: notes when which update came, answers pings, and does nothing else.

    Attributes:
        seen: number of the update and time, in the order in which they came.
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
        if self._PING in data:  # no text has these bytes
            self._transport.write(self._PONG)
        self._tail = whole[max(end, len(whole) - self._TAIL) :]


@asynccontextmanager
async def gauges(port: int, session_id: str, count: int) -> AsyncIterator[list[Gauge]]:
    """Open quick clients, half of them WebSockets, half event streams."""
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
    """Judge quick clients by the updates behind number *after*."""
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
    """Wait until the server has let go of a connection, by the system's word; return when, infinity for never.

    The client is told nothing: its window is shut.
    """
    port = connection.getsockname()[1]
    process = psutil.Process(server.pid)
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if not any(place.raddr and place.raddr.port == port for place in process.net_connections("tcp")):
            return time.monotonic()
        await asyncio.sleep(0.25)
    return float("inf")


@pytest.mark.parametrize(
    "kind", [pytest.param(Server, id="aiohttp"), pytest.param(CommandServer, id="uvloop", marks=FULL)]
)
async def test_C1_stalled(
    tmp_path: Path, redis_process: RedisServer, record: Record, full: bool, kind: type[Server]
) -> None:
    """Two clients that never read, among 100 who get 200 updates of 4 kB a second: nobody else notices."""
    count = 100 if full else 40
    data_dir = tmp_path / "rpa_data"
    robots = Robots(tmp_path, Plan(["c1"], every_s=0.005, payload=4096, start_s=0.0), redis_process.url, data_dir)
    with running(kind(data_dir, redis_process.url)) as server:
        async with gauges(server.port, "c1", count) as good:
            stalled = [await wire.connect(server.port, 4096) for _ in range(2)]
            for connection, request in zip(stalled, (wire.upgrade("/rpa/c1"), wire.get("/events/c1")), strict=True):
                await asyncio.get_running_loop().sock_sendall(connection, request)
            await asyncio.sleep(0.3)
            with working(robots):
                began_s = time.monotonic()
                gone_s = await asyncio.gather(*(until_dropped(server, connection, 20.0) for connection in stalled))
                await asyncio.sleep(20.0 if full else 1.0)
                await asyncio.to_thread(robots.stop)
                await asyncio.sleep(0.5)
            for connection in stalled:
                connection.close()
    reports = robots.reports()["c1"]
    called = {report.seq: report.called_s for report in reports}
    verdict = judged(good, called, 1)
    verdict.block_s = max(report.block_s for report in reports)
    rate = (len(reports) - 1) / (reports[-1].called_s - reports[0].called_s)
    asyncs = "uvloop" if kind is CommandServer else "asyncio"
    record(
        verdict.row(
            f"C1 two stalled beside {count} ({asyncs})",
            f"{rate:.0f} updates/s, stalled ones gone after "
            + ", ".join(f"{at_s - began_s:.1f} s" for at_s in gone_s),
        )
    )
    assert verdict.faults == CLEAN
    assert verdict.delay_s(0.99) <= 0.05
    assert max(gone_s) - began_s <= 10.0
    assert rate >= 150
