"""Several stores as one: Redis and the files.

All of them are read every time, since a robot may switch from one to the other in mid-run. If two have the session,
session_state.later() merges their states. A failing store is ignored if another store has
the session.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ..errors import StorageUnavailable
from ..progress.run import Run
from ..progress.session_state import SessionState, later
from .base import Store

_T = TypeVar("_T")


class MergedStore:
    """Several stores, used as one; the first one that works is written to.

    Args:
        stores: at least one.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores

    async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
        """Return the most advanced state that any store has; see Store.read().

        Raises:
            StorageUnavailable: a store failed, and no other one has the session.
        """
        answers = await asyncio.gather(*(store.read(session_id, after) for store in self._stores), return_exceptions=True)
        state = functools.reduce(later, _usable(answers), None)
        failure = next((answer for answer in answers if isinstance(answer, StorageUnavailable)), None)
        if state is None and failure is not None:
            raise failure
        return state

    async def sessions(self, limit: int) -> list[str]:
        """Return at most *limit* ids of sessions that any store has, those of the first store first.

        Raises:
            StorageUnavailable: all stores failed.
        """
        answers = await asyncio.gather(*(store.sessions(limit) for store in self._stores), return_exceptions=True)
        names = [name for answer in _usable(answers) for name in answer]
        return list(dict.fromkeys(names))[:limit]

    async def append(self, run: Run) -> bool:
        """Append to the first store that works, and return its answer; see Store.append().

        Raises:
            StorageUnavailable: no store works.
        """
        return await self._first(lambda store: store.append(run))

    async def clock_ahead_s(self) -> float:
        """Return how far ahead the clock of the first store that works is; see Store.clock_ahead_s().

        Raises:
            StorageUnavailable: no store works.
        """
        return await self._first(lambda store: store.clock_ahead_s())

    async def _first(self, ask: Callable[[Store], Awaitable[_T]]) -> _T:
        failure = StorageUnavailable("There is no store.")
        for store in self._stores:
            try:
                return await ask(store)
            except StorageUnavailable as error:
                failure = error
        raise failure


def _usable(answers: Sequence[_T | BaseException]) -> list[_T]:
    """Return the answers of the stores that work, or raise StorageUnavailable if none works.

    Any other exception among the answers is raised.
    """
    good: list[_T] = []
    failure: BaseException | None = None
    for answer in answers:
        if not isinstance(answer, BaseException):
            good.append(answer)
        elif isinstance(answer, StorageUnavailable):
            failure = answer
        else:
            raise answer
    if not good and failure is not None:
        raise failure
    return good
