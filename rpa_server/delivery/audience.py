"""The clients of one session: those joining, those up to date, and those lagging.

Delivery never awaits a client. A client for which too many bytes are pending gets no frame and lags: it gets what it
missed from the log once its peer has accepted all pending bytes, and is aborted if none is accepted for STALL_S.

Invariant: every update delivered between join() and leave() reaches the client once and in order, in the snapshot of
its first message or as a frame; after lost continuity, or if it lags further than the log goes back, it gets a reset
instead.
"""

from collections.abc import Callable, Sequence

from ..progress.update import Update
from .client import Client
from .context import SessionContext
from .timeline import keep
from .wire.welcome import Welcome

#: A lagging client that accepts no data for this long is aborted.
STALL_S = 6.0


class _Lag:
    """Which updates a lagging client lacks, and by when it must accept some data.

    Attributes:
        index: the index of the first update that the client lacks, counted as in Audience._end.
        deadline_s: when the client is aborted if it has accepted nothing since; steady seconds.
        pending: the client's pending bytes at the last look.
    """

    __slots__ = ("deadline_s", "index", "pending")

    def __init__(self, index: int, deadline_s: float, pending: int) -> None:
        self.index = index
        self.deadline_s = deadline_s
        self.pending = pending


class Audience:
    """The clients of one session.

    Args:
        context: supplies the clock and the counters.
    """

    __slots__ = ("_context", "_end", "_groups", "_joining", "_lagging", "_log")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._joining: dict[Client, int] = {}  # by client, the index of the first update after it joined
        self._groups: dict[Callable[[Update], bytes], dict[Client, None]] = {}  # up-to-date clients, by encode
        self._lagging: dict[Client, _Lag] = {}
        self._log: list[Update] = []  # the last delivered updates, kept while a client is joining or lagging
        self._end = 0  # how many updates were delivered, which is the index of the next one

    def __bool__(self) -> bool:
        """True while any client is up to date or lags; joining clients are not considered."""
        return bool(self._groups or self._lagging)

    def clients(self) -> list[Client]:
        """Return all clients, including those still joining."""
        return [*self._joining, *self.up_to_date(), *self._lagging]

    def up_to_date(self) -> list[Client]:
        """Return the clients that have been sent every update."""
        return [client for group in self._groups.values() for client in group]

    @property
    def lagging(self) -> bool:
        """True while any client lags."""
        return bool(self._lagging)

    # -- coming and going

    def join(self, client: Client) -> None:
        """Register *client*: no update from now on is lost for it."""
        self._joining[client] = self._end

    def is_joining(self, client: Client) -> bool:
        """Tell whether *client* has joined, and neither begin() nor leave() was called for it since."""
        return client in self._joining

    def begin(self, client: Client, welcome: Welcome, missed: Sequence[Update]) -> None:
        """Send a joining client its first message, *missed*, and the unnumbered updates since it joined."""
        joined = self._joining.pop(client)
        if not self._joining:
            self._joining = {}  # an emptied dict keeps its memory, and most sessions have one client
        client.sync(welcome)
        unnumbered = [update for update in self._since(joined) if update.epoch is None] if joined < self._end else ()
        if missed or unnumbered:
            client.send([*missed, *unnumbered])
        self._add(client)

    def _add(self, client: Client) -> None:
        group = self._groups.get(client.encode)
        if group is None:
            group = self._groups[client.encode] = {}
        group[client] = None

    def leave(self, client: Client) -> None:
        """Remove *client*; may be called at any time and repeatedly."""
        self._joining.pop(client, None)
        self._lagging.pop(client, None)
        self._remove(client)

    def _remove(self, client: Client) -> None:
        encode = client.encode
        group = self._groups.get(encode)
        if group is not None:
            group.pop(client, None)
            if not group:
                del self._groups[encode]

    # -- delivery

    def deliver(self, update: Update) -> bool:
        """Send *update* to every up-to-date client; tell whether any client began to lag."""
        self._end += 1
        if self._joining or self._lagging:
            keep(self._log, update)
        elif self._log:
            self._log.clear()
        delivered = 0
        late: list[Client] = []
        # Iterates over copies, so that a client may leave while it is written to.
        for encode, group in tuple(self._groups.items()):
            frame = encode(update)
            for client in tuple(group):
                if client.write(frame):
                    delivered += 1
                else:
                    late.append(client)
        self._context.counters.delivered += delivered
        for client in late:
            self._lag(client, update)
        return bool(late)

    def _since(self, index: int) -> list[Update]:
        """Return the updates delivered from *index* on, as far back as the log goes."""
        return self._log[max(0, len(self._log) - (self._end - index)) :]

    def reset(self, welcome: Welcome) -> None:
        """Send a reset to every client but the joining ones, whose first message will have the new state."""
        for client in (*self.up_to_date(), *self._lagging):
            self._context.counters.resets += 1
            client.reset(welcome)
        for client in self._lagging:
            self._add(client)
        self._lagging.clear()

    # -- clients that lag

    def _lag(self, client: Client, update: Update) -> None:
        """Record that *client* was not sent *update*, the last one delivered."""
        if not self._log:
            self._log.append(update)
        self._remove(client)
        deadline_s = self._context.clock.steady_s() + STALL_S
        self._lagging[client] = _Lag(self._end - 1, deadline_s, client.pending)

    def catch_up(self, now_s: float, welcome: Callable[[], Welcome]) -> None:
        """Send lagging clients what they missed once nothing is pending; abort those that accept no data for STALL_S.

        Args:
            now_s: steady seconds.
            welcome: returns the content of a reset, for clients that lack updates from before the log begins.
        """
        for client, lag in list(self._lagging.items()):
            pending = client.pending
            if pending == 0:
                self._resume(client, lag, welcome)
            elif pending < lag.pending:
                lag.pending, lag.deadline_s = pending, now_s + STALL_S
            elif now_s >= lag.deadline_s:
                self._context.counters.aborted += 1
                self.leave(client)
                client.abort()

    def _resume(self, client: Client, lag: _Lag, welcome: Callable[[], Welcome]) -> None:
        del self._lagging[client]
        self._add(client)
        if lag.index < self._end - len(self._log):
            self._context.counters.resets += 1
            client.reset(welcome())
            return
        missed = self._since(lag.index)
        self._context.counters.delivered += len(missed)
        client.send(missed)

    # -- the end

    def finish(self) -> None:
        """End the streams of all up-to-date clients; lagging ones still have updates to come."""
        for client in self.up_to_date():
            if client.finish():
                self.leave(client)  # nothing may be sent after the end of a stream

    def dismiss(self) -> None:
        """Remove every client and end its stream because the server stops; see Client.restart()."""
        for client in self.clients():
            self.leave(client)
            client.restart()
