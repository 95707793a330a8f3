"""The server that the plan describes: a dictionary of sets, ``json.dumps``, ``gather`` over ``send``.

Two things differ from the plan. Redis is read with redis.asyncio, since the plan's blocking ``listen()`` would stop the
event loop for ever; and the subscription is a pattern, since one to channels can't begin without any channel.
``python -m benchmarks.peers.plan_server PORT REDIS_URL``
"""

import asyncio
import json
import sys
from typing import Any

import redis.asyncio
from websockets.asyncio.server import ServerConnection, serve

_CHANNELS = "rpa_progress:"


class Server:
    """Relays updates to the sockets of their session."""

    def __init__(self) -> None:
        self.connections: dict[str, set[ServerConnection]] = {}

    async def handle(self, socket: ServerConnection) -> None:
        """Keep a socket in its session's set until it closes; its messages are sent back to it."""
        assert socket.request
        session = self.connections.setdefault(socket.request.path.rpartition("/")[2], set())
        session.add(socket)
        try:
            async for message in socket:
                await socket.send(message)
        finally:
            session.discard(socket)

    async def broadcast(self, session_id: str, data: dict[str, Any]) -> None:
        """Send *data* to every socket of the session."""
        if session_id in self.connections:
            text = json.dumps(data)
            await asyncio.gather(
                *(socket.send(text) for socket in self.connections[session_id]), return_exceptions=True
            )

    async def listen(self, messages: "redis.asyncio.client.PubSub") -> None:
        """Broadcast every message that is published, for ever."""
        async for message in messages.listen():
            if message["type"] == "pmessage":
                channel = message["channel"].decode()
                await self.broadcast(channel.removeprefix(_CHANNELS), json.loads(message["data"]))


async def main(port: int, url: str) -> None:
    """Serve on *port* until the process is killed; *url* is that of Redis."""
    server = Server()
    messages = redis.asyncio.Redis.from_url(url).pubsub()
    await messages.psubscribe(_CHANNELS + "*")
    async with serve(server.handle, "127.0.0.1", port):
        await server.listen(messages)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
