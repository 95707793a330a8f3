"""Checks whether the directory of the files can be read and written."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from . import json_files

#: For how many seconds an answer is used, so that asking often costs nothing.
_FRESH_S = 2.0


class Health:
    """The health of one directory.

    Args:
        directory: holds the files.
        threads: runs what blocks.
    """

    def __init__(self, directory: Path, threads: Executor) -> None:
        self._directory = directory
        self._threads = threads
        self._checking: asyncio.Future[dict[str, str]] | None = None
        self._began_s = 0.0

    async def check(self) -> dict[str, str]:
        """Return ``reading`` and ``writing``, each ``ok`` or one sentence with the reason; callers share an answer."""
        if self._checking is None or (self._checking.done() and time.monotonic() - self._began_s > _FRESH_S):
            self._began_s = time.monotonic()
            self._checking = asyncio.get_running_loop().run_in_executor(self._threads, self._check)
        return await asyncio.shield(self._checking)

    def _check(self) -> dict[str, str]:
        return {
            "reading": _try("listed", lambda: os.scandir(self._directory).close()),
            "writing": _try("written", lambda: json_files.check_writable(self._directory)),
        }


def _try(verb: str, work: Callable[[], None]) -> str:
    """Return ``ok``, or why *work* fails, without the directory's path: whoever reaches the server may ask."""
    try:
        work()
    except OSError as error:
        return f"The data directory can't be {verb} ({error.strerror})."
    return "ok"
