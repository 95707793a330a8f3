"""WebSocket handler: the native protocol, and the plan's dialect for clients that do not offer our subprotocol."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from .. import errors, safejson
from ..delivery.tcp import bound_silence
from ..delivery.websocket import NativeSocket, PlainSocket, Socket
from ..delivery.wire import handshake
from ..delivery.wire.websocket import ws_text
from ..errors import RequestError, UpgradeRequired
from . import params, takeover
from .admission import Action
from .keys import HUB


async def websocket(request: web.Request) -> web.StreamResponse:
    """Open a WebSocket on a session; it lasts until either side ends it."""
    admitted = params.admitted(request, Action.SOCKET)
    if request.transport is None:
        raise UpgradeRequired("The connection was lost.")
    bound_silence(request.transport.get_extra_info("socket"))
    head = handshake.answer(admitted.accept, request.headers)
    client = socket_client(request.transport, request.headers)
    if admitted.refusal is None:
        # Registered before the handshake: a robot may publish the moment the page sees the socket open.
        session = takeover.join(request.app[HUB], admitted, client, client.name)
        await takeover.load(session, client, admitted.cursor)
        # Answered after loading, so that clients that connect and vanish a thousand times a second have to wait for the
        # store each time.
        takeover.take_over(request, client)
        client.answer(head)
        session.begin(client, admitted.cursor)
    else:
        takeover.take_over(request, client)
        client.answer(head)
        _refuse(client, admitted.refusal)
    takeover.resume(request, client)
    return web.Response()


def socket_client(transport: asyncio.Transport, headers: Mapping[str, str]) -> Socket:
    """Create the client for the dialect that the handshake's headers ask for; the handshake is not answered yet."""
    client = NativeSocket(transport) if handshake.native(headers) else PlainSocket(transport)
    client.handshake_done = False
    return client


def _refuse(client: Socket, error: RequestError) -> None:
    """Send the error in a frame, then close with the error's code."""
    body = errors.body(error.code, str(error), error.temporary)
    client.transport.write(ws_text(safejson.dumps(body)))
    client.close(error.close_code, error.code)
