"""Robots and viewers around real servers: everything that a scenario needs except its fault.

    async with scene(tmp_path, redis.url, near=10, far=10, viewers=200) as fleet:
        ... break something ...
        verdict = await fleet.end()

Servers and robots are processes. The viewers run on the test's event loop, so a test runs blocking code in a thread.
"""

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.faults.judge import Verdict, judge
from tests.support.faults.robots import End, Plan, Robots, working
from tests.support.faults.viewers import MIX, Crowd, LiveViewer, Transport
from tests.support.server import PATIENCE_S, RedisServer, Server, SocketWatcher, running, until, watching
from tests.support.timing import within

#: The keys of a robot's snapshot that order runs in the stores, which no page is told.
_ORDER = ("began", "stepped", "writer")


@dataclass
class Fleet:
    """The servers, robots and viewers of one scenario.

    Attributes:
        server: the first server.
        servers: all servers.
        robots: the processes in which the robots run.
        crowd: the viewers.
    """

    servers: Sequence[Server]
    robots: Sequence[Robots]
    crowd: Crowd

    @property
    def server(self) -> Server:
        return self.servers[0]

    async def end(self, settle_s: float = 0.5, patience_s: float = 60.0) -> Verdict:
        """Make the robots end their runs, wait until the viewers have received the ends, and judge.

        Args:
            settle_s: how many seconds to wait before the robots end.
            patience_s: how many seconds to wait for the viewers; what one has not received by then counts as lost.
        """
        await asyncio.sleep(settle_s)
        for robots in self.robots:
            await asyncio.to_thread(robots.stop)
        await self.crowd.until_done(patience_s)
        verdict = self.verdict()
        verdict.wrong += await self._stale()
        return verdict

    async def _stale(self) -> int:
        """Poll every session on every server; count the answers that contradict the robot's final snapshot."""
        stale = 0
        async with aiohttp.ClientSession() as http:
            for server in self.servers:
                for session, end in self._ends().items():
                    async with http.get(f"{server.url}/api/sessions/{session}") as response:
                        snapshot = (await response.json()).get("snapshot") or {}
                    told = {key: value for key, value in end.snapshot.items() if key not in _ORDER}
                    stale += any(key not in snapshot or snapshot[key] != value for key, value in told.items())
        return stale

    def _ends(self) -> dict[str, End]:
        return {session: end for robots in self.robots for session, end in robots.ends().items()}

    def live_again_s(self, since_s: float) -> float:
        """Return how many seconds after *since_s* every viewer had an update again; infinity if one got none."""
        firsts = (
            next((event.at_s for event in viewer.events if event.kind == "update" and event.at_s > since_s), float("inf"))
            for viewer in self.crowd.viewers
        )
        return max(firsts) - since_s

    def verdict(self) -> Verdict:
        """Judge what the viewers received so far."""
        reports = {session: calls for robots in self.robots for session, calls in robots.reports().items()}
        return judge(reports, self.crowd.viewers, self._ends())


@asynccontextmanager
async def scene(
    directory: Path,
    redis_url: str,
    *,
    near: int = 4,
    far: int = 0,
    viewers: int = 20,
    every_s: float = 0.1,
    mix: Sequence[Sequence[Transport]] = MIX,
    robots_url: str | None = None,
    servers: Sequence[Server] = (),
    kind: type[LiveViewer] = LiveViewer,
    **environ: str,
) -> AsyncIterator[Fleet]:
    """Start servers, robots and viewers; stop them after the block.

    Args:
        directory: for data directories and logs.
        redis_url: the Redis of the default server, and of the robots unless *robots_url* is given.
        near: number of robots that write to ``directory/rpa_data``, the data directory of the default server.
        far: number of robots that write to another directory, as on another machine: only through Redis do their
            updates reach a server.
        viewers: number of viewers.
        every_s: seconds between two calls of a robot.
        mix: lists of transports, assigned to the viewers in turn.
        servers: the servers to start; by default one on ``directory/rpa_data``.
        kind: the viewers' class.
        environ: additional environment variables of the default server.
    """
    data_dir = directory / "rpa_data"
    servers = servers or [Server(data_dir, redis_url, None, **environ)]
    plans = [
        Robots(directory, Plan([f"{kind}-{n}" for n in range(count)], every_s), robots_url or redis_url, robot_dir)
        for kind, count, robot_dir in (("near", near, data_dir), ("far", far, directory / "far_data"))
        if count
    ]
    async with AsyncExitStack() as stack:
        for server in servers:
            await asyncio.to_thread(stack.enter_context, running(server))
        sessions = [session for robots in plans for session in robots.plan.sessions]
        crowd = Crowd([server.url for server in servers], sessions, viewers, mix, kind)
        await stack.enter_async_context(crowd.watching())
        await asyncio.to_thread(stack.enter_context, working(*plans))
        await crowd.until_up()
        yield Fleet(servers, plans, crowd)


