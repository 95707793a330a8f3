"""The server is stopped, killed, restarted, visited by thousands, and runs out of descriptors."""

import asyncio
import bisect
import math
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from tests.support.faults import wire
from tests.support.faults.fleet import eventually, figures, kill_subscribers, scene
from tests.support.faults.judge import Verdict
from tests.support.faults.table import Row
from tests.support.faults.viewers import LiveViewer, Transport
from tests.support.server import CommandServer, RedisServer, Server, running, wait_until
from tests.support.timing import fast_enough, within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)
WS: Sequence[Transport] = ("ws",)
SSE: Sequence[Transport] = ("sse",)
POLL: Sequence[Transport] = ("poll",)
FULL = pytest.mark.faults_full
#: Both ways to start a server; they use different event loops.
both = pytest.mark.parametrize(
    "kind", [pytest.param(Server, id="aiohttp"), pytest.param(CommandServer, id="uvloop", marks=FULL)]
)


@pytest.fixture(autouse=True)
def descriptors() -> None:
    """Raise this process's limit on open files; skip the test if the hard limit is below the 5,000 it may need."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 5000:
        pytest.skip(f"the limit of open files is {hard}")


def loop(kind: type[Server]) -> str:
    """Return the name of the event loop that this kind of server uses."""
    return "uvloop" if kind is CommandServer else "asyncio"


# -- L1: SIGTERM


def _codes(viewers: list[LiveViewer]) -> dict[int, int]:
    """Return how often the viewers' WebSockets were closed with each code."""
    sums: dict[int, int] = {}
    for viewer in viewers:
        for code, count in viewer.codes.items():
            sums[code] = sums.get(code, 0) + count
    return sums


async def _plain(port: int, session_id: str) -> bytes:
    """Watch over a WebSocket in the plan's dialect until the connection ends; return all bytes received."""
    connection = await wire.connect(port)
    await asyncio.get_running_loop().sock_sendall(connection, wire.upgrade(f"/rpa/{session_id}", None))
    try:
        return await wire.until_gone(connection, 60.0)
    finally:
        connection.close()


@both
async def test_L1_stopped(tmp_path: Path, redis_process: RedisServer, record: Record, kind: type[Server]) -> None:
    """On SIGTERM with 1,000 open streams the server exits within 5 s and ends each one as its dialect requires; after a
    restart no client has missed an update.
    """
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
    assert codes == {1012: 400}
    assert ended == len(streams) == 500
    assert len({viewer.retry_ms for viewer in streams}) > 250
    assert goodbyes == []
    assert all(data.startswith(b"HTTP/1.1 101 ") for data in seen)
    assert verdict.faults == CLEAN, verdict.worst
    within(took_s, 5.0)


# -- L2: SIGKILL, and another server on the same port


class Returning(LiveViewer):
    """Reconnects as docs/api.rst asks clients to: an event stream after the server's ``retry:``, as browsers do.

    WebSockets and polls return within 5 s; their pauses are spread evenly instead of drawn at random, so that the share
    that returns within one second does not depend on luck.
    """

    _count = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        Returning._count += 1
        self._drawn = Returning._count * (math.sqrt(5) - 1) / 2 % 1

    def pause_s(self, failures: int) -> float:
        if self.transports == SSE:
            return 0.1 if self.final else (self.retry_ms or 3000) / 1000  # 0.1 s: only the 204 is missing
        return 5.0 * self._drawn if failures == 1 else 5.0


def most_within(times: Sequence[float], length: float = 1.0) -> int:
    """Return how many of *times* lie in the fullest window of *length*, both in seconds."""
    ordered = sorted(times)
    return max(bisect.bisect_right(ordered, start + length) - index for index, start in enumerate(ordered))


