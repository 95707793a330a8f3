"""Copies runs that are only in files into Redis.

A robot may have died while Redis was down: what our tracker, or a server to which a robot posted, left in files is
copied into Redis once Redis is back. A deployed robot's files are left alone.
"""

import asyncio
import logging
from contextlib import suppress

from ..backends.base import TTL_S
from ..backends.files.store import FileStore
from ..backends.redis.store import RedisStore
from ..errors import BadDocument, StorageUnavailable
from ..progress.run import Run
from ..progress.session_state import SAME_CLOCK_S, SessionState, later
from ..progress.update import Update

logger = logging.getLogger(__name__)

#: Seconds between two checks.
ADOPT_S = 60.0
#: Seconds by which every check is delayed: once Redis is back, trackers that still run store their runs themselves.
_SETTLE_S = 2.0
#: How many sessions are checked at most, latest first: over six times the runs of the busiest recorded day.
_MOST_SESSIONS = 1000


class Adoption:
    """Copies runs that are only in files into Redis; a deployed robot's files are left alone.

    A tracker that is still running does the same. Both may do it: every update is numbered, so none is stored twice.

    Attributes:
        adopted: number of runs copied.
    """

    def __init__(self, files: FileStore, redis: RedisStore) -> None:
        self._files = files
        self._redis = redis
        # When each session's files last changed, in ns; until they change again the session is skipped. Those in
        # _settled are in Redis; want() has them checked again. Those in _others aren't numbered, or can't be copied.
        self._settled: dict[str, int] = {}
        self._others: dict[str, int] = {}
        self._wanted = asyncio.Event()
        self.adopted = 0

    def want(self) -> None:
        """Request a check soon, of settled sessions, too: Redis is back and may have lost runs."""
        self._settled.clear()
        self._wanted.set()

    async def run(self) -> None:
        """Check every ADOPT_S, and soon after want() was called, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(ADOPT_S):
                    await self._wanted.wait()
            await asyncio.sleep(_SETTLE_S)
            self._wanted.clear()
            try:
                await self._look()
            except StorageUnavailable as error:
                logger.info("Files are not adopted now: %s", error)

    async def _look(self) -> None:
        for session_id, changed_ns in await self._files.changed(_MOST_SESSIONS, TTL_S):
            if changed_ns in (self._settled.get(session_id), self._others.get(session_id)):
                continue
            try:
                state = await self._files.read(session_id, 0)
            except StorageUnavailable:  # this session's files alone can't be read now; the next look tries again
                continue
            if state is None or not state.own or not state.updates:
                self._others[session_id] = changed_ns
                continue
            try:
                if await self._adopt(state, session_id):
                    self._settled[session_id] = changed_ns
            except BadDocument as error:
                logger.warning("Session %s can't be adopted: %s", session_id, error)
                self._others[session_id] = changed_ns

    async def _adopt(self, state: SessionState, session_id: str) -> bool:
        """Copy a run into Redis if Redis lacks it; tell whether Redis has it now."""
        stored = await self._redis.read(session_id, 0)
        if stored is None or _lacks(stored, state):
            run = Run.resume(session_id, state)
            ahead_s = await self._redis.clock_ahead_s()
            if abs(ahead_s) > SAME_CLOCK_S:
                run.rebase(run.began + round(ahead_s * 1000))
            if not await self._redis.hand_in(run):
                return False
            self.adopted += 1
            logger.info("Session %s was only in files; it is in Redis now.", session_id)
        return True


def _lacks(stored: SessionState, state: SessionState) -> bool:
    """Tell whether *state* is of a later run than *stored*, or has an update of the same run that *stored* lacks."""
    if stored.epoch != state.epoch:
        return later(stored, state) is state
    if state.seq > stored.seq:
        return True
    known = {update.raw for update in stored.updates}
    return not known.issuperset(map(_raw, _kept_by(stored, state.updates)))


def _kept_by(stored: SessionState, updates: list[Update]) -> list[Update]:
    """Return the *updates* that are not older than those that *stored* has."""
    oldest = stored.updates[0].seq if stored.updates else stored.seq + 1
    return [update for update in updates if update.seq >= oldest]


def _raw(update: Update) -> bytes:
    return update.raw
