"""Looks for snapshots that a robot wrote without a word, where Redis gives none either.

The deployed Redis tracker writes ``rpa:progress:<sid>`` and publishes nothing. Redis tells of that where it may be set
to (stores/subscription.py); elsewhere the watched sessions of such robots, and those that nobody has written yet, are
compared with what was there a moment ago. Where Redis tells, that is done, too, but seldom: another program may switch
its word off (``CONFIG SET notify-keyspace-events``), and nobody is told of that. Runs that our tracker numbers need none
of it.
"""

import asyncio
import time
from contextlib import suppress
from weakref import WeakKeyDictionary

from ..backends.redis.store import RedisStore
from ..backends.redis.subscription import Subscriber
from ..delivery.hub import Hub
from ..delivery.session import Session
from ..errors import StorageUnavailable

PERIOD_S = 0.3
#: Between two looks while Redis is believed to tell.
TOLD_PERIOD_S = 3.0
#: Snapshots that are asked for at once: 100 of them are half a megabyte.
_AT_ONCE = 100


class SnapshotPoll:
    """Compares snapshots.

    Args:
        hub: what is watched.
        store: what is asked.
        subscriber: tells how often it has to be done.
    """

    def __init__(self, hub: Hub, store: RedisStore, subscriber: Subscriber) -> None:
        self._hub = hub
        self._store = store
        self._subscriber = subscriber
        self._seen: WeakKeyDictionary[Session, int] = WeakKeyDictionary()

    async def run(self) -> None:
        """Look, for ever."""
        looked_s = time.monotonic()
        while True:
            await asyncio.sleep(PERIOD_S)
            if not self._subscriber.notified or time.monotonic() - looked_s >= TOLD_PERIOD_S:
                await self._look_at_all()
                looked_s = time.monotonic()

    async def _look_at_all(self) -> None:
        """Compare every session of others; none may be held from one look to the next: that would keep it alive."""
        sessions = [session for session in self._hub.watched() if not session.numbered]
        for start in range(0, len(sessions), _AT_ONCE):
            with suppress(StorageUnavailable):
                await self._look(sessions[start : start + _AT_ONCE])

    async def _look(self, sessions: list[Session]) -> None:
        snapshots = await self._store.snapshots([session.session_id for session in sessions])
        for session, raw in zip(sessions, snapshots, strict=True):
            if raw is not None and self._seen.get(session) != (mark := hash(raw)):
                self._seen[session] = mark
                session.changed()
