"""The list of measurements: the function of each, the subjects that it is run for, and the columns of its table."""

from collections.abc import Callable
from dataclasses import dataclass

from rpa_server.progress.update import HISTORY

from . import calls, connections, files, first_looks, polls, robot, start, streams, workers
from .bench import LENGTHS, Bench, Figures


def _nothing() -> str | None:
    """Return None: there is no reason not to run the measurement."""
    return None


_STREAMS = ("nchan", "plan", "socketio", "aiohttp", "rpa", "rpa-uvloop")
#: _STREAMS and the bare relay, which costs about the least possible in Python: a lower bound for our own figures.
_WITH_FLOOR = (*_STREAMS, "relay")
_BOTH = ("nchan", "rpa", "rpa-uvloop")
#: For what takes minutes.
_BRIEF = ("nchan", "rpa-uvloop")


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


def _by_length(
    key: str,
    heading: str,
    scale: float = 1.0,
    digits: int = 1,
    lengths: tuple[int, ...] = LENGTHS,
    *,
    ratio: bool = True,
    growth: bool = True,
) -> tuple[Column, ...]:
    """Return a column of a figure for each length of the stored run, and one of its growth.

    Args:
        ratio: as in Column, for the greatest length.
        growth: whether there is a column of the growth.
    """
    columns = [Column(f"{key}_{length}", f"{heading} at {length:,}", scale, digits) for length in lengths[:-1]]
    columns.append(Column(f"{key}_{lengths[-1]}", f"at {lengths[-1]:,}", scale, digits, ratio))
    if growth:
        columns.append(Column(f"{key}_growth", f"{lengths[-1]:,} : {lengths[0]:,}", digits=2))
    return tuple(columns)


_SETUP_OWN = (
    *_by_length("cpu_us", "CPU us"),
    *_by_length("resident", "RSS kB", 1e-3, 2),
    *_by_length("per_s", "set-ups /s", digits=0, ratio=False, growth=False),
    Column(f"redis_us_{LENGTHS[-1]}", f"Redis us at {LENGTHS[-1]:,}"),
    Column(f"load_{LENGTHS[0]}", "load gen. %", 100, 0),
)
_RECOVER = tuple(
    column
    for key, heading in (("current", "current"), ("missed", "20 missed"))
    for column in (
        *_by_length(f"{key}_ms", f"{heading}: ms"),
        *_by_length(f"{key}_cpu_us", "CPU us/client", digits=0, ratio=False, growth=False),
    )
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
        "setup-own", "5,000 connections, each on its own stored session of 40 and of 500 updates, WebSocket",
        first_looks.setup_own, _BRIEF, _SETUP_OWN,
    ),
    Measurement(
        "setup-own-sse", "5,000 connections, each on its own stored session of 40 and of 500 updates, SSE",
        first_looks.setup_own_events, _BRIEF, _SETUP_OWN,
    ),
    Measurement(
        "upkeep-own", "5,000 idle WebSockets during two heartbeats: on one session, and each on its own",
        first_looks.upkeep_own, _BRIEF,
        (
            Column("one", "one session: CPU ms/s", 1e-3, 2, ratio=True), Column("own", "their own", 1e-3, 2, ratio=True),
            Column("ratio", "own : one", digits=2), Column("pinged", "own, pinged", 1e-3, 2, ratio=True),
            Column("connections", "connections", digits=0),
        ),
    ),
    Measurement(
        "late", "first message of stored runs of 40 and 500 updates, WebSocket: one joiner at a time; then 1,000 at once",
        first_looks.late, _BOTH,
        (
            *_by_length("p50_us", "p50 us", digits=0), *_by_length("p99_us", "p99 us", digits=0),
            *_by_length("cpu_us", "CPU us/joiner", digits=0), *_by_length("crowd_ms", "all at once: ms", digits=0),
            *_by_length("crowd_cpu_us", "CPU us/joiner", digits=0, growth=False),
        ),
    ),
    Measurement(
        "recover", "500 clients of one session come back at once, with a current cursor and behind 20 updates, WebSocket",
        first_looks.recover, _BOTH, _RECOVER,
    ),
    Measurement(
        "recover-sse", "500 clients of one session come back at once, with a current cursor and behind 20 updates, SSE",
        first_looks.recover_events, _BOTH, _RECOVER,
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
        "deployed-poll", "CPU of one poll at a time: of a session never polled before, unchanged, and after an update",
        calls.deployed_poll, calls.POLLS,
        (
            *_by_length("first_us", "first: ms", 1e-3, 3), *_by_length("again_us", "again: ms", 1e-3, 3),
            *_by_length("after_us", "after an update: ms", 1e-3, 3),
            Column(f"redis_us_{LENGTHS[-1]}", f"Redis ms at {LENGTHS[-1]:,}", 1e-3, 3),
        ),
    ),
    Measurement(
        "publish-http", "CPU of one update posted over HTTP to a stored session: the first one, and the next",
        calls.publish_http, _BOTH,
        (
            *_by_length("first_us", "first: ms", 1e-3, 3), *_by_length("next_us", "next: ms", 1e-3, 3),
            Column(f"redis_us_{LENGTHS[-1]}", f"Redis ms at {LENGTHS[-1]:,}", 1e-3, 3),
        ),
    ),
    Measurement(
        "files-follow", "CPU of an update of one followed session in files mode, 10 updates/s", files.files_follow,
        ("rpa-files",),
        (
            *_by_length("cpu_us", "CPU ms", 1e-3, 2, files.STORED, ratio=False),
            *_by_length("p50_us", "p50 ms", 1e-3, 1, files.STORED, ratio=False, growth=False),
            Column("quiet", "quiet ms/s", 1e-3, 2), Column("lost", "lost", digits=0),
        ),
    ),
    Measurement(
        "start", "from the start of the process until it listens, and until it has answered a poll; medians of 7",
        start.start, _BOTH,
        (
            Column("listens_ms", "listens s", 1e-3, 3, ratio=True),
            *_by_length("answers_ms", "answers s", 1e-3, 3), Column("cpu_ms", "CPU s", 1e-3, 3, ratio=True),
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
