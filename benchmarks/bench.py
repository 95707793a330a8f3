"""What the measurements share: a working directory, durations and counts, and one server under load.

A measurement is a function of a Bench and of a subject: the name of a peer or, for ``robot``, of a store. It returns
figures by name. Each call starts the servers that it needs, so that no run inherits memory or sockets from another.
"""

import contextlib
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpa_server.progress.update import HISTORY

from .load import Load
from .peers import PEERS, Deployment, Options, Peer
from .processes import Process
from .publishers import Published, Publisher

Figures = dict[str, float]

#: Descriptors that are left for what is not a viewer's connection: logs, Redis, the listener.
_SPARE = 2000
_QUIET_S = 3.0
#: Numbers of stored updates of a run: as robots leave behind, and the most that a history keeps.
LENGTHS = (40, HISTORY)
#: A server is at rest once it uses less than this share of a core for _REST_S; after _RESTLESS_S it is taken as it is.
_REST, _REST_S, _RESTLESS_S = 0.1, 0.1, 30.0


@dataclass(frozen=True)
class Bench:
    """The settings of one run of the benchmarks.

    Attributes:
        load: path of the compiled load generator.
        directory: where the servers write their configuration, logs and data.
        quick: measure shorter and with fewer connections, which shows that everything works, not how fast it is.
        limit: count() returns no more than this; 0 = no limit.
    """

    load: Path
    directory: Path
    quick: bool
    limit: int = 0

    def seconds(self, usual: float) -> float:
        """Return for how many seconds to load a server: *usual*, with ``quick`` a third of it but at least 1."""
        return max(1.0, usual / 3) if self.quick else usual

    def count(self, usual: int) -> int:
        """Return a number of connections or repetitions: *usual*, with ``quick`` a quarter of it but at least 1."""
        wanted = max(1, usual // 4) if self.quick else usual
        return min(wanted, self.limit) if self.limit else wanted

    def most_viewers(self, wanted: int) -> int:
        """Return *wanted*, or fewer if a server may not open so many descriptors."""
        return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE)


@dataclass
class Scene:
    """A running server, the viewers connected to it, and what publishes to it.

    Attributes:
        viewers_each: number of viewers of each session.
    """

    deployment: Deployment
    load: Load
    publisher: Publisher
    viewers_each: int

    def measure(self, publish: Callable[[], Published]) -> Figures:
        """Publish, wait until every viewer has everything or nothing came for 3 s, and return the cost and the delays.

        Returns:
            ``cpu_us`` and ``redis_us`` are the CPU of the server and of Redis for each update that reached a viewer;
            ``p50_us`` and ``p99_us`` percentiles of the time from sending to reading; ``lost`` and ``duplicated`` count
            updates over all viewers, ``closed`` connections that ended; ``per_s`` is the deliveries a second; ``load``,
            ``busy`` and ``robot`` are the shares of a core that the load generator, the server and publishing used.
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
        """Publish and wait for the viewers as measure() does, without measuring."""
        sent = self.publisher.steady(rate, updates)
        self.load.report(sent.updates * self.viewers_each, quiet_s=_QUIET_S)


def peer(name: str) -> Peer:
    """Return the peer called *name*."""
    return PEERS[name]


@contextlib.contextmanager
def storing(
    bench: Bench, name: str, sessions: int, *, updates: int, heartbeat_s: float = Options.heartbeat_s
) -> Iterator[Deployment]:
    """Run the peer *name* with *sessions* stored sessions of *updates* updates, none of which it has served yet.

    Args:
        heartbeat_s: see Options.
    """
    made = peer(name)
    options = Options(heartbeat_s, messages=sessions * updates)
    with made.running(bench.directory, options, started=not made.needs_redis) as deployment:
        made.seed(deployment, sessions, updates=updates)
        if made.needs_redis:  # else the server itself stores them
            deployment.start()
        rest(deployment.server)
        yield deployment


def rest(server: Process) -> None:
    """Wait until *server* has nothing more to do, so that the work of what came before is not measured."""
    until_s = time.monotonic() + _RESTLESS_S
    while time.monotonic() < until_s:
        cpu = server.cpu_us()
        time.sleep(_REST_S)
        if server.cpu_us() - cpu < _REST * _REST_S * 1e6:
            return


def grown(figures: Figures) -> Figures:
    """Return *figures* with ``<name>_growth`` for each ``<name>_<number>``: the greatest number's to the least one's."""
    numbered: dict[str, dict[int, float]] = {}
    for key, value in figures.items():
        stem, _, number = key.rpartition("_")
        if number.isdecimal():
            numbered.setdefault(stem, {})[int(number)] = value
    ratios = {f"{stem}_growth": of[max(of)] / of[min(of)] for stem, of in numbered.items() if len(of) > 1 and of[min(of)]}
    return figures | ratios


@contextlib.contextmanager
def scene(bench: Bench, name: str, way: str, *, viewers: int, sessions: int, **options: Any) -> Iterator[Scene]:
    """Run the peer *name* with *viewers* viewers spread over *sessions* sessions.

    Args:
        way: how the viewers connect: a key of ``Peer.ways``.
        viewers: a multiple of *sessions*.
        options: further arguments of Load.
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
