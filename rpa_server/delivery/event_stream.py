"""Streams of server-sent events: the native one, and the plan's.

The response has no length and no chunks: its connection is its own, and closing that is its end.
"""

from ..progress.update import Cursor
from .stream import Stream
from .wire.messages import plain_message, reset_message, sync_message
from .wire.sse import COMMENT, event, update_event
from .wire.welcome import Welcome


class EventStream(Stream):
    """A native stream of server-sent events."""

    __slots__ = ()
    encode = staticmethod(update_event)

    def sync(self, welcome: Welcome) -> None:
        # While updates are still to follow the id must not run ahead of them.
        self._say(sync_message(welcome), None if welcome.recovered else welcome.at)

    def reset(self, welcome: Welcome) -> None:
        self._say(reset_message(welcome), welcome.at)

    def _say(self, payload: bytes, at: Cursor | None) -> None:
        self.transport.write(event(payload, at))

    def finish(self) -> bool:
        """End the response; a client that comes back gets 204, which ends it for good."""
        self.transport.close()
        self.abort_soon()
        return True

    def restart(self) -> None:
        self.finish()

    def ping(self) -> None:
        """Send a comment."""
        if not self._paused:
            self.transport.write(COMMENT)

    def expire(self) -> None:
        """Nothing answers a comment; the kernel drops a connection that acknowledges nothing."""


class PlainEventStream(EventStream):
    """Server-sent events for the plan's script: updates alone, no sync, no reset."""

    __slots__ = ()

    def sync(self, welcome: Welcome) -> None:
        if not welcome.recovered:
            self.reset(welcome)

    def reset(self, welcome: Welcome) -> None:
        if (message := plain_message(welcome)) is not None:
            self._say(message, welcome.at)
