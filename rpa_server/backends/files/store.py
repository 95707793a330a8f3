"""Reads and writes the sessions in ``rpa_data/``, and watches the directory for changes.

Deployed robots truncate and rewrite their files, so a read may find an empty or torn file. Then the read is retried; if
that does not help, the last good state is returned. A broken file that has not changed for a second counts as broken
for good, and is left out if another file of the run can be read. Unchanged files are not read again, whether good or
broken.
"""

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from watchfiles import Change, awatch

from ...errors import BadDocument, StorageUnavailable
from ...log import RateLimit
from ...progress.documents import from_files
from ...progress.run import Run
from ...progress.session_state import SessionState, supersede
from ...progress.update import own_update
from ..base import TTL_S
from . import json_files
from .names import file_name, journal_name, session_of_file

logger = logging.getLogger(__name__)

_KEPT = 512
_TRIES = 4
_PAUSE_S = 0.005
#: A file that is unchanged for this many nanoseconds is not being written any more. A shorter time would not do, since
#: some file systems round times to whole seconds.
_SETTLED_NS = 10**9
#: Milliseconds between two looks of the watching thread: a change is reported after one to two such steps.
_STEP_MS = 20
#: Milliseconds between two checks, while nothing changes, that the path still leads to the same directory.
_LOOK_MS = 1000
#: The kinds of files that are watched. The session file is not: a robot that ends a run writes the result file, too.
_WATCHED = ("progress", "history", "updates", "result")
_RUNNING, _ENDS = ("progress", "history"), ("result", "session")

_Signature = tuple[tuple[int, int, int] | None, ...]


