"""Several server processes on one port: one that starts them, and how each learns the others' figures.

The kernel deals new connections out to the processes (SO_REUSEPORT); they share nothing but the stores, as servers on
several machines do. A process that dies is started again; SIGTERM is passed on, and all are waited for.
"""

import asyncio
import logging
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from ..backoff import delay

logger = logging.getLogger(__name__)

#: A process that lived this long is started again at once.
_STEADY_S = 10.0
#: How long processes may take to end; each has its own limit well below.
_DRAIN_S = 8.0


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






