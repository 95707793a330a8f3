"""Background tasks: those that run as long as the application and are restarted when they end, and one-off ones."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from .backoff import delay

logger = logging.getLogger(__name__)

#: If a task has run longer than this, its failure counts as the first one again: the backoff starts over.
_STEADY_S = 30.0
#: How long a cancelled task may take to end before it is cancelled again.
_AGAIN_S = 1.0


async def cancel(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel *tasks* until all of them have ended.

    One cancellation may get lost: redis-py calls asyncio.wait_for(), which in Python 3.11 returns a result that arrives in
    the same turn and drops the cancellation. The server would then never stop.
    """
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=_AGAIN_S)


@asynccontextmanager
async def background(work: Callable[[], Awaitable[None]], name: str) -> AsyncIterator[None]:
    """Run *work* as a task for the duration of the block; restart it with backoff whenever it fails or ends."""
    task = asyncio.create_task(_supervise(work, name), name=name)
    try:
        yield
    finally:
        await cancel({task})


async def _supervise(work: Callable[[], Awaitable[None]], name: str) -> None:
    loop = asyncio.get_running_loop()
    attempt = 0
    while True:
        started = loop.time()
        try:
            await work()
            logger.error("The task %s ended; it is started again.", name)
        except Exception:
            logger.exception("The task %s failed; it is started again.", name)
        attempt = 1 if loop.time() - started > _STEADY_S else attempt + 1
        await asyncio.sleep(delay(attempt, 0.1, 5.0, random.random()))


class Tasks:
    """One-off background tasks: each is kept referenced until it is done, and its exception is logged."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A background task failed.", exc_info=error)

    async def close(self) -> None:
        """Cancel all running tasks and wait until they have ended. May be called repeatedly."""
        await cancel(set(self._running))
