"""The registry of watched sessions.

The registry refers to sessions weakly: a session disappears with the last connection, task or timer that refers to it,
so nothing has to be cleaned up. What must outlive the viewers is in the store, not here. Only a polled session is kept
for LINGER_S after the poll: if a store loses the session in mid-run, the next poll still finds its state.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakValueDictionary

from ..errors import ServerFull, StorageUnavailable
from ..log import RateLimit
from ..progress.update import Update
from ..tasks import Tasks
from .client import Client
from .context import Clock, Counters, LoopClock, ReadsSessions, SessionContext
from .heartbeat import Heartbeat
from .laggards import Laggards
from .session import Session

logger = logging.getLogger(__name__)

#: How many seconds close() waits for clients to disconnect by themselves, and the pause between two checks.
_GOODBYE_S = 1.0
_GOODBYE_STEP_S = 0.02
#: Seconds from the notification that a snapshot was written to its read: the robot may publish the same step as a
#: message, too. If the message comes first, Timeline.adopt() can see that both are the same.
_SETTLE_S = 0.03
#: How many seconds a session is kept after a poll, and how many sessions at most.
LINGER_S = 30.0
_LINGERING = 1000


class Hub:
    """Passes updates and changes in stores to the sessions that are watched, and registers clients with sessions.

    Args:
        store: where sessions are read from.
        max_connections: how many clients may be connected at the same time.
        heartbeat_s: seconds between heartbeats; also announced in every client's first message.
        clock: a LoopClock unless a test passes another.

    Attributes:
        heartbeat: pings the open streams.
        tasks: background tasks that need not be awaited; they are cancelled when the hub closes.
        counters: counts deliveries, resets and aborts of all sessions.
    """

    def __init__(self, store: ReadsSessions, max_connections: int, heartbeat_s: float, clock: Clock | None = None) -> None:
        self.heartbeat = Heartbeat(heartbeat_s)
        self.tasks = Tasks()
        self.counters = Counters()
        self._clock = clock or LoopClock()
        laggards = Laggards(self._clock, self.tasks)
        heartbeat_ms = round(heartbeat_s * 1000)
        self._context = SessionContext(
            store, self._clock, self.tasks, self.counters, laggards, heartbeat_ms, self._log_read_error
        )
        self._max_connections = max_connections
        self._sessions: WeakValueDictionary[bytes, Session] = WeakValueDictionary()  # by session id
        self._closed = False
        self._read_errors = RateLimit()
        self._clients: set[Client] = set()
        self._lingering: OrderedDict[Session, float] = OrderedDict()

    @property
    def connections(self) -> int:
        """The number of clients connected now."""
        return len(self._clients)

    # -- sessions

    def session(self, session_id: str) -> Session:
        """Return the session, created if it is not watched yet; it is kept at least while the caller refers to it."""
        key = session_id.encode()
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session(session_id, self._context)
        return session

    def _watched(self, session_id: str) -> Session | None:
        """Return the session if it is watched, see watched()."""
        return self._sessions.get(session_id.encode())

    def watched(self) -> list[Session]:
        """Return the sessions in memory: with clients, polled within LINGER_S, or in use by a task or timer."""
        return list(self._sessions.values())

    def linger(self, session: Session) -> None:
        """Keep *session* in memory for LINGER_S or a little longer, since whoever polled it will poll again."""
        if not self._lingering and not self._closed:
            self._clock.call_later(LINGER_S, self._let_go)
        self._lingering[session] = self._clock.steady_s() + LINGER_S
        self._lingering.move_to_end(session)
        while len(self._lingering) > _LINGERING:
            self._lingering.popitem(last=False)

    def _let_go(self) -> None:
        now_s = self._clock.steady_s()
        while self._lingering and next(iter(self._lingering.values())) <= now_s:
            self._lingering.popitem(last=False)
        if self._lingering:
            self._clock.call_later(LINGER_S / 2, self._let_go)

    # -- clients

    def refusal(self) -> ServerFull | None:
        """Return the error for a further client, None while one more may be registered."""
        if not self._closed and len(self._clients) < self._max_connections:
            return None
        return ServerFull(f"The server is full ({self._max_connections} connections, RPA_MAX_CONNECTIONS); try again soon.")

    def enter(self, session_id: str, client: Client) -> Session:
        """Register *client* with its session until leave(); no update from now on is lost for it.

        Raises:
            ServerFull: there are too many connections, or the hub is closed.
        """
        if (refusal := self.refusal()) is not None:
            raise refusal
        session = self.session(session_id)
        session.join(client)
        self._clients.add(client)
        return session

    def leave(self, session: Session, client: Client) -> None:
        """Remove *client*; may be called repeatedly."""
        self._clients.discard(client)
        session.leave(client)

    @contextmanager
    def visit(self, session_id: str, client: Client) -> Iterator[Session]:
        """Register *client* for the duration of the block; see enter()."""
        session = self.enter(session_id, client)
        try:
            yield session
        finally:
            self.leave(session, client)

    # -- changes in stores

    def take(self, session_id: bytes, raw: bytes) -> bool:
        """Deliver *raw* if its session is watched and it is exactly the next update; tell whether it was delivered."""
        session = self._sessions.get(session_id)
        return session is not None and session.take(raw)

    def publish(self, session_id: str, update: Update) -> None:
        """Pass an update to its session, if that is watched; Session.publish() decides whether to deliver it."""
        session = self._watched(session_id)
        if session is not None:
            session.publish(update)

    def changed(self, session_id: str) -> None:
        """Re-read a session if it is watched, since its store reports a change."""
        session = self._watched(session_id)
        if session is not None:
            session.changed()

    def written(self, session_id: str) -> None:
        """Re-read a watched session whose snapshot was written, unless its run is numbered and has not ended.

        Whoever numbers a run also publishes what it writes. After the end another robot may write the next run.
        """
        session = self._watched(session_id)
        if session is not None and (session.final or not session.numbered):
            self._clock.call_later(_SETTLE_S, session.changed)

    async def refresh(self, session_id: str) -> None:
        """Read a session now, if it is watched; if no store answers, it stays as it is."""
        session = self._watched(session_id)
        if session is not None:
            with suppress(StorageUnavailable):
                await session.refresh()

    def all_changed(self) -> None:
        """Re-read every watched session: messages may have been missed."""
        for session in self.watched():
            session.changed()

    def _log_read_error(self, error: Exception) -> None:
        suppressed = self._read_errors.allow(self._clock.steady_s())
        if suppressed is not None:
            logger.warning("A session could not be read: %s (%d times more before)", error, suppressed)

    # -- the end

    async def close(self) -> None:
        """End every stream in a way that makes clients reconnect; abort those still open after _GOODBYE_S.

        May be called repeatedly.
        """
        self._closed = True
        self._lingering.clear()
        for session in self.watched():
            session.dismiss()
        for _ in range(round(_GOODBYE_S / _GOODBYE_STEP_S)):
            if not self._clients:
                break
            await asyncio.sleep(_GOODBYE_STEP_S)
        for client in tuple(self._clients):
            client.abort()
        await self.tasks.close()
