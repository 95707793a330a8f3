"""Finds snapshots that a robot wrote without publishing anything, if Redis does not notify us of them.

The deployed Redis tracker writes ``rpa:progress:<sid>`` and publishes nothing. If Redis lets us switch on keyspace
notifications (backends/redis/subscription.py), those report such writes. Otherwise snapshots of watched sessions are
compared with those of the previous poll, except for numbered runs. With notifications active the poll still runs, but
seldom: another program may switch them off (``CONFIG SET notify-keyspace-events``), and Redis does not report that.
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

#: Seconds between two polls.
PERIOD_S = 0.3
#: Seconds between two polls while notifications are believed to be active.
NOTIFIED_PERIOD_S = 3.0
#: How many snapshots are read at once: 100 of them are half a megabyte.
_AT_ONCE = 100


class SnapshotPoll:
    """Re-reads watched sessions whose snapshot in Redis has changed, except those with numbered runs.

    Args:
        hub: has the watched sessions.
        store: the Redis to read from.
        subscriber: its ``notified`` says whether notifications are active.
    """

    def __init__(self, hub: Hub, store: RedisStore, subscriber: Subscriber) -> None:
        self._hub = hub
        self._store = store
        self._subscriber = subscriber
        self._seen: WeakKeyDictionary[Session, int] = WeakKeyDictionary()

    async def run(self) -> None:
        """Poll every PERIOD_S, or every NOTIFIED_PERIOD_S while notifications are active, for ever."""
        looked_s = time.monotonic()
        while True:
            await asyncio.sleep(PERIOD_S)
            if not self._subscriber.notified or time.monotonic() - looked_s >= NOTIFIED_PERIOD_S:
                await self._look_at_all()
                looked_s = time.monotonic()

    async def _look_at_all(self) -> None:
        """Compare every watched session whose run is not numbered.

        No reference to a session may outlast the poll: the session would stay in memory.
        """
        sessions = [session for session in self._hub.watched() if not session.numbered]
        for start in range(0, len(sessions), _AT_ONCE):
            with suppress(StorageUnavailable):
                await self._look(sessions[start : start + _AT_ONCE])

    async def _look(self, sessions: list[Session]) -> None:
        snapshots = await self._store.snapshots([session.session_id for session in sessions])
        for session, raw in zip(sessions, snapshots, strict=True):
            if raw is not None and self._seen.get(session) != (digest := hash(raw)):
                self._seen[session] = digest
                session.changed()
