"""The history document follows its updates: what is where, and when, whatever becomes of the robot."""

import gc
import json
import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from rpa_server import jsonfiles, naming
from rpa_server.tracker import ProgressTracker
from rpa_server.tracker.files import FileWriter

from .support import ROOT, await_history, wait_until

SID = "s"
THREAD = "rpa-tracker-history"

pytestmark = pytest.mark.usefixtures("robot_alone")


def numbers(directory: Path) -> list[int]:
    """Return the numbers of the updates that the history document holds now."""
    history = directory / naming.file_name("history", SID)
    return [entry["seq"] for entry in json.loads(history.read_bytes())["historico"]] if history.exists() else []


def journal(directory: Path) -> Path:
    return directory / naming.journal_name(SID)


def known(directory: Path) -> list[int]:
    """Return the numbers of the updates that whoever reads all files finds."""
    state = FileWriter(directory).read(SID)
    return [] if state is None else [update.seq for update in state.updates]


def robot(code: str) -> "subprocess.CompletedProcess[str]":
    """Run *code* as a robot's process, with a tracker ``t``."""
    begin = f"import os, signal\nfrom rpa_server.tracker import ProgressTracker\nt = ProgressTracker(session_id='{SID}')\n"
    return process(begin + code)


def process(code: str) -> "subprocess.CompletedProcess[str]":
    """Run *code* in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True, timeout=30
    )


def test_when_a_call_is_back_its_update_can_be_read(data_dir: Path) -> None:
    """In the journal and in the snapshot; the document that PHP reads has it a moment later."""
    tracker = ProgressTracker(session_id=SID)
    for number in range(2, 40):
        tracker.update_progress(3, str(number))
        assert known(data_dir) == list(range(1, number + 1))
        assert json.loads((data_dir / f"progress_{SID}.json").read_bytes())["seq"] == number
    wait_until(lambda: numbers(data_dir) == list(range(1, 40)), 1.0)


def test_a_burst_costs_few_documents(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in 50 ms, however many updates there are; the robot writes its snapshot alone."""
    written: list[tuple[str, str]] = []
    write = jsonfiles.write

    def listening(path: str | Path, document: Any) -> None:
        written.append((Path(path).name, threading.current_thread().name))
        write(path, document)

    monkeypatch.setattr(jsonfiles, "write", listening)
    tracker = ProgressTracker(session_id=SID)
    for number in range(300):
        tracker.update_progress(3, str(number))
    await_history(data_dir, SID)
    assert numbers(data_dir) == list(range(1, 302))
    assert [name for name, thread in written if thread != THREAD] == [f"progress_{SID}.json"] * 301
    assert {name for name, thread in written if thread == THREAD} == {f"history_{SID}.json"}
    assert len(written) - 301 < 30


def test_the_end_is_in_every_document_when_finalizar_is_back(data_dir: Path) -> None:
    """Then the journal has nothing that they lack, and is gone; what comes behind the end changes nothing of that."""
    tracker = ProgressTracker(session_id=SID)
    tracker.update_progress(3, "Tela 3")
    tracker.finalizar("success")
    assert numbers(data_dir) == [1, 2, 3]
    assert not journal(data_dir).exists()
    tracker.update_progress(3, "Tela 3 outra vez")
    assert numbers(data_dir) == known(data_dir) == [1, 2, 3, 4]
    assert not journal(data_dir).exists()


def test_a_robot_that_is_killed_leaves_every_update(data_dir: Path) -> None:
    """Whoever reads the journal finds what the history document did not come to."""
    done = robot("for n in range(20): t.update_progress(3, str(n))\nos.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    assert known(data_dir) == list(range(1, 22))


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "1 / 0", "del t"])
def test_a_robot_that_ends_leaves_a_whole_history(data_dir: Path, end: str) -> None:
    """With or without an error, with or without a word."""
    done = robot(f"for n in range(20): t.update_progress(3, str(n))\n{end}")
    assert numbers(data_dir) == list(range(1, 22)), done.stderr


def test_what_is_told_while_the_interpreter_ends_is_in_the_history(data_dir: Path) -> None:
    """A robot's own clean-up may run behind ours."""
    early = "import atexit\natexit.register(lambda: t.update_progress(4, 'tchau'))\n"
    code = f"{early}from rpa_server.tracker import ProgressTracker\nt = ProgressTracker(session_id='{SID}')\n"
    done = process(code)
    assert numbers(data_dir) == [1, 2], done.stderr


def test_a_robot_that_forks_goes_on_in_the_child(data_dir: Path) -> None:
    """The child has no thread of its parent's, and a lock that was held while it was made is held for ever."""
    lock = "t._storage._files._history._lock"
    done = robot(f"""
import time
time.sleep(0.3)  # the parent owes nothing any more
with {lock}:
    child = os.fork()
if child:
    os.waitpid(child, 0)
    os._exit(0)
for n in range(3):
    t.update_progress(4, "filho")
    """)
    assert done.returncode == 0, done.stderr
    assert numbers(data_dir) == known(data_dir) == [1, 2, 3, 4]


def test_what_is_deleted_does_not_come_back(data_dir: Path) -> None:
    """What the thread was about to write is forgotten."""
    tracker = ProgressTracker(session_id=SID)
    for number in range(20):
        tracker.update_progress(3, str(number))
        tracker.limpar_dados()
    threading.Event().wait(0.2)
    assert list(data_dir.iterdir()) == []
    tracker.update_progress(1, "de novo")
    await_history(data_dir, SID)
    assert numbers(data_dir) == known(data_dir) == [1]


def test_a_new_run_has_a_journal_of_its_own(data_dir: Path) -> None:
    """What an earlier run left there is gone, since its end will never come."""
    ProgressTracker(session_id=SID).update_progress(9)
    ProgressTracker(session_id=SID).update_progress(1)
    assert len(journal(data_dir).read_bytes().splitlines()) == 2
    assert known(data_dir) == [1, 2]


def test_a_history_that_can_not_be_written_loses_nothing(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told once; every update is in the journal, and in the history as soon as that can be written."""
    (data_dir / f"history_{SID}.json").mkdir(parents=True)
    tracker = ProgressTracker(session_id=SID)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            tracker.update_progress(3, str(number))
            threading.Event().wait(0.12)
    assert [record.getMessage()[:26] for record in caplog.records].count("A history can't be written") == 1
    assert tracker.lost == 0
    assert [json.loads(line)["seq"] for line in journal(data_dir).read_bytes().splitlines()] == [1, 2, 3, 4]
    (data_dir / f"history_{SID}.json").rmdir()
    tracker.update_progress(4)
    await_history(data_dir, SID)
    assert numbers(data_dir) == [1, 2, 3, 4, 5]


def test_a_tracker_that_is_dropped_leaves_a_history_and_no_thread(data_dir: Path) -> None:
    """A process that runs one robot after the other does not collect threads."""
    for _ in range(5):
        tracker = ProgressTracker(session_id=SID)
        tracker.update_progress(3)
        del tracker
        gc.collect()
        assert numbers(data_dir) == [1, 2]
    wait_until(lambda: not any(thread.name == THREAD for thread in threading.enumerate()), 2.0)


def test_the_thread_is_there_only_where_files_are_written(data_dir: Path) -> None:
    """A tracker that writes nothing, or whose Redis answers, has none."""
    before = threading.active_count()
    tracker = ProgressTracker(session_id=SID, tipo="none")
    tracker.update_progress(3)
    assert threading.active_count() == before
    assert not data_dir.exists()
