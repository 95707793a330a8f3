"""Heartbeat with many streams; time is counted in ticks, of which a period has as many as there are groups."""

import asyncio

import pytest

from rpa_server.delivery.heartbeat import Heartbeat

GROUPS = 30


class Stream:
    """Records at which tick it is pinged and when its answer is checked."""

    def __init__(self, ticks: list[None]) -> None:
        self._ticks = ticks
        self.pings: list[int] = []
        self.checks: list[int] = []
        self.group = 0

    def ping(self) -> None:
        self.pings.append(len(self._ticks))

    def expire(self) -> None:
        self.checks.append(len(self._ticks))


def make(count: int) -> tuple[Heartbeat, list[Stream], list[None]]:
    """Return a heartbeat of 30 groups with *count* streams, and the list that counts ticks."""
    ticks: list[None] = []
    heartbeat, streams = Heartbeat(0.3), [Stream(ticks) for _ in range(count)]
    for stream in streams:
        heartbeat.add(stream)
    return heartbeat, streams, ticks


def tick(heartbeat: Heartbeat, ticks: list[None], count: int) -> None:
    for _ in range(count):
        ticks.append(None)
        heartbeat.tick()


def test_every_stream_is_pinged_once_a_period_and_asked_in_between() -> None:
    """Each of 100 streams is pinged once a period, and its answer is checked half a period after the ping."""
    heartbeat, streams, ticks = make(100)
    tick(heartbeat, ticks, 3 * GROUPS)
    for stream in streams:
        assert len(stream.pings) == 3
        assert [later - earlier for earlier, later in zip(stream.pings, stream.pings[1:], strict=False)] == [GROUPS] * 2
        later = [check - stream.pings[0] for check in stream.checks if check > stream.pings[0]]
        assert later[0] == GROUPS // 2


def test_the_pings_are_spread_over_the_period() -> None:
    """Of 60 streams at most 3 are pinged in one tick, since many writes at once would delay everything else."""
    heartbeat, streams, ticks = make(60)
    tick(heartbeat, ticks, GROUPS)
    first = sorted(stream.pings[0] for stream in streams)
    assert max(first.count(number) for number in first) <= 3
    assert first[0] > GROUPS // 6  # a new client has just connected, so its first ping can wait
    assert first[-1] - first[0] > GROUPS // 2


def test_a_stream_that_left_is_left_alone() -> None:
    """A removed stream is neither pinged nor checked any more, and removing it again is no error."""
    heartbeat, (gone,), ticks = make(1)
    heartbeat.remove(gone)
    heartbeat.remove(gone)
    tick(heartbeat, ticks, 3 * GROUPS)
    assert gone.pings == gone.checks == []


@pytest.mark.parametrize(("period_s", "least"), [(0.3, 5), (3.0, 2)])
async def test_it_ticks_by_itself(period_s: float, least: int) -> None:
    """run() calls tick() again and again, for a short and for a long period."""
    heartbeat, _, ticks = make(0)
    heartbeat = Heartbeat(period_s)
    heartbeat.tick = lambda: ticks.append(None)  # type: ignore[method-assign]
    task = asyncio.create_task(heartbeat.run())
    async with asyncio.timeout(30):
        while len(ticks) < least:  # noqa: ASYNC110 - the heartbeat sets no event
            await asyncio.sleep(0.01)
    task.cancel()
