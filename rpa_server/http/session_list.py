"""The current states of the last sessions, as far as they can be had within a moment.

Reading hundreds of files takes a second of a processor, so who asks is told what is known after his patience, and the
rest is read on, a little at a time: the next one who asks has it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from ..backends.base import Store
from ..errors import StorageUnavailable
from ..progress.session_state import SessionState

#: Two, so that one broken session, which is tried again for 20 ms, does not keep the others waiting.
_AT_ONCE = 2
#: Behind the patience other requests come first.
_PAUSE_S = 0.01


class SessionList:
    """The sessions of the last day.

    Args:
        store: where they are.
        spawn: runs work that nobody waits for, and ends it with the server.
    """

    def __init__(self, store: Store, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._store = store
        self._spawn = spawn
        self._latest: object = None

    async def states(self, limit: int, patience_s: float) -> tuple[list[SessionState], int]:
        """Return what can be read within *patience_s* of *limit* sessions, and how many are left.

        Raises:
            StorageUnavailable: not even their names can be had.
        """
        waiting = iter(names := await self._store.sessions(limit))
        states: list[SessionState] = []
        unread, late = len(names), False
        self._latest = this = object()

        async def read() -> None:
            nonlocal unread
            for name in waiting:
                with suppress(StorageUnavailable):
                    if (held := await self._store.read(name)) is not None:
                        states.append(held)
                    unread -= 1
                if late:
                    if self._latest is not this:  # the same is being read for somebody else
                        return
                    await asyncio.sleep(_PAUSE_S)

        await asyncio.wait([self._spawn(read()) for _ in range(_AT_ONCE)], timeout=patience_s)
        late = True
        return list(states), unread
