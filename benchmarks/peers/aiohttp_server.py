"""The shortest server that works: aiohttp, and ``await send_str`` for one socket after the other.

Messages are passed on unchanged. ``python -m benchmarks.peers.aiohttp_server PORT REDIS_URL``
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress

import redis.asyncio
from aiohttp import web

_CHANNELS = "rpa_progress:"
_URL = web.AppKey("url", str)
_SOCKETS = web.AppKey("sockets", defaultdict[str, set[web.WebSocketResponse]])


async def _watch(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    session = request.app[_SOCKETS][request.match_info["session"]]
    session.add(socket)
    try:
        async for _ in socket:
            pass
    finally:
        session.discard(socket)
    return socket


async def _relay(app: web.Application, messages: "redis.asyncio.client.PubSub") -> None:
    async for message in messages.listen():
        if message["type"] != "pmessage":
            continue
        text = message["data"].decode()
        for socket in tuple(app[_SOCKETS][message["channel"].decode().removeprefix(_CHANNELS)]):
            with suppress(ConnectionError):
                await socket.send_str(text)


async def _subscribed(app: web.Application) -> AsyncIterator[None]:
    messages = redis.asyncio.Redis.from_url(app[_URL]).pubsub()
    await messages.psubscribe(_CHANNELS + "*")
    task = asyncio.create_task(_relay(app, messages))
    yield
    task.cancel()


def main(port: int, url: str) -> None:
    """Serve on *port* until the process is killed; *url* is that of Redis."""
    app = web.Application()
    app[_URL] = url
    sockets: defaultdict[str, set[web.WebSocketResponse]] = defaultdict(set)
    app[_SOCKETS] = sockets
    app.cleanup_ctx.append(_subscribed)
    app.router.add_get("/rpa/{session}", _watch)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None, shutdown_timeout=1, backlog=1024)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
