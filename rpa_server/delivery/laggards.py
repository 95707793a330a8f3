"""Serves clients that lag: one task for all sessions with such clients, no task while there are none."""

import asyncio

from .context import CatchesUp, Clock, Spawns

#: Seconds between two looks at the lagging clients.
PERIOD_S = 0.02


class Laggards:
    """Serves the sessions that have lagging clients.

    Args:
        clock: the clock that sessions use.
        tasks: runs the task that serves them.
    """

    def __init__(self, clock: Clock, tasks: Spawns) -> None:
        self._clock = clock
        self._tasks = tasks
        self._sessions: set[CatchesUp] = set()

    def add(self, session: CatchesUp) -> None:
        """Serve *session* until none of its clients lags any more."""
        if not self._sessions:
            self._tasks.spawn(self._run())
        self._sessions.add(session)

    async def _run(self) -> None:
        while self._sessions:
            await asyncio.sleep(PERIOD_S)
            now_s = self._clock.steady_s()
            for session in list(self._sessions):
                if not session.catch_up(now_s):
                    self._sessions.discard(session)
