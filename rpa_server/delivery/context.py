"""What every session needs of the process around it: one object, shared by all of them."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from ..progress.session_state import SessionState


class ReadsSessions(Protocol):
    """A store, as far as sessions use it."""

    async def read(self, session_id: str) -> SessionState | None:
        """Return the stored state, None where nothing is stored; StorageUnavailable where that can't be known."""


class Clock(Protocol):
    """The time; tests bring their own."""

    def steady_s(self) -> float:
        """Return seconds that never jump, from any beginning."""

    def wall_s(self) -> float:
        """Return seconds since 1970, as stores have them."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        """Call back once, after *delay_s* steady seconds."""


class LoopClock:
    """The time of the running event loop, and the computer's."""

    def steady_s(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_s(self) -> float:
        return time.time()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_s, callback)


class Spawns(Protocol):
    """Runs work that nobody waits for."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task that is kept until it is done; what it raises is logged."""


class CatchesUp(Protocol):
    """A session, as far as laggards.py serves it."""

    def catch_up(self, now_s: float) -> bool:
        """Serve clients that lag, abort those that take nothing; tell whether any is left."""


class ServesLaggards(Protocol):
    """Serves the lagging clients of sessions."""

    def add(self, session: CatchesUp) -> None:
        """Serve *session* until none of its clients lags any more."""


@dataclass(slots=True)
class Counters:
    """What all sessions of the process did, for the metrics.

    Attributes:
        delivered: updates written to clients.
        resets: messages to clients that continuity was lost.
        aborted: clients dropped for taking nothing.
    """

    delivered: int = 0
    resets: int = 0
    aborted: int = 0


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What a session is given, so that it need not know who keeps it.

    Attributes:
        store: where sessions are read.
        clock: the time.
        tasks: where reading runs.
        counters: what is counted.
        laggards: who serves clients that lag.
        heartbeat_ms: milliseconds between signs of life, as clients are to expect them.
        on_read_error: takes what a failed read raised.
    """

    store: ReadsSessions
    clock: Clock
    tasks: Spawns
    counters: Counters
    laggards: ServesLaggards
    heartbeat_ms: int
    on_read_error: Callable[[Exception], None]
