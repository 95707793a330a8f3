"""The least that a Python process on uvloop can do: pass bytes from Redis's socket to the viewers' sockets.

No state, numbers, cursors, limits or heartbeats: a server in Python can hardly cost less than this.
``python -m benchmarks.peers.relay_server PORT REDIS_URL``
"""

import asyncio
import base64
import hashlib
import sys
from collections import defaultdict
from typing import cast
from urllib.parse import urlsplit

import hiredis
import uvloop

_CHANNELS = b"rpa_progress:"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_viewers: defaultdict[bytes, list[asyncio.Transport]] = defaultdict(list)


class _Viewer(asyncio.Protocol):
    """Answers a viewer's handshake; the frames that it sends later have no effect."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._request = b""

    def data_received(self, data: bytes) -> None:
        self._request += data
        if not self._request.endswith(b"\r\n\r\n"):
            return
        first, *lines = self._request.split(b"\r\n")
        key = next(line[18:].strip() for line in lines if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        _viewers[_CHANNELS + first.split()[1].rpartition(b"/")[2]].append(self._transport)
        self._request = b""


class _Messages(asyncio.Protocol):
    """Sends every published message to its session's viewers; a message must have 126 to 65,535 bytes."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        while (reply := reader.gets()) is not False:
            if reply[0] == b"pmessage":
                frame = b"\x81\x7e" + len(reply[3]).to_bytes(2, "big") + reply[3]
                for transport in _viewers[reply[2]]:
                    transport.write(frame)


async def main(port: int, url: str) -> None:
    """Serve on *port* until the process is killed; *url* is that of Redis."""
    loop = asyncio.get_running_loop()
    redis, _ = await loop.create_connection(_Messages, "127.0.0.1", urlsplit(url).port or 6379)
    redis.write(b"PSUBSCRIBE " + _CHANNELS + b"*\r\n")
    server = await loop.create_server(_Viewer, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
