"""Takes a connection over from aiohttp for an open stream, and registers the stream with its session.

aiohttp keeps a task, a parser and the request for as long as a handler runs: four times the memory of an idle stream.
So the handler answers, gives the connection to the client (delivery/stream.py) and returns, and aiohttp is notified
that the connection was lost, although it is open.

Private names of aiohttp (with an underscore) and undocumented parts of its server and its connections are used here and
nowhere else; tests/http/test_takeover.py names the versions with which these uses were checked. Other modules get
aiohttp's connections as objects that have a ``transport``, which is None once the connection is lost.
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
from ..progress.update import Cursor
from .admission import Admitted
from .keys import HUB

logger = logging.getLogger(__name__)


def join(hub: Hub, admitted: Admitted, client: Stream, name: str) -> Session:
    """Register *client* with its session until the connection is lost; until then the session stays in memory.

    Args:
        hub: has the session.
        admitted: names the session.
        client: the stream; join() sets its ``gone``.
        name: the transport's name, for the log.

    Raises:
        ServerFull: there are too many connections, or the server is stopping.
    """
    session = hub.enter(admitted.session_id, client)
    client.gone = partial(_gone, hub, session, client, name, time.monotonic())
    logger.debug("%s connected to %s.", name, admitted.session_id)
    return session


async def load(session: Session, client: Stream, cursor: Cursor | None) -> None:
    """Read the session that *client* has joined, and what it lacks since *cursor*.

    If no store answers, the client gets the state once one does.
    """
    try:
        with suppress(StorageUnavailable):
            await session.load(cursor)
    except BaseException:
        client.connection_lost(None)
        raise


def _gone(hub: Hub, session: Session, client: Stream, name: str, since_s: float) -> None:
    hub.heartbeat.remove(client)
    hub.leave(session, client)
    logger.debug("%s left %s after %.0f s (%s).", name, session.session_id, time.monotonic() - since_s, client.ending)


def take_over(request: web.Request, client: Stream) -> None:
    """Make *client* the protocol of the request's connection; nothing is read from it until resume()."""
    assert request.transport is not None
    request.transport.pause_reading()
    request.transport.set_protocol(client)


def resume(request: web.Request, client: Stream) -> None:
    """Let *client* read, and make aiohttp forget the connection; the handler must then return without another await."""
    early = _early_data(request)
    if early:
        client.data_received(early)
    client.transport.resume_reading()
    if client.gone is not None:  # None if the client was refused, or has left meanwhile
        request.app[HUB].heartbeat.add(client)
    request.protocol.transport = None
    request.protocol.connection_lost(None)


# -- undocumented parts of aiohttp


def _early_data(request: web.Request) -> bytes:
    """Return the bytes that the client sent after its request, before this was answered; aiohttp has read them."""
    early: bytes = getattr(request.protocol, "_message_tail", b"")
    return early


def server_of(request: web.Request) -> web.Server | None:
    """Return the server of a request's connection; ``python -m aiohttp.web`` does not expose its runner."""
    server: web.Server | None = getattr(request.protocol, "_manager", None)
    return server


def connection_of(request: web.Request) -> object:
    """Return a request's connection, the object that connections() lists and on_connection() reports."""
    return request.protocol


def connections(server: web.Server) -> list[Any]:
    """Return the open connections of *server*, except those that were taken over."""
    return server.connections


def parse_failure(error: BaseException | None) -> str | None:
    """Return what the parser found wrong with a request; None if *error* is not the parser's."""
    return str(error.message) if isinstance(error, HttpProcessingError) else None


def on_connection(server: web.Server, callback: Callable[[Any], None]) -> None:
    """Have *callback* called with every new connection of *server*, before anything is read from it."""
    connection_made = server.connection_made

    def made(protocol: web.RequestHandler, transport: asyncio.Transport) -> None:
        connection_made(protocol, transport)
        callback(protocol)

    server.connection_made = made  # type: ignore[assignment,method-assign]
