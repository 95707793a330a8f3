"""Streams of server-sent events, native and in the plan's dialect (the plan is the project's first design).

The response has neither a Content-Length nor chunked coding: the end of the connection ends it.
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
        # A recovered client needs no id: *at* is the position that it has already.
        self._say(sync_message(welcome), None if welcome.recovered else welcome.at)

    def reset(self, welcome: Welcome) -> None:
        self._say(reset_message(welcome), welcome.at)

    def _say(self, payload: bytes, at: Cursor | None) -> None:
        self.transport.write(event(payload, at))

    def finish(self) -> bool:
        """End the response.

        A client that then reconnects with the last cursor of a finished run gets 204, which stops it for good.
        """
        self.transport.close()
        self.abort_soon()
        return True

    def restart(self) -> None:
        self.finish()

    def ping(self) -> None:
        """Send a comment unless too many bytes are pending."""
        if not self._paused:
            self.transport.write(COMMENT)

    def expire(self) -> None:
        """Do nothing: a comment gets no answer, and the kernel drops a dead connection, see tcp.py."""


class PlainEventStream(EventStream):
    """Server-sent events for the plan's script: updates only. The state, too, is sent as an update."""

    __slots__ = ()

    def sync(self, welcome: Welcome) -> None:
        if not welcome.recovered:
            self.reset(welcome)

    def reset(self, welcome: Welcome) -> None:
        if (message := plain_message(welcome)) is not None:
            self._say(message, welcome.at)
