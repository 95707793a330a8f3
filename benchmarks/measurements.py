"""The list of measurements: the function of each, the subjects that it is run for, and the columns of its table."""

from collections.abc import Callable
from dataclasses import dataclass

from rpa_server.progress.update import HISTORY

from . import connections, polls, robot, streams, workers
from .bench import Bench, Figures


def _nothing() -> str | None:
    """Return None: there is no reason not to run the measurement."""
    return None


_STREAMS = ("nchan", "plan", "socketio", "aiohttp", "rpa", "rpa-uvloop")
#: _STREAMS and the bare relay, which costs about the least possible in Python: a lower bound for our own figures.
_WITH_FLOOR = (*_STREAMS, "relay")
_BOTH = ("nchan", "rpa", "rpa-uvloop")


@dataclass(frozen=True)
class Column:
    """A column of a table: one figure of each subject.

    Attributes:
        key: the figure's name in Figures.
        heading: head of the column, with the unit.
        scale: factor from the figure to that unit.
        digits: number of digits after the decimal point.
        ratio: whether a second column has the ratio to the first subject's figure.
    """

    key: str
    heading: str
    scale: float = 1.0
    digits: int = 1
    ratio: bool = False


@dataclass(frozen=True)
class Measurement:
    """One kind of work that several subjects are measured at.

    Attributes:
        name: how ``--only`` names it.
        title: the heading of its table.
        run: measures one subject once.
        subjects: the names of the subjects; ratios are to the first one.
        columns: the columns of its table.
        missing: returns why the measurement can't be run, None if it can.
    """

    name: str
    title: str
    run: Callable[[Bench, str], Figures]
    subjects: tuple[str, ...]
    columns: tuple[Column, ...]
    missing: Callable[[], str | None] = _nothing


_LOST = (Column("lost", "lost", digits=0), Column("duplicated", "twice", digits=0))
_HONEST = (*_LOST, Column("load", "load gen. %", 100, 0))
_DELAYS = (
    Column("p50_us", "p50 ms", 1e-3, 2),
    Column("p99_us", "p99 ms", 1e-3, 2, ratio=True),
)
_DELIVERY = (
    Column("cpu_us", "CPU us/delivery", ratio=True), *_DELAYS, Column("redis_us", "Redis us", digits=2), *_HONEST,
)  # fmt: skip
_UNICAST = (
    Column("cpu_us", "CPU us/update", ratio=True),
    Column("p50_us", "p50 us", digits=0),
    Column("p99_us", "p99 us", digits=0, ratio=True),
    Column("redis_us", "Redis us"),
    Column("burst_cpu_us", "burst CPU us", ratio=True),
    Column("burst_per_s", "burst /s", digits=0),
    *_LOST,
    Column("load", "load gen. %", 100, 0),
    Column("burst_load", "in burst %", 100, 0),
)
_IDLE = (
    Column("setup_us", "set-up CPU us", ratio=True),
    Column("per_s", "set-ups /s", digits=0),
    Column("resident", "RSS kB", 1e-3, 2, ratio=True),
    Column("load", "load gen. %", 100, 0),
)
_GROWTH = (
    *(Column(f"net_{level}", f"us at {level:,}") for level in (100, 1000, 10_000)),
    Column("net", "10,000 : 100", digits=2),
    *(Column(f"upkeep_{level}", f"upkeep ms/s at {level:,}", 1e-3, digits=2) for level in (100, 10_000)),
    Column("gross", "10,000 : 100 with it", digits=2),
    Column("others", "others", digits=0),
    Column("lost", "lost", digits=0),
)

MEASUREMENTS = (
    Measurement("broadcast", "1 session x 1,000 viewers, 20 updates/s, WebSocket", streams.broadcast, _STREAMS, _DELIVERY),
    Measurement(
        "broadcast-sse", "1 session x 1,000 viewers, 20 updates/s, SSE", streams.broadcast_events, _BOTH, _DELIVERY
    ),
    Measurement(
        "wide", "1 session x 18,000 viewers (or the descriptor limit), 1 update/s, WebSocket",
        streams.wide, ("nchan", "plan", "rpa-uvloop"), (*_DELIVERY, Column("viewers", "viewers", digits=0)),
    ),
    Measurement(
        "wide-sse", "1 session x 18,000 viewers (or the descriptor limit), 1 update/s, SSE",
        streams.wide_events, ("nchan", "rpa-uvloop"), (*_DELIVERY, Column("viewers", "viewers", digits=0)),
    ),
    Measurement(
        "unicast", "1,000 sessions x 1 viewer, 1,000 updates/s, then a burst of 20,000, WebSocket",
        streams.unicast, _WITH_FLOOR, _UNICAST,
    ),
    Measurement(
        "unicast-sse", "1,000 sessions x 1 viewer, 1,000 updates/s, then a burst of 20,000, SSE",
        streams.unicast_events, _BOTH, _UNICAST,
    ),
    Measurement("idle", "connections that wait, WebSocket, all on one session", connections.idle, _STREAMS, _IDLE),
    Measurement(
        "idle-each", "connections that wait, WebSocket, each on its own session", connections.idle_each, _BOTH, _IDLE
    ),
    Measurement(
        "late", f"first state behind {HISTORY} updates, WebSocket: one joiner at a time; then 1,000 at once",
        connections.late, _BOTH,
        (
            Column("p50_us", "p50 us", digits=0, ratio=True), Column("p99_us", "p99 us", digits=0),
            Column("cpu_us", "CPU us/joiner", digits=0), Column("crowd_ms", "all at once: ms", digits=0),
            Column("crowd_cpu_us", "CPU us/joiner", digits=0, ratio=True),
        ),
    ),
    Measurement(
        "polls", f"polls of a session with {HISTORY} updates, 16 connections", polls.polls, _BOTH,
        (
            Column("per_s", "polls /s", digits=0, ratio=True), Column("cpu_us", "CPU us/poll"),
            Column("p50_us", "p50 us", digits=0), Column("p99_us", "p99 us", digits=0),
            Column("lost", "refused", digits=0), Column("load", "load gen. %", 100, 0),
        ),
    ),
    Measurement(
        "growth", "CPU of one session's update while others are open, WebSocket", connections.growth,
        ("nchan", "rpa-uvloop"), _GROWTH,
    ),
    Measurement(
        "robot", "the robot's call, against one bare SETEX or one bare atomic write", robot.robot, ("redis", "files"),
        (
            Column("ours_p50_us", "update_progress p50 us", digits=0), Column("ours_p99_us", "p99 us", digits=0),
            Column("bare_p50_us", "bare p50 us", digits=0), Column("bare_p99_us", "p99 us", digits=0),
            Column("ratio", "p50 : bare", digits=2),
        ),
    ),
    Measurement(
        "workers", "4 sessions x 250 viewers, as fast as they go, one process and two", workers.workers,
        ("rpa-1", "rpa-2"),
        (
            Column("per_s", "deliveries /s", digits=0, ratio=True),
            Column("ideal_per_s", "/s, a core each", digits=0, ratio=True),
            Column("cpu_us", "CPU us/delivery"), *_HONEST,
        ),
        workers.missing,
    ),
)  # fmt: skip
