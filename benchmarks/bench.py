"""What every measurement needs: a working directory, durations and counts, and one server under load.

A measurement is a function of a Bench and a subject (a peer's name, mostly) that returns figures by name; it starts the
server anew, so that no run inherits memory or sockets from another.
"""

import contextlib
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .load import Load
from .peers import PEERS, Deployment, Peer
from .publishers import Published, Publisher

Figures = dict[str, float]

#: Descriptors that a server needs for other things than viewers.
_SPARE = 2000
_QUIET_S = 3.0


@dataclass(frozen=True)
class Bench:
    """How to measure.

    Attributes:
        load: the compiled load generator.
        directory: for whatever the servers write.
        quick: shorter and smaller, to see whether it works rather than how fast.
    """

    load: Path
    directory: Path
    quick: bool

    def seconds(self, usual: float) -> float:
        """Return how long to publish."""
        return max(1.0, usual / 3) if self.quick else usual

    def count(self, usual: int) -> int:
        """Return how many connections or calls to make."""
        return max(1, usual // 4) if self.quick else usual

    def most_viewers(self, wanted: int) -> int:
        """Return *wanted*, or as many viewers as a server has descriptors for."""
        return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE)


@dataclass
class Scene:
    """A running server, its viewers, and the robot that publishes."""

    deployment: Deployment
    load: Load
    publisher: Publisher
    viewers_each: int

    def measure(self, publish: Callable[[], Published]) -> Figures:
        """Publish, wait until all of it has arrived, and return the cost and the delays.

        ``cpu_us`` and ``redis_us`` are per update that a viewer got; ``load`` is the share of a core that the load
        generator used; ``busy`` that of the server.
        """
        cpu, redis = self.deployment.server.cpu_us(), self.deployment.redis_us()
        sent = publish()
        expected = sent.updates * self.viewers_each
        report = self.load.report(expected, quiet_s=_QUIET_S)
        cpu, redis = self.deployment.server.cpu_us() - cpu, self.deployment.redis_us() - redis
        got = report["delivered"] - report["duplicated"]
        delay = report["latency_us"]
        return {
            "cpu_us": cpu / max(got, 1),
            "redis_us": redis / max(got, 1),
            "p50_us": delay["p50"],
            "p99_us": delay["p99"],
            "lost": expected - got,
            "duplicated": report["duplicated"],
            "closed": report["closed"],
            "per_s": got / max(report["span_us"] / 1e6, 1e-6),
            "load": report["cpu_us"] / report["wall_us"],
            "busy": cpu / report["wall_us"],
            "robot": sent.cpu_us / report["wall_us"],
        }

    def warm_up(self, rate: float, updates: int) -> None:
        """Publish without measuring."""
        sent = self.publisher.steady(rate, updates)
        self.load.report(sent.updates * self.viewers_each, quiet_s=_QUIET_S)


def peer(name: str) -> Peer:
    """Return the peer of that name."""
    return PEERS[name]


@contextlib.contextmanager
def scene(bench: Bench, name: str, way: str, *, viewers: int, sessions: int, **options: Any) -> Iterator[Scene]:
    """Run the peer *name* with *viewers* viewers spread over *sessions* sessions.

    Args:
        options: for Load.
    """
    made = peer(name)
    with made.running(bench.directory) as deployment:
        made.seed(deployment, sessions)
        with Load(
            bench.load, deployment.server.port, made.ways[way], connections=viewers, sessions=sessions, **options
        ) as load:
            wire = made.wire(deployment)
            with contextlib.closing(wire):
                yield Scene(deployment, load, Publisher(wire, sessions), viewers // sessions)
