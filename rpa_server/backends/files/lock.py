"""The lock that makes the writers of one session take turns; readers need none.

Blocking. The lock is a file beside the session's own; it goes when the run ends, or with them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .names import lock_name

if TYPE_CHECKING:
    from filelock import FileLock

#: How many seconds a write waits for another process that has the lock; a write takes a millisecond.
_PATIENCE_S = 0.3


class SessionLock:
    """The lock of one session's files, for one process: a forked child makes one of its own.

    Args:
        directory: the data directory; created if it is missing.
        session_id: a checked session id.
    """

    def __init__(self, directory: Path, session_id: str) -> None:
        self._directory = directory
        self._session_id = session_id
        self._pid = 0
        self._lock: FileLock | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; raises OSError if another process has had it for _PATIENCE_S, or it can't be made."""
        lock = self._of_this_process()
        try:
            lock.acquire()
        except FileNotFoundError:  # no such directory
            self._directory.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def remove(self) -> None:
        """Delete the file while the lock is held, because the session will hardly be written again; never raises.

        Whoever waits for the lock notices that, and makes a new file.
        """
        with suppress(OSError):
            (self._directory / lock_name(self._session_id)).unlink()

    def _of_this_process(self) -> "FileLock":
        if self._lock is None or self._pid != os.getpid():
            # Loading this library takes 30 ms, which a robot whose Redis always answers need not spend.
            from filelock import FileLock

            path = self._directory / lock_name(self._session_id)
            self._lock, self._pid = FileLock(path, timeout=_PATIENCE_S, thread_local=False), os.getpid()
        return self._lock
