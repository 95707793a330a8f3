"""A long run with everything at once, and what happens to memory, descriptors, tasks and delays meanwhile.

    python -m tests.faults.soak --minutes 120 [--docs]

Starts a redis-server, a server and robots, and keeps ``--viewers`` streams open while others come and go; every minute
Redis closes the subscription. Prints a sample every 10 s and a verdict at the end, which is also the exit status.
"""

import argparse
import asyncio
import json
import random
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.faults.fleet import Fleet, figures, kill_subscribers, scene
from tests.support.faults.viewers import MIX, LiveViewer
from tests.support.server import ROOT, CommandServer, redis_server

SAMPLE_S = 10.0
KILL_S = 60.0
CHURN_PER_S = 10
ROBOTS = 20
EVERY_S = 1.0
#: The first quarter of a run is not judged, nor, in a run of 20 minutes or more, its first ten minutes: memory grows
#: until each history has its 500 updates.
WARM_UP, WARM_UP_S = 0.25, 600.0
MOST_MB_PER_H = 1.0
_TIMESTAMP = re.compile(r'"timestamp":"([^"]+)"')


@dataclass
class Sample:
    """The server at one moment, and the deliveries since the previous sample.

    Attributes:
        at_s: seconds since the beginning.
        rss_kb, descriptors, tasks, connections: those of the server.
        p99_ms: 99th percentile of the delays of every eighth update; 0 if 100 delays or fewer were measured.
        deliveries, lost, duplicated: how many since the previous sample.
    """

    at_s: float
    rss_kb: int
    descriptors: int
    tasks: int
    connections: int
    p99_ms: float
    deliveries: int
    lost: int
    duplicated: int


class Watching(LiveViewer):
    """A viewer that records no events; it counts gaps and repetitions, and measures every eighth update's age."""

    ages_ms: list[float] = []  # noqa: RUF012 - one list for all viewers, like the counters
    deliveries = lost = duplicated = 0

    def _note(self, *event: Any) -> None:
        """Record no event: in two hours they would fill the memory."""

    def _step(self, epoch: str, seq: int, final: bool, text: str) -> None:
        known_epoch, _, known = (self.cursor or "").partition(":")
        if known_epoch == epoch:
            Watching.lost += max(0, seq - int(known) - 1)
            Watching.duplicated += seq <= int(known)
        Watching.deliveries += 1
        if self._up and seq % 8 == 0 and (match := _TIMESTAMP.search(text)):
            Watching.ages_ms.append((datetime.now() - datetime.fromisoformat(match[1])).total_seconds() * 1000)
        super()._step(epoch, seq, final, text)


def _take() -> tuple[float, int, int, int]:
    """Return p99 in ms, deliveries, lost and duplicated since the last call, and begin anew."""
    ages = Watching.ages_ms
    p99_ms = statistics.quantiles(ages, n=100)[98] if len(ages) > 100 else 0.0
    taken = p99_ms, Watching.deliveries, Watching.lost, Watching.duplicated
    Watching.ages_ms = []
    Watching.deliveries = Watching.lost = Watching.duplicated = 0
    return taken


def _rss_kb(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))


async def _sample(fleet: Fleet, began: float) -> Sample:
    reported = await figures(fleet.server)
    descriptors, tasks, connections = (int(reported[f"rpa_{name}"]) for name in ("descriptors", "tasks", "connections"))
    at_s = round(time.monotonic() - began, 1)
    return Sample(at_s, _rss_kb(fleet.server.pid), descriptors, tasks, connections, *_take())


async def _churn(fleet: Fleet, http: aiohttp.ClientSession) -> None:
    """Send CHURN_PER_S visitors a second until cancelled; each watches for 0.5 to 1.5 s, with the next entry of MIX."""
    number = 0
    passing: set[asyncio.Task[None]] = set()
    try:
        while True:
            await asyncio.sleep(1 / CHURN_PER_S)
            number += 1
            viewer = LiveViewer([fleet.server.url], f"near-{number % ROBOTS}", MIX[number % len(MIX)])
            task = asyncio.create_task(_visit(viewer, http))
            passing.add(task)
            task.add_done_callback(passing.discard)
    finally:
        for task in passing:
            task.cancel()


