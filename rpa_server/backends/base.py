"""Where the server reads and writes sessions: Redis, JSON files, and both merged by cursor."""

from typing import Protocol

from ..progress.run import Run
from ..progress.session_state import SessionState


class Store(Protocol):
    """What the hub and the handlers need of a store. Every method may raise StorageUnavailable."""

    async def read(self, session_id: str) -> SessionState | None:
        """Return the current state of a session, None where nothing is stored."""

    async def sessions(self, limit: int) -> list[str]:
        """Return the ids of the sessions changed last, newest first."""

    async def append(self, run: Run) -> bool:
        """Store what *run* added; False where somebody else wrote meanwhile and it must be built anew."""
