"""python-socketio on aiohttp with its Redis manager; each session is a room.

``python -m benchmarks.peers.socketio_server PORT REDIS_URL``
"""

import sys
from typing import Any
from urllib.parse import parse_qs

import socketio
from aiohttp import web


def main(port: int, url: str) -> None:
    """Serve on *port* until the process is killed; *url* is that of Redis."""
    server = socketio.AsyncServer(
        async_mode="aiohttp", client_manager=socketio.AsyncRedisManager(url), transports=["websocket"]
    )

    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await server.enter_room(sid, parse_qs(environ["QUERY_STRING"])["session"][0])

    server.on("connect", connect)
    app = web.Application()
    server.attach(app)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None, shutdown_timeout=1, backlog=1024)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
