"""The interface through which a session writes to whoever watches it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from ..progress.update import Update
from .wire.welcome import Welcome


class Client(Protocol):
    """An open stream of any transport, or a waiting poll. No method awaits, and none raises if the peer is gone."""

    @property
    def encode(self) -> Callable[[Update], bytes]:
        """The function that encodes one update.

        It is the same for all clients of a kind, not a bound method: clients with the same function share the bytes.
        """

    def write(self, frame: bytes) -> bool:
        """Send *frame*, the output of *encode*, unless too many bytes are pending; tell whether it was sent."""

    def send(self, updates: Sequence[Update]) -> None:
        """Send *updates*, however many bytes are pending."""

    def sync(self, welcome: Welcome) -> None:
        """Send the first message, if the dialect has one."""

    def reset(self, welcome: Welcome) -> None:
        """Send the current state to replace what the client has, since continuity was lost."""

    def finish(self) -> bool:
        """End the stream, since the run is over and all updates were sent; False if the client stays connected."""

    def restart(self) -> None:
        """End the stream because the server stops, in a way that makes the client reconnect."""

    def abort(self) -> None:
        """Drop the connection at once."""

    @property
    def pending(self) -> int:
        """Bytes that the peer has not accepted yet."""
