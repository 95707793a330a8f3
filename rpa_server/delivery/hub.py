"""The registry of sessions that somebody watches.

It holds them weakly: a session lives exactly as long as a connection holds it, so nothing has to be cleaned up
and nothing leaks. What must outlive the viewers is in the store, not here; only between two polls of one client is a
session kept for a while, so that a store which loses it in mid-run does not make the page go back to nothing.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakValueDictionary

from ..backends.redis import names
from ..errors import ServerFull, StorageUnavailable
from ..log import RateLimit
from ..progress.session_state import SessionState
from ..progress.update import Update
from .heartbeat import Heartbeat
from .session import Client, Session

logger = logging.getLogger(__name__)

_CATCH_UP_S = 0.02
_GOODBYE_S = 1.0
#: How long a snapshot that was written waits for the message that its robot may publish, too.
_SETTLE_S = 0.03
#: How long a session is kept behind a poll, and how many at most.
LINGER_S = 30.0
_LINGERING = 1000


class Hub:
    """Connects what is published with who watches.

    Args:
        read: returns the stored state of a session; may raise StorageUnavailable.
        max_connections: how many clients may be connected at once.
        heartbeat_s: seconds between heartbeats, told to clients.

    Attributes:
        heartbeat: the heartbeat of open streams.
        delivered, resets, aborted: updates sent, resets sent, clients dropped for taking nothing.
    """

    def __init__(
        self, read: Callable[[str], Awaitable[SessionState | None]], max_connections: int, heartbeat_s: float
    ) -> None:
        self.read = read
        self.heartbeat_ms = round(heartbeat_s * 1000)
        self.heartbeat = Heartbeat(heartbeat_s)
        self._max_connections = max_connections
        self._sessions: WeakValueDictionary[bytes, Session] = WeakValueDictionary()  # by channel
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lagging: set[Session] = set()
        self._closed = False
        self._brake = RateLimit()
        self._admitted: set[Client] = set()
        self._lingering: OrderedDict[Session, float] = OrderedDict()
        self.delivered = self.resets = self.aborted = 0

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return len(self._admitted)

    def session(self, session_id: str) -> Session:
        """Return the session, made where nobody watches it yet; it lives while the caller holds it."""
        channel = names.channel(session_id).encode()
        session = self._sessions.get(channel)
        if session is None:
            session = self._sessions[channel] = Session(session_id, self)
        return session

    def _watched(self, session_id: str) -> Session | None:
        """Return the session if somebody watches it."""
        return self._sessions.get(names.channel(session_id).encode())

    def watched(self) -> list[Session]:
        """Return the sessions that somebody watches."""
        return list(self._sessions.values())

    def linger(self, session: Session) -> None:
        """Keep *session* for LINGER_S: its client polls, and will be back."""
        if not self._lingering and not self._closed:
            self.call_later(LINGER_S, self._let_go)
        self._lingering[session] = self.time() + LINGER_S
        self._lingering.move_to_end(session)
        while len(self._lingering) > _LINGERING:
            self._lingering.popitem(last=False)

    def _let_go(self) -> None:
        now_s = self.time()
        while self._lingering and next(iter(self._lingering.values())) <= now_s:
            self._lingering.popitem(last=False)
        if self._lingering:
            self.call_later(LINGER_S / 2, self._let_go)

    def refusal(self) -> ServerFull | None:
        """Return why no further client can be registered now, None while there is room."""
        if not self._closed and self.connections < self._max_connections:
            return None
        return ServerFull(
            f"The server is full ({self._max_connections} connections, RPA_MAX_CONNECTIONS); try again soon."
        )

    def enter(self, session_id: str, client: Client) -> Session:
        """Register *client* with its session until leave(); from here on it misses nothing.

        Raises:
            ServerFull: there are too many connections.
        """
        if (refusal := self.refusal()) is not None:
            raise refusal
        session = self.session(session_id)
        session.join(client)
        self._admitted.add(client)
        return session

    def leave(self, session: Session, client: Client) -> None:
        """Forget *client*; fine more than once."""
        self._admitted.discard(client)
        session.leave(client)

    @contextmanager
    def admit(self, session_id: str, client: Client) -> Iterator[Session]:
        """Register *client* for the length of the block; see enter()."""
        session = self.enter(session_id, client)
        try:
            yield session
        finally:
            self.leave(session, client)

    def take(self, channel: bytes, raw: bytes) -> bool:
        """Hand a message to whoever watches its session, if it is just the update that comes next; else do nothing."""
        session = self._sessions.get(channel)
        return session is not None and session.take(raw)

    def publish(self, session_id: str, update: Update) -> None:
        """Hand an update to whoever watches its session."""
        session = self._watched(session_id)
        if session is not None:
            session.publish(update)

    def changed(self, session_id: str) -> None:
        """Note that the store holds something new of a session."""
        session = self._watched(session_id)
        if session is not None:
            session.changed()

    def written(self, session_id: str) -> None:
        """Note that a snapshot was written; of a run that our tracker numbers that is no news."""
        session = self._watched(session_id)
        if session is not None and (session.final or not session.numbered):
            self.call_later(_SETTLE_S, session.changed)

    async def refresh(self, session_id: str) -> None:
        """Read a session now if somebody watches it."""
        session = self._watched(session_id)
        if session is not None:
            with suppress(StorageUnavailable):
                await session.refresh()

    def all_changed(self) -> None:
        """Re-read every watched session: messages may have been missed."""
        for session in self.watched():
            session.changed()

    # -- what sessions need

    def time(self) -> float:
        """Return the steady time in seconds."""
        return asyncio.get_running_loop().time()

    @staticmethod
    def wall_time() -> float:
        """Return the time of day in seconds since 1970, as stores have it."""
        return time.time()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back once, later."""
        return asyncio.get_running_loop().call_later(delay_s, callback)

    def on_read_error(self, error: Exception) -> None:
        """Log that the store could not be read, now and then."""
        held = self._brake.allow(self.time())
        if held is not None:
            logger.warning("A session could not be read: %s (%d times more before)", error, held)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task that is kept until it is done; what it raises is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A background task failed.", exc_info=error)

    def watch_lagging(self, session: Session) -> None:
        """Serve the session's lagging clients until there are none."""
        if not self._lagging:
            self.spawn(self._catch_up())
        self._lagging.add(session)

    async def _catch_up(self) -> None:
        while self._lagging:
            await asyncio.sleep(_CATCH_UP_S)
            now_s = self.time()
            for session in list(self._lagging):
                if not session.catch_up(now_s):
                    self._lagging.discard(session)

    async def close(self) -> None:
        """End every stream at once; clients are told to come back. Fine to call more than once."""
        self._closed = True
        self._lingering.clear()
        for session in self.watched():
            session.dismiss()
        for _ in range(round(_GOODBYE_S / _CATCH_UP_S)):
            if not self._admitted:
                break
            await asyncio.sleep(_CATCH_UP_S)
        for client in tuple(self._admitted):
            client.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
