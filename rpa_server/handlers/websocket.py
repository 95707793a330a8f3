"""WebSockets: the native protocol and, without a subprotocol, the plan's dialect."""

import logging
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

from .. import cors, errors, keys, wirejson
from ..connections import bound_silence
from ..errors import BadDocument, RpaError, ServerFull, StorageUnavailable, UpgradeRequired
from ..transports import FULL, NativeSocket, PlainSocket
from . import params

logger = logging.getLogger(__name__)

PROTOCOL = "rpa.v1"
MAX_MESSAGE = 64 * 1024


async def websocket(request: web.Request) -> web.StreamResponse:
    """Serve a session over a WebSocket until the client leaves."""
    session_id = params.session_id(request)
    cursor = params.after(request)
    cors.check_connecting(request)
    socket = web.WebSocketResponse(
        protocols=(PROTOCOL,),
        heartbeat=request.app[keys.SETTINGS].heartbeat_s,
        compress=False,
        max_msg_size=MAX_MESSAGE,
    )
    if not socket.can_prepare(request) or request.transport is None:
        raise UpgradeRequired("This address speaks WebSocket; connect with an Upgrade request.")
    bound_silence(request)
    native = _native(request)
    hub = request.app[keys.HUB]

    def close(code: int, reason: str) -> None:
        hub.spawn(_close(socket, code, reason))

    client = NativeSocket(request.transport, close) if native else PlainSocket(request.transport)
    try:
        # Registered before the handshake: a robot may publish the moment the page sees the socket open.
        with hub.admit(session_id, client) as session:
            await socket.prepare(request)
            with suppress(StorageUnavailable):  # what the store holds follows when it answers
                await session.load()
            session.begin(client, cursor)
            logger.info("%s connected to %s.", "rpa.v1" if native else "plain", session_id)
            with suppress(ConnectionResetError):  # gone while it was being answered
                await _listen(socket, native)
    except ServerFull as error:
        await _refuse(socket, request, FULL, error)
    return socket


def _native(request: web.Request) -> bool:
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return PROTOCOL in (name.strip() for name in offered.split(","))


async def _refuse(socket: web.WebSocketResponse, request: web.Request, code: int, error: RpaError) -> None:
    """Say why in a frame and in the close code: a page can't read the answer of a failed handshake."""
    await socket.prepare(request)
    await socket.send_str(wirejson.dumps(errors.body(error.code, str(error), error.temporary)).decode())
    await socket.close(code=code, message=error.code.encode())


async def _close(socket: web.WebSocketResponse, code: int, reason: str) -> None:
    if socket.prepared:
        await socket.close(code=code, message=reason.encode())


async def _listen(socket: web.WebSocketResponse, native: bool) -> None:
    """Answer what the client sends until it leaves."""
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await _answer(socket, message.data, native)
        elif message.type == WSMsgType.BINARY:
            await _complain(socket, "Send text frames with one JSON object each.")


async def _answer(socket: web.WebSocketResponse, text: str, native: bool) -> None:
    try:
        data: dict[str, Any] = wirejson.load_object(text)
    except BadDocument as error:
        await _complain(socket, str(error))
        return
    kind = data.get("type")
    if kind == "ping":
        await socket.send_str('{"type":"pong"}')
    elif native or kind is not None:
        await _complain(socket, "This kind of message is not known; the only one is ping.")
    else:
        # The plan's own test expects its message back; to anyone else it would be a forged update.
        await socket.send_str(text)


async def _complain(socket: web.WebSocketResponse, message: str) -> None:
    await socket.send_str(wirejson.dumps(errors.body("bad_message", message)).decode())
