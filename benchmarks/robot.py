"""What ``update_progress`` costs the robot, compared with one bare write to the same store.

Both calls alternate in one process, so that the machine is equally busy for both. A run has 30 updates, as real runs
have.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rpa_server import safejson
from rpa_server.backends.base import TTL_S
from rpa_server.tracker import ProgressTracker
from tests.support.server import redis_server

from .bench import Bench, Figures

_RUNS = 60
_UPDATES = 30


def robot(bench: Bench, store: str) -> Figures:
    """Time ``update_progress``, and one SETEX (*store* is ``redis``) or one file replaced (``files``)."""
    ours: list[float] = []
    bare: list[float] = []
    data = bench.directory / "rpa_data"
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server()) if store == "redis" else None
        stack.enter_context(environment(RPA_REDIS_URL=redis.url if redis else "none", RPA_DATA_DIR=str(data)))
        client = stack.enter_context(redis.client()) if redis else None
        for count in range(bench.count(_RUNS)):
            tracker = ProgressTracker(session_id=f"robot-{count}", tipo="redis" if redis else "json")
            body = safejson.dumps(tracker.get_progress())
            write = _setex(client, body) if client else _replace(data, body)
            for step in range(_UPDATES):
                bare.append(_seconds(write))
                ours.append(_seconds(tracker.update_progress, 1 + step % 14, "Selecionando tipo de veículo"))
    figures = {f"{name}_{key}": value for name, of in (("ours", ours), ("bare", bare)) for key, value in _cuts(of)}
    return figures | {"ratio": figures["ours_p50_us"] / figures["bare_p50_us"]}


def _cuts(seconds: list[float]) -> Iterator[tuple[str, float]]:
    cuts = statistics.quantiles(seconds, n=100)
    yield "p50_us", cuts[49] * 1e6
    yield "p99_us", cuts[98] * 1e6


def _seconds(call: Callable[..., object], *arguments: Any) -> float:
    began = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - began


def _setex(client: Any, body: bytes) -> Callable[[], object]:
    return lambda: client.setex("bare", TTL_S, body)


def _replace(directory: Path, body: bytes) -> Callable[[], object]:
    """Return a function that writes *body* to a temporary file and renames that to bare.json."""
    path, temporary = directory / "bare.json", directory / "bare.json.tmp"

    def write() -> None:
        temporary.write_bytes(body)
        temporary.replace(path)

    return write


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for the length of the block."""
    before: Mapping[str, str] = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
