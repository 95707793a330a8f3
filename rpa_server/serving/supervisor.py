"""Runs several server processes on one port.

The kernel distributes new connections among the processes (SO_REUSEPORT). They share only the stores, like servers on
several machines. A process that dies is restarted; SIGTERM is passed on, and all processes are waited for. Should this
process be killed, they end by themselves: the standard input of each is a pipe whose other end is only here.
"""

import asyncio
import logging
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from ..backoff import delay
from .endings import signals

logger = logging.getLogger(__name__)

#: After a process that ran longer than this many seconds, the pause before the restart is the shortest (50 to 100 ms);
#: otherwise the pauses grow, up to 5 s.
_STEADY_S = 10.0
#: Seconds that the processes may take to end before they are killed; their own time limits are well below that.
_DRAIN_S = 8.0


class Supervisor:
    """Keeps processes running until SIGTERM, SIGINT or SIGHUP.

    Args:
        commands: one command line for each process.
    """

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        self._commands = commands
        self._stopping = asyncio.Event()
        self._running: set[asyncio.subprocess.Process] = set()

    async def run(self) -> None:
        """Start all processes, restart those that die, stop them together."""
        loop = asyncio.get_running_loop()
        for number in signals():
            loop.add_signal_handler(number, self._stopping.set)
        keepers = [asyncio.create_task(self._keep(command)) for command in self._commands]
        await self._stopping.wait()
        for process in tuple(self._running):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=_DRAIN_S)
        for process in tuple(self._running):
            logger.warning("Process %d does not end; it is killed.", process.pid)
            process.kill()
        await asyncio.gather(*late)

    async def _keep(self, command: Sequence[str]) -> None:
        attempt = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            # In a session of its own (setsid), so that Ctrl-C reaches only this process, which passes it on as SIGTERM.
            process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, start_new_session=True)
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
