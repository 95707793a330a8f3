"""Networks that fail: a link that can be cut, and a proxy that stops or delays bytes, resets connections, redirects."""

import asyncio
import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.support.server import RedisServer, free_port, wait_until

_counter = itertools.count()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@functools.cache
def why_no_namespaces() -> str:
    """Return why network namespaces can't be made on this machine, "" if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip (iproute2)"
    try:
        with Link():
            return ""
    except subprocess.CalledProcessError as error:
        return f"no network namespaces: {error.stderr.decode().strip()}"


class Link:
    """A network namespace and the only link to it; a context manager.

    Attributes:
        near, far: the IP addresses of the link's ends; the far one is inside the namespace.
        prefix: the beginning of a command line that runs a command in the namespace.
    """

    near = far = ""

    def __init__(self) -> None:
        self._name = f"rpa{os.getpid()}n{next(_counter)}"
        self.prefix = ("ip", "netns", "exec", self._name)
        self._near_end = self._far_end = ""

    def __enter__(self) -> Self:
        _ip("netns", "add", self._name)
        try:
            self._plug()
            _ip("addr", "add", f"{self.near}/24", "dev", self._near_end)
            _ip("link", "set", self._near_end, "up")
            self._inside("addr", "add", f"{self.far}/24", "dev", self._far_end)
            self._inside("link", "set", "lo", "up")
            self.up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _plug(self) -> None:
        """Make the link with the first free number; trying is safe even if other processes choose theirs meanwhile."""
        for number in range(250):
            self.near, self.far = (f"10.213.{number}.{end}" for end in (1, 2))
            self._near_end, self._far_end = f"rpa-near{number}", f"rpa-far{number}"
            try:
                _ip("link", "add", self._near_end, "type", "veth", "peer", "name", self._far_end, "netns", self._name)
            except subprocess.CalledProcessError as error:
                self._near_end = ""
                if b"File exists" not in error.stderr or number == 249:
                    raise
            else:
                return

    def __exit__(self, *_: object) -> None:
        if self._near_end:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("link", "del", self._near_end)
        _ip("netns", "del", self._name)
        with contextlib.suppress(OSError):
            shutil.rmtree(Path("/etc/netns") / self._name)

    def _inside(self, *words: str) -> None:
        _ip("-n", self._name, *words)

    def down(self) -> None:
        """Take the link down: packets are lost, but no connection is closed."""
        self._inside("link", "set", self._far_end, "down")

    def up(self) -> None:
        """Bring the link up."""
        self._inside("link", "set", self._far_end, "up")

    def resolver(self, address: str, hosts: str = "") -> None:
        """Set the name server of the namespace's programs, and add *hosts* to their ``/etc/hosts``."""
        directory = Path("/etc/netns") / self._name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "resolv.conf").write_text(f"nameserver {address}\n")
        (directory / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}\n")


class FarRedis(RedisServer):
    """A redis-server inside the namespace of a link, reached by the link's far address."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self.url = f"redis://{link.far}:{self.port}/0"

    def start(self, *options: str) -> Self:
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed"
        words = [*self._link.prefix, program, "--port", str(self.port), "--protected-mode", "no", "--save", "", *options]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        wait_until(self._answers)
        return self

    def client(self) -> Any:
        """Return a plain blocking client; close it (it is a context manager)."""
        import redis

        return redis.Redis(host=self._link.far, port=self.port)


class Proxy:
    """A TCP proxy on 127.0.0.1, in a thread of its own.

    Args:
        target: the port on 127.0.0.1 that connections are passed on to.

    Attributes:
        port: the port that it listens on.
        target: as above; may be changed, which leaves open connections as they are.
        swallows: while True no byte passes and nothing is closed; new connections are accepted.
        delay_s: how many seconds to wait before passing on each piece of an answer.
        accepted: number of connections so far.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.swallows = False
        self.delay_s = 0.0
        self.accepted = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The URL of the Redis behind the proxy, as clients of the proxy need it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run the proxy for the duration of the block."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self._do(self._listen())
        try:
            yield self
        finally:
            self._do(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def reset(self) -> None:
        """Abort every open connection."""
        self._do(self._reset())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _reset(self) -> None:
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        await self._reset()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self._open.add(writer)
        try:
            await self._passing()
            other_reader, other = await asyncio.open_connection("127.0.0.1", self.target)
            self._open.add(other)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, other, answers=False))
                    group.create_task(self._pump(other_reader, writer, answers=True))
            finally:
                other.transport.abort()
                self._open.discard(other)
        except* (OSError, EOFError):
            pass
        except* asyncio.CancelledError:
            pass
        finally:
            writer.transport.abort()
            self._open.discard(writer)
            self._tasks.discard(task)

    async def _passing(self) -> None:
        while self.swallows:  # noqa: ASYNC110 - tests set it from another thread
            await asyncio.sleep(0.02)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool) -> None:
        while data := await reader.read(65536):
            if answers and self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._passing()
            writer.write(data)
            await writer.drain()
        raise EOFError
