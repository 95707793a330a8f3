"""WebSockets: the native protocol and, without a subprotocol, the plan's dialect."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from .. import errors, safejson
from ..delivery.tcp import bound_silence
from ..delivery.websocket import FULL, NativeSocket, PlainSocket, Socket
from ..delivery.wire import handshake
from ..delivery.wire.websocket import ws_text
from ..errors import ServerFull, UpgradeRequired
from . import cors, params, takeover
from .keys import HUB


async def websocket(request: web.Request) -> web.StreamResponse:
    """Open a WebSocket on a session; it is served until the client leaves."""
    session_id = params.session_id(request)
    cursor = params.after(request)
    cors.check_connecting(request)
    accepted = handshake.accept(request.headers) if request.method == "GET" else None
    if accepted is None or request.transport is None:
        raise UpgradeRequired("This address speaks WebSocket; connect with an Upgrade request.")
    bound_silence(request.transport.get_extra_info("socket"))
    head = handshake.answer(accepted, request.headers)
    client = socket_client(request.transport, request.headers)
    try:
        # Registered before the handshake: a robot may publish the moment the page sees the socket open.
        session = takeover.join(request.app[HUB], session_id, client, client.name)
        await takeover.load(session, client)
        # Answered only now: who connects and vanishes a thousand times a second waits for its turn, and ours.
        takeover.take_over(request, client)
        client.answer(head)
        session.begin(client, cursor)
    except ServerFull as error:
        takeover.take_over(request, client)
        client.answer(head)
        _refuse(client, error)
    takeover.resume(request, client)
    return web.Response()


def socket_client(transport: asyncio.Transport, headers: Mapping[str, str]) -> Socket:
    """Make the client of the dialect that a handshake's headers ask for; the handshake is still to be answered."""
    client = NativeSocket(transport) if handshake.native(headers) else PlainSocket(transport)
    client.handshake_done = False
    return client


def _refuse(client: Socket, error: ServerFull) -> None:
    """Say why in a frame and in the close code: a page can't read the answer of a failed handshake."""
    body = errors.body(error.code, str(error), error.temporary)
    client.transport.write(ws_text(safejson.dumps(body)))
    client.close(FULL, error.code)
