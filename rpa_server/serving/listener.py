"""Accepts connections before aiohttp: opens usual WebSockets itself, at a tenth of the cost of a request in aiohttp.

That matters after a restart, when all pages reconnect within seconds. Only a handshake that handshake.parse()
recognises and admit() admits is answered here. Any other connection is passed to aiohttp with its first bytes, so
aiohttp also answers all refusals.
"""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterable
from functools import partial

from aiohttp import web

from ..delivery.session import Session
from ..delivery.tcp import bound_silence
from ..delivery.websocket import Socket
from ..delivery.wire import handshake
from ..errors import RequestError
from ..http import takeover
from ..http.admission import Action, Admitted, Request, admit
from ..http.keys import HUB, RULES
from ..http.websocket import socket_client
from ..legacy.handlers import RESERVED
from ..progress.update import Cursor
from .keys import IDLE_GUARD

_BACKLOG = 1024
_THRESHOLDS = (20_000, 50, 100)
#: Seconds that requests in progress may take to finish at shutdown.
_SHUTDOWN_S = 3.0


class _Arrival(asyncio.Protocol):
    """A connection that has not sent anything yet."""

    __slots__ = ("_listener", "transport")

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is no asyncio.Transport, but has its methods
        self._listener.idle_guard.arrived(self)

    def data_received(self, data: bytes) -> None:
        self._listener.first_data(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        self._listener.idle_guard.spoke(self)


class Listener:
    """Protocol factory for ``loop.create_server``.

    Args:
        app: the application; its runner is set up.
        aiohttp: makes aiohttp's protocol for a connection.
    """

    def __init__(self, app: web.Application, aiohttp: Callable[[], asyncio.Protocol]) -> None:
        self._aiohttp = aiohttp
        self._hub = app[HUB]
        self._rules = app[RULES]
        self.idle_guard = app[IDLE_GUARD]

    def __call__(self) -> asyncio.Protocol:
        return _Arrival(self)

    def first_data(self, arrival: _Arrival, data: bytes) -> None:
        """Open the WebSocket that a connection's first bytes request, or pass the connection to aiohttp."""
        transport = arrival.transport
        assert transport is not None
        opening = handshake.parse(data)
        admitted = None if opening is None else self._admit(opening, transport)
        if opening is not None and admitted is not None:
            self._open(transport, opening, admitted)
            self.idle_guard.spoke(arrival)
            return
        protocol = self._aiohttp()
        self.idle_guard.spoke(arrival, protocol)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)

    def _admit(self, opening: handshake.Opening, transport: asyncio.Transport) -> Admitted | None:
        """Return what to serve, None to pass the connection to aiohttp."""
        if opening.session_id in RESERVED:  # reserved below /rpa only, and *opening* lacks the path: the router decides
            return None
        headers = opening.headers
        query = {} if opening.after is None else {"after": opening.after}
        request = Request(Action.SOCKET, opening.session_id, headers, query, partial(_address, transport), headers["host"])
        try:
            admitted = admit(request, self._rules)
        except RequestError:
            return None
        return admitted if admitted.refusal is None else None

    def _open(self, transport: asyncio.Transport, opening: handshake.Opening, admitted: Admitted) -> None:
        client = socket_client(transport, opening.headers)
        # Registered before the handshake: a robot may publish the moment the page sees the socket open.
        session = takeover.join(self._hub, admitted, client, client.name)
        transport.set_protocol(client)
        head = handshake.answer(admitted.accept, opening.headers)
        if session.has(admitted.cursor):
            self._begin(session, client, head, admitted.cursor)
        else:
            transport.pause_reading()
            self._hub.tasks.spawn(self._load(session, client, head, admitted.cursor))

    async def _load(self, session: Session, client: Socket, head: bytes, cursor: Cursor | None) -> None:
        """Answer after reading the session, so that clients that connect and vanish wait for the store each time."""
        try:
            await takeover.load(session, client, cursor)
        except BaseException:
            client.abort()
            raise
        if client.gone is not None and not client.transport.is_closing():  # still registered and connected
            self._begin(session, client, head, cursor)
            client.transport.resume_reading()

    def _begin(self, session: Session, client: Socket, head: bytes, cursor: Cursor | None) -> None:
        client.answer(head)
        session.begin(client, cursor)
        self._hub.heartbeat.add(client)


def _address(transport: asyncio.Transport) -> str:
    """Return the IP address of the peer, as aiohttp has it in ``request.remote``; empty for a Unix socket."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _tune_garbage_collection() -> None:
    """Make garbage collections rare for young objects, and very rare for old ones.

    The process keeps thousands of updates, which have no cycles. A collection of all objects each time their number has
    grown by a quarter would stop the event loop for milliseconds and free nothing. Imported modules are never garbage
    either, so they are frozen.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


async def serve(app: web.Application, sockets: Iterable[socket.socket]) -> None:
    """Serve *app* until SIGTERM or SIGINT; returns after a complete, orderly shutdown.

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
    _tune_garbage_collection()
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
