"""Writes one run to ``rpa_data/``, for the tracker. File names and shapes are the deployed ones; writes are atomic.

A run of up to HISTORY updates is stored completely in its history document, unless they are very large. A longer run
continues in a journal, one line per update, so that not every update rewrites all entries; the history document is then
rewritten at most once a second, and at the end.
"""

import time
from collections import deque
from pathlib import Path
from typing import Any

from ... import safejson
from ...progress.documents import from_files
from ...progress.run import Run
from ...progress.session_state import SessionState
from ...progress.update import HISTORY
from . import json_files
from .names import file_name, journal_name

_HISTORY_EVERY_S = 1.0


class FileWriter:
    """Stores one run as JSON files.

    Args:
        directory: the data directory; created at the first write.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._epoch = ""
        self._encoded: deque[bytes] = deque(maxlen=HISTORY)  # the history's entries as JSON, each encoded only once
        self._encoded_seq = self._journalled = 0
        self._cleaned = False
        self._history_due_s = 0.0

    def write(self, run: Run) -> None:
        """Write the run's documents; raises OSError."""
        if not self._cleaned:
            self._cleaned = True
            json_files.remove_abandoned(self._directory)
        if run.epoch != self._epoch:
            self._forget(run.epoch)
        self._encode(run)
        documents: dict[str, dict[str, Any] | bytes] = {**run.brief_documents()}
        now_s = time.monotonic()
        complete = run.seq <= len(run.entries)
        if not complete:
            self._journal(run)
        if complete or now_s >= self._history_due_s or run.snapshot["final"]:
            self._history_due_s = now_s + _HISTORY_EVERY_S
            documents["history"] = json_files.encode_history(run.history_head(), self._encoded)
        json_files.write_all(self._directory, run.session_id, documents)

    def _forget(self, epoch: str) -> None:
        self._epoch = epoch
        self._encoded.clear()
        self._encoded_seq = self._journalled = 0
        self._history_due_s = 0.0

    def _encode(self, run: Run) -> None:
        lacking = min(run.seq - self._encoded_seq, len(run.entries))
        self._encoded.extend(safejson.dumps(run.entries[index]) for index in range(-lacking, 0))
        self._encoded_seq = run.seq
        while len(self._encoded) > len(run.entries):
            self._encoded.popleft()

    def _journal(self, run: Run) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        fresh = [update for update in run.updates if update.seq > self._journalled]
        json_files.append_lines(
            self._directory / journal_name(run.session_id), (update.raw for update in fresh)
        )
        self._journalled = run.seq

    def read(self, session_id: str) -> SessionState | None:
        """Return the stored state of a session, None if it has no files; raises BadDocument."""
        progress = json_files.read(self._directory / file_name("progress", session_id))
        history = json_files.read(self._directory / file_name("history", session_id))
        journal = json_files.last_lines(self._directory / journal_name(session_id))
        return from_files(session_id, progress, history, journal)

    def delete(self, session_id: str) -> None:
        """Delete every file of a session; raises OSError."""
        json_files.remove_all(self._directory, session_id)
        self._journalled = 0
