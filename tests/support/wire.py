"""A transport for tests of streams, and parsers of what a stream writes to it."""

import asyncio
import json
from typing import Any


class Wire(asyncio.Transport):
    """A transport without a connection, which records what is written to it.

    Attributes:
        unsent: what get_write_buffer_size() returns, in bytes.
        written: the bytes of each write().
        limits: the last write buffer limits, low and high.
        aborted: abort() was called.
        closes: how often close() was called.
    """

    def __init__(self, unsent: int = 0) -> None:
        super().__init__()
        self.unsent = unsent
        self.written: list[bytes] = []
        self.limits: tuple[int | None, int | None] = (None, None)
        self.aborted = False
        self.closes = 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (low, high)

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def close(self) -> None:
        self.closes += 1

    @property
    def closed(self) -> bool:
        return self.closes > 0

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = True

    @property
    def data(self) -> bytes:
        return b"".join(self.written)

    def frames(self) -> list[dict[str, Any]]:
        """Parse what was written as unmasked WebSocket text frames; return their JSON objects."""
        data, messages = self.data, []
        while data:
            assert data[0] == 0x81
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(data[2:10], "big"), 10
            messages.append(json.loads(data[start : start + size]))
            data = data[start + size :]
        return messages

    def events(self) -> list[tuple[str | None, dict[str, Any]]]:
        """Parse what was written as server-sent events; return pairs of ``id`` (None if missing) and JSON object."""
        found = []
        for event in self.data.decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in event.split("\n"))
            found.append((fields.get("id"), json.loads(fields["data"])))
        return found