async def eventually(true: Callable[[], Any], bound_s: float, step_s: float = 0.05) -> float:
    """Wait until *true* (a function or a coroutine function) returns something true; return the seconds it took.

    Raises:
        TimeoutError: it did not within *bound_s* or PATIENCE_S, whichever is longer.
        BoundExceeded: it did, but later than *bound_s*.
    """
    began = time.monotonic()
    while True:
        answer = true()
        if isinstance(answer, Awaitable):
            answer = await answer
        took_s = time.monotonic() - began
        if answer:
            within(took_s, bound_s)
            return took_s
        if took_s > max(bound_s, PATIENCE_S):
            raise TimeoutError(f"not within {took_s:.0f} s")
        await asyncio.sleep(step_s)


async def ready(server: Server) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of ``/health/ready``."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/health/ready") as response:
        return response.status, await response.json()


async def figures(server: Server) -> dict[str, float]:
    """Return the figures of ``/metrics``, by name."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}


@asynccontextmanager
async def live_line(server: Server, backend: RedisServer) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """Yield a coroutine function that measures how soon an update published now reaches a WebSocket.

    It publishes an update every 10 ms until one of them arrives, and returns the seconds since its call.
    """
    watcher = SocketWatcher(server.url, "line")
    marks = itertools.count()

    async def through_s() -> float:
        began, mark = time.monotonic(), next(marks)
        with redis.Redis(port=backend.port, retry=Retry(NoBackoff(), 0)) as client:
            while not any(update.get("mark") == mark for update in watcher.updates):
                assert time.monotonic() - began < 30.0, "nothing comes through any more"
                client.publish("rpa_progress:line", json.dumps({"etapa": 1, "mark": mark}))
                await asyncio.sleep(0.01)
        return time.monotonic() - began

    async with watching(watcher):
        await until(lambda: watcher.messages)
        yield through_s


class Heartbeat:
    """Polls ``/health/live`` of a server, and measures how much CPU time its process uses.

    Args:
        server: the server.
        every_s: the pause between two polls, in seconds.

    Attributes:
        answers_s: how many seconds each answer took; a late answer shows that the event loop was blocked.
        cpu: the share of one core that the process used during taken(), from 0 to 1.
        p99_s: the 99th percentile of *answers_s*.
    """

    def __init__(self, server: Server, every_s: float = 0.05) -> None:
        self._server = server
        self._every_s = every_s
        self.answers_s: list[float] = []
        self.cpu = 0.0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator["Heartbeat"]:
        """Poll and measure during the block."""
        process = psutil.Process(self._server.pid)
        used, began = sum(process.cpu_times()[:2]), time.monotonic()
        task = asyncio.create_task(self._ask())
        try:
            yield self
        finally:
            self.cpu = (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - began)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _ask(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                began = time.monotonic()
                async with http.get(f"{self._server.url}/health/live") as response:
                    await response.read()
                self.answers_s.append(time.monotonic() - began)
                await asyncio.sleep(self._every_s)

    @property
    def p99_s(self) -> float:
        return statistics.quantiles(self.answers_s, n=100)[98]


def kill_subscribers(backend: RedisServer) -> int:
    """Make Redis close every connection with a subscription; return how many it closed."""
    with backend.client() as client:
        return int(client.execute_command("CLIENT", "KILL", "TYPE", "pubsub"))


def shut(backend: RedisServer) -> None:
    """Shut Redis down; its data is lost."""
    # SHUTDOWN closes the connection instead of replying: with retries, redis-py would try to reconnect for seconds.
    with redis.Redis(port=backend.port, retry=Retry(NoBackoff(), 0)) as client, suppress(redis.ConnectionError):
        client.shutdown(nosave=True)
    backend.kill()


async def outage(backend: RedisServer, length_s: float) -> float:
    """Shut Redis down for *length_s*, losing its data; return the monotonic time at which it answered again."""
    await asyncio.to_thread(shut, backend)
    await asyncio.sleep(length_s)
    await asyncio.to_thread(backend.start)
    return time.monotonic()
