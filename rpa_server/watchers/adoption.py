"""Puts runs that are only in files into Redis.

A robot may have died while Redis was away: what our tracker left behind in its directory goes into Redis once that is
back. A deployed robot's files are left alone.
"""

import asyncio
import logging
from contextlib import suppress

from ..backends.base import TTL_S
from ..backends.files.store import FileStore
from ..backends.redis.store import RedisStore
from ..errors import BadDocument, StorageUnavailable
from ..progress.run import Run
from ..progress.session_state import SessionState, later

logger = logging.getLogger(__name__)

ADOPT_S = 60.0
_SETTLE_S = 2.0
#: More than six times the runs of the busiest recorded day.
_ADOPTED = 1000


def _lacks(stored: SessionState, held: SessionState) -> bool:
    """Tell whether *held* is of a later run than *stored*, or of the same and further."""
    if stored.epoch == held.epoch:
        return held.seq > stored.seq
    return later(stored, held) is held


class Adoption:
    """Puts runs that are only in files into Redis; a foreign robot's files are left alone.

    A tracker that still works does the same by itself, and both may: every update is numbered.
    """

    def __init__(self, files: FileStore, redis: RedisStore) -> None:
        self._files = files
        self._redis = redis
        self._settled: dict[str, int] = {}  # when the files changed that need nothing any more
        self._others: dict[str, int] = {}  # the same of those that are not ours, which never will
        self._wanted = asyncio.Event()
        self.adopted = 0

    def want(self) -> None:
        """Look soon: Redis is back."""
        self._settled.clear()
        self._wanted.set()

    async def run(self) -> None:
        """Look when wanted and every now and then, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(ADOPT_S):
                    await self._wanted.wait()
            await asyncio.sleep(_SETTLE_S)  # trackers that are alive are about to do it themselves
            self._wanted.clear()
            try:
                await self._look()
            except StorageUnavailable as error:
                logger.info("Files are not adopted now: %s", error)

    async def _look(self) -> None:
        for session_id, changed_ns in await self._files.changed(_ADOPTED, TTL_S):
            if changed_ns in (self._settled.get(session_id), self._others.get(session_id)):
                continue
            held = await self._files.read(session_id)
            if held is None or not held.own or not held.updates:
                self._others[session_id] = changed_ns
                continue
            try:
                if await self._adopt(held, session_id):
                    self._settled[session_id] = changed_ns
            except BadDocument as error:
                logger.warning("Session %s can't be adopted: %s", session_id, error)
                self._others[session_id] = changed_ns

    async def _adopt(self, held: SessionState, session_id: str) -> bool:
        """Put a run into Redis where that lacks it; False where another one is just doing so."""
        stored = await self._redis.read(session_id)
        if stored is None or _lacks(stored, held):
            if not await self._redis.replay(Run.resume(session_id, held)):
                return False
            self.adopted += 1
            logger.info("Session %s was only in files; it is in Redis now.", session_id)
        return True
