"""What both kinds of open stream need of a request: a place in the hub, and its connection for themselves.

aiohttp keeps a task, a parser and the request for as long as a handler runs: four times what an idle stream needs.
So the handler answers, gives the connection to the client (transports.py) and returns; aiohttp is told that the
connection is lost, which is what it is to it.
"""

import logging
import time
from contextlib import suppress
from functools import partial

from aiohttp import web

from ..delivery.hub import Hub
from ..delivery.session import Session
from ..delivery.stream import Stream
from ..errors import StorageUnavailable
from .keys import HUB

logger = logging.getLogger(__name__)


def join(hub: Hub, session_id: str, client: Stream, name: str) -> Session:
    """Register *client* until its connection is lost; the session lives as long.

    Args:
        name: of the transport, for the log.

    Raises:
        ServerFull: there are too many connections.
    """
    session = hub.enter(session_id, client)
    client.gone = partial(_gone, hub, session, client, name, time.monotonic())
    logger.debug("%s connected to %s.", name, session_id)
    return session


async def load(session: Session, client: Stream) -> None:
    """Read the session that *client* has joined; what the store holds follows when it answers."""
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
    """Let *client* have what happens on the connection; nothing is read before resume()."""
    assert request.transport is not None
    request.transport.pause_reading()
    request.transport.set_protocol(client)


def resume(request: web.Request, client: Stream) -> None:
    """Let *client* read, and aiohttp forget the connection; the handler must return without another await."""
    early: bytes = getattr(request.protocol, "_message_tail", b"")  # sent before the handshake was answered
    if early:
        client.data_received(early)
    client.transport.resume_reading()
    if client.gone is not None:  # it was not refused
        request.app[HUB].heartbeat.add(client)
    request.protocol.transport = None
    request.protocol.connection_lost(None)
