"""Plays recorded runs through the real tracker, as fast as they were recorded or at another speed."""

import time
from pathlib import Path

from ..errors import BadDocument
from ..progress.session_id import is_session_id
from ..tracker import ProgressTracker
from . import recording
from .live_line import LiveLine
from .recording import Recording


def load(path: Path) -> Recording:
    """Read a recording; raises BadDocument with a one-sentence message for users."""
    try:
        return recording.parse(path.read_bytes())
    except OSError as error:
        raise BadDocument(f"{path} can't be read ({error.strerror}).") from None
    except BadDocument as error:
        raise BadDocument(f"{path} is not a recorded run. {error}") from None


def play(path: Path, speed: float, session_id: str | None) -> None:
    """Play one recording and show it on a live line.

    Args:
        path: a history document, ``history_<sid>.json``.
        speed: how many times as fast as recorded.
        session_id: used instead of the recorded session id; None to use that one.

    Raises:
        BadDocument: the file is not a recording or names no usable session, or some update could not be stored.
    """
    recorded = load(path)
    name = session_id or recorded.session_id
    if not is_session_id(name):
        raise BadDocument(f"{path} names no usable session; give one with --session.")
    tracker = ProgressTracker(recorded.total, session_id=name)
    began = time.monotonic()
    with LiveLine(str(name)) as shown:
        for number, step in enumerate(recorded.steps, 1):
            time.sleep(max(0.0, began + step.at_s / speed - time.monotonic()))
            step.report(tracker)
            shown.show(step.text, 100 * number / len(recorded.steps))
    if tracker.lost:
        raise BadDocument(f"{path}: {tracker.lost} updates could not be stored; the log says why.")
