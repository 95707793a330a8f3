"""One session that somebody watches: its state, the tail of its updates, its clients.

Publishing is synchronous and never awaits a client: one that has nothing pending gets the frame at once, one
that lags reads on from the log when its buffer is empty, one that does not is aborted.

Invariants: within an epoch a client gets every numbered update once and in order, or one reset; nothing is
awaited between the look into the state and the registration of a client.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from .. import safejson
from ..errors import BadDocument, StorageUnavailable
from ..progress.session_state import Document, SessionState, advance
from ..progress.snapshot import entry_of, reduce
from ..progress.update import HISTORY, START, Cursor, Update, beginning, is_whole

if TYPE_CHECKING:
    from .hub import Hub

#: A stream stays open this long behind the final update: robots add a line or two after it.
GRACE_S = 2.0
#: Who comes back to a run that no store knows waits so long for its robot to hand it in again.
PATIENCE_S = 3.0
#: A client that takes nothing for this long is aborted.
STALL_S = 6.0
#: How long a first message serves others, too: a robot's silence grows while nothing is written.
_FRESH_S = 0.5
#: A history is cut to HISTORY when it has grown to this.
_MOST = HISTORY + 64


class Client(Protocol):
    """An open stream, whatever its transport. No method awaits, none raises for a peer that is gone."""

    def push(self, update: Update) -> bool:
        """Send one update unless something is pending; tell whether it was sent."""

    def send(self, updates: Sequence[Update]) -> None:
        """Send updates, whatever is pending."""

    def sync(self, session: "Session", since: Cursor | None) -> None:
        """Send the first message: updates behind *since* follow, or, where it is None, the whole state."""

    def reset(self, session: "Session") -> None:
        """Tell that continuity was lost and what the state is."""

    def finish(self) -> bool:
        """End the stream: the run is over and everything was sent; False where the client stays nevertheless."""

    def restart(self) -> None:
        """End the stream: the server goes away and the client is to come back."""

    def abort(self) -> None:
        """Drop the connection at once."""

    @property
    def pending(self) -> int:
        """Bytes that the peer has not taken yet."""


class _Lag:
    """Where a client that lags reads on, and until when it must have taken something."""

    __slots__ = ("deadline_s", "index", "pending")

    def __init__(self, index: int, deadline_s: float, pending: int) -> None:
        self.index = index
        self.deadline_s = deadline_s
        self.pending = pending


class Mark:
    """What the comparison with Redis knows of a session.

    Attributes:
        heard: an update came since the last look.
        seen, verified: when the session was last written, as Redis told at the last look and as of the last comparison;
            ``...`` before.
    """

    __slots__ = ("heard", "seen", "verified")

    def __init__(self) -> None:
        self.heard = False
        self.seen: object = ...
        self.verified: object = ...


def _step(update: Update) -> tuple[object, object]:
    """Name the step that an update tells of, where numbers can't."""
    return update.data.get("etapa"), update.data.get("mensagem")


def _keep(updates: list[Update], update: Update) -> None:
    """Append to a list that is cut to HISTORY now and then; an empty one takes a tenth of what a deque does."""
    updates.append(update)
    if len(updates) >= _MOST:
        del updates[:-HISTORY]


