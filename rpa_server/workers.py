"""Several server processes on one port: one that starts them, and how each learns the others' figures.

The kernel deals new connections out to the processes (SO_REUSEPORT); they share nothing but the stores, as servers on
several machines do. A process that dies is started again; SIGTERM is passed on, and all are waited for.
"""

import asyncio
import logging
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiohttp import web

from . import wirejson
from .backoff import delay
from .errors import BadDocument

logger = logging.getLogger(__name__)

#: A process that lived this long is started again at once.
_STEADY_S = 10.0
#: How long processes may take to end; each has its own limit well below.
_DRAIN_S = 8.0
_ASK_S = 0.5
_SUFFIX = ".sock"
#: Figures that are not counted together.
_LEAST = ("start_time_seconds",)


class Supervisor:
    """Keeps processes running until SIGTERM or SIGINT.

    Args:
        commands: one command line for each process.
    """

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        self._commands = commands
        self._stopping = asyncio.Event()
        self._running: set[asyncio.subprocess.Process] = set()

    async def run(self) -> None:
        """Start all, start again who dies, end all together."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        keeping = [asyncio.create_task(self._keep(command)) for command in self._commands]
        await self._stopping.wait()
        for process in tuple(self._running):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        _, late = await asyncio.wait(keeping, timeout=_DRAIN_S)
        for process in tuple(self._running):
            logger.warning("Process %d does not end; it is killed.", process.pid)
            process.kill()
        await asyncio.gather(*late)

    async def _keep(self, command: Sequence[str]) -> None:
        attempt = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            # A session of its own: Ctrl-C reaches this process alone, which passes it on.
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
            self._running.add(process)
            if self._stopping.is_set():
                process.terminate()
            status = await process.wait()
            self._running.discard(process)
            if self._stopping.is_set():
                return
            logger.error("Process %d ended with status %d; it is started again.", process.pid, status)
            attempt = 1 if time.monotonic() - began > _STEADY_S else attempt + 1
            with suppress(TimeoutError):
                async with asyncio.timeout(delay(attempt, 0.1, 5.0, random.random())):
                    await self._stopping.wait()


class Siblings:
    """The other server processes on this port.

    Args:
        own: returns this process's figures by name.
        place: this process's unix socket, in a directory of theirs alone; None where there are no others.
    """

    def __init__(self, own: Callable[[], dict[str, float]], place: Path | None) -> None:
        self._own = own
        self._place = place

    async def serve(self, app: web.Application) -> AsyncIterator[None]:
        """Answer the others while *app* runs; for its ``cleanup_ctx``."""
        if self._place is None:
            yield
            return
        inner = web.Application()
        inner.router.add_get("/", self._answer)
        runner = web.AppRunner(inner, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(self._place)).start()
        yield
        await runner.cleanup()
        self._place.unlink(missing_ok=True)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=wirejson.dumps(self._own()))

    async def totals(self) -> dict[str, float]:
        """Return the figures of all processes together; one that does not answer is left out."""
        totals = self._own()
        if self._place is not None:
            others = sorted(self._place.parent.glob(f"*{_SUFFIX}"))
            for figures in await asyncio.gather(*(_ask(place) for place in others if place != self._place)):
                for name, value in figures.items():
                    totals[name] = min(totals[name], value) if name in _LEAST else totals[name] + value
        return totals


async def _ask(place: Path) -> dict[str, float]:
    try:
        timeout = aiohttp.ClientTimeout(total=_ASK_S)
        connector = aiohttp.UnixConnector(str(place))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
            http.get("http://sibling/") as response,
        ):
            return wirejson.load_object(await response.read())
    except (aiohttp.ClientError, OSError, BadDocument) as error:
        logger.info("The process at %s does not tell its figures (%s).", place.name, error)
        return {}


def place(directory: str, number: int) -> Path:
    """Name the socket of one process."""
    return Path(directory, f"{number}{_SUFFIX}")
