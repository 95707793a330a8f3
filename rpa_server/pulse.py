"""The heartbeat of all open streams, in one task.

A timer per connection would cost memory and wake-ups for streams that are idle most of the time; a beat for all at
once would stop everything else for as long as it takes. So the streams are spread over the heartbeat's period.
"""

import asyncio
from itertools import count
from typing import Protocol

#: How many groups the streams are spread over; even, since silence is looked for half a period after the beat.
_GROUPS = 30


class Beating(Protocol):
    """A stream that wants a heartbeat."""

    def beat(self) -> None:
        """Send something, so that nobody between here and the client takes the connection for idle."""

    def check(self) -> None:
        """Drop the connection where the last beat should have been answered and was not."""


class Pulse:
    """Beats every stream once a period, and asks for its answer half a period later.

    Args:
        period_s: seconds between two beats of one stream.
    """

    def __init__(self, period_s: float) -> None:
        self._pause_s = period_s / _GROUPS
        self._groups: list[dict[Beating, None]] = [{} for _ in range(_GROUPS)]
        self._turn = count()

    def add(self, stream: Beating) -> None:
        """Begin to beat *stream*."""
        self._groups[next(self._turn) % _GROUPS][stream] = None

    def remove(self, stream: Beating) -> None:
        """Stop; fine for a stream that is not there."""
        for group in self._groups:
            if group.pop(stream, self) is None:
                return

    async def run(self) -> None:
        """Beat, for ever."""
        for place in count():
            await asyncio.sleep(self._pause_s)
            for stream in tuple(self._groups[place % _GROUPS]):
                stream.beat()
            for stream in tuple(self._groups[(place + _GROUPS // 2) % _GROUPS]):
                stream.check()
