"""The clients of a session, by transport: how updates become bytes on an open connection.

Streams are asyncio protocols: a handler answers the request, hands the connection over, and is gone, so an idle
client costs neither task nor timer. They know neither HTTP nor aiohttp. Nothing in here awaits, and writing to a
connection that is gone is silently nothing. WebSockets, which also listen, are in sockets.py.
"""

import asyncio

from .. import safejson
from ..progress.update import Cursor
from .session import Session
from .stream import Stream
from .wire.messages import sse, sse_chunk
from .wire.sse import chunk, sse_event

_BEAT = b":\n\n"
_LAST_CHUNK = b"0\r\n\r\n"




class EventStream(Stream):
    """A native stream of server-sent events.

    Args:
        chunked: the response is in HTTP/1.1's chunked coding.
    """

    __slots__ = ("_chunked",)

    def __init__(self, transport: asyncio.Transport, chunked: bool) -> None:
        super().__init__(transport, sse_chunk if chunked else sse)
        self._chunked = chunked

    def write(self, data: bytes) -> None:
        """Write a part of the stream."""
        self.transport.write(chunk(data) if self._chunked else data)

    def sync(self, session: Session, since: Cursor | None) -> None:
        # While updates are still to follow the id must not run ahead of them.
        at = session.cursor if since is None else None
        self.write(sse_event(session.sync_message(since), at))

    def reset(self, session: Session) -> None:
        self.write(sse_event(session.reset_message(), session.cursor))

    def finish(self) -> bool:
        """End the response; the client comes back, and is told that there is nothing more."""
        if self._chunked:
            self.transport.write(_LAST_CHUNK)
        self.transport.close()
        self.abort_soon()
        return True

    def restart(self) -> None:
        self.finish()

    def ping(self) -> None:
        """Send a comment."""
        if not self._paused:
            self.write(_BEAT)

    def expire(self) -> None:
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
            self.write(sse_event(raw, session.cursor))




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
    return safejson.dumps(message)
