"""Reads and writes the sessions in ``rpa_data/``.

Deployed robots truncate and rewrite their files, so a read may find an empty or torn file, or one that changes meanwhile.
Then the read is retried; if that does not help, the last good state is returned, and Changes has the session read again
until its newest state was found. A broken file that has not changed for a while counts as broken for good, and is left
out if another file of the run can be read. Unchanged files are not read again, whether good or broken.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ... import safejson
from ...errors import BadDocument, StorageUnavailable, Unreadable
from ...log import RateLimit
from ...progress.run import Run
from ...progress.session_state import SessionState
from ...progress.update import own_update
from ..base import TTL_S, takes
from . import json_files
from .changes import Changes
from .health import Health
from .json_files import Signature
from .listing import Listing
from .lock import SessionLock
from .names import journal_name
from .reader import Read, Reader

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_KEPT = 512
#: Threads that read and write sessions, so that these never wait for what else the process does in threads.
_THREADS = 4
#: How often a session is read until all of its files are sound: one that was read before, and any other one. The latter has
#: no good state to return, and a snapshot alone makes another run of it, for which pages have to be reset.
_TRIES, _FIRST_TRIES = 4, 16
#: Seconds before the second try; each further pause is longer by as much, up to four times.
_PAUSE_S = 0.005


class FileStore:
    """The JSON files of all sessions.

    Args:
        directory: holds the files; created when it is first needed.

    Attributes:
        broken: number of reads that found unusable files and so returned the last good state or None. Files that are
            already known to be broken for good are not counted again.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: OrderedDict[str, Read] = OrderedDict()  # by session id, the least recently read first
        self._writing = asyncio.Lock()
        self._log_limit = RateLimit()
        self._threads = ThreadPoolExecutor(_THREADS, "rpa-files")
        self._reader = Reader(directory)
        self._listing = Listing(directory)
        self._changes = Changes(directory, self._last_read, self._threads)
        self._health = Health(directory, self._threads)
        self.broken = 0

    async def _in_thread(self, function: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
        """Return the state of a session, None if it has no files; if they are broken, the last good state or None.

        Args:
            after: see Store.read(); the state has all updates that are kept.

        Raises:
            StorageUnavailable: the files can't be read now, and were never read before.
        """
        kept = self._kept.get(session_id)
        state = kept.state if kept else None
        tries = _FIRST_TRIES if state is None else _TRIES
        for attempt in range(1, tries + 1):
            try:
                read = await self._in_thread(self._reader.read, session_id, kept, attempt == tries)
            except BadDocument as error:
                failure = error
            else:
                if read.broken is not None and read is not kept:
                    self.broken += 1
                    self._log(session_id, read.broken)
                self._keep(session_id, read)
                return read.state
            await asyncio.sleep(_PAUSE_S * min(attempt, 4))
        self.broken += 1
        self._keep(session_id, Read((), state))
        if isinstance(failure, Unreadable):
            self._log(session_id, str(failure))
            if state is None:
                raise StorageUnavailable("The session's files can't be read now; the log says why.")
        return state

    def _log(self, session_id: str, reason: str) -> None:
        suppressed = self._log_limit.allow(time.monotonic())
        if suppressed is not None:
            logger.warning("Session %s can't be read: %s (%d more before)", session_id, reason, suppressed)

    def _keep(self, session_id: str, read: Read) -> None:
        if read.signature == ():
            self._changes.doubt()
        elif read.state is None and read.broken is None:
            self._kept.pop(session_id, None)
            return
        self._kept[session_id] = read
        self._kept.move_to_end(session_id)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    async def sessions(self, limit: int, newer_than_s: float = TTL_S) -> list[str]:
        """Return the ids of the sessions whose files changed most recently, newest first.

        Args:
            limit: the most ids to return.
            newer_than_s: leave out sessions whose files have not changed for this many seconds.

        Raises:
            StorageUnavailable: the directory can't be listed.
        """
        return [name for name, _ in await self.changed(limit, newer_than_s)]

    async def changed(self, limit: int, newer_than_s: float) -> list[tuple[str, int]]:
        """Like sessions(), but return pairs of an id and the time of the change, in nanoseconds since 1970."""
        return await self._listing.changed(limit, newer_than_s)

    async def append(self, run: Run) -> bool:
        """Write the documents of *run*; see Store.append()."""
        async with self._writing:
            try:
                return await self._in_thread(self._append, run)
            except OSError as error:
                raise StorageUnavailable(f"{self._directory} can't be written ({error.strerror}).") from None

    def _append(self, run: Run) -> bool:
        lock = SessionLock(self._directory, run.session_id)
        with lock.held():
            try:
                state = self._reader.read(run.session_id, self._kept.get(run.session_id), last_try=True).state
            except BadDocument:  # a deployed robot's files, which no lock protects
                state = None
            if state is not None and not takes(state, run, time.time()):
                return False
            self._write(run)
            if run.snapshot["final"]:
                lock.remove()
            return True

    async def clock_ahead_s(self) -> float:
        """Return 0: the file system has this computer's clock."""
        return 0.0

    def _write(self, run: Run) -> None:
        entries = [safejson.dumps(entry) for entry in run.entries]
        if json_files.is_long(run.seq, entries):
            self._directory.mkdir(parents=True, exist_ok=True)
            journal = self._directory / journal_name(run.session_id)
            journalled = _last_seq(journal, run.epoch)
            fresh = (update.raw for update in run.updates if update.seq > journalled)
            json_files.append_lines(journal, fresh)
        history = json_files.encode_history(run.history_head(), entries)
        json_files.write_all(self._directory, run.session_id, {**run.brief_documents(), "history": history})

    def changes(self, watched: Callable[[], Collection[str]]) -> AsyncGenerator[set[str], None]:
        """Yield the ids of sessions whose files changed, for ever; see Notifier.

        The directory is created if it is missing, and may be replaced while it is being watched.
        """
        return self._changes.report(watched)

    async def health(self) -> dict[str, str]:
        """Tell of reading, writing and hearing of changes whether they work: ``ok``, or one sentence with the reason."""
        return {**await self._health.check(), "hearing": self._changes.deaf or "ok"}

    def _last_read(self, session_id: str) -> Signature | None:
        """Return the signature with which a session was read last, see Changes; called in a thread."""
        kept = self._kept.get(session_id)
        return None if kept is None else kept.signature if kept.holds(kept.signature) else ()


def _last_seq(journal: Path, epoch: str) -> int:
    """Return the number of the last update in a journal, 0 if it has none of the run *epoch*."""
    with suppress(BadDocument):  # append_lines() writes it anew, or says what is wrong
        for line in reversed(json_files.last_lines(journal)):
            if (update := own_update(line)) is not None:
                return update.seq if update.epoch == epoch else 0
    return 0
