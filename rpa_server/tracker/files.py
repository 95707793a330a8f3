"""The tracker's way into ``rpa_data/``: the deployed file names and shapes, each replaced in one step.

An update is in the journal, as a line, and in the snapshot before the robot goes on; the history document follows, see
history.py. With the end of the run it is written at once, and where it has everything the journal goes.
"""

import weakref
from pathlib import Path
from typing import Any

from .. import jsonfiles, naming
from ..documents import from_files
from ..events import HISTORY
from ..run import Run
from ..standing import State
from .history import HistoryFollower


class FileWriter:
    """Stores one run as JSON files.

    Args:
        directory: made at the first write.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._epoch = ""
        self._journalled = 0  # the last update that is in the journal
        self._swept = False
        self._history = HistoryFollower(directory)
        weakref.finalize(self, self._history.close)  # also where the interpreter ends

    def write(self, run: Run) -> None:
        """Write the run's documents; raises OSError."""
        if not self._swept:
            self._swept = True
            jsonfiles.sweep(self._directory)
        if run.epoch != self._epoch:
            self._begin(run)
        self._journal(run)
        if run.snapshot["final"]:
            self._write_end(run)
        else:
            jsonfiles.write_all(self._directory, run.session_id, run.brief_documents())
            self._history.owe(run.session_id, run.history_head(), tuple(run.entries))

    def _write_end(self, run: Run) -> None:
        with self._history.replaced() as encode:
            documents: dict[str, dict[str, Any] | bytes] = {**run.brief_documents()}
            documents["history"] = encode(run.history_head(), run.entries)
            jsonfiles.write_all(self._directory, run.session_id, documents)
        if run.seq <= HISTORY:
            self._journal_path(run.session_id).unlink(missing_ok=True)
            self._journalled = 0

    def _begin(self, run: Run) -> None:
        self._epoch = run.epoch
        self._journalled = 0
        if run.base == 0:
            self._journal_path(run.session_id).unlink(missing_ok=True)  # an earlier run's

    def _journal(self, run: Run) -> None:
        lacking = min(run.seq - self._journalled, len(run.updates))
        lines = [run.updates[place].raw for place in range(-lacking, 0)]
        path = self._journal_path(run.session_id)
        try:
            jsonfiles.append_lines(path, lines)
        except FileNotFoundError:  # rare enough not to be looked for every time
            self._directory.mkdir(parents=True, exist_ok=True)
            jsonfiles.append_lines(path, lines)
        self._journalled = run.seq

    def _journal_path(self, session_id: str) -> Path:
        return self._directory / naming.journal_name(session_id)

    def read(self, session_id: str) -> State | None:
        """Return what the files hold of a session, None for nothing; raises BadDocument."""
        progress = jsonfiles.read(self._directory / naming.file_name("progress", session_id))
        history = jsonfiles.read(self._directory / naming.file_name("history", session_id))
        journal = jsonfiles.last_lines(self._journal_path(session_id))
        return from_files(session_id, progress, history, journal)

    def delete(self, session_id: str) -> None:
        """Delete every file of a session; raises OSError."""
        with self._history.replaced():
            jsonfiles.remove_all(self._directory, session_id)
        self._journalled = 0
