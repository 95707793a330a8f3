"""The current states of the latest sessions, as far as they can be read in a given time.

Reading hundreds of files takes a second of CPU time. So a call returns whatever was read within ``patience_s``; reading
goes on in the background, a little at a time, and the next call is faster since FileStore caches what it has read.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from ..backends.base import Store
from ..errors import StorageUnavailable
from ..progress.session_state import SessionState

#: Two readers, so that a broken file, which is retried for a moment, does not delay the other sessions.
_READERS = 2
#: Seconds between two background reads, so that other requests are served in between.
_PAUSE_S = 0.01


class SessionList:
    """The sessions of the last day.

    Args:
        store: where sessions are read from.
        spawn: starts a background task that is cancelled when the server stops.
    """

    def __init__(self, store: Store, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._store = store
        self._spawn = spawn
        self._latest_call: object = None

    async def states(self, limit: int, patience_s: float) -> tuple[list[SessionState], int]:
        """Return the states read within *patience_s*, and the number of sessions still unread.

        Args:
            limit: the most sessions to return; the most recently written ones.
            patience_s: how many seconds to wait for unread states.

        Raises:
            StorageUnavailable: not even the list of session ids can be read.
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
