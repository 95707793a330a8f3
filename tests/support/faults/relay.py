"""A proxy between pages and the server that refuses what real networks refuse: upgrades, event streams, one answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

#: Decides by a request's head what to do: bytes to answer with, b"" to hang up, None to pass it on.
Rule = Callable[[bytes], bytes | None]


def answer(status: int, reason: str) -> bytes:
    """Build a response without a body, the last one on its connection."""
    return f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def upgrades(head: bytes) -> bool:
    """Tell whether a request asks for a WebSocket."""
    return b"upgrade: websocket" in head.lower()


def streams(head: bytes) -> bool:
    """Tell whether a request asks for an event stream."""
    return head.startswith(b"GET /events/")


class Relay:
    """Passes requests on to a port, or does what the rule says; only the first request of a connection is looked at.

    Attributes:
        port: where it listens.
        url: the same as an address.
        heads: the heads of all requests so far.
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
        """Return the bytes to send to the server for a request's head."""
        return head

    async def _passing(self, data: bytes, head: bytes) -> bytes:
        """Filter bytes on their way to the server, or back to the request that began with *head*."""
        return data