class PreparedServer(Server):
    """A server that imports everything in prepare() and opens its port in open(): importing may take seconds."""

    _PROGRAM = "import sys, aiohttp.web, rpa_server.app; sys.stdin.readline(); aiohttp.web.main(sys.argv[1:])"

    def prepare(self) -> None:
        """Start the process, which imports the server and then waits."""
        command = [sys.executable, "-c", self._PROGRAM, "-H", self.host, "-P", str(self.port), "rpa_server:create_app"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self.environ, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def open(self) -> None:
        """Make the process open its port; return when it is open."""
        assert self._process is not None and self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(b"\n")
        wait_until(self.listens)


class Killed(NamedTuple):
    """What happened to the clients of a server that was killed and replaced.

    Attributes:
        verdict: of all clients.
        away_s: for how many seconds there was no server.
        back_s: how many seconds after the new server opened its port each client was connected, sorted.
        most: the largest share of the clients that requested their new connection within the same second.
    """

    verdict: Verdict
    away_s: float
    back_s: list[float]
    most: float


async def killed(directory: Path, redis_url: str) -> Killed:
    """Kill a server that has 1,000 clients; another one opens the same port 2.4 s later."""
    Returning._count = 0
    first = Server(directory / "rpa_data", redis_url, RPA_MAX_CONNECTIONS="2000")
    second = PreparedServer(directory / "rpa_data", redis_url, first.port, RPA_MAX_CONNECTIONS="2000")
    mix = [WS] * 4 + [SSE] * 4 + [POLL] * 2
    try:
        async with scene(
            directory, redis_url, near=10, viewers=1000, every_s=0.5, mix=mix, servers=[first], kind=Returning
        ) as fleet:
            second.prepare()
            await asyncio.sleep(2.0)
            await asyncio.to_thread(first.kill)
            killed_s = time.monotonic()
            await asyncio.sleep(2.4)
            await asyncio.to_thread(second.open)
            opened_s = time.monotonic()
            await fleet.crowd.until_up()
            verdict = await fleet.end()
    finally:
        second.kill()
    viewers = fleet.crowd.viewers
    back_s = [next(at_s for at_s in viewer.opened if at_s > killed_s) for viewer in viewers]
    # The times of requests, not of answers: a slow machine may answer at once what was requested over seconds.
    asked_s = [
        max(try_s for try_s in viewer.tries if try_s < at_s) for viewer, at_s in zip(viewers, back_s, strict=True)
    ]
    most = most_within(asked_s) / len(viewers)
    return Killed(verdict, opened_s - killed_s, sorted(at_s - opened_s for at_s in back_s), most)


@pytest.mark.serial
async def test_L2_killed(tmp_path: Path, redis_process: RedisServer, record: Record) -> None:
    """A killed server is replaced: 95 % of its clients are back in 5 s, at most 25 % ask in 1 s, no update is lost."""
    verdict, away_s, back_s, most = await killed(tmp_path, redis_process.url)
    p95_s = back_s[int(0.95 * len(back_s))]
    record(
        verdict.row(
            f"L2 SIGKILL, again {away_s:.1f} s later",
            f"back p95 {p95_s:.2f} s, last {back_s[-1]:.2f} s after the port opened, {most:.1%} asked within one second",
        )
    )
    assert verdict.faults == CLEAN, verdict.worst
    within(p95_s, 5.0)
    fast_enough(most <= 0.25, f"{most:.1%} of the clients asked within one second")


# -- L6: clients that connect and vanish


class Figures(NamedTuple):
    """What a server has open.

    Attributes:
        connections, sessions, tasks: according to its ``/metrics``.
        sockets: TCP connections to its port, according to the operating system.
        rss: bytes of memory.
    """

    connections: float
    sessions: float
    tasks: float
    sockets: int
    rss: int


async def figures_of(server: Server) -> Figures:
    """Read the figures from the server and the operating system."""
    shown = await figures(server)
    process = psutil.Process(server.pid)
    connections, sessions, tasks = (shown[f"rpa_{name}"] for name in ("connections", "sessions_watched", "tasks"))
    ours = [each for each in process.net_connections("tcp") if each.laddr.port == server.port]
    sockets = len([each for each in ours if each.status != psutil.CONN_LISTEN])
    return Figures(connections, sessions, tasks, sockets, process.memory_info().rss)


async def come_and_go(port: int, request: Callable[[str], bytes], count: int, answers: bool, at_once: int = 64) -> None:
    """Open connections and reset them at different moments: before the answer, right after it, or 10 ms later.

    Args:
        port: the server's port.
        request: returns the request for a session.
        count: how many connections to open.
        answers: whether the server answers at once; if not, no connection waits for an answer.
        at_once: how many connections are open at the same time.
    """
    loop = asyncio.get_running_loop()
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            connection = await wire.connect(port)
            try:
                await loop.sock_sendall(connection, request(f"gone-{number}"))
                if answers and number % 4:
                    async with asyncio.timeout(30.0):
                        await loop.sock_recv(connection, 65536)
                if number % 4 == 3:
                    await asyncio.sleep(0.01)
            finally:
                wire.vanish(connection)

    await asyncio.gather(*(some() for _ in range(at_once)))


class Visit(NamedTuple):
    """A kind of short-lived client.

    Attributes:
        name: what it requests.
        request: returns the request for a session.
        answered: whether the server answers at once.
        grown_mb: by how many MB the server may grow.
        within_s: after how many seconds none of its connections, sessions and tasks may be left.
    """

    name: str
    request: Callable[[str], bytes]
    answered: bool = True
    grown_mb: float = 5.0
    within_s: float = 20.0


VISITS = [
    pytest.param(Visit("WebSocket", lambda session: wire.upgrade(f"/rpa/{session}")), id="ws"),
    pytest.param(Visit("plain WebSocket", lambda session: wire.upgrade(f"/rpa/{session}", None)), id="plain", marks=FULL),
    pytest.param(Visit("event stream", lambda session: wire.get(f"/events/{session}")), id="sse"),
    # Up to 1,000 polled sessions are kept for 30 s, in case their clients poll again.
    pytest.param(
        Visit("waiting poll", lambda session: wire.get(f"/api/sessions/{session}?wait=20"), False, 16.0, 50.0),
        id="poll",
        marks=FULL,
    ),
]


@both
@pytest.mark.parametrize("visit", VISITS)
async def test_L6_come_and_go(
    tmp_path: Path, redis_process: RedisServer, record: Record, full: bool, kind: type[Server], visit: Visit
) -> None:
    """Clients that connect and vanish leave no task, socket or session; memory grows by ``grown_mb`` at most."""
    count = 10_000 if full else 1_000
    with running(kind(tmp_path / "rpa_data", redis_process.url)) as server:
        idle = await figures_of(server)
        # Before measuring: what the server allocates once and keeps is no leak.
        await come_and_go(server.port, visit.request, 1_000, visit.answered)
        await asyncio.sleep(1.0)
        before = await figures_of(server)
        began = time.monotonic()
        await come_and_go(server.port, visit.request, count, visit.answered)
        took_s = time.monotonic() - began

        async def nothing_left() -> bool:
            now = await figures_of(server)
            return now.connections == now.sessions == 0 and now.tasks <= idle.tasks and now.sockets <= idle.sockets

        freed_s = await eventually(nothing_left, visit.within_s)
        grown_mb = ((await figures_of(server)).rss - before.rss) / 1024 / 1024
        log = server.log.read_text()
    record(
        Row(
            f"L6 {visit.name} x{count} ({loop(kind)})",
            clients=count,
            more=f"{count / took_s:.0f}/s, all freed {freed_s:.1f} s after, {grown_mb:+.1f} MB",
        )
    )
    assert grown_mb <= visit.grown_mb
    assert "Traceback" not in log


# -- L9: no descriptors left


class Flood:
    """Clients that ask for a stream again and again, at a server that may have no room for them.

    Args:
        port: the server's port.
        speaking: how many clients ask for a stream.
        silent: how many clients connect and send nothing.

    Attributes:
        refused: how often the server answered that it is full.
        cut: how often the server closed a connection without such an answer; resets are not counted.
        admitted: how many clients got a stream, which they keep.
    """

    def __init__(self, port: int, speaking: int, silent: int) -> None:
        self._port = port
        self._count = (speaking, silent)
        self.refused = self.cut = self.admitted = 0

    @asynccontextmanager
    async def coming(self) -> AsyncIterator["Flood"]:
        """Run the clients during the block."""
        speaking, silent = self._count
        kinds = [wire.get("/events/flood"), wire.upgrade("/rpa/flood")]
        tasks = [asyncio.create_task(self._come(kinds[number % 2])) for number in range(speaking)]
        tasks += [asyncio.create_task(self._come(b"")) for _ in range(silent)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(result, asyncio.CancelledError):
                    raise AssertionError(f"a client of the flood ended: {result!r}")

    async def _come(self, request: bytes) -> None:
        while True:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(3.0):
                    connection = await wire.connect(self._port)
                try:
                    await self._ask(connection, request)
                finally:
                    connection.close()
            await asyncio.sleep(0.2)

    async def _ask(self, connection: socket.socket, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, request)
        answer = b""
        while part := await loop.sock_recv(connection, 65536):
            answer += part
            if b'"code":"full"' in answer:
                self.refused += 1
                return
            if b'"type":"sync"' in answer:
                self.admitted += 1
                await asyncio.sleep(3600)
        self.cut += 1


_OF_SERVED = re.compile(r"aiohttp\.access:|http\.takeover:")


class LogRate:
    """Counts the lines that a server logs in each second.

    Attributes:
        worst: the lines of the second with most lines; lines about requests that were served are left out.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self.worst: list[str] = []

    @asynccontextmanager
    async def watched(self) -> AsyncIterator["LogRate"]:
        """Count the lines during the block."""
        task = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _watch(self) -> None:
        with self._log.open() as log:
            log.seek(0, os.SEEK_END)
            while True:
                await asyncio.sleep(1.0)
                lines = [line for line in log.read().splitlines() if not _OF_SERVED.search(line)]
                self.worst = max(self.worst, lines, key=len)


@both
async def test_L9_no_descriptors_left(
    tmp_path: Path, redis_process: RedisServer, record: Record, full: bool, kind: type[Server]
) -> None:
    """With 256 descriptors and 500 clients open streams stay, Redis can be reached, and the log is short; when the
    clients have left, a new one is served.
    """

    class Limited(kind):  # type: ignore[misc, valid-type]
        def command(self) -> list[str]:
            return ["prlimit", "--nofile=256:256", *super().command()]

    servers = [Limited(tmp_path / "rpa_data", redis_process.url)]
    async with scene(tmp_path, redis_process.url, viewers=150, mix=[WS, SSE], servers=servers) as fleet:
        rate = LogRate(fleet.server.log)
        async with rate.watched(), Flood(fleet.server.port, 250, 100).coming() as flood:
            await asyncio.sleep(1.5)
            for _ in range(6 if full else 2):
                await asyncio.to_thread(kill_subscribers, redis_process)
                await asyncio.sleep(1.0)
        entered_s = await eventually(lambda: gets_in(fleet.server.port), 10.0)
        verdict = await fleet.end()
        reconnects = sum(len(viewer.opened) > 1 for viewer in fleet.crowd.viewers)
    record(
        verdict.row(
            f"L9 256 descriptors, 500 clients ({loop(kind)})",
            f"{reconnects} dropped, {flood.admitted} more let in, {flood.refused} times full, {flood.cut} times cut off, "
            f"at most {len(rate.worst)} log lines/s, in again {entered_s:.2f} s after they left",
        )
    )
    assert verdict.faults == CLEAN, verdict.worst
    assert reconnects == 0
    assert len(rate.worst) <= 10, rate.worst[:20]
    assert flood.admitted > 0 < flood.refused
    within(verdict.delay_s(), 3.0)  # updates are late while the server resubscribes
    within(entered_s, 2.0)


async def gets_in(port: int) -> bool:
    """Tell whether a new event stream is served within 2 s."""
    connection = await wire.connect(port)
    try:
        await asyncio.get_running_loop().sock_sendall(connection, wire.get("/events/late"))
        async with asyncio.timeout(2.0):
            return b'"type":"sync"' in await asyncio.get_running_loop().sock_recv(connection, 65536)
    except (OSError, TimeoutError):
        return False
    finally:
        connection.close()
