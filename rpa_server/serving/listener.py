"""What stands between the port and aiohttp: it opens the usual WebSocket itself, at a tenth of what a request costs.

A page comes back within seconds of a restart, and so do all others. Only what needs no refusal is done
here: a plain handshake. Anything else is aiohttp's, from its first byte on.
"""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import cast

from aiohttp import web

from ..delivery.session import Session
from ..delivery.tcp import bound_silence
from ..delivery.websocket import Socket
from ..delivery.wire import handshake
from ..errors import BadCursor, ServerFull
from ..http import takeover
from ..http.keys import HUB, ORIGINS
from ..http.websocket import socket_client
from ..progress.session_id import is_session_id
from ..progress.update import Cursor, parse_cursor
from ..routes import DEPLOYED
from .keys import IDLE_GUARD

_BACKLOG = 1024
_THRESHOLDS = (20_000, 50, 100)
#: How long requests that are being answered may take to end.
_SHUTDOWN_S = 3.0


class _Arrival(asyncio.Protocol):
    """A connection that has said nothing yet."""

    __slots__ = ("_listener", "transport")

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods alone
        self._listener.connections.arrived(self)

    def data_received(self, data: bytes) -> None:
        self._listener.admit(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        self._listener.connections.spoke(self)


class Listener:
    """Makes the protocols of new connections, for ``loop.create_server``.

    Args:
        app: the application, started.
        aiohttp: makes aiohttp's protocol for a connection.
    """

    def __init__(self, app: web.Application, aiohttp: Callable[[], asyncio.Protocol]) -> None:
        self._aiohttp = aiohttp
        self._hub = app[HUB]
        self._origins = app[ORIGINS]
        self.connections = app[IDLE_GUARD]

    def __call__(self) -> asyncio.Protocol:
        return _Arrival(self)

    def admit(self, arrival: _Arrival, data: bytes) -> None:
        """Take the first bytes of a connection."""
        transport = arrival.transport
        assert transport is not None
        opening = handshake.parse(data)
        if opening is not None and self._open(transport, opening):
            self.connections.spoke(arrival)
            return
        protocol = self._aiohttp()
        self.connections.spoke(arrival, protocol)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)

    def _open(self, transport: asyncio.Transport, opening: handshake.Opening) -> bool:
        """Open a WebSocket; False, with nothing done, where that is not as simple as that."""
        headers = opening.headers
        if not is_session_id(opening.session_id) or opening.session_id in DEPLOYED or "last-event-id" in headers:
            return False
        accepted = handshake.accept(headers)
        if accepted is None or not self._origins.connects(headers.get("origin"), headers.get("host", "")):
            return False
        client = socket_client(transport, headers)
        with suppress(BadCursor, ServerFull):
            cursor = None if opening.after is None else parse_cursor(opening.after)
            # Registered before the handshake: a robot may publish the moment the page sees the socket open.
            session = takeover.join(self._hub, opening.session_id, client, client.name)
            transport.set_protocol(client)
            head = handshake.answer(accepted, headers)
            if session.loaded:
                self._begin(session, client, head, cursor)
            else:
                transport.pause_reading()
                self._hub.tasks.spawn(self._load(session, client, head, cursor))
            return True
        return False

    async def _load(self, session: Session, client: Socket, head: bytes, cursor: Cursor | None) -> None:
        """Answer once the session was read: who connects and vanishes a thousand times a second waits for its turn."""
        try:
            await takeover.load(session, client)
        except BaseException:
            client.abort()
            raise
        if client.gone is not None and not client.transport.is_closing():  # neither left nor sent away meanwhile
            self._begin(session, client, head, cursor)
            client.transport.resume_reading()

    def _begin(self, session: Session, client: Socket, head: bytes, cursor: Cursor | None) -> None:
        client.answer(head)
        session.begin(client, cursor)
        self._hub.heartbeat.add(client)


def _spare_collections() -> None:
    """Let garbage be looked for where it is: in what is young.

    Updates are kept by the thousand and hold no cycles, so that looking through all of them every time there are a
    quarter more only holds everyone up, for milliseconds; and what was imported is never garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


async def serve(app: web.Application, sockets: Iterable[socket.socket]) -> None:
    """Serve *app* until SIGTERM or SIGINT; returns when all of it has ended in order.

    Args:
        sockets: bound and listening.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    assert runner.server is not None
    _spare_collections()
    app[IDLE_GUARD].guard(runner.server)
    listener = Listener(app, runner.server)
    servers = []
    try:
        for each in sockets:
            bound_silence(each)
            servers.append(await loop.create_server(listener, sock=each, backlog=_BACKLOG))
        await stopping.wait()
    finally:
        for server in servers:
            server.close()
        await runner.cleanup()