async def _visit(viewer: LiveViewer, http: aiohttp.ClientSession) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5 + random.random()):
            await viewer.run(http)


async def soak(directory: Path, minutes: float, viewers: int) -> list[Sample]:
    """Run for *minutes* with *viewers* streams that stay open; return the samples."""
    samples: list[Sample] = []
    environ = {"RPA_MAX_CONNECTIONS": str(viewers + 1000)}
    with redis_server() as backend:
        # None of the viewers that stay polls: polls open connections again and again, which the descriptors would show.
        server = CommandServer(directory / "rpa_data", backend.url, None, **environ)
        streams: Sequence[Any] = (("ws",), ("sse",))
        async with (
            scene(directory, backend.url, near=ROBOTS, viewers=viewers, every_s=EVERY_S, mix=streams, servers=[server],
                  kind=Watching) as fleet,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ):  # fmt: skip
            churn = asyncio.create_task(_churn(fleet, http))
            began = time.monotonic()
            _take()
            while (passed_s := time.monotonic() - began) < minutes * 60:
                if passed_s // KILL_S > (passed_s - SAMPLE_S) // KILL_S:
                    await asyncio.to_thread(kill_subscribers, backend)
                await asyncio.sleep(SAMPLE_S)
                samples.append(await _sample(fleet, began))
                print(json.dumps(asdict(samples[-1])), flush=True)
            churn.cancel()
            await asyncio.wait([churn])
            await asyncio.sleep(0.5)  # until the visitors have left
    return samples


@dataclass
class Verdict:
    """What the samples show; all but *lost* and *duplicated* are computed from those after the warm-up.

    Attributes:
        mb_per_h: slope of a straight line fitted to the memory by least squares.
        descriptors: the median of the last third minus that of the first; descriptors of connections do not count.
        tasks: the same for the tasks, those of connections included.
        p99_drift: the same for p99, as a share of the median of the first third.
        lost, duplicated: totals of the whole run.
    """

    mb_per_h: float
    descriptors: float
    tasks: float
    p99_drift: float
    lost: int
    duplicated: int

    @property
    def passed(self) -> bool:
        flat = abs(self.descriptors) <= 2 and abs(self.tasks) <= 2
        steady = self.mb_per_h <= MOST_MB_PER_H and self.p99_drift <= 0.2
        return flat and steady and self.lost == self.duplicated == 0


def _behind_warm_up(samples: Sequence[Sample]) -> Sequence[Sample]:
    end_s = samples[-1].at_s
    begin_s = max(WARM_UP * end_s, WARM_UP_S if end_s > 2 * WARM_UP_S - SAMPLE_S else 0.0)
    return [each for each in samples if each.at_s >= begin_s]


