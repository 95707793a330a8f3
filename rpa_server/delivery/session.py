"""One session that somebody watches: when its store is read, who waits for that, and when its streams end.

What is known is the timeline's, who listens is the audience's; this module brings the two together and does what takes
time. Nothing in it awaits a client.

Invariants: within an epoch a client gets every numbered update once and in order, or one reset; nothing is
awaited between the look into the state and the registration of a client.
"""

import asyncio

from ..errors import StorageUnavailable
from ..progress.session_state import SessionState
from ..progress.update import START, Cursor, Update
from .audience import Audience
from .client import Client
from .context import SessionContext
from .timeline import Timeline, Verdict, keep
from .wire.welcome import Welcome

#: A stream stays open this long behind the final update: robots add a line or two after it.
GRACE_S = 2.0
#: A client that comes back to a run which no store knows waits this long for the robot to hand it in again.
PATIENCE_S = 3.0


class Mark:
    """What watchers/position_check.py remembers of a session.

    Attributes:
        heard: an update came since the last look.
        seen, verified: when the session was last written, as Redis said at the last look and at the last comparison;
            ``...`` before.
    """

    __slots__ = ("heard", "seen", "verified")

    def __init__(self) -> None:
        self.heard = False
        self.seen: object = ...
        self.verified: object = ...


