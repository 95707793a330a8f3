"""Writes one run to ``rpa_data/``, for the tracker. File names and shapes are the deployed ones; writes are atomic.

A short run is stored completely in its history document. A long one, see json_files.is_long(), continues in a journal,
one line per update, so that not every update rewrites the whole history; the history document is then rewritten at most
once a second, and at the end.

Several processes may write a session: another run, or the same run in a forked child. So each write holds the session's
lock and first looks whether the snapshot is still the one that it wrote last.
"""

import time
from collections import deque
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ... import safejson
from ...errors import BadDocument
from ...progress.file_documents import from_files
from ...progress.order import may_replace
from ...progress.run import Run
from ...progress.session_state import SessionState
from ...progress.update import HISTORY
from ..base import NotCurrent
from . import json_files
from .lock import SessionLock
from .names import file_name, journal_name

_HISTORY_EVERY_S = 1.0


class FileWriter:
    """Stores one run as JSON files.

    Args:
        directory: the data directory; created at the first write.

    Attributes:
        directory: the data directory.
        stored: number of the last update of the run that the files have, 0 if they have none.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock_of = ""
        self._lock = SessionLock(directory, self._lock_of)
        self._begin("")

    def _begin(self, epoch: str) -> None:
        self._epoch = epoch
        self.stored = 0
        self._ours: json_files.FileSignature | None = None  # of the snapshot that this object wrote last
        self._history_due_s = 0.0
        self._renumber(0)

    def _renumber(self, version: int) -> None:
        self._version = version
        self._encoded: deque[bytes] = deque(maxlen=HISTORY)  # the history's entries as JSON, each encoded only once
        self._encoded_seq = 0
        self._journalled = self.stored if self.stored > HISTORY else 0

    def clock_ms(self) -> int:
        """Return the time of the file system in milliseconds since 1970; raises OSError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        return json_files.clock_ms(self.directory)

    def write(self, run: Run, settled: int = 0) -> None:
        """Write the run's documents, with the updates that other writers of the run have stored in them.

        Args:
            settled: the updates up to this number are stored elsewhere, too: those keep their numbers.

        Raises:
            NotCurrent: the files have a run that this one must not replace.
            OSError: the files can't be written, or another process keeps their lock.
        """
        if run.epoch != self._epoch:
            self._begin(run.epoch)
            self.stored = run.base
        with self._locked(run.session_id):
            self._join_others(run, settled)
            if run.version != self._version:
                self._renumber(run.version)
            self._write(run)
            if run.snapshot["final"]:
                self._lock.remove()

    def _write(self, run: Run) -> None:
        self._encode(run)
        documents: dict[str, dict[str, Any] | bytes] = {**run.brief_documents()}
        now_s = time.monotonic()
        if long := bool(self._journalled) or json_files.is_long(run.seq, self._encoded):
            self._journal(run)
        if not long or now_s >= self._history_due_s or run.snapshot["final"]:
            self._history_due_s = now_s + _HISTORY_EVERY_S
            documents["history"] = json_files.encode_history(run.history_head(), self._encoded)
        json_files.write_all(self.directory, run.session_id, documents)
        self._ours = json_files.file_signature(self._snapshot(run.session_id))
        self.stored = run.seq

    def _snapshot(self, session_id: str) -> Path:
        return self.directory / file_name("progress", session_id)

    def _locked(self, session_id: str) -> AbstractContextManager[None]:
        if self._lock_of != session_id:
            self._lock, self._lock_of = SessionLock(self.directory, session_id), session_id
        return self._lock.held()

    def _join_others(self, run: Run, settled: int) -> None:
        """Take over what other writers of the run have stored; raise NotCurrent if another run may not be replaced."""
        signature = json_files.file_signature(self._snapshot(run.session_id))
        if signature is None or signature == self._ours:
            return
        try:
            state = self.read(run.session_id)
        except BadDocument:  # a deployed robot was killed while it wrote, or somebody else damaged the files
            return
        if state is None or not state.own:
            return
        if state.epoch == run.epoch:
            if settled:
                run.absorb(state)
            else:
                run.rejoin(state, self.stored + 1)
                self.stored = state.seq
            return
        claim = run.claim(self.stored + 1)
        silence_s = (self.clock_ms() - signature[0] / 1e6) / 1000
        if not may_replace(claim, state.claim, silence_s):
            raise NotCurrent(state.epoch, claim.is_newer(state.claim))

    def _encode(self, run: Run) -> None:
        lacking = min(run.seq - self._encoded_seq, len(run.entries))
        self._encoded.extend(safejson.dumps(run.entries[index]) for index in range(-lacking, 0))
        self._encoded_seq = run.seq

    def _journal(self, run: Run) -> None:
        fresh = [update for update in run.updates if update.seq > self._journalled]
        json_files.append_lines(self.directory / journal_name(run.session_id), (update.raw for update in fresh))
        self._journalled = run.seq

    def read(self, session_id: str) -> SessionState | None:
        """Return the stored state of a session, None if it has no files; raises BadDocument."""
        progress = json_files.read(self._snapshot(session_id))
        history = json_files.read(self.directory / file_name("history", session_id))
        journal = json_files.last_lines(self.directory / journal_name(session_id))
        return from_files(session_id, progress, history, journal)

    def delete(self, session_id: str) -> None:
        """Delete every file of a session; raises OSError."""
        with self._locked(session_id):
            json_files.remove_all(self.directory, session_id)
        self._begin("")

    def hand_over(self, run: Run) -> bool:
        """Delete the files of *run*, whose updates are all stored elsewhere.

        Returns:
            False, with the files left, if another writer has stored updates of the run in them: *run* has these now,
            and they have to be stored elsewhere, too.

        Raises:
            OSError: the files can't be deleted.
            NotCurrent: the files have a newer run.
        """
        before = run.seq
        with self._locked(run.session_id):
            self._join_others(run, run.seq)
            if run.seq > before:
                self._ours = json_files.file_signature(self._snapshot(run.session_id))
                return False
            json_files.remove_all(self.directory, run.session_id)
        self._begin("")
        return True
