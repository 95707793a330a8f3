"""One watched session: when to read its store, which clients wait for that, and when its streams end.

timeline.py keeps the state, audience.py the clients; this module connects the two, reads the store and sets the timers.
Nothing in it awaits a client.

Invariants: within an epoch a client gets every numbered update once and in order, or a reset; begin() has no await
between computing what a client lacks and adding it to those up to date, so that no update falls in between.
"""

from ..errors import StorageUnavailable
from ..progress.session_state import SessionState
from ..progress.update import START, Cursor, Update
from .audience import Audience
from .client import Client
from .context import SessionContext
from .mark import Mark
from .reading import Reading
from .timeline import Timeline, Verdict, keep
from .wire.welcome import Welcome

#: Seconds that a stream stays open after the final update, because robots may send an update or two after it.
GRACE_S = 2.0
#: If a client has a cursor and the stores have nothing, it waits up to PATIENCE_S for the robot to store the run anew.
PATIENCE_S = 3.0


class Session:
    """A session while somebody watches it: its state and its clients.

    Args:
        session_id: a checked session id.
        context: what all sessions of the process share.

    Attributes:
        mark: what watchers/position_check.py remembers of this session.
    """

    __slots__ = (
        *("__weakref__", "_audience", "_context", "_early", "_ending", "_patience", "_patient", "_reading"),
        *("_timeline", "_waiting", "mark", "session_id"),
    )

    def __init__(self, session_id: str, context: SessionContext) -> None:
        self.session_id = session_id
        self.mark = Mark()
        self._context = context
        self._timeline = Timeline(session_id, context.heartbeat_ms)
        self._audience = Audience(context)
        self._early: list[Update] = []  # updates of another run or after a gap, until the next read
        self._waiting: dict[Client, Cursor] | None = None  # the cursors of clients that _is_early() lets wait
        self._reading = Reading(context.tasks)
        self._patience: object = None  # the timer of PATIENCE_S; stays set after it fired
        self._patient = True
        self._ending: object = None  # the timer that ends the streams, None while it is not running

    # -- state

    @property
    def state(self) -> SessionState | None:
        """The current state, None while nothing is known."""
        state = self._timeline.state
        self._check_damage()
        return state

    def _check_damage(self) -> None:
        """Re-read the store if something passed for an update and is none, see Timeline.take_damage()."""
        if (damage := self._timeline.take_damage()) is not None:
            self._context.counters.damaged += 1
            self._context.on_read_error(damage)
            self.changed()

    @property
    def final(self) -> bool:
        """True once the run has ended."""
        return self._timeline.final

    @property
    def loaded(self) -> bool:
        """True once a read of the store has succeeded."""
        return self._reading.loaded

    @property
    def numbered(self) -> bool:
        """True if our tracker or server numbers the run, so that a missing update would show as a gap."""
        return self._timeline.numbered

    @property
    def cursor(self) -> Cursor | None:
        """The current position, None while nothing is known."""
        return self._timeline.cursor

    def welcome(self, cursor: Cursor | None = None) -> Welcome:
        """Return the content of a first message, see Timeline.welcome(); without *cursor* it also serves as a reset."""
        clock = self._context.clock
        now_s = clock.steady_s()
        if cursor is None and (shared := self._timeline.shared_welcome(now_s)) is not None:
            return shared
        welcome = self._timeline.welcome(cursor, now_s, clock.wall_s(), shared=bool(self._audience))
        self._check_damage()
        return welcome

    # -- reading

    def has(self, cursor: Cursor | None) -> bool:
        """Tell whether nothing has to be read to serve a client with this cursor, None for a client without one."""
        return self._reading.loaded and (cursor is None or not self._timeline.lacks(cursor))

    async def load(self, cursor: Cursor | None = None) -> None:
        """Read what was not read yet: the state, and with *cursor* the updates after it; callers share one read.

        Raises:
            StorageUnavailable: the read failed, and none has succeeded before.
        """
        if not self.has(cursor):
            await self.refresh(cursor)

    async def refresh(self, cursor: Cursor | None = None) -> None:
        """Read the store now; if the read fails or finds less than is known, the state stays as it is.

        Args:
            cursor: the updates after it are needed, too.

        Raises:
            StorageUnavailable: the read failed, and none has succeeded before.
        """
        await self._reading.refresh(self._read_once, cursor)
        if not self.loaded:
            raise StorageUnavailable("The session can't be read, because no store answers; try again soon.")

    def changed(self) -> None:
        """Start a read of the store, or repeat the running one: the store may have more than is known here."""
        self._reading.changed(self._read_once)

    async def _read_once(self, wanted: int | None) -> bool:
        """Read the store, see Reading; False if no store answers."""
        # The result of this read contains the updates that arrived before it, unless the store has lost them. It may
        # lack those that arrive while it runs.
        before, self._early = self._early, []
        try:
            stored = await self._context.store.read(self.session_id, self._read_after(wanted))
        except StorageUnavailable as error:
            self._context.on_read_error(error)
            return False
        self._reading.loaded = True
        self._adopt(stored)
        self._begin_waiting()
        during, self._early = self._early, []
        for update in before:
            if self._timeline.follows(update):
                self.publish(update)
        for update in during:
            self.publish(update)
        return True

    def _read_after(self, wanted: int | None) -> int | None:
        """Return the number after which a read has to bring the updates, None if it need not bring any."""
        known = self._timeline.cursor
        if known is None:
            # Whoever watches a session before its robot has begun gets the first updates as such.
            missed = 0 if self._audience else None
        else:
            missed = known.seq if self._timeline.numbered else 0
        return min((number for number in (missed, wanted) if number is not None), default=None)

    def _adopt(self, stored: SessionState | None) -> None:
        """Adopt the stored state if it is ahead of what is known, and send clients what they lack."""
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
        """Fast path: deliver a raw message if it is exactly the next update; False leaves it to publish()."""
        update = self._timeline.offer(raw, self._context.clock.wall_s())
        if update is None:
            return False
        self.mark.heard = True
        self._deliver(update)
        return True

    def publish(self, update: Update) -> None:
        """Handle an update: deliver it if it is next or unnumbered, drop it if it was seen, else read the store."""
        self.mark.heard = True
        verdict = self._timeline.accept(update, self._context.clock.wall_s())
        self._check_damage()
        if verdict is Verdict.AHEAD:
            keep(self._early, update)
            self.changed()
        elif verdict in (Verdict.NEXT, Verdict.UNNUMBERED):
            self._deliver(update)
            if update.final and verdict is Verdict.NEXT:
                self._end_soon()

    def _deliver(self, update: Update) -> None:
        if self._audience.deliver(update):
            self._context.laggards.add(self)

    # -- clients

    def join(self, client: Client) -> None:
        """Register *client*: no update from now on is lost for it."""
        self._audience.join(client)

    def begin(self, client: Client, cursor: Cursor | None) -> None:
        """Send *client* what it lacks and keep it up to date from here on; call load() first.

        A client with a cursor is sent nothing until a read succeeds, and, unless its cursor is START, nothing for up to
        PATIENCE_S while the stores have nothing. A first message saying that nothing is known would make the client
        take updates that it already has for new ones.

        Args:
            client: has joined; one that has left or was dismissed since is ignored.
            cursor: the client's last position, None if it has received nothing yet.
        """
        if not self._audience.is_joining(client):  # left or dismissed meanwhile
            return
        if cursor is not None and self._is_early(cursor):
            self._waiting = self._waiting or {}
            self._waiting[client] = cursor
            self._reading.want(cursor)
            return
        missed = None if cursor is None else self._timeline.since(cursor)
        self._audience.begin(client, self.welcome(None if missed is None else cursor), missed or ())
        self._end_soon()

    def _is_early(self, cursor: Cursor) -> bool:
        """Tell whether a client with *cursor* must wait: nothing was read yet, or Redis may just have lost the run."""
        if self._timeline.cursor is not None:
            return False
        if not self._reading.loaded:
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
        """Remove *client*; may be called at any time and repeatedly."""
        if self._waiting is not None:
            self._waiting.pop(client, None)
        self._audience.leave(client)

    def dismiss(self) -> None:
        """Remove every client and end its stream because the server stops; see Client.restart()."""
        self._waiting = None
        self._audience.dismiss()

    def clients(self) -> list[Client]:
        """Return all clients, including those still joining."""
        return self._audience.clients()

    def catch_up(self, now_s: float) -> bool:
        """Serve lagging clients and abort stalled ones, see Audience.catch_up(); tell whether any still lags.

        Args:
            now_s: steady seconds.
        """
        self._audience.catch_up(now_s, self.welcome)
        return self._audience.lagging

    # -- the end

    def _end_soon(self) -> None:
        if self._ending is None and self._timeline.final and self._audience:
            self._ending = self._context.clock.call_later(GRACE_S, self._finish)

    def _finish(self) -> None:
        self._ending = None
        if not self.final:
            return
        self._audience.finish()
        if self._audience.lagging:
            self._end_soon()
