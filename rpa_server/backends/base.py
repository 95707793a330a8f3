"""What a backend is to the server: a Store that is read and written, and perhaps a Notifier that says what changed.

A new backend is a folder beside this module and a line in app.py.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from ..progress.run import Run
from ..progress.session_state import SessionState

#: How long a session stays stored after its last update.
TTL_S = 86_400


class Store(Protocol):
    """What the hub and the handlers need of a store. Every method may raise StorageUnavailable."""

    async def read(self, session_id: str) -> SessionState | None:
        """Return the current state of a session, None where nothing is stored."""

    async def sessions(self, limit: int) -> list[str]:
        """Return the ids of at most *limit* sessions, the one that changed last first."""

    async def append(self, run: Run) -> bool:
        """Store what was added to *run* since it was resumed.

        Returns:
            False where another writer was faster: nothing is stored then, and the run must be built anew from what is.
        """


class Notifier(Protocol):
    """Tells which sessions changed, for backends that don't deliver the updates themselves."""

    def changes(self) -> AsyncIterator[set[str]]:
        """Yield the ids of sessions that changed, for ever.

        An empty set comes whenever notifications have (again) begun: what changed before may have been missed, so every
        watched session has to be read.
        """
