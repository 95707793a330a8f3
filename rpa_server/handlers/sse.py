"""Server-sent events: the native stream, and the plan's."""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import closing, suppress

from aiohttp import web
from aiohttp.http import HttpVersion11
from aiohttp_sse import EventSourceResponse

from .. import keys
from ..connections import bound_silence
from ..errors import StorageUnavailable
from ..transports import EventStream, PlainEventStream
from . import params

logger = logging.getLogger(__name__)

_SEND_TIMEOUT_S = 10.0
_RETRY_MS = (1000, 4000)


async def events(request: web.Request) -> web.StreamResponse:
    """Serve a session as a native event stream."""
    return await stream(request, EventStream)


async def plain_events(request: web.Request) -> web.StreamResponse:
    """Serve a session to the plan's script, which knows neither sync nor reset."""
    return await stream(request, PlainEventStream)


async def stream(
    request: web.Request,
    kind: Callable[[asyncio.Transport, bool, Callable[[], None]], EventStream],
    headers: dict[str, str] | None = None,
) -> web.StreamResponse:
    """Serve a session as a stream of *kind* until either side ends it.

    Args:
        kind: makes the stream of a transport, of whether it is chunked, and of what ends the response.
        headers: more headers of the answer.
    """
    session_id = params.session_id(request, "session_id", "session")
    cursor = params.after(request)
    assert request.transport is not None
    bound_silence(request)
    response = EventSourceResponse(
        sep="\n",
        ping_interval=request.app[keys.SETTINGS].heartbeat_s,
        send_timeout=_SEND_TIMEOUT_S,
    )
    response.headers["Cache-Control"] = "no-cache, no-store, no-transform"
    response.headers.update(headers or {})
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        if response.prepared:
            response.stop_streaming()

    client = kind(request.transport, request.version >= HttpVersion11, stop)
    with closing(client), request.app[keys.HUB].admit(session_id, client) as session:
        with suppress(StorageUnavailable):  # what the store holds follows when it answers
            await session.load()
        if session.final and cursor is not None and cursor == session.cursor:
            return web.Response(status=204, headers=headers)
        await response.prepare(request)
        async with response:
            await response.write(b"retry: %d\n\n" % random.randint(*_RETRY_MS))
            session.begin(client, cursor)
            logger.info("SSE connected to %s.", session_id)
            if not stopped.is_set():
                await response.wait()
    return response
