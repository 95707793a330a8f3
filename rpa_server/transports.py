"""The clients of a session, by transport: how updates become bytes on an open connection.

Streams are asyncio protocols: a handler answers the request, hands the connection over, and is gone, so an idle
client costs neither task nor timer. They know neither HTTP nor aiohttp. Nothing in here awaits, and writing to a
connection that is gone is silently nothing. WebSockets, which also listen, are in sockets.py.
"""

import abc
import asyncio
from collections.abc import Callable, Sequence

from . import frames, wirejson
from .events import Cursor, Update
from .session import Session

#: A client with more than this pending lags: it gets no more until it has taken all of it.
HIGH_WATER = 32 * 1024

#: How long a connection that was closed may take to go.
CLOSING_S = 5.0
_BEAT = b":\n\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Stream(asyncio.Protocol, abc.ABC):
    """What all streams share.

    Args:
        transport: the connection.
        encode: makes the bytes of one update.

    Attributes:
        gone: called once when the connection is lost, however that came.
        group: see pulse.Beating.
    """

    __slots__ = ("_encode", "_paused", "gone", "group", "transport")

    def __init__(self, transport: asyncio.Transport, encode: Callable[[Update], bytes]) -> None:
        self.transport = transport
        self._encode = encode
        self._paused = False
        self.gone: Callable[[], None] | None = None
        self.group = 0
        transport.set_write_buffer_limits(high=HIGH_WATER, low=0)

    # -- what asyncio calls

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    def data_received(self, data: bytes) -> None:
        """Ignore it: nothing is expected."""

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever wants to know; fine more than once."""
        gone, self.gone = self.gone, None
        if gone is not None:
            gone()

    # -- what the session calls

    def push(self, update: Update) -> bool:
        if self._paused:
            return False
        self.transport.write(self._encode(update))
        return True

    def send(self, updates: Sequence[Update]) -> None:
        if updates:
            self.transport.write(b"".join(map(self._encode, updates)))
            for update in updates:
                update.forget()

    def abort(self) -> None:
        self.transport.abort()

    def abort_soon(self) -> None:
        """See to it that the connection goes, whatever the peer does: closing waits for what is not yet taken."""
        asyncio.get_running_loop().call_later(CLOSING_S, self.transport.abort)

    @property
    def pending(self) -> int:
        return self.transport.get_write_buffer_size()

    @abc.abstractmethod
    def sync(self, session: Session, since: Cursor | None) -> None: ...

    @abc.abstractmethod
    def reset(self, session: Session) -> None: ...

    @abc.abstractmethod
    def finish(self) -> bool: ...

    @abc.abstractmethod
    def restart(self) -> None: ...

    # -- what the pulse calls

    @abc.abstractmethod
    def beat(self) -> None: ...

    @abc.abstractmethod
    def check(self) -> None: ...

    @property
    def ending(self) -> str:
        """How the stream ended, in a word, for the log."""
        return "closed"


class EventStream(Stream):
    """A native stream of server-sent events.

    Args:
        chunked: the response is in HTTP/1.1's chunked coding.
    """

    __slots__ = ("_chunked",)

    def __init__(self, transport: asyncio.Transport, chunked: bool) -> None:
        super().__init__(transport, frames.sse_chunk if chunked else frames.sse)
        self._chunked = chunked

    def write(self, data: bytes) -> None:
        """Write a part of the stream."""
        self.transport.write(frames.chunk(data) if self._chunked else data)

    def sync(self, session: Session, since: Cursor | None) -> None:
        # While updates are still to follow the id must not run ahead of them.
        at = session.cursor if since is None else None
        self.write(frames.sse_event(session.sync_message(since), at))

    def reset(self, session: Session) -> None:
        self.write(frames.sse_event(session.reset_message(), session.cursor))

    def finish(self) -> bool:
        """End the response; the client comes back, and is told that there is nothing more."""
        if self._chunked:
            self.transport.write(_LAST_CHUNK)
        self.transport.close()
        self.abort_soon()
        return True

    def restart(self) -> None:
        self.finish()

    def beat(self) -> None:
        """Send a comment."""
        if not self._paused:
            self.write(_BEAT)

    def check(self) -> None:
        """Nothing answers a comment; the kernel drops a connection that acknowledges nothing."""

    def close(self) -> None:
        """Let go of what the stream holds besides its connection."""


class PlainEventStream(EventStream):
    """Server-sent events for the plan's script: updates alone, no sync, no reset."""

    __slots__ = ()

    def sync(self, session: Session, since: Cursor | None) -> None:
        if since is None:
            self.reset(session)

    def reset(self, session: Session) -> None:
        if (raw := plain_snapshot(session)) is not None:
            self.write(frames.sse_event(raw, session.cursor))


class Waiter:
    """A poll that waits for the next change; *wake* is called once there is something."""

    pending = 0

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def push(self, update: Update) -> bool:
        self._wake()
        return True

    def send(self, updates: Sequence[Update]) -> None:
        if updates:
            self._wake()

    def sync(self, session: Session, since: Cursor | None) -> None:
        """Nothing to send: the handler looks for itself."""

    def reset(self, session: Session) -> None:
        self._wake()

    def finish(self) -> bool:
        self._wake()
        return True

    def restart(self) -> None:
        self._wake()

    def abort(self) -> None:
        self._wake()


def plain_snapshot(session: Session) -> bytes | None:
    """Build the stored state as an update in the plan's shape, None where nothing is stored."""
    view = session.view()
    if view is None:
        return None
    message = {
        "type": "progress_update",
        **view,
        "etapa": view["etapa_atual"],
        "timestamp": view["timestamp_atualizacao"],
    }
    for milestone in ("estimativas", "resultado"):
        if message[milestone] is None:
            del message[milestone]
    return wirejson.dumps(message)
