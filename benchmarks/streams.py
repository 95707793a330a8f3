"""What updates cost: to one session with many viewers, and to many sessions with one viewer each."""

import statistics

from .bench import Bench, Figures, scene

VIEWERS = 1000
BURST = 20_000
_BURSTS = 3
_PER_S = 20.0
_WIDE = 18_000
_WIDE_PER_S = 1.0


def broadcast(bench: Bench, name: str, way: str = "ws") -> Figures:
    """Publish 20 updates a second to one session with 1,000 viewers."""
    with scene(bench, name, way, viewers=VIEWERS, sessions=1) as under_load:
        under_load.warm_up(_PER_S, 10)
        return under_load.measure(lambda: under_load.publisher.steady(_PER_S, round(_PER_S * bench.seconds(4))))


def broadcast_events(bench: Bench, name: str) -> Figures:
    """Run ``broadcast`` over server-sent events."""
    return broadcast(bench, name, "sse")


def wide(bench: Bench, name: str, way: str = "ws") -> Figures:
    """Publish one update a second to one session with 18,000 viewers, or as many as the descriptors allow."""
    viewers = bench.most_viewers(bench.count(_WIDE))
    with scene(bench, name, way, viewers=viewers, sessions=1) as under_load:
        under_load.warm_up(_WIDE_PER_S, 1)
        updates = round(_WIDE_PER_S * bench.seconds(6))
        figures = under_load.measure(lambda: under_load.publisher.steady(_WIDE_PER_S, updates))
        return {"viewers": viewers, **figures}


def wide_events(bench: Bench, name: str) -> Figures:
    """Run ``wide`` over server-sent events."""
    return wide(bench, name, "sse")


def unicast(bench: Bench, name: str, way: str = "ws") -> Figures:
    """Publish to 1,000 sessions with one viewer each: 1,000 updates a second, then bursts of 20,000 at full speed.

    The figures ``burst_*`` are medians of three bursts.
    """
    with scene(bench, name, way, viewers=VIEWERS, sessions=VIEWERS) as under_load:
        under_load.warm_up(VIEWERS, VIEWERS)
        figures = under_load.measure(lambda: under_load.publisher.steady(VIEWERS, round(VIEWERS * bench.seconds(4))))
        bursts = [under_load.measure(lambda: under_load.publisher.burst(BURST)) for _ in range(_BURSTS)]
    for key in ("lost", "duplicated", "closed"):
        figures[key] += sum(burst.pop(key) for burst in bursts)
    return figures | {f"burst_{key}": statistics.median(burst[key] for burst in bursts) for key in bursts[0]}


def unicast_events(bench: Bench, name: str) -> Figures:
    """Run ``unicast`` over server-sent events."""
    return unicast(bench, name, "sse")
