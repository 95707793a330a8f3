"""Takes a connection over from aiohttp for an open stream, and registers the stream with its session.

aiohttp keeps a task, a parser and the request for as long as a handler runs: four times what an idle stream needs. So the
handler answers, gives the connection to the client (delivery/stream.py) and returns, and aiohttp is made to believe that
the connection was lost.

What is private to aiohttp (names with an underscore), and what of a server and its connections it has without documenting
it, is used here and nowhere else; tests/http/test_takeover.py names the versions that it was checked with. Others get
connections from here as objects that have a ``transport``, which is None once it is lost.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..delivery.hub import Hub
from ..delivery.session import Session
from ..delivery.stream import Stream
from ..errors import StorageUnavailable
from .admission import Admitted
from .keys import HUB

logger = logging.getLogger(__name__)


def join(hub: Hub, admitted: Admitted, client: Stream, name: str) -> Session:
    """Register *client* until its connection is lost, which also keeps the session alive.

    Args:
        name: the transport's name, for the log.

    Raises:
        ServerFull: there are too many connections.
    """
    session = hub.enter(admitted.session_id, client)
    client.gone = partial(_gone, hub, session, client, name, time.monotonic())
    logger.debug("%s connected to %s.", name, admitted.session_id)
    return session


async def load(session: Session, client: Stream) -> None:
    """Read the session that *client* has joined; if no store answers, the client gets its state once one does."""
    try:
        with suppress(StorageUnavailable):
            await session.load()
    except BaseException:
        client.connection_lost(None)
        raise


def _gone(hub: Hub, session: Session, client: Stream, name: str, since_s: float) -> None:
    hub.heartbeat.remove(client)
    hub.leave(session, client)
    logger.debug("%s left %s after %.0f s (%s).", name, session.session_id, time.monotonic() - since_s, client.ending)


def take_over(request: web.Request, client: Stream) -> None:
    """Make *client* the protocol of the request's connection; reading is paused until resume()."""
    assert request.transport is not None
    request.transport.pause_reading()
    request.transport.set_protocol(client)


def resume(request: web.Request, client: Stream) -> None:
    """Let *client* read, and make aiohttp drop the connection; the handler must then return without another await."""
    early = _early_data(request)
    if early:
        client.data_received(early)
    client.transport.resume_reading()
    if client.gone is not None:  # the client was not refused
        request.app[HUB].heartbeat.add(client)
    request.protocol.transport = None
    request.protocol.connection_lost(None)


# -- undocumented parts of aiohttp


def _early_data(request: web.Request) -> bytes:
    """Return the bytes that the client sent right after its handshake, before it was answered."""
    early: bytes = getattr(request.protocol, "_message_tail", b"")
    return early


def server_of(request: web.Request) -> web.Server | None:
    """Return the server of a request's connection; ``python -m aiohttp.web`` does not expose its runner."""
    server: web.Server | None = getattr(request.protocol, "_manager", None)
    return server


def connection_of(request: web.Request) -> object:
    """Return the connection of a request, as connections() and on_connection() have it."""
    return request.protocol


def connections(server: web.Server) -> list[Any]:
    """Return the connections that *server* has open, those that were taken over aside."""
    return server.connections


def parse_failure(error: BaseException | None) -> str | None:
    """Return what the parser found wrong with a request; None where *error* is another one."""
    return str(error.message) if isinstance(error, HttpProcessingError) else None


def on_connection(server: web.Server, callback: Callable[[Any], None]) -> None:
    """Have *callback* called with every new connection of *server*, before anything is read from it."""
    connection_made = server.connection_made

    def made(protocol: web.RequestHandler, transport: asyncio.Transport) -> None:
        connection_made(protocol, transport)
        callback(protocol)

    server.connection_made = made  # type: ignore[assignment,method-assign]
