"""The current states of the last sessions, as far as they can be read in the time that a caller gives.

Reading hundreds of files takes a second of a processor. So a caller gets whatever was read within ``patience_s``, and
reading goes on in the background, a little at a time, for the next caller.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from ..backends.base import Store
from ..errors import StorageUnavailable
from ..progress.session_state import SessionState

#: Two, so that one broken file, which is retried for 20 ms, does not delay the other sessions.
_READERS = 2
#: Seconds between two reads in the background, in which other requests are served.
_PAUSE_S = 0.01


class SessionList:
    """The sessions of the last day.

    Args:
        store: where they are.
        spawn: runs a task that nobody waits for, and cancels it when the server ends.
    """

    def __init__(self, store: Store, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._store = store
        self._spawn = spawn
        self._latest_call: object = None

    async def states(self, limit: int, patience_s: float) -> tuple[list[SessionState], int]:
        """Return the states that can be read within *patience_s*, and how many sessions are unread.

        Args:
            limit: how many sessions there may be; the latest ones.

        Raises:
            StorageUnavailable: not even their names can be had.
        """
        remaining = iter(names := await self._store.sessions(limit))
        states: list[SessionState] = []
        unread, late = len(names), False
        self._latest_call = this = object()

        async def read() -> None:
            nonlocal unread
            for name in remaining:
                with suppress(StorageUnavailable):
                    if (state := await self._store.read(name)) is not None:
                        states.append(state)
                    unread -= 1
                if late:
                    if self._latest_call is not this:  # a later call is reading the same sessions
                        return
                    await asyncio.sleep(_PAUSE_S)

        await asyncio.wait([self._spawn(read()) for _ in range(_READERS)], timeout=patience_s)
        late = True
        return list(states), unread
