"""The clients of a session, by transport: how updates become bytes on an asyncio transport.

They know neither HTTP nor aiohttp: a handler makes the connection and hands its transport over. Nothing in here
awaits, and writing to a connection that is gone is silently nothing.
"""

import asyncio
from collections.abc import Callable, Sequence

from . import frames, wirejson
from .events import Cursor, Update
from .session import Session

#: A client with more than this pending lags: it gets no more until it has taken all of it.
HIGH_WATER = 32 * 1024

RESTART, FINISHED, FULL = 1012, 4410, 1013


class _Stream:
    """What all streams share; *encode* makes the bytes of one update."""

    def __init__(self, transport: asyncio.Transport, encode: Callable[[Update], bytes]) -> None:
        self.transport = transport
        self._encode = encode

    def push(self, update: Update) -> bool:
        transport = self.transport
        if transport.get_write_buffer_size() > HIGH_WATER:
            return False
        transport.write(self._encode(update))
        return True

    def send(self, updates: Sequence[Update]) -> None:
        if updates:
            self.transport.write(b"".join(map(self._encode, updates)))

    def abort(self) -> None:
        self.transport.abort()

    @property
    def pending(self) -> int:
        return self.transport.get_write_buffer_size()


class NativeSocket(_Stream):
    """A WebSocket with subprotocol ``rpa.v1``.

    Args:
        close: starts the closing handshake with a code and a reason. It is the handler's, since whoever receives
            the answer has to know that the close frame was sent: a second one is a protocol error.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[int, str], None]) -> None:
        super().__init__(transport, frames.ws)
        self._close = close

    def sync(self, session: Session, since: Cursor | None) -> None:
        self.transport.write(frames.ws_text(session.sync_message(since)))

    def reset(self, session: Session) -> None:
        self.transport.write(frames.ws_text(session.reset_message()))

    def finish(self) -> bool:
        self._close(FINISHED, "finished")
        return True

    def restart(self) -> None:
        self._close(RESTART, "restart")


class PlainSocket(_Stream):
    """A WebSocket in the plan's dialect: no sync, no reset, no clean close.

    The plan's script never comes back after a clean close, so a restart drops the connection instead.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport, frames.plain_ws)

    def sync(self, session: Session, since: Cursor | None) -> None:
        if since is None:
            self.reset(session)

    def reset(self, session: Session) -> None:
        if (raw := plain_snapshot(session)) is not None:
            self.transport.write(frames.plain_ws(Update(raw, None, 0, False)))

    def finish(self) -> bool:
        """Leave the socket open: the page closes it when it likes, and may see the session's next run."""
        return False

    def restart(self) -> None:
        self.transport.abort()


class EventStream(_Stream):
    """A native stream of server-sent events.

    Args:
        chunked: the response is in HTTP/1.1's chunked coding.
        stop: makes the handler end the response.
    """

    def __init__(self, transport: asyncio.Transport, chunked: bool, stop: Callable[[], None]) -> None:
        self._wrap = frames.chunk if chunked else bytes
        super().__init__(transport, self._event)
        self._stop = stop

    def _event(self, update: Update) -> bytes:
        return self._wrap(frames.sse(update))

    def sync(self, session: Session, since: Cursor | None) -> None:
        # While updates are still to follow the id must not run ahead of them.
        at = session.cursor if since is None else None
        self.transport.write(self._wrap(frames.sse_event(session.sync_message(since), at)))

    def reset(self, session: Session) -> None:
        self.transport.write(self._wrap(frames.sse_event(session.reset_message(), session.cursor)))

    def finish(self) -> bool:
        self._stop()
        return True

    def restart(self) -> None:
        self._stop()

    def close(self) -> None:
        """Let go of what the stream holds besides its connection."""


class PlainEventStream(EventStream):
    """Server-sent events for the plan's script: updates alone, no sync, no reset."""

    def sync(self, session: Session, since: Cursor | None) -> None:
        if since is None:
            self.reset(session)

    def reset(self, session: Session) -> None:
        if (raw := plain_snapshot(session)) is not None:
            self.transport.write(self._wrap(frames.sse_event(raw, session.cursor)))


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
