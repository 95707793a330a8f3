"""Event streams behind an nginx that is not configured for event streams."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.support.faults.fleet import eventually
from tests.support.faults.judge import judge
from tests.support.faults.robots import Plan, Robots, working
from tests.support.faults.table import Row
from tests.support.faults.viewers import LiveViewer
from tests.support.frontends import Nginx
from tests.support.server import RedisServer, Server, running
from tests.support.timing import within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)


class BareNginx(Nginx):
    """An nginx that only proxies: it buffers answers, as by default, and compresses every content type.

    Args:
        directory, server_port: see Nginx.
        patience: a directive for ``proxy_read_timeout``, or "" for nginx's default of 60 s.
    """

    def __init__(self, directory: Path, server_port: int, patience: str) -> None:
        self._patience = patience
        super().__init__(directory, server_port)
        self.url = f"http://127.0.0.1:{self.port}"

    def _site(self, server_port: int, php_port: int) -> str:
        return (
            f"server {{ listen 127.0.0.1:{self.port}; {self._patience} "
            f"location / {{ proxy_pass http://127.0.0.1:{server_port}; }} }}"
        )


async def test_C8_behind_nginx(tmp_path: Path, redis_process: RedisServer, record: Record, full: bool) -> None:
    """Through an nginx that buffers and compresses, events arrive within 200 ms, and an idle stream stays open."""
    environ = {} if full else {"RPA_HEARTBEAT_S": "0.5"}
    idle_s, patience = (65.0, "") if full else (3.0, "proxy_read_timeout 1s;")
    server = Server(tmp_path / "rpa_data", redis_process.url, None, **environ)
    robots = Robots(tmp_path, Plan(["c8"], every_s=0.05), redis_process.url, tmp_path / "rpa_data")
    headers = {"Accept-Encoding": "gzip"}
    with running(server), working(robots), BareNginx(tmp_path / "nginx", server.port, patience).start() as nginx:
        viewer = LiveViewer([nginx.url], "c8", ["sse"])
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as http:
            began_s = time.monotonic()
            watching = asyncio.create_task(viewer.run(http))
            await eventually(lambda: viewer.seq, 5.0, 0.005)
            first_s = next(event.at_s for event in viewer.events if event.seq) - began_s
            await asyncio.sleep(1.0)
            robots.tell("pause")
            await asyncio.sleep(idle_s)
            opened = len(viewer.opened)
            robots.tell("go")
            await asyncio.sleep(0.5)
            await asyncio.to_thread(robots.stop)
            await asyncio.wait_for(watching, 10.0)
    verdict = judge(robots.reports(), [viewer], robots.ends())
    record(verdict.row(f"C8 untuned nginx, idle {idle_s:g} s", f"first event {first_s * 1000:.0f} ms"))
    assert verdict.faults == CLEAN, verdict.worst
    assert opened == 1
    within(first_s, 0.2)
    within(verdict.delay_s(), 0.2)