def judge(samples: Sequence[Sample]) -> Verdict:
    """Judge a run by its samples; connections are subtracted from the descriptors."""
    kept = _behind_warm_up(samples)
    third = max(1, len(kept) // 3)
    first, last = kept[:third], kept[-third:]

    def moved(value: Callable[[Sample], float]) -> float:
        return statistics.median(map(value, last)) - statistics.median(map(value, first))

    slope, _ = statistics.linear_regression([each.at_s for each in kept], [each.rss_kb for each in kept])
    p99_ms = statistics.median(each.p99_ms for each in first)
    return Verdict(
        mb_per_h=slope * 3600 / 1024,
        descriptors=moved(lambda each: each.descriptors - each.connections),
        tasks=moved(lambda each: each.tasks),
        p99_drift=moved(lambda each: each.p99_ms) / p99_ms if p99_ms else 0.0,
        lost=sum(each.lost for each in samples),
        duplicated=sum(each.duplicated for each in samples),
    )


def curves(samples: Sequence[Sample]) -> str:
    """Return an SVG with four curves over time: memory, descriptors, tasks and p99."""
    width, height, gap = 640, 90, 26
    strips = [("RSS, MB", [each.rss_kb / 1024 for each in samples]),
              ("descriptors", [float(each.descriptors) for each in samples]),
              ("tasks", [float(each.tasks) for each in samples]),
              ("p99 of a delivery, ms", [each.p99_ms for each in samples])]  # fmt: skip
    end_s = samples[-1].at_s
    parts = []
    for index, (name, values) in enumerate(strips):
        top = index * (height + gap) + gap
        most = max(values) or 1.0
        points = " ".join(
            f"{each.at_s / end_s * width:.1f},{top + height - value / most * height:.1f}"
            for each, value in zip(samples, values, strict=True)
        )
        parts.append(f'<text x="0" y="{top - 6}">{name}: {min(values):.1f} to {max(values):.1f}</text>')
        parts.append(f'<rect x="0" y="{top}" width="{width}" height="{height}" fill="#f4f4f4"/>')
        parts.append(f'<polyline points="{points}" fill="none" stroke="#0b6b6b" stroke-width="1.5"/>')
    total = len(strips) * (height + gap) + 22
    axis = f'<text x="0" y="{total - 4}">0 to {end_s / 60:.0f} minutes; every strip begins at 0</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" height="{total}" '
        f'font-family="sans-serif" font-size="12">{"".join(parts)}{axis}</svg>\n'
    )


_PAGE = """Soak
====

A long run with everything on: {viewers:,} streams that stay (half WebSocket, half server-sent events), {churn} visitors a
second over every transport, {robots} robots, and Redis closing the subscription every minute. Printed by::

    tox -e soak -- --minutes {minutes:g} --docs

.. image:: soak.svg

======================================  ==========================================
length                                  {minutes:g} minutes, {deliveries:,} deliveries
lost, duplicated                        {lost}, {duplicated}
memory                                  {mb_per_h:+.2f} MB/h, from {first_mb:.1f} to {last_mb:.1f} MB
descriptors beside the connections      {descriptors:+g}
tasks                                   {tasks:+g}
p99 of a delivery                       {p99_ms:.1f} ms, {p99_drift:+.0%}
======================================  ==========================================

The first quarter, or ten minutes, are left out of the last four lines: until then histories fill. Memory is the slope of
a straight line through the samples by least squares; the others compare the medians of the first and the last third.
"""


def _write(samples: Sequence[Sample], verdict: Verdict, minutes: float, viewers: int) -> None:
    kept = _behind_warm_up(samples)
    page = _PAGE.format(
        viewers=viewers, churn=CHURN_PER_S, robots=ROBOTS, minutes=minutes,
        deliveries=sum(each.deliveries for each in samples), first_mb=kept[0].rss_kb / 1024,
        last_mb=kept[-1].rss_kb / 1024, p99_ms=statistics.median(each.p99_ms for each in kept), **asdict(verdict),
    )  # fmt: skip
    (ROOT / "docs" / "soak.rst").write_text(page)
    (ROOT / "docs" / "soak.svg").write_text(curves(samples))


def main() -> int:
    """Run from the command line; return the exit status, 0 if the verdict is good."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--viewers", type=int, default=2000)
    parser.add_argument("--docs", action="store_true", help="write docs/soak.rst and docs/soak.svg")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    viewers = min(options.viewers, hard // 2 - 500)
    with tempfile.TemporaryDirectory() as directory:
        samples = asyncio.run(soak(Path(directory), options.minutes, viewers))
    verdict = judge(samples)
    print(verdict, "passed" if verdict.passed else "FAILED")
    if options.docs:
        _write(samples, verdict, options.minutes, viewers)
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
