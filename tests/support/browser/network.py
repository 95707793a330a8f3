"""A proxy between pages and the server that tests can freeze, cut, or make drop requests while a page is open."""

import asyncio
import re
from collections.abc import Callable

from tests.support.faults.relay import Relay, Rule, streams, upgrades

#: Tells by its head whether a request is of a certain kind.
Heads = Callable[[bytes], bool]


def nothing(head: bytes) -> bool:
    return False


def polls(head: bytes) -> bool:
    """Tell whether this is the head of a poll of a session."""
    return head.startswith(b"GET /api/sessions/")


def delivers(head: bytes) -> bool:
    """Tell whether the page's client receives updates by this request: a WebSocket, an event stream or a poll."""
    return upgrades(head) or streams(head) or polls(head)


class Network(Relay):
    """A proxy whose behaviour can be changed at any time, by kind of request.

    Args:
        target: the server's port on 127.0.0.1.

    Attributes:
        rule: see relay.Rule; passes on every request unless a test sets another one.
        holds: the kind of requests that are accepted and never answered.
        mutes: the kind of requests of whose answer only the head is passed on.
        kills: the kind of requests whose connection is aborted 30 ms after they came.
        is_down: while True every new connection is aborted at once, as if no server were there.
        open: the open connections, each with the head of its request; b"" before the rule has passed that on.
    """

    def __init__(self, target: int) -> None:
        super().__init__(target, self._refusal)
        self.rule: Rule = lambda head: None
        self.holds: Heads = nothing
        self.mutes: Heads = nothing
        self.kills: Heads = nothing
        self.is_down = False
        self.open: dict[asyncio.StreamWriter, bytes] = {}
        self._flows = asyncio.Event()
        self._flows.set()

    def freeze(self) -> None:
        """Stop passing bytes on, except the heads of new requests, without closing any connection, until thaw()."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """Abort every open connection."""
        for writer in list(self.open):
            writer.transport.abort()

    @property
    def delivering(self) -> list[bytes]:
        """The heads of the open requests by which clients receive updates, see delivers()."""
        return [head for head in self.open.values() if delivers(head)]

    def count(self, which: Heads) -> int:
        """Return how many requests so far were of the kind *which*."""
        return sum(map(which, self.heads))

    def _refusal(self, head: bytes) -> bytes | None:
        return self.rule(head)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            writer.transport.abort()
            return
        self.open[writer] = b""
        try:
            await super()._serve(reader, writer)
        finally:
            del self.open[writer]

    async def _pass(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open[writer] = head
        if self.holds(head):
            while await reader.read(65536):
                pass  # what the browser sends is never answered
            return
        if self.kills(head):
            asyncio.get_running_loop().call_later(0.03, writer.transport.abort)
        await super()._pass(head, reader, writer)

    def _sent(self, head: bytes) -> bytes:
        # The server is to close each connection after its first request, since Relay reads no later ones.
        return head if upgrades(head) else re.sub(rb"(?i)\r\nconnection: keep-alive", b"\r\nConnection: close", head)

    async def _passing(self, data: bytes, head: bytes) -> bytes:
        await self._flows.wait()
        if self.mutes(head):
            return b"".join(data.partition(b"\r\n\r\n")[:2]) if data.startswith(b"HTTP/") else b""
        return data
