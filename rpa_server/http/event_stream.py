"""Handlers of the event streams: the native one, and the one in the plan's dialect (see delivery/event_stream.py)."""

import asyncio
import random
from collections.abc import Callable
from email.utils import formatdate

from aiohttp import web

from ..backoff import EvenJitter
from ..delivery.event_stream import EventStream, PlainEventStream
from ..delivery.tcp import bound_silence
from ..delivery.wire.sse import retry
from ..progress.update import START
from . import params, takeover
from .admission import Action, Admitted
from .keys import HUB

#: The range of the reconnection delay: so wide that browsers, which lose a server all at once, come back spread out.
_RETRY_MS = (3000, 7500)
_jitter = EvenJitter(random.random())
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-store, no-transform",
    "X-Accel-Buffering": "no",  # without this nginx holds events back until its buffer is full
}


async def events(request: web.Request) -> web.StreamResponse:
    """Serve a session as a native event stream."""
    return await stream(request, params.admitted(request, Action.STREAM), EventStream)


async def plain_events(request: web.Request) -> web.StreamResponse:
    """Serve a session as the event stream that the plan's script understands: updates only."""
    admitted = params.admitted(request, Action.STREAM, "session_id", "session")
    return await stream(request, admitted, PlainEventStream)


async def stream(
    request: web.Request,
    admitted: Admitted,
    kind: Callable[[asyncio.Transport], EventStream],
    headers: dict[str, str] | None = None,
    whole: bool = False,
) -> web.StreamResponse:
    """Open a stream of *kind* on a session; it lasts until either side ends it.

    Args:
        admitted: what admission returned for a STREAM.
        kind: makes the stream for a transport.
        headers: extra response headers, none by default.
        whole: True if the stream needs the run's whole history, whatever the client has.

    Raises:
        ServerFull: there are too many connections.
    """
    response = web.Response(headers={**_HEADERS, **(headers or {})})
    if request.method == "HEAD" or request.transport is None:
        return response
    await request.app.on_response_prepare.send(request, response)
    bound_silence(request.transport.get_extra_info("socket"))
    client = kind(request.transport)
    session = takeover.join(request.app[HUB], admitted, client, "SSE")
    await takeover.load(session, client, START if whole else admitted.cursor)
    if session.final and admitted.cursor is not None and admitted.cursor == session.cursor:
        client.connection_lost(None)
        return web.Response(status=204, headers=headers)
    takeover.take_over(request, client)
    client.transport.write(_head(response) + retry(_retry_ms()))
    session.begin(client, admitted.cursor)
    takeover.resume(request, client)
    return response


def _retry_ms() -> int:
    shortest, longest = _RETRY_MS
    return round(shortest + (longest - shortest) * _jitter.next())


def _head(response: web.Response) -> bytes:
    """Build the response's head as bytes; the connection closes after this response."""
    headers = {**response.headers, "Date": formatdate(usegmt=True), "Connection": "close"}
    headers.pop("Content-Length", None)
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "\r\n"]).encode()
