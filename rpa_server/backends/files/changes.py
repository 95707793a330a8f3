"""Finds out which sessions to read again: the kernel reports changed files, and watched sessions are looked at.

The kernel's reports may be lacking: no inotify instance or watch is left, the directory can't be made, or another
machine writes into it. And a read may have found a file torn or changing, after which nothing reports anything. So the
files of every watched session are compared now and then with those that were read last: often while there are no
reports, soon after such a read, seldom otherwise.
"""

import asyncio
import logging
import os
import random
import re
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, aclosing, contextmanager, suppress
from pathlib import Path

from watchfiles import Change, awatch

from ...backoff import delay
from ...tasks import cancel
from . import json_files
from .json_files import Signature
from .names import WATCHED, session_of_file

logger = logging.getLogger(__name__)

#: Milliseconds between two looks of the watching thread: a change is reported after one to two such steps.
_STEP_MS = 20
#: Milliseconds between two checks, while nothing changes, that the path still leads to the same directory.
_LOOK_MS = 1000
#: Seconds between two attempts to get reports from the kernel.
_AGAIN_S = 5.0
#: Seconds between two looks at the watched sessions: while nothing else reports changes, and otherwise.
_OFTEN_S, _SELDOM_S = 0.25, 2.0
#: Seconds from a read that did not find the newest state to the next look, doubled with every further one.
_SOON_S = 0.05
#: Looking takes this part of the time at most, and so of a core.
_SHARE = 0.05
#: Seconds between two sweeps of temporary files.
_SWEEP_S = 3600.0

_ERRNO = re.compile(r"os error (\d+)")


class Changes:
    """The changes in one directory.

    Args:
        directory: created if it is missing; it may be replaced while it is being watched.
        last_read: returns the signature with which a session was read last, () if that read did not find its newest
            state, None if nothing is known of it. Called in a thread.
        threads: runs what blocks.

    Attributes:
        deaf: one sentence that says why the kernel reports no changes, None while it does.
    """

    def __init__(self, directory: Path, last_read: Callable[[str], Signature | None], threads: Executor) -> None:
        self._directory = directory
        self._last_read = last_read
        self._threads = threads
        self._pending: list[set[str]] = []  # reports that were not fetched yet
        self._arrived = asyncio.Event()
        self._doubted = asyncio.Event()
        self._seen: dict[str, Signature] = {}  # of the watched sessions at the last look
        self.deaf: str | None = None

    def doubt(self) -> None:
        """Request a look soon: a read did not find the newest state of a session."""
        self._doubted.set()

    async def report(self, watched: Callable[[], Collection[str]]) -> AsyncGenerator[set[str], None]:
        """Yield the ids of sessions to read again, for ever; see Notifier.changes()."""
        tasks = {asyncio.create_task(work) for work in (self._listen(), self._look(watched), self._sweep())}
        for task in tasks:
            task.add_done_callback(lambda _: self._arrived.set())
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                for task in tasks:
                    if task.done():
                        task.result()
                pending, self._pending = self._pending, []
                for session_ids in pending:
                    yield session_ids
        finally:
            await cancel(tasks)

    def _add(self, session_ids: set[str]) -> None:
        self._pending.append(session_ids)
        self._arrived.set()

    # -- reports of the kernel

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except (OSError, RuntimeError) as error:  # watchfiles raises a RuntimeError of its own
                self._become_deaf(_reason(error))
                await asyncio.sleep(_AGAIN_S)

    async def _hear(self) -> None:
        """Pass the kernel's reports on until the directory is replaced."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with _identity(self._directory) as identity:
            first = True
            reports = awatch(
                self._directory,
                watch_filter=_counts,
                debounce=20,
                step=_STEP_MS,
                rust_timeout=_LOOK_MS,
                yield_on_timeout=True,
                recursive=False,
                ignore_permission_denied=True,
            )
            async with aclosing(reports):
                async for batch in reports:
                    if first:
                        self._become_hearing()
                    if batch:
                        self._add({named[1] for _, path in batch if (named := session_of_file(Path(path).name))})
                    first = False
                    if _inode(self._directory) != identity:
                        return

    def _become_hearing(self) -> None:
        if self.deaf is not None:
            logger.info("Changed files are reported again.")
        self.deaf = None
        self._add(set())

    def _become_deaf(self, reason: str) -> None:
        if self.deaf is None:
            logger.warning(
                "Changed files in %s are not reported (%s), so those of watched sessions are looked at every %g s.",
                self._directory, reason, _OFTEN_S,
            )  # fmt: skip
            self._add(set())
        self.deaf = f"Changed files are not reported ({reason}); those of watched sessions are looked at."
        self._doubted.set()  # ends the long pause between two looks

    # -- looks at watched sessions

    async def _look(self, watched: Callable[[], Collection[str]]) -> None:
        loop = asyncio.get_running_loop()
        pause_s, least_s, doubts = _SELDOM_S, 0.0, 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._doubted.wait()
                    await asyncio.sleep(max(least_s, delay(doubts + 1, _SOON_S, _SELDOM_S, random.random())))
            self._doubted.clear()
            began_s = time.monotonic()
            changed = await loop.run_in_executor(self._threads, self._compare, list(watched()))
            if changed:
                self._add(changed)
            doubts = doubts + 1 if changed else 0
            least_s = (time.monotonic() - began_s) / _SHARE
            pause_s = max(_SELDOM_S if self.deaf is None else _OFTEN_S, least_s)

    def _compare(self, session_ids: list[str]) -> set[str]:
        """Return those of the sessions whose files are not those that were read, or seen at the last look."""
        seen = {session_id: json_files.signature(self._directory, session_id) for session_id in session_ids}
        before, self._seen = self._seen, seen
        changed = set()
        for session_id, now in seen.items():
            read = self._last_read(session_id)
            known = before.get(session_id) if read is None else read
            if now != known and (any(now) or known is not None):
                changed.add(session_id)
        return changed

    # -- temporary files

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await loop.run_in_executor(self._threads, json_files.remove_abandoned, self._directory)
            await asyncio.sleep(_SWEEP_S)


def _reason(error: Exception) -> str:
    """Say what kept the kernel from reporting, without the directory's path: readiness shows it."""
    found = _ERRNO.search(str(error))
    number = int(found[1]) if found else getattr(error, "errno", None)
    text = os.strerror(number) if number else type(error).__name__
    return text if isinstance(error, OSError) else f"{text}: fs.inotify.max_user_instances or max_user_watches is used up"


def _counts(change: Change, path: str) -> bool:
    named = session_of_file(path.rpartition("/")[2])
    return named is not None and named[0] in WATCHED


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
