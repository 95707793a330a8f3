"""Streams of server-sent events: the native one, and the one in the plan's dialect.

The response has neither a length nor chunks: it has the connection to itself, and closing that ends the response.
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
        # If more updates follow, this event gets no id: the client's cursor must not run ahead of them.
        self._say(sync_message(welcome), None if welcome.recovered else welcome.at)

    def reset(self, welcome: Welcome) -> None:
        self._say(reset_message(welcome), welcome.at)

    def _say(self, payload: bytes, at: Cursor | None) -> None:
        self.transport.write(event(payload, at))

    def finish(self) -> bool:
        """End the response; a client that reconnects gets 204, which stops it for good."""
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
        """A comment gets no answer; a dead connection is dropped by the kernel, see tcp.py."""


class PlainEventStream(EventStream):
    """Server-sent events for the plan's script: updates alone, no sync, no reset."""

    __slots__ = ()

    def sync(self, welcome: Welcome) -> None:
        if not welcome.recovered:
            self.reset(welcome)

    def reset(self, welcome: Welcome) -> None:
        if (message := plain_message(welcome)) is not None:
            self._say(message, welcome.at)