class Session:
    """What the server knows of a session while somebody watches it.

    Args:
        session_id: a checked session id.
        hub: gives the store, the clock and a home for tasks.

    Attributes:
        mark: for recovery.PositionCheck.
    """

    def __init__(self, session_id: str, hub: "Hub") -> None:
        self.session_id = session_id
        self._hub = hub
        self._state: SessionState | None = None
        self._folded = 0  # the last update that is in the state's snapshot
        self._next: bytes | None = None  # how the update begins that follows on the last one
        self._told: tuple[object, object] | None = None  # the last step that came without a number
        self._early: list[Update] = []
        self._log: list[Update] = []  # what was delivered since somebody joins or lags
        self._end = 0  # the index behind the last update delivered, counted since somebody watches
        self._joining: dict[Client, int] = {}
        self._waiting: dict[Client, Cursor] = {}  # of those who join: whose cursor nobody can place yet
        self._clients: dict[Client, None] = {}
        self._lagging: dict[Client, _Lag] = {}
        self._reader: asyncio.Task[None] | None = None
        self._stale = True
        self._loaded = False
        self._patience: asyncio.TimerHandle | None = None
        self._patient = True
        self._ending: asyncio.TimerHandle | None = None
        self._first: bytes | None = None  # what who joins now is told first
        self._first_until_s = 0.0
        self.mark = Mark()

    # -- what is known

    @property
    def state(self) -> SessionState | None:
        """The current state, None while nothing is known; its snapshot is folded up to date here."""
        held = self._state
        if held is not None and (lacking := held.seq - self._folded):
            folding, self._folded = held.updates[-lacking:], held.seq
            try:
                for update in folding:
                    held.snapshot = reduce(held.snapshot, entry_of(update.data))
                    update.forget()
            except (BadDocument, LookupError, TypeError, ValueError) as error:
                # It looked like ours and is not; the stored snapshot will do.
                self._hub.on_read_error(error)
                self.changed()
        return held

    @property
    def final(self) -> bool:
        """True once the run has ended."""
        held = self._state
        if held is None:
            return False
        return bool(held.updates[-1].final if held.seq > self._folded else held.snapshot["final"])

    @property
    def loaded(self) -> bool:
        """True once the store was read."""
        return self._loaded

    @property
    def numbered(self) -> bool:
        """True where our tracker numbers the run, so that a hole in it would show."""
        return self._state is not None and self._state.own

    @property
    def cursor(self) -> Cursor | None:
        """The position of the last numbered update, None while nothing is known."""
        return None if self._state is None else self._state.cursor

    def view(self) -> Document | None:
        """Return the snapshot as pages get it, None while nothing is known."""
        held = self.state
        return None if held is None else held.view(held.silence_s(self._hub.wall_time()))

    def sync_message(self, since: Cursor | None) -> bytes:
        """Build the first message of a native stream, see Client.sync; a crowd that comes at once gets the same one."""
        if since is not None:
            return self._sync_message(since)
        now_s = self._hub.time()
        if self._first is None or now_s > self._first_until_s:
            message = self._sync_message(None)
            self._first, self._first_until_s = message if self._clients else None, now_s + _FRESH_S
            return message
        return self._first

    def _sync_message(self, since: Cursor | None) -> bytes:
        at = since or self.cursor
        return safejson.dumps(
            {
                "type": "sync",
                "session_id": self.session_id,
                "epoch": at.epoch if at else None,
                "seq": at.seq if at else 0,
                "recovered": since is not None,
                "snapshot": None if since else self.view(),
                "heartbeat_ms": self._hub.heartbeat_ms,
            }
        )

    def reset_message(self) -> bytes:
        """Build the message that continuity was lost."""
        at = self.cursor
        return safejson.dumps(
            {
                "type": "reset",
                "session_id": self.session_id,
                "epoch": at.epoch if at else None,
                "seq": at.seq if at else 0,
                "snapshot": self.view(),
            }
        )

    async def load(self) -> None:
        """Read the store unless that was done; callers share one read.

        Raises:
            StorageUnavailable: no store answers.
        """
        if not self._loaded:
            await self.refresh()

    async def refresh(self) -> None:
        """Read the store as it is now; what is known already stays known where that fails or finds less.

        Raises:
            StorageUnavailable: no store answers, and nothing was read before.
        """
        self._stale = True
        await asyncio.shield(self._read_soon())
        if not self._loaded:
            raise StorageUnavailable("The session can't be read, because no store answers; try again soon.")

    def changed(self) -> None:
        """Read the store (again): it may hold more than is known here."""
        self._stale = True
        self._read_soon()

    def _read_soon(self) -> asyncio.Task[None]:
        if self._reader is None or self._reader.done():
            self._reader = self._hub.spawn(self._read())
        return self._reader

    async def _read(self) -> None:
        try:
            while self._stale:
                self._stale = False
                if not await self._read_once():
                    return
        finally:
            self._reader = None

    async def _read_once(self) -> bool:
        """Read the store; False where no store answers, and nothing says that another try would be different."""
        # What arrived before the read is in the store by now, or nowhere; what arrives during it may not be.
        before, self._early = self._early, []
        try:
            held = await self._hub.read(self.session_id)
        except StorageUnavailable as error:
            self._hub.on_read_error(error)
            again, self._stale = self._stale, True  # there was news meanwhile, in a store that does answer perhaps
            return again
        self._loaded = True
        self._adopt(held)
        self._begin_waiting()
        during, self._early = self._early, []
        for update in before:
            if self._follows(update):
                self.publish(update)
        for update in during:
            self.publish(update)
        return True

    def _adopt(self, new: SessionState | None) -> None:
        """Take over what the store holds, as far as it is further than what is known."""
        old = self._state
        if new is None or (old is not None and (new := advance(old, new)) is old):
            return
        missed = new.since(START if old is None else old.cursor)
        if new.sparse and (old is None or old.epoch == new.epoch):
            # Who writes a snapshot may publish the same step, too; pages are told once.
            missed = [update for update in new.updates if _step(update) != self._told]
        self._state = replace(new, updates=new.updates[-HISTORY:])
        self._first = None
        self._next = None
        self._folded = new.seq
        if missed is None:
            self._reset()
        elif self._clients or self._lagging:
            for update in missed:
                self._deliver(update)
        self._end_soon()

    # -- updates

    def take(self, raw: bytes) -> bool:
        """Take a message off the wire if it is what nearly all are, the very next update; else leave it to publish()."""
        held = self._state
        if self._next is None or held is None or not raw.startswith(self._next) or not is_whole(raw):
            return False
        self.mark.heard = True
        update = Update(raw, held.epoch, held.seq + 1, False)
        self._extend(held, update)
        self._deliver(update)
        return True

    def publish(self, update: Update) -> None:
        """Take an update off the wire: deliver it where it is next, drop it where it was seen, else read."""
        held = self._state
        self.mark.heard = True
        if update.epoch is None:
            self._told = _step(update)
            self._deliver(update)
        elif held is None or not self._loaded or update.epoch != held.epoch or update.seq > held.seq + 1:
            _keep(self._early, update)
            self.changed()
        elif update.seq == held.seq + 1:
            self._extend(held, update)
            self._deliver(update)
            if update.final:
                self._end_soon()

    def _follows(self, update: Update) -> bool:
        held = self._state
        return held is not None and update.epoch == held.epoch and update.seq == held.seq + 1

    def _extend(self, held: SessionState, update: Update) -> None:
        held.seq = update.seq
        held.written_s = None  # just now
        self._next = beginning(held.epoch, held.seq + 1)
        self._first = None
        held.updates.append(update)
        if len(held.updates) >= _MOST:
            _ = self.state  # whose snapshot is to have them, before they go
            del held.updates[:-HISTORY]

    def _deliver(self, update: Update) -> None:
        self._end += 1
        if self._joining or self._lagging:
            _keep(self._log, update)
        elif self._log:
            self._log.clear()
        reached = 0
        for client in tuple(self._clients):
            if client.push(update):
                reached += 1
            else:
                self._lag(client, update)
        self._hub.delivered += reached
        update.forget()

    def _reset(self) -> None:
        for client in (*self._clients, *self._lagging):
            self._hub.resets += 1
            client.reset(self)
        self._clients.update(dict.fromkeys(self._lagging))
        self._lagging.clear()

    # -- clients

    def join(self, client: Client) -> None:
        """Register *client*: from here on it misses nothing."""
        self._joining[client] = self._end

    def begin(self, client: Client, cursor: Cursor | None) -> None:
        """Send *client* what it has not seen and keep it up to date from here on; load() comes before.

        Where that failed and the client has a cursor, it hears nothing until a store answers; where no store knows
        the run, for PATIENCE_S.

        Args:
            cursor: the last position that the client knows, None for none.
        """
        if client in self._joining and self._is_early(cursor):
            assert cursor is not None
            self._waiting[client] = cursor  # told of nothing it would take what it knows already for news
            return
        joined = self._joining.pop(client, None)
        if joined is None:  # dismissed meanwhile
            return
        missed = None if self._state is None or cursor is None else self._state.since(cursor)
        client.sync(self, None if missed is None else self._position(cursor))
        unnumbered = [update for update in self._since(joined) if update.epoch is None]
        client.send([*(missed or ()), *unnumbered])
        self._clients[client] = None
        self._end_soon()

    def _is_early(self, cursor: Cursor | None) -> bool:
        """Tell whether whoever has *cursor* should wait: no store answers, or one that has just lost everything."""
        if cursor is None or self._state is not None:
            return False
        if not self._loaded:
            return True
        if cursor == START:
            return False
        if self._patience is None:
            self._patience = self._hub.call_later(PATIENCE_S, self._lose_patience)
        return self._patient

    def _lose_patience(self) -> None:
        self._patient = False
        self._begin_waiting()

    def _begin_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for client, cursor in waiting.items():
            self.begin(client, cursor)

    def _position(self, cursor: Cursor | None) -> Cursor | None:
        """Name the run in a cursor that only says "from the beginning"."""
        if cursor is None or self._state is None:
            return None
        return Cursor(self._state.epoch, cursor.seq)

    def leave(self, client: Client) -> None:
        """Forget *client*; fine at any time and more than once."""
        self._waiting.pop(client, None)
        self._joining.pop(client, None)
        self._clients.pop(client, None)
        self._lagging.pop(client, None)

    def dismiss(self) -> None:
        """Tell everyone to come back to another server."""
        for client in self.clients():
            self.leave(client)  # nothing may follow on the end of a stream
            client.restart()

    def clients(self) -> list[Client]:
        """Return everyone who watches or is about to."""
        return [*self._joining, *self._clients, *self._lagging]

    def _since(self, index: int) -> list[Update]:
        """Return what was delivered from *index* on, as far as the log reaches back."""
        return self._log[max(0, len(self._log) - (self._end - index)) :]

    def _lag(self, client: Client, update: Update) -> None:
        """Note that *client* did not take *update*, the last one."""
        if not self._log:
            self._log.append(update)
        del self._clients[client]
        self._lagging[client] = _Lag(self._end - 1, self._hub.time() + STALL_S, client.pending)
        self._hub.watch_lagging(self)

    def catch_up(self, now_s: float) -> bool:
        """Serve clients that lag, abort those that take nothing; tell whether any is left."""
        for client, lag in list(self._lagging.items()):
            pending = client.pending
            if pending == 0:
                self._resume(client, lag)
            elif pending < lag.pending:
                lag.pending, lag.deadline_s = pending, now_s + STALL_S
            elif now_s >= lag.deadline_s:
                self._hub.aborted += 1
                self.leave(client)
                client.abort()
        return bool(self._lagging)

    def _resume(self, client: Client, lag: _Lag) -> None:
        del self._lagging[client]
        self._clients[client] = None
        if lag.index < self._end - len(self._log):
            self._hub.resets += 1
            client.reset(self)
            return
        missed = self._since(lag.index)
        self._hub.delivered += len(missed)
        client.send(missed)

    # -- the end

    def _end_soon(self) -> None:
        if self._ending is None and self.final and (self._clients or self._lagging):
            self._ending = self._hub.call_later(GRACE_S, self._finish)

    def _finish(self) -> None:
        self._ending = None
        if not self.final:
            return
        for client in tuple(self._clients):
            if client.finish():
                self.leave(client)  # nothing may follow on the end of a stream
        if self._lagging:
            self._end_soon()
