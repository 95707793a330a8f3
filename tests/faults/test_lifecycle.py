"""The server ends, dies, comes back, is run over and runs out of descriptors."""

import asyncio
import bisect
import random
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..support import CommandServer, RedisServer, Server
from . import wire
from .fleet import scene
from .table import Row
from .viewers import Transport, Viewer

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)
WS: Sequence[Transport] = ("ws",)
SSE: Sequence[Transport] = ("sse",)
POLL: Sequence[Transport] = ("poll",)
#: Both ways to start a server; they differ in the event loop.
both = pytest.mark.parametrize(
    "kind", [pytest.param(Server, id="aiohttp"), pytest.param(CommandServer, id="uvloop", marks=pytest.mark.faults_full)]
)


@pytest.fixture(autouse=True)
def descriptors() -> None:
    """Let this process open as many files as it may; what is in here needs a few thousand."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 5000:
        pytest.skip(f"the limit of open files is {hard}")


def loop(kind: type[Server]) -> str:
    """Name the event loop."""
    return "uvloop" if kind is CommandServer else "asyncio"


# -- L1


def _codes(viewers: list[Viewer]) -> dict[int, int]:
    """Sum up how sockets were closed."""
    sums: dict[int, int] = {}
    for viewer in viewers:
        for code, count in viewer.codes.items():
            sums[code] = sums.get(code, 0) + count
    return sums


async def _plain(port: int, session_id: str) -> bytes:
    """Watch in the plan's dialect until the connection is gone; return what came."""
    connection = await wire.connect(port)
    await asyncio.get_running_loop().sock_sendall(connection, wire.upgrade(f"/rpa/{session_id}", None))
    try:
        return await wire.until_gone(connection, 60.0)
    finally:
        connection.close()


@both
async def test_L1_stopped(tmp_path: Path, redis_process: RedisServer, record: Record, kind: type[Server]) -> None:
    """SIGTERM under 500 WebSockets and 500 event streams: gone within 5 s, everyone is told, and nobody loses a thing."""
    mix = [WS] * 4 + [SSE] * 5
    servers = [kind(tmp_path / "rpa_data", redis_process.url, RPA_MAX_CONNECTIONS="2000")]
    async with scene(
        tmp_path, redis_process.url, near=10, viewers=900, every_s=0.5, mix=mix, servers=servers
    ) as fleet:
        plain = [asyncio.create_task(_plain(fleet.server.port, f"near-{number % 10}")) for number in range(100)]
        await asyncio.sleep(1.0)
        took_s = await asyncio.to_thread(fleet.server.stop)
        seen = await asyncio.gather(*plain)
        sockets = [viewer for viewer in fleet.crowd.viewers if viewer.transports == ("ws",)]
        streams = [viewer for viewer in fleet.crowd.viewers if viewer.transports == ("sse",)]
        codes, ended = _codes(sockets), sum(viewer.ended for viewer in streams)
        await asyncio.to_thread(fleet.server.start)
        verdict = await fleet.end(settle_s=1.5)
    goodbyes = [code for data in seen for code in wire.close_codes(data)]
    record(
        verdict.row(
            f"L1 SIGTERM ({loop(kind)}), {len(sockets) + len(plain)} sockets and {len(streams)} event streams",
            f"exit {took_s:.2f} s, closed {codes}, {ended} streams ended, {len(goodbyes)} plain sockets got a close frame",
        )
    )
    assert took_s <= 5.0
    assert codes == {1012: 400}
    assert ended == len(streams) == 500
    assert len({viewer.retry_ms for viewer in streams}) > 250
    assert goodbyes == []
    assert all(data.startswith(b"HTTP/1.1 101 ") for data in seen)
    assert verdict.faults == CLEAN, verdict.worst


# -- L2


class Returning(Viewer):
    """Comes back as docs/api.rst asks clients to; on an event stream as browsers do, when the server said.

    Its random numbers are the same in every run: what is measured is the rule, not luck.
    """

    _count = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        Returning._count += 1
        self._random = random.Random(Returning._count)

    def pause_s(self, failures: int) -> float:
        if self.transports == SSE:
            return 0.1 if self.final else (self.retry_ms or 3000) / 1000  # only the answer 204 is missing then
        return 5.0 * self._random.random() if failures == 1 else 5.0


def most_within(times: Sequence[float], length: float = 1.0) -> int:
    """Return how many of *times* fall into the fullest window."""
    ordered = sorted(times)
    return max(bisect.bisect_right(ordered, start + length) - place for place, start in enumerate(ordered))


async def test_L2_killed(tmp_path: Path, redis_process: RedisServer, record: Record) -> None:
    """SIGKILL, and a new server 2 s later: everyone is back soon, but not all at once, and nothing is lost."""
    Returning._count = 0
    servers = [Server(tmp_path / "rpa_data", redis_process.url, RPA_MAX_CONNECTIONS="2000")]
    mix = [WS] * 4 + [SSE] * 4 + [POLL] * 2
    async with scene(
        tmp_path, redis_process.url, near=10, viewers=1000, every_s=0.5, mix=mix, servers=servers, kind=Returning
    ) as fleet:
        await asyncio.sleep(0.5)
        await asyncio.to_thread(fleet.server.kill)
        killed_s = time.monotonic()
        await asyncio.sleep(2.0)
        await asyncio.to_thread(fleet.server.start)
        opened_s = time.monotonic()
        await fleet.crowd.until_up()
        verdict = await fleet.end()
        back_s = sorted(
            next(at_s for at_s in viewer.opened if at_s > killed_s) - opened_s for viewer in fleet.crowd.viewers
        )
    p95_s, most = back_s[int(0.95 * len(back_s))], most_within(back_s) / len(back_s)
    record(
        verdict.row(
            f"L2 SIGKILL, again {opened_s - killed_s:.1f} s later",
            f"back p95 {p95_s:.2f} s, last {back_s[-1]:.2f} s after the port opened, {most:.1%} of them within 1 s",
        )
    )
    assert verdict.faults == CLEAN, verdict.worst
    assert p95_s <= 5.0
    assert most <= 0.25
