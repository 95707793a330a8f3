"""What a session knows of whoever watches it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from ..progress.update import Update
from .wire.welcome import Welcome


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
