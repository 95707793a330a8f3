"""A run, a store, a client and a clock in this process, for tests of sessions and of the hub."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from rpa_server.delivery.client import Client
from rpa_server.delivery.context import Clock
from rpa_server.delivery.hub import Hub
from rpa_server.delivery.session import Session
from rpa_server.delivery.wire.welcome import Welcome
from rpa_server.errors import StorageUnavailable
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.update import Cursor, Update, own_update

SESSION = "2d4c17d1"
AnyClient = TypeVar("AnyClient", bound=Client)
BEGAN = datetime(2025, 10, 9, 19, 19, 39)
#: The same by the store's clock, which is three hours ahead of the robot's.
BEGAN_MS = 1_760_048_379_000
#: A writer's id as a server writes it for a robot that publishes over HTTP.
HTTP = "http5f0c9a1b"


class Robot:
    """A run of our tracker in memory, and the state that a store would have of it.

    Args:
        epoch: the epoch of the run.
        steps: how many steps to report at once.
        minute: how many minutes after BEGAN the run begins.
        writer: who writes it; HTTP lets a server go on with the run when something is published over HTTP.
    """

    def __init__(self, epoch: str = "aaaa", steps: int = 0, minute: int = 0, writer: str = "") -> None:
        began = BEGAN_MS + minute * 60_000
        self.run = Run(SESSION, epoch, BEGAN + timedelta(minutes=minute), 15, began, writer)
        self.steps(steps)

    def step(self, text: str = "") -> Update:
        """Report one step; return its update."""
        number = self.run.seq + 1
        return self.run.step(number % 15, text or f"Passo {number}", self.run_time(), {"passo": number})

    def steps(self, count: int) -> list[Update]:
        return [self.step() for _ in range(count)]

    def finish(self) -> Update:
        return self.run.finish("success", self.run_time())[-1]

    def run_time(self) -> datetime:
        return BEGAN + timedelta(seconds=self.run.seq)

    def state(self) -> SessionState:
        """Return the state that a store reads if it has every update reported so far."""
        run = self.run
        state = SessionState(run.epoch, run.seq, run.snapshot.copy(), list(run.updates), began=run.began)
        state.stepped, state.writer = run.stepped, run.writer
        return state


class SlowStore:
    """A store whose reads can be delayed: they return the state as it was when the read began, and what is asked for.

    Attributes:
        stored: the current state.
        failing: if True, reads raise StorageUnavailable.
        reads: how many reads began.
    """

    def __init__(self, state: SessionState | None = None) -> None:
        self.stored = state
        self.failing = False
        self.reads = 0
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Let no read return until release()."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
        self.reads += 1
        state = self.stored
        if state is not None:
            asked = state.seq if after is None else after
            updates = [update for update in state.updates if state.sparse or update.seq > asked]
            state = replace(state, snapshot=state.snapshot.copy(), updates=updates)
        await asyncio.sleep(0)
        await self._open.wait()
        if self.failing:
            raise StorageUnavailable("The test's store is down.")
        return state


def _raw(update: Update) -> bytes:
    return update.raw


class Viewer:
    """A client (see delivery.client.Client) that records what it is sent.

    Attributes:
        pending: bytes that the peer has not accepted yet, set by the test; write() refuses frames unless it is 0.
        stays: if True, finish() reports that the client stays connected.
        got: the calls in order, each with its position (None if it has none): ``sync``, ``reset``, ``update``,
            ``finish``, ``restart``, ``abort``.
        recovered: the ``recovered`` of the sync, None before that.
        updates: the updates received.
    """

    encode: Callable[[Update], bytes] = staticmethod(_raw)

    def __init__(self, stays: bool = False) -> None:
        self.pending = 0
        self.stays = stays
        self.got: list[tuple[str, Cursor | None]] = []
        self.updates: list[Update] = []
        self.recovered: bool | None = None

    def write(self, frame: bytes) -> bool:
        if self.pending:
            return False
        self.send([own_update(frame) or Update(frame, None, 0, False)])
        return True

    def send(self, updates: Sequence[Update]) -> None:
        self.got += [("update", update.cursor) for update in updates]
        self.updates += updates

    def sync(self, welcome: Welcome) -> None:
        self.recovered = welcome.recovered
        self.got.append(("sync", welcome.at))

    def reset(self, welcome: Welcome) -> None:
        self.got.append(("reset", welcome.at))

    def finish(self) -> bool:
        self.got.append(("finish", None))
        return not self.stays

    def restart(self) -> None:
        self.got.append(("restart", None))

    def abort(self) -> None:
        self.got.append(("abort", None))

    @property
    def texts(self) -> list[str]:
        """The ``mensagem`` of every update."""
        return [update.data["mensagem"] for update in self.updates]

    @property
    def seqs(self) -> list[int]:
        """The ``seq`` of every numbered update."""
        return [cursor.seq for kind, cursor in self.got if kind == "update" and cursor]

    def count(self, kind: str) -> int:
        return [name for name, _ in self.got].count(kind)

    def check(self) -> Cursor | None:
        """Check that no update was lost, doubled or out of order; return the client's position, None for none."""
        at: Cursor | None = None
        for kind, cursor in self.got:
            if kind in ("sync", "reset"):
                assert at is None or cursor is not None, self.got
                if at is not None and cursor is not None:
                    assert cursor.epoch != at.epoch or cursor.seq >= at.seq, f"went back: {self.got}"
                at = cursor
            elif kind == "update" and cursor is not None:
                expected = Cursor(cursor.epoch, 1) if at is None else Cursor(at.epoch, at.seq + 1)
                assert cursor == expected, f"{cursor} does not follow on {at}: {self.got}"
                at = cursor
        return at


class ManualClock:
    """A clock that the test controls.

    Attributes:
        now_s: what both steady_s() and wall_s() return.
    """

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def steady_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        self._timers.append((self.now_s + delay_s, callback))
        return callback

    def advance(self, seconds: float) -> None:
        """Advance the time by *seconds*, then call the callbacks that are due."""
        self.now_s += seconds
        due = [callback for due_s, callback in self._timers if due_s <= self.now_s]
        self._timers = [(due_s, callback) for due_s, callback in self._timers if due_s > self.now_s]
        for callback in due:
            callback()


def make_hub(store: SlowStore, most: int = 100, clock: Clock | None = None) -> Hub:
    return Hub(store, most, 15.0, clock)


async def settle() -> None:
    """Run the event loop 30 times: enough for tasks that wait for neither time nor input to finish."""
    for _ in range(30):
        await asyncio.sleep(0)


async def watch(session: Session, viewer: AnyClient, cursor: Cursor | None = None) -> AnyClient:
    """Register *viewer* with *session*, read the store and begin, as a handler does; return *viewer*."""
    session.join(viewer)
    await session.load(cursor)
    session.begin(viewer, cursor)
    return viewer
