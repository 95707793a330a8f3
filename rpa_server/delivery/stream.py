"""What all open streams share, whatever their transport.

Streams are asyncio protocols: a handler answers the request, hands the connection over, and is gone, so an idle
client costs neither task nor timer. They know neither HTTP nor aiohttp. Nothing in here awaits, and writing to a
connection that is gone does nothing.
"""

import abc
import asyncio
from collections.abc import Callable, Sequence

from ..progress.update import Update
from .wire.welcome import Welcome

#: A client with more than this pending lags: it gets no more until it has taken all of it.
HIGH_WATER = 32 * 1024

#: How long a connection that was closed may take to go.
CLOSING_S = 5.0


class Stream(asyncio.Protocol, abc.ABC):
    """A client (see client.Client) on a connection of its own.

    Args:
        transport: the connection.

    Attributes:
        encode: makes the bytes of one update; one function for all streams of a kind.
        gone: called once when the connection is lost, however that came.
        group: see heartbeat.Pinged.
    """

    __slots__ = ("_paused", "gone", "group", "transport")
    encode: Callable[[Update], bytes]

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._paused = False
        self.gone: Callable[[], None] | None = None
        self.group = 0
        transport.set_write_buffer_limits(high=HIGH_WATER, low=0)

    # -- what asyncio calls

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    def data_received(self, data: bytes) -> None:
        """Ignore it: nothing is expected."""

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever wants to know; fine more than once."""
        gone, self.gone = self.gone, None
        if gone is not None:
            gone()

    # -- what the session calls

    def write(self, frame: bytes) -> bool:
        if self._paused:
            return False
        self.transport.write(frame)
        return True

    def send(self, updates: Sequence[Update]) -> None:
        if updates:
            self.transport.write(b"".join(map(self.encode, updates)))

    def abort(self) -> None:
        self.transport.abort()

    def abort_soon(self) -> None:
        """See to it that the connection goes, whatever the peer does: closing waits for what is not yet taken."""
        asyncio.get_running_loop().call_later(CLOSING_S, self.transport.abort)

    @property
    def pending(self) -> int:
        return self.transport.get_write_buffer_size()

    @abc.abstractmethod
    def sync(self, welcome: Welcome) -> None: ...

    @abc.abstractmethod
    def reset(self, welcome: Welcome) -> None: ...

    @abc.abstractmethod
    def finish(self) -> bool: ...

    @abc.abstractmethod
    def restart(self) -> None: ...

    # -- what the heartbeat calls

    @abc.abstractmethod
    def ping(self) -> None: ...

    @abc.abstractmethod
    def expire(self) -> None: ...

    @property
    def ending(self) -> str:
        """How the stream ended, in a word, for the log."""
        return "closed"
