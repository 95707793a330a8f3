"""Who watches one session: clients that join, that are up to date, and that lag.

Delivering never awaits a client: one with nothing pending gets the frame at once, one that lags reads on from the log
when it has taken everything, one that takes nothing is aborted.

Invariant: a client gets every update that is delivered between join() and leave() once and in order, or one reset.
"""

from collections.abc import Callable, Sequence

from ..progress.update import Update
from .client import Client
from .context import SessionContext
from .timeline import keep
from .wire.welcome import Welcome

#: A client that takes nothing for this long is aborted.
STALL_S = 6.0


class _Lag:
    """Where a client that lags reads on, and until when it must have taken something."""

    __slots__ = ("deadline_s", "index", "pending")

    def __init__(self, index: int, deadline_s: float, pending: int) -> None:
        self.index = index
        self.deadline_s = deadline_s
        self.pending = pending


class Audience:
    """The clients of one session.

    Args:
        context: gives the clock and the counters.
    """

    __slots__ = ("_context", "_end", "_groups", "_joining", "_lagging", "_log")

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._joining: dict[Client, int] = {}  # with the index behind which it has missed nothing
        self._groups: dict[Callable[[Update], bytes], dict[Client, None]] = {}  # up to date, by how they encode
        self._lagging: dict[Client, _Lag] = {}
        self._log: list[Update] = []  # the last updates delivered, kept while somebody joins or lags
        self._end = 0  # the index behind the last update delivered, counted from the first one

    def __bool__(self) -> bool:
        """True while somebody watches; who is only joining does not count."""
        return bool(self._groups or self._lagging)

    def clients(self) -> list[Client]:
        """Return everyone who watches or is about to."""
        return [*self._joining, *self.up_to_date(), *self._lagging]

    def up_to_date(self) -> list[Client]:
        """Return everyone who has got every update."""
        return [client for group in self._groups.values() for client in group]

    @property
    def lagging(self) -> bool:
        """True while somebody lags."""
        return bool(self._lagging)

    # -- coming and going

    def join(self, client: Client) -> None:
        """Register *client*: from here on it misses nothing."""
        self._joining[client] = self._end

    def is_joining(self, client: Client) -> bool:
        """Tell whether *client* has joined and not begun."""
        return client in self._joining

    def begin(self, client: Client, welcome: Welcome, missed: Sequence[Update]) -> None:
        """Send a client that has joined its first message, what it missed, and what came without a number meanwhile."""
        joined = self._joining.pop(client)
        if not self._joining:
            self._joining = {}  # a dict that was emptied keeps its table, and most sessions have one client
        client.sync(welcome)
        client.send([*missed, *(update for update in self._since(joined) if update.epoch is None)])
        self._add(client)

    def _add(self, client: Client) -> None:
        self._groups.setdefault(client.encode, {})[client] = None

    def leave(self, client: Client) -> None:
        """Forget *client*; fine at any time and more than once."""
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
        """Send *update* to everyone who is up to date; tell whether somebody lags since."""
        self._end += 1
        if self._joining or self._lagging:
            keep(self._log, update)
        elif self._log:
            self._log.clear()
        delivered = 0
        late: list[Client] = []
        # Copies, because a client may leave while it is written to.
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
        """Return what was delivered from *index* on, as far as the log reaches back."""
        return self._log[max(0, len(self._log) - (self._end - index)) :]

    def reset(self, welcome: Welcome) -> None:
        """Tell everyone that continuity was lost."""
        for client in (*self.up_to_date(), *self._lagging):
            self._context.counters.resets += 1
            client.reset(welcome)
        for client in self._lagging:
            self._add(client)
        self._lagging.clear()

    # -- clients that lag

    def _lag(self, client: Client, update: Update) -> None:
        """Note that *client* did not take *update*, the last one."""
        if not self._log:
            self._log.append(update)
        self._remove(client)
        deadline_s = self._context.clock.steady_s() + STALL_S
        self._lagging[client] = _Lag(self._end - 1, deadline_s, client.pending)

    def catch_up(self, now_s: float, welcome: Callable[[], Welcome]) -> None:
        """Serve clients that lag, abort those that take nothing.

        Args:
            now_s: steady seconds.
            welcome: what a client is reset with that lags further than the log reaches back.
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
        """End the streams of everyone who is up to date; who lags is still to be sent something."""
        for client in self.up_to_date():
            if client.finish():
                self.leave(client)  # nothing may follow on the end of a stream

    def dismiss(self) -> None:
        """Tell everyone to come back to another server."""
        for client in self.clients():
            self.leave(client)
            client.restart()
