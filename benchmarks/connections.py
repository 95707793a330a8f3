"""What connections cost: opening and keeping idle ones, and updates beside many idle ones."""

import contextlib
import statistics
import time
from functools import partial

from .bench import Bench, Figures, Scene, peer, scene
from .load import Load

_IDLE = 4000
_SETTLE_S = 1.0
_LEVELS = (100, 1000, 10_000)
_GROWTH_PER_S = 500.0
_STRETCHES, _STRETCH_S = 6, 1.0


def idle(bench: Bench, name: str, *, each: bool = False) -> Figures:
    """Open connections that are never sent an update, all on one session or, with *each*, each on its own session.

    Before that 50 connections are opened and closed, so that what a server does only once is not measured.
    """
    count = bench.count(_IDLE)
    sessions = count if each else 1
    made = peer(name)
    with made.running(bench.directory) as deployment:
        made.seed(deployment, sessions)
        server, way = deployment.server, made.ways["ws"]
        Load(bench.load, server.port, way, connections=50).close()
        time.sleep(_SETTLE_S)
        memory, cpu = server.resident(), server.cpu_us()
        with Load(bench.load, server.port, way, connections=count, sessions=sessions) as load:
            cpu = server.cpu_us() - cpu
            time.sleep(_SETTLE_S)
            return {
                "setup_us": cpu / count,
                "resident": (server.resident() - memory) / count,
                "per_s": count / load.opened["wall_us"] * 1e6,
                "load": load.opened["cpu_us"] / load.opened["wall_us"],
            }


def idle_each(bench: Bench, name: str) -> Figures:
    """Open connections that are never sent an update, each on a session of its own."""
    return idle(bench, name, each=True)


def growth(bench: Bench, name: str) -> Figures:
    """Update one session 500 times a second while 100, 1,000 and 10,000 other connections are open and idle.

    At each number, seconds with updates and seconds without alternate. ``net_<number>`` is the CPU of an update, from
    the difference between the medians of both kinds; ``gross_<number>`` is all CPU of the server per update. ``net``
    and ``gross`` are the ratios of the figure at 10,000 to that at 100.
    """
    figures: Figures = {"lost": 0.0}
    with contextlib.ExitStack() as stack:
        under_load = stack.enter_context(scene(bench, name, "ws", viewers=1, sessions=1))
        under_load.warm_up(_GROWTH_PER_S, 250)
        reached = 0
        for level in _LEVELS:
            more = bench.most_viewers(level) - reached
            peer(name).seed(under_load.deployment, more, first=1 + reached)
            stack.enter_context(
                Load(
                    bench.load, under_load.deployment.server.port, peer(name).ways["ws"],
                    connections=more, sessions=more, first=1 + reached,
                )
            )  # fmt: skip
            reached += more
            time.sleep(_SETTLE_S)
            level_figures = _level(under_load, bench.count(_STRETCHES))
            figures["lost"] += level_figures.pop("lost")
            figures |= {f"{key}_{level}": value for key, value in level_figures.items()}
    first, *_, last = _LEVELS
    figures["others"] = reached
    return figures | {kind: figures[f"{kind}_{last}"] / figures[f"{kind}_{first}"] for kind in ("gross", "net")}


def _level(under_load: Scene, stretches: int) -> Figures:
    """Measure at the present number of idle connections.

    ``upkeep`` is the CPU that the updates do not account for, in microseconds a second. A stretch with updates lasts
    longer than one without, since it ends when the viewer has them all. So CPU per second is compared.
    """
    server, updates = under_load.deployment.server, round(_GROWTH_PER_S * _STRETCH_S)
    busy, quiet, lengths, lost = [], [], [], 0.0
    began, cpu = time.monotonic(), server.cpu_us()
    for _ in range(stretches):
        before, at = server.cpu_us(), time.monotonic()
        time.sleep(_STRETCH_S)
        quiet.append((server.cpu_us() - before) / (time.monotonic() - at))
        before, at = server.cpu_us(), time.monotonic()
        lost += under_load.measure(partial(under_load.publisher.steady, _GROWTH_PER_S, updates))["lost"]
        lengths.append(time.monotonic() - at)
        busy.append((server.cpu_us() - before) / lengths[-1])
    spent, sent = server.cpu_us() - cpu, updates * stretches
    net = (statistics.median(busy) - statistics.median(quiet)) * statistics.median(lengths) / updates
    return {
        "net": net,
        "gross": spent / sent,
        "upkeep": (spent - net * sent) / (time.monotonic() - began),
        "lost": lost,
    }
