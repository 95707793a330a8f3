"""Hands in to Redis what robots have left in files: their process ended before Redis answered again.

Blocking, for robots and the command line; the server has watchers/adoption.py. A robot that writes files in place of
Redis marks its session in a folder of its own, so that the next robot there need not look through the sessions of
months. Several processes may hand in the same session at once: every update has a number and a writer, so none is
stored twice.
"""

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..errors import BadDocument
from ..progress.run import Run
from ..progress.session_id import is_session_id
from ..progress.session_state import SAME_CLOCK_S
from .base import NotCurrent
from .files.names import session_of_file
from .files.writer import FileWriter
from .redis import writer

logger = logging.getLogger(__name__)

_FOLDER = ".unsent"


def mark(directory: Path, session_id: str) -> None:
    """Remember that the files of a session have something that Redis lacks; never raises."""
    with suppress(OSError):
        (directory / _FOLDER).mkdir(parents=True, exist_ok=True)
        (directory / _FOLDER / session_id).touch()


def unmark(directory: Path, session_id: str) -> None:
    """Forget a mark; never raises."""
    with suppress(OSError):
        (directory / _FOLDER / session_id).unlink()
        (directory / _FOLDER).rmdir()  # fails while there are others


def hand_in_marked(directory: Path, redis: writer.RedisWriter, but: str = "") -> None:
    """Hand in the marked sessions, except *but*; never raises.

    Args:
        redis: not opened yet; it is closed at the end.
    """
    try:
        names = [path.name for path in (directory / _FOLDER).iterdir() if is_session_id(path.name)]
    except OSError:  # no such folder: nobody has left anything
        return
    with suppress(*writer.ERRORS):
        hand_in(directory, (name for name in names if name != but), redis)


def sessions_in(directory: Path) -> list[str]:
    """Return the sessions that have files in *directory*; raises OSError."""
    named = (session_of_file(path.name) for path in directory.iterdir())
    return sorted({name[1] for name in named if name is not None})


def hand_in(directory: Path, session_ids: Iterable[str], redis: writer.RedisWriter) -> int:
    """Hand in the runs of our trackers among *session_ids*, and delete their files.

    The files of a run that is not the current one stay, and so do those of other robots.

    Args:
        redis: not opened yet; it is closed at the end.

    Returns:
        How many runs were in the files alone, as far as that is known, and are in Redis now.

    Raises:
        One of writer.ERRORS: Redis can't be reached, or failed.
    """
    redis.open()
    try:
        return sum(_hand_in(FileWriter(directory), session_id, redis) for session_id in session_ids)
    finally:
        redis.close()


def _hand_in(files: FileWriter, session_id: str, redis: writer.RedisWriter) -> bool:
    try:
        state = files.read(session_id)
        if state is None or not state.own:
            unmark(files.directory, session_id)
            return False
        run = Run.resume(session_id, state)
        run.base = 0  # nothing is known to be stored in Redis
        ahead_ms = (redis.clock_ms() or 0) - files.clock_ms()
        if abs(ahead_ms) > SAME_CLOCK_S * 1000:
            run.rebase(run.began + ahead_ms)
        deadline_s = time.monotonic() + writer.PATIENCE_S
        while (call := redis.next_call(run)) is not None or not files.hand_over(run):
            if call is not None:
                redis.send(call, deadline_s)
    except NotCurrent:
        unmark(files.directory, session_id)
        return False
    except (BadDocument, OSError) as error:
        logger.warning("Session %s can't be handed in (%s).", session_id, error)
        return False
    unmark(files.directory, session_id)
    logger.info("Session %s was only in files; Redis has it now.", session_id)
    return True
