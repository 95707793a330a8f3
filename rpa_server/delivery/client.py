"""What a session knows of whoever watches it: a client, and what a client is sent first."""

from collections.abc import Callable, Sequence
from typing import Protocol

from ..progress.shapes import View
from ..progress.update import Cursor, Update


class Welcome:
    """The first message of a client that begins to watch, or that has lost continuity; wire/messages.py puts it into words.

    Attributes:
        session_id: the session.
        heartbeat_ms: how often the server gives a sign of life.
        at: the position; updates behind it follow. None while nothing is known of the session.
        snapshot: the state at that position as pages get it; None where nothing is known, or where it is not needed.
        recovered: the client's cursor was found, so that the updates behind *at* are all that it lacks.
        messages: what wire/messages.py made of it, by type: a crowd that comes at once shares one Welcome.
    """

    __slots__ = ("at", "heartbeat_ms", "messages", "recovered", "session_id", "snapshot")

    def __init__(
        self, session_id: str, heartbeat_ms: int, at: Cursor | None, snapshot: View | None, recovered: bool = False
    ) -> None:
        self.session_id = session_id
        self.heartbeat_ms = heartbeat_ms
        self.at = at
        self.snapshot = snapshot
        self.recovered = recovered
        self.messages: dict[str, bytes] = {}


class Client(Protocol):
    """An open stream, whatever its transport. No method awaits, and none raises for a peer that is gone."""

    @property
    def encode(self) -> Callable[[Update], bytes]:
        """Makes the bytes of one update.

        One function for all clients of a kind, not a method of each: clients with the same function share its bytes.
        """

    def write(self, frame: bytes) -> bool:
        """Send what *encode* made of one update unless something is pending; tell whether it was sent."""

    def send(self, updates: Sequence[Update]) -> None:
        """Send updates, whatever is pending."""

    def sync(self, welcome: Welcome) -> None:
        """Send the first message."""

    def reset(self, welcome: Welcome) -> None:
        """Tell that continuity was lost, and what the state is."""

    def finish(self) -> bool:
        """End the stream: the run is over and everything was sent; False where the client stays nevertheless."""

    def restart(self) -> None:
        """End the stream: the server goes away and the client is to come back."""

    def abort(self) -> None:
        """Drop the connection at once."""

    @property
    def pending(self) -> int:
        """Bytes that the peer has not taken yet."""
