"""A waiting poll: a client of a session that only wakes its request handler."""

from collections.abc import Callable, Sequence

from ..progress.update import Update
from .wire.welcome import Welcome


def _nothing(update: Update) -> bytes:
    """Encode nothing: the handler reads the session itself."""
    return b""


class Waiter:
    """A poll that waits until its session changes.

    Args:
        wake: called when the handler should answer, since the session changed or the server stops; perhaps repeatedly.
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
        """Send nothing: the handler reads the session itself."""

    def reset(self, welcome: Welcome) -> None:
        self._wake()

    def finish(self) -> bool:
        self._wake()
        return True

    def restart(self) -> None:
        self._wake()

    def abort(self) -> None:
        self._wake()
