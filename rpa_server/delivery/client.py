"""What a session knows of whoever watches it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from ..progress.update import Update
from .wire.welcome import Welcome


class Client(Protocol):
    """An open stream of any transport. No method awaits, and none raises if the peer is gone."""

    @property
    def encode(self) -> Callable[[Update], bytes]:
        """Encode one update.

        One function for all clients of a kind, not a bound method: clients with the same function share the bytes.
        """

    def write(self, frame: bytes) -> bool:
        """Send *frame*, the output of *encode*, unless data is still pending; tell whether it was sent."""

    def send(self, updates: Sequence[Update]) -> None:
        """Send updates even if data is still pending."""

    def sync(self, welcome: Welcome) -> None:
        """Send the first message."""

    def reset(self, welcome: Welcome) -> None:
        """Report that continuity was lost, and the current state."""

    def finish(self) -> bool:
        """End the stream, since the run is over and all of it was sent; False if the client stays connected."""

    def restart(self) -> None:
        """End the stream because the server stops; the client is to reconnect."""

    def abort(self) -> None:
        """Drop the connection at once."""

    @property
    def pending(self) -> int:
        """Bytes that the peer has not accepted yet."""
