"""Robots that are killed while they write files. Run as ``python -m tests.support.faults.doomed TIMES SESSION …``.

Each robot is a process that reports as fast as it can until SIGKILL comes after 2 to 60 ms; then the next robot begins,
with the next session of the list. ``RPA_DATA_DIR`` names the directory. Prints how many robots there were.
"""

import itertools
import os
import random
import signal
import sys
import time

import filelock  # noqa: F401 - a robot's first write loads it, which takes longer than some of these robots live

from rpa_server.tracker import ProgressTracker

_LIFE_S = (0.002, 0.06)


def _write(session_id: str) -> None:
    tracker = ProgressTracker(session_id=session_id, tipo="json")
    for number in itertools.count(1):
        tracker.update_progress(1 + number % 14, f"passo {number}", {"texto": "x" * 2000})


def main(times: int, sessions: list[str]) -> None:
    """Start and kill *times* robots, one after the other; they use *sessions* in turn."""
    for number in range(times):
        writer = os.fork()
        if writer == 0:
            _write(sessions[number % len(sessions)])
        time.sleep(random.uniform(*_LIFE_S))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    print(times)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