class Session:
    """What the server knows of a session while somebody watches it.

    Args:
        session_id: a checked session id.
        context: what all sessions share.

    Attributes:
        mark: for watchers/position_check.py.
    """

    __slots__ = (
        *("__weakref__", "_audience", "_context", "_early", "_ending", "_loaded", "_patience", "_patient", "_reader"),
        *("_stale", "_timeline", "_waiting", "mark", "session_id"),
    )

    def __init__(self, session_id: str, context: SessionContext) -> None:
        self.session_id = session_id
        self.mark = Mark()
        self._context = context
        self._timeline = Timeline(session_id, context.heartbeat_ms)
        self._audience = Audience(context)
        self._early: list[Update] = []  # updates that can't be placed before the store was read
        self._waiting: dict[Client, Cursor] | None = None  # clients whose cursor can't be found before the store was read
        self._reader: asyncio.Task[None] | None = None
        self._stale = True
        self._loaded = False
        self._patience: object = None  # set while its timer runs, or has run
        self._patient = True
        self._ending: object = None  # set while its timer runs

    # -- what is known

    @property
    def state(self) -> SessionState | None:
        """The current state, None while nothing is known."""
        state = self._timeline.state
        self._check_damage()
        return state

    def _check_damage(self) -> None:
        """Read the store where an update began like one of ours and could not be folded: the stored snapshot will do."""
        if (damage := self._timeline.take_damage()) is not None:
            self._context.on_read_error(damage)
            self.changed()

    @property
    def final(self) -> bool:
        """True once the run has ended."""
        return self._timeline.final

    @property
    def loaded(self) -> bool:
        """True once the store was read."""
        return self._loaded

    @property
    def numbered(self) -> bool:
        """True where our tracker numbers the run, so that a gap in it would show."""
        return self._timeline.numbered

    @property
    def cursor(self) -> Cursor | None:
        """The position of the last numbered update, None while nothing is known."""
        return self._timeline.cursor

    def welcome(self, cursor: Cursor | None = None) -> Welcome:
        """Return a client's first message, see Timeline.welcome; without *cursor* it serves for a reset, too."""
        clock = self._context.clock
        welcome = self._timeline.welcome(cursor, clock.steady_s(), clock.wall_s(), shared=bool(self._audience))
        self._check_damage()
        return welcome

    # -- reading

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
        """Read the store (again): it may have more than is known here."""
        self._stale = True
        self._read_soon()

    def _read_soon(self) -> asyncio.Task[None]:
        if self._reader is None or self._reader.done():
            self._reader = self._context.tasks.spawn(self._read())
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
            stored = await self._context.store.read(self.session_id)
        except StorageUnavailable as error:
            self._context.on_read_error(error)
            again, self._stale = self._stale, True  # there was news meanwhile, in a store that does answer perhaps
            return again
        self._loaded = True
        self._adopt(stored)
        self._begin_waiting()
        during, self._early = self._early, []
        for update in before:
            if self._timeline.follows(update):
                self.publish(update)
        for update in during:
            self.publish(update)
        return True

    def _adopt(self, stored: SessionState | None) -> None:
        """Take over what the store has, as far as it is further than what is known."""
        change = self._timeline.adopt(stored)
        if change is None:
            return
        if change.missed is None:
            self._audience.reset(self.welcome())
        elif self._audience:
            for update in change.missed:
                self._deliver(update)
        self._end_soon()

    # -- updates

    def take(self, raw: bytes) -> bool:
        """Take a message off the wire if it is what nearly all are, the very next update; else leave it to publish()."""
        update = self._timeline.offer(raw)
        if update is None:
            return False
        self.mark.heard = True
        self._deliver(update)
        return True

    def publish(self, update: Update) -> None:
        """Take an update off the wire: deliver it where it is next, drop it where it was seen, else read the store."""
        self.mark.heard = True
        verdict = self._timeline.accept(update)
        if verdict is Verdict.AHEAD:
            keep(self._early, update)
            self.changed()
        elif verdict is not Verdict.SEEN:
            self._deliver(update)
            if update.final and verdict is Verdict.NEXT:
                self._end_soon()

    def _deliver(self, update: Update) -> None:
        if self._audience.deliver(update):
            self._context.laggards.add(self)

    # -- clients

    def join(self, client: Client) -> None:
        """Register *client*: from here on it misses nothing."""
        self._audience.join(client)

    def begin(self, client: Client, cursor: Cursor | None) -> None:
        """Send *client* what it has not seen and keep it up to date from here on; load() comes before.

        Where that failed and the client has a cursor, it hears nothing until a store answers; where no store knows
        the run, for PATIENCE_S: if its first message said that nothing is known, it would take updates it has for new ones.

        Args:
            cursor: the last position that the client knows, None for none.
        """
        if not self._audience.is_joining(client):  # dismissed meanwhile
            return
        if cursor is not None and self._is_early(cursor):
            self._waiting = self._waiting or {}
            self._waiting[client] = cursor
            return
        missed = None if cursor is None else self._timeline.since(cursor)
        self._audience.begin(client, self.welcome(None if missed is None else cursor), missed or ())
        self._end_soon()

    def _is_early(self, cursor: Cursor) -> bool:
        """Tell whether a client with *cursor* should wait: no store answers, or one that has just lost everything."""
        if self._timeline.cursor is not None:
            return False
        if not self._loaded:
            return True
        if cursor == START:
            return False
        if self._patience is None:
            self._patience = self._context.clock.call_later(PATIENCE_S, self._lose_patience)
        return self._patient

    def _lose_patience(self) -> None:
        self._patient = False
        self._begin_waiting()

    def _begin_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        for client, cursor in (waiting or {}).items():
            self.begin(client, cursor)

    def leave(self, client: Client) -> None:
        """Forget *client*; fine at any time and more than once."""
        if self._waiting is not None:
            self._waiting.pop(client, None)
        self._audience.leave(client)

    def dismiss(self) -> None:
        """Tell everyone to come back to another server."""
        self._waiting = None
        self._audience.dismiss()

    def clients(self) -> list[Client]:
        """Return everyone who watches or is about to."""
        return self._audience.clients()

    def catch_up(self, now_s: float) -> bool:
        """Serve clients that lag, abort those that take nothing; tell whether any is left.

        Args:
            now_s: the clock's steady seconds.
        """
        self._audience.catch_up(now_s, self.welcome)
        return self._audience.lagging

    # -- the end

    def _end_soon(self) -> None:
        if self._ending is None and self.final and self._audience:
            self._ending = self._context.clock.call_later(GRACE_S, self._finish)

    def _finish(self) -> None:
        self._ending = None
        if not self.final:
            return
        self._audience.finish()
        if self._audience.lagging:
            self._end_soon()
