"""Robots in a process of their own: real trackers, each in a thread, and a log of their calls.

Run as ``python -m tests.support.faults.robots LOG PLAN``, with the tracker's settings in the environment. Reads the
lines ``pause``, ``go`` and ``stop`` from standard input; on ``stop`` every robot ends its run and the process ends.

The log has one line per call, ``U session epoch seq called_s block_s``: *seq* is the last update that the call made,
*called_s* when the call began (monotonic), *block_s* how long it took. At the end of a run it has
``E session json``, see End.
"""

import json
import logging
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rpa_server.tracker import ProgressTracker
from tests.support.server import ROOT, wait_until


@dataclass(frozen=True)
class Plan:
    """What the robots of one process should do.

    Attributes:
        sessions: the sessions, with one robot for each.
        every_s: seconds between two calls of a robot.
        files: whether the robots write files while Redis does not answer.
        payload: how many bytes of text each step has in ``dados_extra``.
        start_s: each robot starts at a random moment within this many seconds.
    """

    sessions: Sequence[str]
    every_s: float = 0.1
    files: bool = True
    payload: int = 0
    start_s: float = 0.5


class Report(NamedTuple):
    """One call of a robot: the position of the last update it made, when it began (monotonic), and its duration."""

    epoch: str
    seq: int
    called_s: float
    block_s: float


class End(NamedTuple):
    """The end of a robot: its final snapshot, the number of updates that no store accepted, and its last backend."""

    snapshot: dict[str, Any]
    lost: int
    backend: str


class Robots:
    """Starts a process with robots and reads its log.

    Args:
        directory: for the logs.
        plan: what the robots do.
        redis_url, data_dir: the robots' ``RPA_REDIS_URL`` and ``RPA_DATA_DIR``.
        prefix: words before the command, ``ip netns exec NAME`` for example.
        environ: more environment variables.
    """

    def __init__(
        self,
        directory: Path,
        plan: Plan,
        redis_url: str,
        data_dir: Path,
        prefix: Sequence[str] = (),
        **environ: str,
    ) -> None:
        self.plan = plan
        self.log = directory / f"robots-{plan.sessions[0]}.log"
        self.stderr = self.log.with_suffix(".err")
        self._prefix = prefix
        self._environ = {**os.environ, "RPA_REDIS_URL": redis_url, "RPA_DATA_DIR": str(data_dir), **environ}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, wait_s: float = 60.0) -> None:
        """Start the process; return when every robot has made its first call, within *wait_s*."""
        words = [*self._prefix, sys.executable, "-m", __name__, str(self.log), json.dumps(asdict(self.plan))]
        with self.stderr.open("ab") as errors:
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=errors, cwd=ROOT, env=self._environ)
        wait_until(lambda: len(self.reports()) == len(self.plan.sessions), wait_s)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def tell(self, word: str) -> None:
        """Send ``pause``, ``go`` or ``stop``."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")
        self._process.stdin.flush()

    def stop(self, timeout_s: float = 60.0) -> None:
        """Make every robot end its run and wait for the process; raise AssertionError if one did not end its run."""
        if self._process is None:
            return
        self.tell("stop")
        code = self._process.wait(timeout_s)
        self._close()
        assert code == 0 and set(self.ends()) == set(self.plan.sessions), self.stderr.read_text()[-4000:]

    def kill(self) -> None:
        """End the process with SIGKILL; does nothing if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._close()

    def _close(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        self._process = None

    def _lines(self, kind: str) -> Iterator[list[str]]:
        if self.log.exists():
            for line in self.log.read_text().splitlines():
                if line.startswith(kind):
                    yield line[2:].split(" ", 3)

    def reports(self) -> dict[str, list[Report]]:
        """Return the calls so far, by session."""
        found: dict[str, list[Report]] = {}
        for session, epoch, seq, times in self._lines("U "):
            called_s, _, block_s = times.partition(" ")
            found.setdefault(session, []).append(Report(epoch, int(seq), float(called_s), float(block_s)))
        return found

    def ends(self) -> dict[str, End]:
        """Return the ends of the robots that have ended, by session."""
        return {words[0]: End(**json.loads(" ".join(words[1:]))) for words in self._lines("E ")}

    @property
    def findings(self) -> list[str]:
        """The lines that the process wrote to standard error, which are the trackers' log."""
        return self.stderr.read_text().splitlines()


@contextmanager
def working(*fleet: Robots) -> Iterator[None]:
    """Run the processes of *fleet* for the length of the block; those still running after it are killed."""
    try:
        for robots in fleet:
            robots.start()
        yield
    finally:
        for robots in fleet:
            robots.kill()


# -- the process


class _Robot:
    def __init__(self, session_id: str, plan: Plan, log: int, stopping: threading.Event, going: threading.Event) -> None:
        self._session_id = session_id
        self._plan = plan
        self._log = log
        self._stopping = stopping
        self._going = going
        self._text = "x" * plan.payload

    def run(self) -> None:
        time.sleep(random.random() * self._plan.start_s)
        began = time.monotonic()
        tracker = ProgressTracker(15, self._plan.files, self._session_id)
        self._note(tracker, 1, began)
        seq, due = 1, time.monotonic()
        while not self._stopping.is_set():
            due = max(due + self._plan.every_s, time.monotonic())
            self._stopping.wait(due - time.monotonic())
            self._going.wait()
            if self._stopping.is_set():
                break
            seq += 1
            began = time.monotonic()
            tracker.update_progress(1 + seq % 14, f"passo {seq}", {"n": seq, "texto": self._text})
            self._note(tracker, seq, began)
        began = time.monotonic()
        tracker.finalizar("success", {"plano_recomendado": {"valor": "R$ 2.914,35"}})
        self._note(tracker, seq + 1, began)
        end = End(tracker.get_progress(), tracker.lost, tracker.backend)
        os.write(self._log, f"E {self._session_id} {json.dumps(end._asdict())}\n".encode())

    def _note(self, tracker: ProgressTracker, seq: int, began: float) -> None:
        block_s = time.monotonic() - began
        line = f"U {self._session_id} {tracker._run.epoch} {seq} {began:.6f} {block_s:.6f}\n"
        os.write(self._log, line.encode())


def main(log: str, plan: Mapping[str, Any]) -> None:
    """Run the robots of *plan* (a Plan as a mapping) until ``stop``; append their calls to the file *log*."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s")
    made = Plan(**plan)
    stopping, going = threading.Event(), threading.Event()
    going.set()
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    robots = [_Robot(session_id, made, file, stopping, going) for session_id in made.sessions]
    threads = [threading.Thread(target=robot.run) for robot in robots]
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        match line.strip():
            case "pause":
                going.clear()
            case "go":
                going.set()
            case "stop":
                break
    stopping.set()
    going.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
