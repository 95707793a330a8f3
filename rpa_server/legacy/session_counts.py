"""Counts sessions by ``estado``, for the deployed dashboard. The figures name no session.

Counting reads up to _COUNTED sessions of the last 24 hours. One count runs at a time, in the background; a caller waits
for it for up to _WAIT_S, and gets the previous count if it takes longer.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from ..backends.base import Store
from ..errors import StorageUnavailable
from ..progress.outcome import Estado
from ..progress.snapshot import estado
from ..tasks import cancel

#: At most this many sessions are counted: over six times the runs of the busiest recorded day.
_COUNTED = 1000
#: A count older than this many seconds is renewed at the next request.
_FRESH_S = 10.0
#: How many seconds a caller waits for a new count.
_WAIT_S = 0.03


class SessionCounts:
    """The sessions of the last 24 hours, by ``estado``.

    Args:
        store: where sessions are read from.
        clock: returns seconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._counted: Counter[Estado] | None = None
        self._counting: Counter[Estado] = Counter()
        self._at_s = 0.0
        self._task: asyncio.Task[None] | None = None

    async def count(self) -> Counter[Estado]:
        """Return the last count; a count older than _FRESH_S is renewed first if that takes no longer than _WAIT_S.

        Until the very first count is complete, the partial count is returned.
        """
        stale = self._counted is None or self._clock() - self._at_s > _FRESH_S
        if stale and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._count())
        if self._task is not None and stale:
            await asyncio.wait([self._task], timeout=_WAIT_S)
        return self._counting if self._counted is None else self._counted

    async def _count(self) -> None:
        self._counting = Counter()
        try:
            for session_id in await self._store.sessions(_COUNTED):
                await self._look(session_id)
        except StorageUnavailable:  # the list of sessions can't be read, so the last count stays
            return
        self._counted, self._at_s = self._counting, self._clock()

    async def _look(self, session_id: str) -> None:
        try:
            state = await self._store.read(session_id)
        except StorageUnavailable:
            return
        if state is not None:
            self._counting[estado(state.snapshot, state.silence_s(self._clock()))] += 1

    async def close(self) -> None:
        """Cancel the count that is running, if any, and wait until it has stopped."""
        if self._task is not None:
            await cancel({self._task})
