"""Finds watched sessions that are behind Redis.

Pub/sub forgets, and a subscription may be deaf for seconds before that is noticed. So the position of every session
that somebody watches is compared with the store's, and a session that is behind reads again.
"""

import asyncio
from contextlib import suppress

from ..backends.redis.store import RedisStore
from ..delivery.hub import Hub
from ..delivery.session import Session
from ..errors import StorageUnavailable
from ..progress.update import Cursor

#: Seconds between two looks.
CHECK_S = 2.0
#: How many sessions are compared in one look; the next look goes on behind them.
_A_LOOK = 1000
#: How many sessions one question to Redis is about, and the pause behind it, in which other work has its turn.
_AT_ONCE = 100
_PAUSE_S = 0.005


class PositionCheck:
    """Compares positions.

    A hundred sessions cost one short question: when was each last written? Only the positions of those that were
    written and are quiet again are asked for, since as long as updates come a gap in their numbers shows by itself.

    Args:
        hub: what is watched.
        store: what is asked; a session that is behind is read whole.
    """

    def __init__(self, hub: Hub, store: RedisStore) -> None:
        self._hub = hub
        self._store = store
        self._missed = asyncio.Event()
        self._turn = 0

    def missed(self) -> None:
        """Look now, at all sessions: messages may have been missed."""
        self._missed.set()

    async def run(self) -> None:
        """Compare, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self._missed.wait()
            missed = self._missed.is_set()
            self._missed.clear()
            await self._look(missed)

    async def _look(self, missed: bool) -> None:
        """Compare the watched sessions.

        No reference to a session may last from one look to the next: it would keep the session alive.
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
                    session.changed()  # its updates have no position that could tell what was missed
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
                session.changed()  # and compared again at the next look: reading may fail
            else:
                session.mark.verified = session.mark.seen

    @staticmethod
    def _moves(session: Session) -> bool:
        """Tell whether an update of *session* came since the last look; have it read where it never was."""
        if not session.loaded:
            session.changed()
        heard, session.mark.heard = session.mark.heard, False
        return heard

    @staticmethod
    def _quiet(session: Session, time: float | None) -> bool:
        """Tell whether *session* was written since it was compared, and not since the last look."""
        mark = session.mark
        if mark.seen != time:
            mark.seen = time
            return False
        return mark.verified != time


def _further(cursor: Cursor, known: Cursor | None) -> bool:
    return known is None or cursor.epoch != known.epoch or cursor.seq > known.seq
