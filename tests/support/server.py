"""Real programs for tests: redis-server, the server as a process, and clients that record what they receive."""

import asyncio
import contextlib
import functools
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import aiohttp
import redis

from tests.support.timing import within

ROOT = Path(__file__).resolve().parents[2]


#: Ports of tests: below those that the kernel gives to connections and to port 0, in blocks of one process each.
_PORTS = range(10_000, 30_000, 500)


#: The socket whose name tells other processes that a block is taken; it lives as long as this process.
_claims: list[socket.socket] = []


@functools.cache
def _own_ports() -> Iterator[int]:
    """Return the ports of this process in turn, without end; no other process gets the same while it lives."""
    for first in _PORTS:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0rpa-server-tests-{first}")
        except OSError:  # another process has this block
            claim.close()
            continue
        _claims.append(claim)
        return itertools.cycle(range(first, first + _PORTS.step))
    raise RuntimeError(f"no free block of ports from {_PORTS.start} to {_PORTS.stop}: end other runs of the tests")


def free_port() -> int:
    """Return a port that nobody listens on now.

    A server binds it some time after this has returned; two processes never get the same port in between, as they
    might from bind() with port 0: the slower server would end, and its test would talk to the other one.
    """
    for port in _own_ports():
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("itertools.cycle() does not end")


#: How many seconds tests wait for something that must happen: generous, since a busy machine delays everything.
PATIENCE_S = 30.0


def wait_until(true: Callable[[], object], bound_s: float = PATIENCE_S) -> None:
    """Block until *true* returns something true.

    Raises:
        TimeoutError: it did not within *bound_s* or PATIENCE_S, whichever is longer.
        BoundExceeded: it did, but later than *bound_s*.
    """
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > max(bound_s, PATIENCE_S):
            raise TimeoutError(f"{true} did not become true")
        time.sleep(0.01)
    within(time.monotonic() - began, bound_s)


async def until(true: Callable[[], object], bound_s: float = PATIENCE_S) -> None:
    """Like wait_until(), but wait without blocking the event loop."""
    began = time.monotonic()
    async with asyncio.timeout(max(bound_s, PATIENCE_S)):
        while not true():  # noqa: ASYNC110 - whatever makes *true* true sets no event
            await asyncio.sleep(0.01)
    within(time.monotonic() - began, bound_s)


class RedisServer:
    """A redis-server process without persistence.

    Args:
        port: on 127.0.0.1; by default a free one.
    """

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> Self:
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed"
        self._process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *options],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers)
        return self

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def client(self) -> redis.Redis:
        """Return a plain blocking client; close it (it is a context manager)."""
        return redis.Redis(host="127.0.0.1", port=self.port)

    def signal(self, number: int) -> None:
        """Send a signal to the process, SIGSTOP and SIGCONT for example."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the process with SIGKILL; its data is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Run a redis-server for the duration of the block."""
    server = RedisServer().start()
    try:
        yield server
    finally:
        server.kill()


class Listener:
    """A process that listens on a TCP port.

    Attributes:
        host: the address that it listens on.
        port: the port.
        log: the file of its output.
    """

    host = "127.0.0.1"

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def listens(self) -> bool:
        """Tell whether the port accepts connections; raise AssertionError with the log if the process has ended."""
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1):
            return True
        return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid


