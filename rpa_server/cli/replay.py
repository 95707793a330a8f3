"""Plays recorded runs through the real tracker, at their own pace or faster."""

import time
from pathlib import Path

import click

from ..errors import BadDocument
from ..progress.session_id import is_session_id
from ..tracker import ProgressTracker
from . import recording
from .recording import Recording


def load(path: Path) -> Recording:
    """Read a recording; raises BadDocument with one sentence for people."""
    try:
        return recording.parse(path.read_bytes())
    except OSError as error:
        raise BadDocument(f"{path} can't be read ({error.strerror}).") from None
    except BadDocument as error:
        raise BadDocument(f"{path} is not a recorded run. {error}") from None


def play(path: Path, speed: float, session_id: str | None) -> None:
    """Play one recording with a progress bar.

    Args:
        speed: how many times faster than recorded.
        session_id: instead of the recorded one.

    Raises:
        BadDocument: the file is no recording.
    """
    recorded = load(path)
    name = session_id or recorded.session_id
    if not is_session_id(name):
        raise BadDocument(f"{path} names no usable session; give one with --session.")
    tracker = ProgressTracker(recorded.total, session_id=name)
    began = time.monotonic()
    with click.progressbar(recorded.steps, label=str(name), item_show_func=_text, show_eta=False) as bar:
        for step in bar:
            time.sleep(max(0.0, began + step.at_s / speed - time.monotonic()))
            step.report(tracker)
    if tracker.lost:
        raise BadDocument(f"{path}: {tracker.lost} updates could not be stored; the log says why.")


def _text(step: recording.Step | None) -> str:
    return "" if step is None else step.text[:50]
