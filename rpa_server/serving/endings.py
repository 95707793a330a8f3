"""Ends a process in order where it would otherwise be cut off, or go on alone.

Both reasons to end become a SIGTERM to the process itself, so that whatever serves the application handles them:
``rpa-server serve`` and ``python -m aiohttp.web`` alike.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from aiohttp import web

logger = logging.getLogger(__name__)

_STDIN = 0


def signals() -> Iterator[signal.Signals]:
    """Yield the signals that end a process in order; SIGHUP is not among them where it is ignored, as nohup has it."""
    yield from (signal.SIGTERM, signal.SIGINT)
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        yield hangup


async def on_hangup(app: web.Application) -> AsyncIterator[None]:
    """Let SIGHUP end the process as SIGTERM does, while *app* runs; for its ``cleanup_ctx``."""
    loop = asyncio.get_running_loop()
    hangups = [number for number in signals() if number not in (signal.SIGTERM, signal.SIGINT)]
    with suppress(ValueError, RuntimeError):  # outside the main thread a loop gets no signals
        for number in hangups:
            loop.add_signal_handler(number, signal.raise_signal, signal.SIGTERM)
    yield
    with suppress(ValueError, RuntimeError):
        for number in hangups:
            loop.remove_signal_handler(number)


async def with_supervisor(app: web.Application) -> AsyncIterator[None]:
    """End the process when its supervisor has ended, however that came about; for the ``cleanup_ctx`` of *app*.

    The supervisor alone has the other end of the pipe that is the standard input here. The kernel closes that end with
    the supervisor, even one that was killed; if this was before now, the pipe says so at once.
    """
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(_STDIN, 1):
            loop.remove_reader(_STDIN)
            logger.error("The supervisor has ended without stopping this process; it ends, too.")
            signal.raise_signal(signal.SIGTERM)

    loop.add_reader(_STDIN, look)
    yield
    loop.remove_reader(_STDIN)
