"""The heartbeat of all open streams, in one task.

One timer per connection would cost memory and wake-ups, and pinging all streams at once would block the event loop
meanwhile. So the streams are spread evenly over groups, which are pinged one after the other within a period.
"""

import asyncio
import itertools
from typing import Protocol

#: The intended pause between two groups of streams, in seconds; the limits below may make it shorter or longer.
_PAUSE_S = 0.1
#: The fewest and the most groups. A whole group is pinged at once, so it should be small.
_LEAST, _MOST = 30, 300


class Pinged(Protocol):
    """A stream that Heartbeat pings.

    Attributes:
        group: the index of the stream's group; set by Heartbeat.add(), any valid index before.
    """

    group: int

    def ping(self) -> None:
        """Send something, so that no proxy on the way takes the connection for idle."""

    def expire(self) -> None:
        """Drop the connection if the last ping needed an answer and got none."""


class Heartbeat:
    """Pings every stream once per period, and checks half a period later that it has answered.

    Args:
        period_s: seconds between two pings of one stream.
    """

    def __init__(self, period_s: float) -> None:
        count = min(max(_LEAST, round(period_s / _PAUSE_S)), _MOST)
        self._groups: list[dict[Pinged, None]] = [{} for _ in range(count)]
        self._pause_s = period_s / count
        self._turn = itertools.count()
        self._current = 0  # the group that was pinged last

    def add(self, stream: Pinged) -> None:
        """Begin to ping *stream*; the first ping comes about a quarter of a period to a whole period later."""
        count = len(self._groups)
        first = count // 4
        stream.group = (self._current + first + next(self._turn) % (count - first)) % count
        self._groups[stream.group][stream] = None

    def remove(self, stream: Pinged) -> None:
        """Stop pinging *stream*; it need not have been added."""
        self._groups[stream.group].pop(stream, None)

    def tick(self) -> None:
        """Ping the next group, and expire the streams of the group that was pinged half a period ago."""
        groups = self._groups
        self._current = (self._current + 1) % len(groups)
        for stream in tuple(groups[self._current]):
            stream.ping()
        for stream in tuple(groups[(self._current + len(groups) // 2) % len(groups)]):
            stream.expire()

    async def run(self) -> None:
        """Call tick() for ever, once per period for each group."""
        while True:
            await asyncio.sleep(self._pause_s)
            self.tick()
