"""A poll that waits: a client of a session that only wakes its handler."""

from collections.abc import Callable, Sequence

from ..progress.update import Update
from .wire.welcome import Welcome


def _nothing(update: Update) -> bytes:
    """Encode nothing: the handler looks for itself."""
    return b""


class Waiter:
    """A poll that waits for the next change.

    Args:
        wake: called once there is something to look at, and perhaps again.
    """

    encode = staticmethod(_nothing)
    pending = 0

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def write(self, frame: bytes) -> bool:
        self._wake()
        return True

    def send(self, updates: Sequence[Update]) -> None:
        if updates:
            self._wake()

    def sync(self, welcome: Welcome) -> None:
        """Nothing to send: the handler looks for itself."""

    def reset(self, welcome: Welcome) -> None:
        self._wake()

    def finish(self) -> bool:
        self._wake()
        return True

    def restart(self) -> None:
        self._wake()

    def abort(self) -> None:
        self._wake()
