"""Lists the sessions in a directory by the time of their last change.

Listing a directory of 60,000 sessions takes a fifth of a second. So callers share one reading of the directory, in a
thread of its own, and the answer of a long one serves those who ask within the next moments, too.
"""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...errors import StorageUnavailable
from .names import WATCHED, session_of_file

#: For how many times the seconds that a reading took its answer is used: reading takes a third of a core at most.
_WORTH = 2.0
#: A reading that took fewer seconds is repeated for every caller that comes after it.
_SHORT_S = 0.05

_Listed = list[tuple[str, int]]


class Listing:
    """The sessions of one directory.

    Args:
        directory: holds the files; a missing one has no sessions.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._thread = ThreadPoolExecutor(1, "rpa-listing")
        self._reading: asyncio.Future[_Listed] | None = None
        self._fresh_until_s = 0.0

    async def changed(self, limit: int, newer_than_s: float) -> _Listed:
        """Return the sessions whose files changed most recently, newest first.

        Args:
            limit: the most sessions to return.
            newer_than_s: leave out sessions whose files have not changed for this many seconds.

        Returns:
            Pairs of an id and the time of the change, in nanoseconds since 1970.

        Raises:
            StorageUnavailable: the directory can't be listed.
        """
        if self._reading is None or (self._reading.done() and time.monotonic() >= self._fresh_until_s):
            self._reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read)
            self._reading.add_done_callback(_retrieved)
        try:
            listed = await asyncio.shield(self._reading)  # a caller that goes away does not stop it for the others
        except OSError as error:
            raise StorageUnavailable(f"{self._directory} can't be listed ({error.strerror}).") from None
        oldest_ns = max(0.0, time.time() - newer_than_s) * 1e9
        return [item for item in listed[:limit] if item[1] >= oldest_ns]

    def _read(self) -> _Listed:
        began_s = time.monotonic()
        found: dict[str, int] = {}
        try:
            with os.scandir(self._directory) as files:
                for file in files:
                    name = session_of_file(file.name)
                    if name is not None and name[0] in WATCHED and (changed_ns := _changed_ns(file)) is not None:
                        found[name[1]] = max(changed_ns, found.get(name[1], 0))
        except FileNotFoundError:
            return []
        finally:
            took_s = time.monotonic() - began_s
            self._fresh_until_s = 0.0 if took_s < _SHORT_S else time.monotonic() + _WORTH * took_s
        return sorted(found.items(), key=lambda item: item[1], reverse=True)


def _retrieved(reading: asyncio.Future[_Listed]) -> None:
    """Keep asyncio from logging an exception for which every caller came and went."""
    if not reading.cancelled():
        reading.exception()


def _changed_ns(file: os.DirEntry[str]) -> int | None:
    """Return when a file was last changed, None for a link or a file that is gone by now."""
    try:
        return None if file.is_symlink() else file.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return None
