"""WebSockets: the native protocol and, without a subprotocol, the plan's dialect."""

from aiohttp import web

from .. import cors, errors, frames, wirejson, wsframes
from ..connections import bound_silence
from ..errors import ServerFull, UpgradeRequired
from ..sockets import FULL, NativeSocket, PlainSocket, Socket
from . import params, streams

PROTOCOL = "rpa.v1"


async def websocket(request: web.Request) -> web.StreamResponse:
    """Open a WebSocket on a session; it is served until the client leaves."""
    session_id = params.session_id(request)
    cursor = params.after(request)
    cors.check_connecting(request)
    answer = wsframes.accept(request.headers) if request.method == "GET" else None
    if answer is None or request.transport is None:
        raise UpgradeRequired("This address speaks WebSocket; connect with an Upgrade request.")
    bound_silence(request)
    native = _native(request)
    client: Socket = NativeSocket(request.transport) if native else PlainSocket(request.transport)
    try:
        # Registered before the handshake: a robot may publish the moment the page sees the socket open.
        session = await streams.join(request, session_id, client, client.name)
        # Answered only now: who connects and vanishes a thousand times a second waits for its turn, and ours.
        streams.take_over(request, client)
        client.transport.write(_head(answer, native))
        session.begin(client, cursor)
    except ServerFull as error:
        streams.take_over(request, client)
        client.transport.write(_head(answer, native))
        _refuse(client, error)
    streams.resume(request, client)
    return web.Response()


def _native(request: web.Request) -> bool:
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return PROTOCOL in (name.strip() for name in offered.split(","))


def _head(answer: str, native: bool) -> bytes:
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {answer}",
        *([f"Sec-WebSocket-Protocol: {PROTOCOL}"] if native else []),
        "\r\n",
    ]
    return "\r\n".join(lines).encode()


def _refuse(client: Socket, error: ServerFull) -> None:
    """Say why in a frame and in the close code: a page can't read the answer of a failed handshake."""
    body = errors.body(error.code, str(error), error.temporary)
    client.transport.write(frames.ws_text(wirejson.dumps(body)))
    client.close(FULL, error.code)
