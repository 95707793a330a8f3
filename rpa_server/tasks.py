"""Background tasks that live as long as the application and are restarted when they fail."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from .backoff import delay

logger = logging.getLogger(__name__)

#: After running for so long a failure counts as the first one again.
_STEADY_S = 30.0


@asynccontextmanager
async def background(work: Callable[[], Awaitable[None]], name: str) -> AsyncIterator[None]:
    """Run *work* as a task during the block; restart it with backoff whenever it fails or ends."""
    task = asyncio.create_task(_supervise(work, name), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


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