class Server(Listener):
    """The server as a process, started by ``python -m aiohttp.web``.

    Args:
        data_dir: its ``RPA_DATA_DIR``; the log is written beside this directory.
        redis_url: its ``RPA_REDIS_URL``.
        port: by default a free one.
        environ: more environment variables.
    """

    def __init__(self, data_dir: Path, redis_url: str = "none", port: int | None = None, **environ: str) -> None:
        port = port or free_port()
        super().__init__(port, data_dir.with_name(f"server-{port}.log"))
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RPA_DATA_DIR": str(data_dir),
            "RPA_REDIS_URL": redis_url,
            **environ,
        }

    def command(self) -> list[str]:
        """Return the command line that starts the server."""
        module = ("-m", "aiohttp.web", "-H", self.host, "-P", str(self.port))
        return [sys.executable, *module, "rpa_server:create_app"]

    def start(self, wait_s: float = PATIENCE_S) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command(), env=self.environ, stdout=log, stderr=log)
        wait_until(self.listens, wait_s)
        return self

    def wait(self) -> int:
        """Wait until the process has ended by itself; return its exit status."""
        assert self._process is not None
        status = self._process.wait(PATIENCE_S)
        self._process = None
        return status

    def stop(self, timeout_s: float = PATIENCE_S) -> float:
        """End the process with SIGTERM; return the seconds it took."""
        if self._process is None:
            return 0.0
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout_s)
        self._process = None
        return time.monotonic() - began

    def kill(self) -> None:
        """End the process with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class CommandServer(Server):
    """The server as a process, started by ``rpa-server serve``: on uvloop where that is installed."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "rpa_server", "serve", "--host", self.host, "--port", str(self.port)]


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run *server* for the duration of the block; SIGTERM ends it, or SIGKILL if the block raises."""
    try:
        server.start()
        yield server
    except BaseException:
        server.kill()
        raise
    else:
        server.stop()


class Stack(NamedTuple):
    """A running server, the directory of its files, and its Redis, None if it has none."""

    server: Server
    data_dir: Path
    redis: RedisServer | None


@contextlib.contextmanager
def running_stack(directory: Path, with_redis: bool = True) -> Iterator[Stack]:
    """Run a server for the length of the block, by default with a redis-server of its own, else on files alone."""
    data_dir = directory / "rpa_data"
    with contextlib.ExitStack() as programs:
        backend = programs.enter_context(redis_server()) if with_redis else None
        server = programs.enter_context(running(Server(data_dir, backend.url if backend else "none")))
        yield Stack(server, data_dir, backend)


async def publish(server: Server, session_id: str, **body: Any) -> int:
    """Publish an update to *server* over HTTP; return its ``seq``."""
    address = f"{server.url}/api/sessions/{session_id}/events"
    async with aiohttp.ClientSession() as http, http.post(address, json=body) as response:
        assert response.status == 201, await response.text()
        return int((await response.json())["seq"])


class Watcher:
    """A client of one session that keeps every message; each subclass uses another transport.

    Args:
        url: the server's address.
        session_id: the session.
        after: the cursor that the client sends, None for none.

    Attributes:
        messages: everything received, parsed, in order.
    """

    def __init__(self, url: str, session_id: str, after: str | None = None) -> None:
        self.url = url
        self.session_id = session_id
        self.after = after
        self.messages: list[dict[str, Any]] = []

    @property
    def updates(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if message.get("type") == "progress_update"]

    @property
    def seqs(self) -> list[int]:
        return [update["seq"] for update in self.updates]

    @property
    def final(self) -> bool:
        return any(update.get("final") for update in self.updates)

    @property
    def query(self) -> dict[str, str]:
        return {} if self.after is None else {"after": self.after}

    async def run(self, http: aiohttp.ClientSession) -> None:
        """Receive until the stream ends."""
        raise NotImplementedError


class SocketWatcher(Watcher):
    """A watcher over WebSocket, with the subprotocol ``rpa.v1``."""

    close_code: int | None = None

    async def run(self, http: aiohttp.ClientSession) -> None:
        address = f"{self.url}/rpa/{self.session_id}"
        async with http.ws_connect(address, protocols=["rpa.v1"], params=self.query) as stream:
            async for message in stream:
                self.messages.append(json.loads(message.data))
            self.close_code = stream.close_code


class EventWatcher(Watcher):
    """A watcher over server-sent events."""

    status = 0

    async def run(self, http: aiohttp.ClientSession) -> None:
        async with http.get(f"{self.url}/events/{self.session_id}", params=self.query) as response:
            self.status = response.status
            async for line in response.content:
                if line.startswith(b"data: "):
                    self.messages.append(json.loads(line[6:]))


class PollWatcher(Watcher):
    """A watcher that polls with its cursor until the final update; the server may delay each answer by ``wait_s``."""

    wait_s = 1.0

    async def run(self, http: aiohttp.ClientSession) -> None:
        address = f"{self.url}/api/sessions/{self.session_id}"
        after = self.after or "0"
        while not self.final:
            async with http.get(address, params={"after": after, "wait": str(self.wait_s)}) as response:
                if response.status != 200:
                    await asyncio.sleep(0.02)
                    continue
                answer = await response.json()
            self.messages.append({"type": "poll", **answer})
            self.messages.extend(answer["updates"])
            after = f"{answer['epoch']}:{answer['seq']}"


class Watches(Protocol):
    """A client that watching() can run: its run() receives from a server until the stream ends or it is cancelled."""

    async def run(self, http: aiohttp.ClientSession) -> None: ...


@contextlib.asynccontextmanager
async def watching(*watchers: Watches) -> AsyncIterator[None]:
    """Run *watchers* during the block and cancel them after it; their exceptions are ignored.

    They keep what they received, and may be passed to watching() again.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
        tasks = [asyncio.create_task(watcher.run(http)) for watcher in watchers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def get(address: str) -> tuple[int, str]:
    with urllib.request.urlopen(address, timeout=30) as response:
        return response.status, response.read().decode()