class _Read(NamedTuple):
    """The result of reading a session's files, valid as long as they have this signature.

    Attributes:
        signature: modification time, size and inode of each file, None for a missing one.
        state: the state in the files; if they are broken, the last good state. None if there is none.
        broken: the files are broken for good: reading them again is useless until they change.
    """

    signature: _Signature
    state: SessionState | None
    broken: bool = False


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
        self._kept: OrderedDict[str, _Read] = OrderedDict()  # by session id, the least recently read first
        self._writing = asyncio.Lock()
        self._log_limit = RateLimit()
        self.broken = 0

    async def read(self, session_id: str) -> SessionState | None:
        """Return the state of a session, None if it has no files; if they are broken, the last good state or None."""
        kept = self._kept.get(session_id)
        for attempt in range(1, _TRIES + 1):
            try:
                read = await asyncio.to_thread(self._read, session_id, kept, attempt == _TRIES)
            except BadDocument as error:
                logger.debug("Session %s: %s", session_id, error)
            else:
                self.broken += read.broken and read is not kept
                self._keep(session_id, read)
                return read.state
            await asyncio.sleep(_PAUSE_S)
        self.broken += 1
        return kept.state if kept else None

    def _read(self, session_id: str, kept: _Read | None, last_try: bool) -> _Read:
        """Read the documents unless they are unchanged since *kept*, the last read.

        Raises:
            BadDocument: a document is broken, perhaps because it is just being written; a retry may find it complete.
        """
        paths = [*(self._path(kind, session_id) for kind in (*_RUNNING, *_ENDS)), self._journal(session_id)]
        signature = tuple(map(_signature, paths))
        if kept is not None and kept.signature == signature:
            return kept
        before = kept.state if kept else None
        files = dict(zip((*_RUNNING, *_ENDS, "journal"), signature, strict=True))
        changed_ns = max((file[0] for file in signature if file), default=0)
        may_be_broken = {kind for kind, file in files.items() if file and _is_settled(file[0])}
        if last_try:
            may_be_broken |= {*_ENDS} if before else {*_RUNNING, *_ENDS}
        try:
            state = self._state(session_id, may_be_broken)
        except BadDocument as error:
            if not _is_settled(changed_ns):
                raise
            suppressed = self._log_limit.allow(time.monotonic())
            if suppressed is not None:
                logger.warning("Session %s can't be read: %s (%d more before)", session_id, error, suppressed)
            return _Read(signature, before, broken=True)
        if state is not None:
            if before is not None and state.sparse and before.started == state.started:
                state = supersede(before, state)
            state = replace(state, written_s=changed_ns / 1e9)
        return _Read(signature, state)

    def _state(self, session_id: str, may_be_broken: set[str]) -> SessionState | None:
        """Build the state from the documents.

        Args:
            may_be_broken: kinds of documents to leave out if they can't be read; the others must be readable.

        Raises:
            BadDocument: a document of another kind can't be read, or the readable ones describe no run.
        """
        documents: dict[str, dict[str, Any] | None] = {}
        failure = BadDocument("none of its files can be read")
        for kind in (*_ENDS, *_RUNNING):
            try:
                documents[kind] = json_files.read(self._path(kind, session_id))
            except BadDocument as error:
                if kind not in may_be_broken:
                    raise
                documents[kind], failure = None, error
        state = from_files(
            session_id,
            documents["progress"],
            documents["history"],
            json_files.last_lines(self._journal(session_id)),
            result=documents["result"],
            session=documents["session"],
        )
        running = [*(self._path(kind, session_id) for kind in _RUNNING), self._journal(session_id)]
        if state is None and any(map(_signature, running)):
            raise failure
        return state

    def _path(self, kind: str, session_id: str) -> Path:
        return self._directory / file_name(kind, session_id)

    def _journal(self, session_id: str) -> Path:
        return self._directory / journal_name(session_id)

    def _keep(self, session_id: str, read: _Read) -> None:
        if read.state is None and not read.broken:
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
        return await asyncio.to_thread(self._changed, limit, newer_than_s)

    def _changed(self, limit: int, newer_than_s: float) -> list[tuple[str, int]]:
        found: dict[str, int] = {}
        oldest_ns = max(0.0, time.time() - newer_than_s) * 1e9
        try:
            for path in self._directory.iterdir():
                name = session_of_file(path.name)
                signature = _signature(path)
                if name is not None and name[0] in _WATCHED and signature is not None and signature[0] >= oldest_ns:
                    found[name[1]] = max(signature[0], found.get(name[1], 0))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageUnavailable(f"{self._directory} can't be listed ({error.strerror}).") from None
        return sorted(found.items(), key=lambda item: item[1], reverse=True)[:limit]

    async def append(self, run: Run) -> bool:
        """Write the documents of *run*; see Store.append()."""
        async with self._writing:
            state = await self.read(run.session_id)
            if state is not None and (state.seq != run.base if state.epoch == run.epoch else not run.replaces):
                return False
            try:
                await asyncio.to_thread(self._write, run)
            except OSError as error:
                raise StorageUnavailable(f"{self._directory} can't be written ({error.strerror}).") from None
            return True

    def _write(self, run: Run) -> None:
        if run.seq > len(run.entries):
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._journal(run.session_id)
            known = _last_seq(path, run.epoch)
            json_files.append_lines(path, (update.raw for update in run.updates if update.seq > known))
        json_files.write_all(self._directory, run.session_id, run.documents())

    async def changes(self) -> AsyncIterator[set[str]]:
        """Yield the ids of sessions whose files changed, for ever; see Notifier.

        The directory is created if it is missing, and may be replaced while it is being watched.
        """
        await asyncio.to_thread(json_files.remove_abandoned, self._directory)
        while True:
            self._directory.mkdir(parents=True, exist_ok=True)
            with _identity(self._directory) as identity:
                first = True
                async for batch in awatch(
                    self._directory,
                    watch_filter=_counts,
                    debounce=20,
                    step=_STEP_MS,
                    rust_timeout=_LOOK_MS,
                    yield_on_timeout=True,
                    recursive=False,
                    ignore_permission_denied=True,
                ):
                    if first:
                        yield set()
                    if batch:
                        yield {named[1] for _, path in batch if (named := session_of_file(Path(path).name))}
                    first = False
                    if _inode(self._directory) != identity:
                        break


def _counts(change: Change, path: str) -> bool:
    named = session_of_file(path.rpartition("/")[2])
    return named is not None and named[0] in _WATCHED


def _is_settled(changed_ns: int) -> bool:
    return time.time_ns() - changed_ns > _SETTLED_NS


def _last_seq(journal: Path, epoch: str) -> int:
    """Return the number of the last update in a journal, 0 if that is of another run than *epoch*."""
    last = next(map(own_update, reversed(json_files.last_lines(journal))), None)
    return last.seq if last is not None and last.epoch == epoch else 0


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


@contextmanager
def _identity(directory: Path) -> Iterator[int | None]:
    """Yield the directory's inode number, and keep the directory open, so that no new one can get the same number."""
    with ExitStack() as stack:
        with suppress(OSError):  # Windows can't open a directory, but does not reuse its number either
            stack.callback(os.close, os.open(directory, os.O_RDONLY))
        yield _inode(directory)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
