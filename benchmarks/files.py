"""What an update costs the server in files mode, while a page follows the run."""

import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from rpa_server.tracker import ProgressTracker

from .bench import Bench, Figures, grown, peer, rest
from .load import Load
from .messages import TEXT, session_id
from .processes import Process
from .robot import environment

STORED = (40, 400, 1000)
_PER_S = 10.0
_STRETCHES, _STRETCH_S = 5, 2.0


def files_follow(bench: Bench, name: str) -> Figures:
    """Update one session on files 10 times a second, while one page follows it over WebSocket.

    Seconds with updates and seconds without alternate, since the server looks at the directory by the clock.

    Returns:
        By the number of updates that were there before: ``cpu_us``, the CPU that an update adds, from the medians of
        both kinds, and ``p50_us``, from the robot's call to the page. ``quiet`` is the CPU without updates, in
        microseconds a second; ``lost`` counts updates.
    """
    figures: Figures = {"lost": 0.0}
    quiet: list[float] = []
    for stored in STORED:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=bench.directory)))
            deployment = stack.enter_context(peer(name).running(directory))
            stack.enter_context(environment(RPA_REDIS_URL="none", RPA_DATA_DIR=str(directory / "rpa_data")))
            tracker = ProgressTracker(session_id=session_id(0), tipo="json")
            for _ in range(stored - 1):
                _update(tracker)
            server, way = deployment.server, peer(name).ways["state"]
            rest(server)
            load = stack.enter_context(Load(bench.load, server.port, way, connections=1, messages=1))
            _follow(tracker, load, 2)
            of = [_stretch(server, tracker, load, bench.seconds(_STRETCH_S)) for _ in range(bench.count(_STRETCHES))]
        middle = {key: statistics.median(one[key] for one in of) for key in of[0]}
        figures[f"cpu_us_{stored}"] = middle["cpu_us"]
        figures[f"p50_us_{stored}"] = middle["p50_us"]
        figures["lost"] += sum(one["lost"] for one in of)
        quiet.append(middle["quiet"])
    return grown(figures | {"quiet": statistics.median(quiet)})


def _stretch(server: Process, tracker: ProgressTracker, load: Load, seconds: float) -> Figures:
    """Measure without updates, then with them."""
    cpu, at = server.cpu_us(), time.monotonic()
    time.sleep(seconds)
    quiet = (server.cpu_us() - cpu) / (time.monotonic() - at)
    updates = round(_PER_S * seconds)
    cpu, at = server.cpu_us(), time.monotonic()
    figures = _follow(tracker, load, updates)
    spent = server.cpu_us() - cpu - quiet * (time.monotonic() - at)
    return {"cpu_us": spent / updates, "quiet": quiet, **figures}


def _follow(tracker: ProgressTracker, load: Load, updates: int) -> Figures:
    for _ in range(updates):
        _update(tracker, t=time.time_ns() // 1000)
        time.sleep(1 / _PER_S)
    report = load.report(updates, quiet_s=3.0)
    return {"lost": updates - (report["delivered"] - report["duplicated"]), "p50_us": report["latency_us"]["p50"]}


def _update(tracker: ProgressTracker, **extra: int) -> None:
    tracker.update_progress(5, TEXT, {**extra, "tela": "selecao_tipo_veiculo", "tentativa": 1})
