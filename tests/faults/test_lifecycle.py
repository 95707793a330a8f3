"""The server ends, dies, comes back, is run over and runs out of descriptors."""

import asyncio
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

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
