"""A robot that died while Redis was away: what it left in files is taken into Redis."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .support import ROOT, RedisServer, Server, running, wait_until

_ROBOT = """
from rpa_server.tracker import ProgressTracker
tracker = ProgressTracker(session_id="orphan", tipo="json")
for step in range(9):
    tracker.update_progress(step)
tracker.finalizar("success")
"""


def numbers(redis: RedisServer) -> list[int]:
    """Return the numbers that Redis holds of the session."""
    with redis.client() as client:
        entries: Any = client.xrange("rpa:history:orphan")
    return [int(name.split(b"-")[0]) for name, _ in entries]


@pytest.mark.parametrize("known", [0, 5], ids=["nothing", "the beginning"])
def test_the_files_of_a_dead_robot_are_adopted(data_dir: Path, redis_process: RedisServer, known: int) -> None:
    """Whatever Redis still has of the run, it has all of it soon after the server sees it."""
    server = Server(data_dir, redis_process.url)
    subprocess.run([sys.executable, "-c", _ROBOT], env={**server.environ, "RPA_REDIS_URL": "none"}, cwd=ROOT, check=True)
    with running(server):
        wait_until(lambda: numbers(redis_process) == list(range(1, 12)))
    if known:
        with redis_process.client() as client:
            kept: Any = client.xrange("rpa:history:orphan", count=known)
            client.delete("rpa:history:orphan")
            for name, fields in kept:
                client.xadd("rpa:history:orphan", fields, id=name)
            raw: Any = client.get("rpa:progress:orphan")
            client.set("rpa:progress:orphan", raw.replace(b'"seq":11', b'"seq":5'))
        with running(server):
            wait_until(lambda: numbers(redis_process) == list(range(1, 12)))
