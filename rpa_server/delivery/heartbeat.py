"""The heartbeat of all open streams, in one task.

A timer per connection would cost memory and wake-ups for streams that are idle most of the time; a beat for all at
once would stop everything else for as long as it takes. So the streams are spread over the heartbeat's period.
"""

import asyncio
import itertools
from typing import Protocol

#: How long between two groups of streams at most, and how many groups there are: few streams at a time hold up little.
_APART_S = 0.1
_LEAST, _MOST = 30, 300


class Pinged(Protocol):
    """A stream that wants a heartbeat.

    Attributes:
        group: the heartbeat's own.
    """

    group: int

    def ping(self) -> None:
        """Send something, so that nobody between here and the client takes the connection for idle."""

    def expire(self) -> None:
        """Drop the connection where the last beat should have been answered and was not."""


class Heartbeat:
    """Beats every stream once a period, and asks for its answer half a period later.

    Args:
        period_s: seconds between two beats of one stream.
    """

    def __init__(self, period_s: float) -> None:
        count = min(max(_LEAST, round(period_s / _APART_S)), _MOST)
        self._groups: list[dict[Pinged, None]] = [{} for _ in range(count)]
        self._pause_s = period_s / count
        self._turn = itertools.count()
        self._place = 0  # of the group that was beaten last

    def add(self, stream: Pinged) -> None:
        """Begin to beat *stream*, a quarter of a period from now at the earliest."""
        count = len(self._groups)
        first = count // 4
        stream.group = (self._place + first + next(self._turn) % (count - first)) % count
        self._groups[stream.group][stream] = None

    def remove(self, stream: Pinged) -> None:
        """Stop; fine for a stream that is not there."""
        self._groups[stream.group].pop(stream, None)

    async def run(self) -> None:
        """Beat, for ever."""
        groups = self._groups
        while True:
            await asyncio.sleep(self._pause_s)
            self._place = (self._place + 1) % len(groups)
            for stream in tuple(groups[self._place]):
                stream.ping()
            for stream in tuple(groups[(self._place + len(groups) // 2) % len(groups)]):
                stream.expire()
