"""The heartbeat of many streams."""

import asyncio

from rpa_server.delivery.heartbeat import Heartbeat


class Stream:
    """Records when it is pinged and when its answer is checked."""

    def __init__(self) -> None:
        self.pings: list[float] = []
        self.checks: list[float] = []
        self.group = 0

    def ping(self) -> None:
        self.pings.append(asyncio.get_running_loop().time())

    def expire(self) -> None:
        self.checks.append(asyncio.get_running_loop().time())


async def run(heartbeat: Heartbeat, seconds: float) -> None:
    task = asyncio.create_task(heartbeat.run())
    await asyncio.sleep(seconds)
    task.cancel()


async def test_every_stream_is_beaten_once_a_period_and_asked_in_between() -> None:
    """However many streams there are, each gets its ping, and its answer is checked half a period later."""
    heartbeat, streams = Heartbeat(0.3), [Stream() for _ in range(100)]
    for stream in streams:
        heartbeat.add(stream)
    await run(heartbeat, 1.0)
    for stream in streams:
        assert 2 <= len(stream.pings) <= 4
        assert 2 <= len(stream.checks) <= 4
        later = [check - stream.pings[0] for check in stream.checks if check > stream.pings[0]]
        assert 0.1 < later[0] < 0.25


async def test_the_pings_are_spread_over_the_period() -> None:
    """Thousands of writes at once would delay everything else."""
    heartbeat, streams = Heartbeat(0.3), [Stream() for _ in range(60)]
    for stream in streams:
        heartbeat.add(stream)
    began = asyncio.get_running_loop().time()
    await run(heartbeat, 0.4)
    first = sorted(stream.pings[0] for stream in streams)
    assert max(first.count(time) for time in first) <= 3
    assert first[0] - began > 0.05  # a new client is known to be alive, so its first ping comes later
    assert first[-1] - first[0] > 0.15


async def test_a_stream_that_left_is_left_alone() -> None:
    """A removed stream gets no more pings; removing one that was never added is not an error."""
    heartbeat, gone = Heartbeat(0.05), Stream()
    heartbeat.add(gone)
    heartbeat.remove(gone)
    heartbeat.remove(gone)
    await run(heartbeat, 0.15)
    assert gone.pings == gone.checks == []
