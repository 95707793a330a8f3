"""What every session needs from the process around it, as one object that all sessions share."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from ..progress.session_state import SessionState


class ReadsSessions(Protocol):
    """The part of a store that sessions use."""

    async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
        """Return the stored state, None if nothing is stored; raises StorageUnavailable if the stores can't tell.

        Args:
            after: number of the update after which the caller needs the updates, None if it needs none.
        """


class Clock(Protocol):
    """The times and timers that sessions use; tests pass a clock of their own."""

    def steady_s(self) -> float:
        """Return the seconds since an arbitrary start; they never jump or go back."""

    def wall_s(self) -> float:
        """Return the seconds since 1970, for comparison with the times in stores."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        """Call *callback* once, after *delay_s* steady seconds; return the timer."""


class LoopClock:
    """The event loop's steady time, and the computer's wall-clock time."""

    def steady_s(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_s(self) -> float:
        return time.time()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_s, callback)


class Spawns(Protocol):
    """Starts background tasks that need not be awaited."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task, kept referenced until it is done; its exception is logged."""


class CatchesUp(Protocol):
    """The part of a session that laggards.py uses."""

    def catch_up(self, now_s: float) -> bool:
        """Serve lagging clients and abort stalled ones, see Audience.catch_up(); tell whether any still lags."""


class ServesLaggards(Protocol):
    """Serves the lagging clients of sessions."""

    def add(self, session: CatchesUp) -> None:
        """Serve *session* until none of its clients lags any more."""


@dataclass(slots=True)
class Counters:
    """Counters over all sessions of the process, for the metrics.

    Attributes:
        delivered: updates written to clients, except those that begin() sends to a joining client.
        resets: resets sent to clients, see Client.reset().
        aborted: lagging clients that were aborted because they accepted no data.
        damaged: updates that only began like one of our tracker's, or took the number of another one.
    """

    delivered: int = 0
    resets: int = 0
    aborted: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What a session is given, so that it needs no reference to the hub.

    Attributes:
        store: where sessions are read from.
        clock: for deadlines, timers, and how long a robot has been silent.
        tasks: runs the tasks that read the store.
        counters: incremented for each delivery, reset and abort.
        laggards: serves lagging clients.
        heartbeat_ms: milliseconds between two heartbeats on a stream, as announced to clients.
        on_read_error: called with the exception when a read fails, or when an update turns out to be none.
    """

    store: ReadsSessions
    clock: Clock
    tasks: Spawns
    counters: Counters
    laggards: ServesLaggards
    heartbeat_ms: int
    on_read_error: Callable[[Exception], None]
