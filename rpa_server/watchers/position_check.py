"""Finds watched sessions of which Redis has newer updates.

Pub/sub does not store messages, and a subscription may be dead for seconds before that is noticed. So the position of
every watched session is compared with that in Redis, and a session that lacks updates is read again.
"""

import asyncio
from contextlib import suppress

from ..backends.redis.store import RedisStore
from ..delivery.hub import Hub
from ..delivery.session import Session
from ..errors import StorageUnavailable
from ..progress.update import Cursor

#: Seconds between two checks.
CHECK_S = 2.0
#: How many sessions are compared in one check; the next check continues after them.
_A_LOOK = 1000
#: How many sessions are in one query to Redis, and the seconds after it in which other tasks run.
_AT_ONCE = 100
_PAUSE_S = 0.005


class PositionCheck:
    """Compares the positions of watched sessions with those in Redis.

    One short query asks when each of a hundred sessions was last written. Positions are then read only for those that
    were written and are quiet again: while updates arrive, a gap in their numbers shows by itself.

    Args:
        hub: has the watched sessions.
        store: the Redis to compare with.
    """

    def __init__(self, hub: Hub, store: RedisStore) -> None:
        self._hub = hub
        self._store = store
        self._missed = asyncio.Event()
        self._turn = 0

    def missed(self) -> None:
        """Request a check of all sessions now: messages may have been missed."""
        self._missed.set()

    async def run(self) -> None:
        """Check every CHECK_S, and at once after missed() was called, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self._missed.wait()
            missed = self._missed.is_set()
            self._missed.clear()
            await self._look(missed)

    async def _look(self, missed: bool) -> None:
        """Compare the watched sessions: all of them if *missed*, else the next _A_LOOK.

        No reference to a session may outlast the check: the session would stay in memory.
        """
        watched = self._hub.watched()
        if not missed and len(watched) > _A_LOOK:
            self._turn = (self._turn + _A_LOOK) % len(watched)
            watched = [*watched[self._turn :], *watched[: self._turn]][:_A_LOOK]
        for start in range(0, len(watched), _AT_ONCE):
            with suppress(StorageUnavailable):
                await self._compare(watched[start : start + _AT_ONCE], missed)
            await asyncio.sleep(_PAUSE_S)

    async def _compare(self, sessions: list[Session], missed: bool) -> None:
        if missed:
            for session in sessions:
                if not (session.loaded and session.numbered):
                    session.changed()  # it has no numbered position to compare
        else:
            sessions = [session for session in sessions if not self._moves(session)]
        if not sessions:
            return
        times = await self._store.written([session.session_id for session in sessions])
        quiet = [session for session, time in zip(sessions, times, strict=True) if missed or self._quiet(session, time)]
        if not quiet:
            return
        positions = await self._store.positions([session.session_id for session in quiet])
        for session in quiet:
            cursor = positions.get(session.session_id)
            if cursor is not None and _further(cursor, session.cursor):
                session.changed()  # compared again at the next check, too: reading may fail
            else:
                session.mark.verified = session.mark.seen

    @staticmethod
    def _moves(session: Session) -> bool:
        """Tell whether an update of *session* came since the last check; start a read if none has succeeded yet."""
        if not session.loaded:
            session.changed()
        heard, session.mark.heard = session.mark.heard, False
        return heard

    @staticmethod
    def _quiet(session: Session, time: float | None) -> bool:
        """Tell whether *session* was not written since the last check, but since it was last found up to date."""
        mark = session.mark
        if mark.seen != time:
            mark.seen = time
            return False
        return mark.verified != time


def _further(cursor: Cursor, known: Cursor | None) -> bool:
    return known is None or cursor.epoch != known.epoch or cursor.seq > known.seq
