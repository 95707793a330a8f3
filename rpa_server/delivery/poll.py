"""A poll that waits: a client of a session that only wakes its handler."""

from collections.abc import Callable, Sequence

from ..progress.update import Cursor, Update
from .session import Session


class Waiter:
    """A poll that waits for the next change; *wake* is called once there is something."""

    pending = 0

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def push(self, update: Update) -> bool:
        self._wake()
        return True

    def send(self, updates: Sequence[Update]) -> None:
        if updates:
            self._wake()

    def sync(self, session: Session, since: Cursor | None) -> None:
        """Nothing to send: the handler looks for itself."""

    def reset(self, session: Session) -> None:
        self._wake()

    def finish(self) -> bool:
        self._wake()
        return True

    def restart(self) -> None:
        self._wake()

    def abort(self) -> None:
        self._wake()
