"""An HTTP proxy for tests; it can block requests as some real networks do.

A rule sees each connection's first request: it may block all WebSockets or event streams, or refuse a single one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

#: Called with a request's head; returns the bytes to answer with, b"" to hang up, or None to pass the request on.
Rule = Callable[[bytes], bytes | None]


def answer(status: int, reason: str) -> bytes:
    """Build a response with an empty body and ``Connection: close``."""
    return f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def upgrades(head: bytes) -> bool:
    """Tell whether this is the head of a WebSocket handshake."""
    return b"upgrade: websocket" in head.lower()


def streams(head: bytes) -> bool:
    """Tell whether this is the head of a request for a native event stream."""
    return head.startswith(b"GET /events/")


class Relay:
    """A proxy on 127.0.0.1 that applies a rule to the first request of each connection.

    If the rule passes a request on, the rest of its connection is passed on unread, later requests included.

    Args:
        target: the port on 127.0.0.1 that requests are passed on to.
        rule: see Rule.

    Attributes:
        port: the port that it listens on, 0 before running().
        url: its address.
        heads: the head of the first request of each connection so far.
    """

    def __init__(self, target: int, rule: Rule) -> None:
        self._target = target
        self._rule = rule
        self.port = 0
        self.heads: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Relay"]:
        """Listen during the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            answer = self._rule(head)
            if answer is None:
                await self._pass(head, reader, writer)
            else:
                writer.write(answer)
        writer.close()

    async def _pass(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection("127.0.0.1", self._target)
        there.write(self._sent(head))
        ways = [asyncio.create_task(self._pump(reader, there)), asyncio.create_task(self._pump(back, writer, head))]
        try:
            await asyncio.wait(ways, return_when="FIRST_COMPLETED")
        finally:
            for way in ways:
                way.cancel()
            there.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes = b"") -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(await self._passing(data, head))
                await writer.drain()

    def _sent(self, head: bytes) -> bytes:
        """Return what to send to the server for a request's head; subclasses may change it."""
        return head

    async def _passing(self, data: bytes, head: bytes) -> bytes:
        """Return what to pass on of *data*; *head* is b"" towards the server, the request's head on the way back."""
        return data
