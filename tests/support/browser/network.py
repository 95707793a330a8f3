"""A network between pages and the server that tests can slow, silence, cut and restore during a run."""

import asyncio
import re
from collections.abc import Callable

from tests.support.faults.relay import Relay, Rule, streams, upgrades

#: Tells by a request's head whether an attribute of Network applies to it.
Heads = Callable[[bytes], bool]


def nothing(head: bytes) -> bool:
    return False


def polls(head: bytes) -> bool:
    """Tell whether a request asks for the state."""
    return head.startswith(b"GET /api/sessions/")


def delivers(head: bytes) -> bool:
    """Tell whether a request is one of the client's own, over any transport."""
    return upgrades(head) or streams(head) or polls(head)


class Network(Relay):
    """A proxy whose behaviour can be changed at any time, by kind of request.

    Attributes:
        rule: as the relay's; may be changed.
        holds: requests that are never answered.
        mutes: requests whose answer ends with its head; the body is never sent.
        kills: requests whose connection is cut a moment after it opened.
        is_down: no connection is accepted, as if there were no server.
        open: the heads of the requests that are open now.
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
        """Let no byte pass any more, without closing anything."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """Break every connection."""
        for writer in list(self.open):
            writer.transport.abort()

    @property
    def delivering(self) -> list[bytes]:
        """The open requests of clients."""
        return [head for head in self.open.values() if delivers(head)]

    def count(self, which: Heads) -> int:
        """Return how many requests of a kind came."""
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
                """Whatever it says."""
            return
        if self.kills(head):
            asyncio.get_running_loop().call_later(0.03, writer.transport.abort)
        await super()._pass(head, reader, writer)

    def _sent(self, head: bytes) -> bytes:
        # One request a connection: only a connection's first head is looked at.
        return head if upgrades(head) else re.sub(rb"(?i)\r\nconnection: keep-alive", b"\r\nConnection: close", head)

    async def _passing(self, data: bytes, head: bytes) -> bytes:
        await self._flows.wait()
        if self.mutes(head):
            return b"".join(data.partition(b"\r\n\r\n")[:2]) if data.startswith(b"HTTP/") else b""
        return data
