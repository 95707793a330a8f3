"""When a session's store is read: one read at a time, and again if something changed meanwhile.

Whoever asks while a read is under way shares it, or the one that follows it.
"""

import asyncio
from collections.abc import Awaitable, Callable

from ..progress.update import Cursor
from .context import Spawns

#: Reads the store once and adopts the result. Its argument is the number after which updates are asked for, None if
#: none are; it returns False if the store does not answer.
Read = Callable[[int | None], Awaitable[bool]]


class Reading:
    """The reads of one session.

    The session hands its reading function in at each call: kept here, it would keep the session in memory.

    Args:
        tasks: runs the reads.

    Attributes:
        loaded: True once a read has succeeded.
    """

    __slots__ = ("_stale", "_task", "_tasks", "_wanted", "loaded")

    def __init__(self, tasks: Spawns) -> None:
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        self._wanted: int | None = None
        self._stale = True
        self.loaded = False

    def want(self, cursor: Cursor | None) -> None:
        """Have the next read bring the updates after *cursor*, too."""
        if cursor is not None:
            self._wanted = cursor.seq if self._wanted is None else min(self._wanted, cursor.seq)

    async def refresh(self, read: Read, cursor: Cursor | None) -> None:
        """Read now, with the updates after *cursor*; return when that is done, even if it failed."""
        self.want(cursor)
        self._stale = True
        await asyncio.shield(self._soon(read))

    def changed(self, read: Read) -> None:
        """Start a read, or repeat the running one."""
        self._stale = True
        self._soon(read)

    def _soon(self, read: Read) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = self._tasks.spawn(self._run(read))
        return self._task

    async def _run(self, read: Read) -> None:
        wanted: int | None = None  # what was wanted of an earlier read stays so: whoever waits goes on after the last one
        try:
            while self._stale:
                self._stale = False
                if wanted is not None:
                    self.want(Cursor("", wanted))
                wanted, self._wanted = self._wanted, None
                if await read(wanted):
                    self.loaded = True
                    continue
                if wanted is not None:
                    self.want(Cursor("", wanted))
                # If changed() was called meanwhile, then perhaps for a store that does answer; else a retry would fail.
                again, self._stale = self._stale, True
                if not again:
                    return
        finally:
            self._task = None
