"""What every session needs from the process around it, as one object that all sessions share."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from ..progress.session_state import SessionState


class ReadsSessions(Protocol):
    """The part of a store that sessions use."""

    async def read(self, session_id: str) -> SessionState | None:
        """Return the stored state, None if nothing is stored; raises StorageUnavailable if that can't be known."""


class Clock(Protocol):
    """The clock; tests replace it by their own."""

    def steady_s(self) -> float:
        """Return seconds that never jump, counted from an arbitrary start."""

    def wall_s(self) -> float:
        """Return seconds since 1970, as used in stores."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        """Call *callback* once, after *delay_s* steady seconds."""


class LoopClock:
    """The event loop's steady time, and the computer's wall-clock time."""

    def steady_s(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_s(self) -> float:
        return time.time()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_s, callback)


class Spawns(Protocol):
    """Runs background tasks that nobody awaits."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task, kept referenced until it is done; its exception is logged."""


class CatchesUp(Protocol):
    """The part of a session that laggards.py uses."""

    def catch_up(self, now_s: float) -> bool:
        """Serve lagging clients, abort those that accept no data; tell whether any still lags."""


class ServesLaggards(Protocol):
    """Serves the lagging clients of sessions."""

    def add(self, session: CatchesUp) -> None:
        """Serve *session* until none of its clients lags any more."""


@dataclass(slots=True)
class Counters:
    """Counters over all sessions of the process, for the metrics.

    Attributes:
        delivered: updates written to clients.
        resets: messages that informed a client of lost continuity.
        aborted: clients disconnected because they accepted no data.
    """

    delivered: int = 0
    resets: int = 0
    aborted: int = 0


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What a session is given, so that it needs no reference to the hub.

    Attributes:
        store: where sessions are read from.
        clock: the time.
        tasks: runs the reading.
        counters: incremented as things happen.
        laggards: serves lagging clients.
        heartbeat_ms: milliseconds between signs of life, as announced to clients.
        on_read_error: called with the exception of a failed read.
    """

    store: ReadsSessions
    clock: Clock
    tasks: Spawns
    counters: Counters
    laggards: ServesLaggards
    heartbeat_ms: int
    on_read_error: Callable[[Exception], None]
