"""The tracker's way into ``rpa_data/``: the deployed file names and shapes, each replaced in one step.

A run of ordinary length is in its history document, whole. One that outgrows it goes on in a journal, a line an
update, so that a long outage costs each update the same; its history document then follows once a second.
"""

import time
from pathlib import Path

from .. import jsonfiles, naming
from ..documents import State, from_files
from ..run import HISTORY, Run

_HISTORY_EVERY_S = 1.0


class FileWriter:
    """Stores one run as JSON files.

    Args:
        directory: made at the first write.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._swept = False
        self._journalled = 0
        self._history_due_s = 0.0

    def write(self, run: Run) -> None:
        """Write the run's documents; raises OSError."""
        if not self._swept:
            self._swept = True
            jsonfiles.sweep(self._directory)
        documents = run.documents()
        if run.seq > HISTORY:
            self._journal(run)
            now_s = time.monotonic()
            if now_s < self._history_due_s and not run.snapshot["final"]:
                del documents["history"]
            else:
                self._history_due_s = now_s + _HISTORY_EVERY_S
        jsonfiles.write_all(self._directory, run.session_id, documents)

    def _journal(self, run: Run) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        fresh = [update for update in run.updates if update.seq > self._journalled]
        jsonfiles.append_lines(
            self._directory / naming.journal_name(run.session_id), (update.raw for update in fresh)
        )
        self._journalled = run.seq

    def read(self, session_id: str) -> State | None:
        """Return what the files hold of a session, None for nothing; raises BadDocument."""
        progress = jsonfiles.read(self._directory / naming.file_name("progress", session_id))
        history = jsonfiles.read(self._directory / naming.file_name("history", session_id))
        journal = jsonfiles.last_lines(self._directory / naming.journal_name(session_id))
        return from_files(session_id, progress, history, journal)

    def delete(self, session_id: str) -> None:
        """Delete every file of a session; raises OSError."""
        jsonfiles.remove_all(self._directory, session_id)
        self._journalled = 0
