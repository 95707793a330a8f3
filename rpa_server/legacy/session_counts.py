"""How many sessions there are, by what has become of them: the figures of the deployed dashboard.

Counting reads every session of the last day, so it is done one at a time, beside the requests, and who asks is told
what is known within a moment. Names no session.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from ..backends.base import Store
from ..errors import StorageUnavailable
from ..progress.snapshot import estado

#: More than six times the runs of the busiest recorded day.
_COUNTED = 1000
_FRESH_S = 10.0
_WAIT_S = 0.03


class SessionCounts:
    """The sessions of the last 24 hours, by ``estado``.

    Args:
        store: where they are.
        clock: returns seconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._counted: Counter[str] | None = None
        self._counting: Counter[str] = Counter()
        self._at_s = 0.0
        self._task: asyncio.Task[None] | None = None

    async def count(self) -> Counter[str]:
        """Return the last count, at most _FRESH_S old, or, while a first one takes long, as far as it is."""
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
        except StorageUnavailable:  # the list can't be had now; the last one stands
            return
        self._counted, self._at_s = self._counting, self._clock()

    async def _look(self, session_id: str) -> None:
        try:
            held = await self._store.read(session_id)
        except StorageUnavailable:
            return
        if held is not None:
            self._counting[estado(held.snapshot, held.silence_s(self._clock()))] += 1

    async def close(self) -> None:
        """Stop counting."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
