"""A run, a store and a viewer, in this process: what tests of sessions are made of."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from rpa_server.delivery.hub import Hub
from rpa_server.delivery.session import Client, Session
from rpa_server.errors import StorageUnavailable
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.update import Cursor, Update

SESSION = "2d4c17d1"
AnyClient = TypeVar("AnyClient", bound=Client)
BEGAN = datetime(2025, 10, 9, 19, 19, 39)


class Robot:
    """A run and what a store holds of it."""

    def __init__(self, epoch: str = "aaaa", steps: int = 0, minute: int = 0) -> None:
        self.run = Run(SESSION, epoch, BEGAN + timedelta(minutes=minute))
        self.steps(steps)

    def step(self, text: str = "") -> Update:
        """Record one step."""
        number = self.run.seq + 1
        return self.run.step(number % 15, text or f"Passo {number}", self.run_time(), {"passo": number})

    def steps(self, count: int) -> list[Update]:
        return [self.step() for _ in range(count)]

    def finish(self) -> Update:
        return self.run.finish("success", self.run_time())[-1]

    def run_time(self) -> datetime:
        return BEGAN + timedelta(seconds=self.run.seq)

    def state(self) -> SessionState:
        """Return what a store that has everything answers now."""
        return SessionState(self.run.epoch, self.run.seq, self.run.snapshot.copy(), list(self.run.updates))


class SlowStore:
    """A store that answers what it held when it was asked, as late as the test likes."""

    def __init__(self, held: SessionState | None = None) -> None:
        self.held = held
        self.failing = False
        self.reads = 0
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Answer nothing until release()."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def read(self, session_id: str) -> SessionState | None:
        self.reads += 1
        held = self.held
        if held is not None:
            held = SessionState(held.epoch, held.seq, held.snapshot.copy(), list(held.updates), held.sparse)
        await asyncio.sleep(0)
        await self._open.wait()
        if self.failing:
            raise StorageUnavailable("The test's store is down.")
        return held


class Viewer:
    """A client that keeps what it was sent.

    Attributes:
        pending: bytes that it has not taken; with any it takes no push.
        stays: it is still there behind the end of the run.
        got: what it was sent, in order: ``sync``, ``reset``, ``update``, ``finish``, ``restart``, ``abort``, each
            with the position behind it (None where there is none).
        recovered: whether the sync said that the updates follow.
        updates: every update.
    """

    def __init__(self, stays: bool = False) -> None:
        self.pending = 0
        self.stays = stays
        self.got: list[tuple[str, Cursor | None]] = []
        self.updates: list[Update] = []
        self.recovered: bool | None = None

    def push(self, update: Update) -> bool:
        if self.pending:
            return False
        self.send([update])
        return True

    def send(self, updates: Sequence[Update]) -> None:
        self.got += [("update", update.cursor) for update in updates]
        self.updates += updates

    def sync(self, session: Session, since: Cursor | None) -> None:
        self.recovered = since is not None
        self.got.append(("sync", since or session.cursor))

    def reset(self, session: Session) -> None:
        self.got.append(("reset", session.cursor))

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
        """The numbers of the updates."""
        return [cursor.seq for kind, cursor in self.got if kind == "update" and cursor]

    def count(self, kind: str) -> int:
        return [name for name, _ in self.got].count(kind)

    def check(self) -> Cursor | None:
        """Check that nothing is lost, doubled or out of order; return the position that the client knows."""
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


def make_hub(store: SlowStore, most: int = 100) -> Hub:
    return Hub(store.read, most, 15.0)


async def settle() -> None:
    """Let everything that waits for nothing but its turn run."""
    for _ in range(30):
        await asyncio.sleep(0)


async def watch(session: Session, viewer: AnyClient, cursor: Cursor | None = None) -> AnyClient:
    """Join, load and begin as a handler does."""
    session.join(viewer)
    await session.load()
    session.begin(viewer, cursor)
    return viewer
