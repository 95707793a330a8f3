"""The interfaces of a backend: a Store and perhaps a Notifier for the server, a Writer for robots.

A new backend is a folder beside this module; docs/architecture.rst lists what else has to know it.
"""

from collections.abc import AsyncGenerator, Callable, Collection
from typing import Protocol

from ..progress.order import may_replace
from ..progress.outcome import SILENCE_S
from ..progress.run import Run
from ..progress.session_state import SessionState

#: For how many seconds after its last update a session stays in Redis, and in the lists made from the files.
TTL_S = 86_400


class NotCurrent(Exception):
    """Another run of the session is the current one, so nothing was written; see order.may_replace().

    Attributes:
        epoch: the current run.
        waiting: True if this run becomes the current one with its first step.
    """

    def __init__(self, epoch: str, waiting: bool) -> None:
        super().__init__(epoch)
        self.epoch = epoch
        self.waiting = waiting


class Store(Protocol):
    """The store interface that the hub and the handlers use. Every method may raise StorageUnavailable."""

    async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
        """Return the current state of a session, None if nothing usable is stored.

        Args:
            after: number of an update of our tracker's run: the state has those after it as its updates, as far as they
                are kept. None if the caller needs none; the state may have some nevertheless.
        """

    async def sessions(self, limit: int) -> list[str]:
        """Return the ids of at most *limit* sessions, most recently changed first."""

    async def append(self, run: Run) -> bool:
        """Store the updates added to *run* since it was resumed, or all of a new run.

        Returns:
            True; False, with nothing stored, if another writer stored something first, or if there is a run that goes
            on and a new *run* was not decided to replace it (``follows``). The caller then has to resume the run anew
            from what read() returns.
        """

    async def clock_ahead_s(self) -> float:
        """Return how many seconds the store's clock, which orders runs, is ahead of this computer's."""


def takes(state: SessionState, run: Run, now_s: float) -> bool:
    """Tell whether a store that has *state* takes *run*, see Store.append(); append.lua has the same rules for Redis.

    An earlier state of the run may be followed: what came after it is in another store, which refused the next update.

    Args:
        now_s: seconds since 1970, by this computer's clock.
    """
    if state.epoch == run.epoch:
        return state.seq <= run.base
    silence_s = state.silence_s(now_s)
    if run.base:
        return may_replace(run.claim(run.base + 1), state.claim, silence_s)
    expected = state.epoch == run.follows or state.snapshot["final"] or silence_s >= SILENCE_S
    return expected and may_replace(run.claim(1), state.claim, silence_s)


class Notifier(Protocol):
    """Reports which sessions changed, for backends that don't deliver the updates themselves."""

    def changes(self, watched: Callable[[], Collection[str]]) -> AsyncGenerator[set[str], None]:
        """Yield the ids of sessions that changed, or whose last read did not find their newest state, for ever.

        An empty set is yielded each time notifications start or resume: changes before that may have been missed, so
        the caller must read every watched session.

        Args:
            watched: returns the ids of the sessions that somebody watches, for a backend that must look at each.
        """


class Writer(Protocol):
    """The interface that the tracker uses in a robot's process. Every method blocks."""

    def write(self, run: Run) -> None:
        """Store the updates of *run* that are not stored yet; raises NotCurrent if another run is the current one."""

    def read(self, session_id: str) -> SessionState | None:
        """Return the current state of a session, None where nothing is stored."""

    def delete(self, session_id: str) -> None:
        """Delete everything that is stored of a session."""
