"""The base of all open streams, whatever their transport.

Streams are asyncio protocols: a handler answers the request, hands the connection over, and returns, so an idle client
costs neither a task nor a timer. This module uses neither HTTP nor aiohttp. Nothing in it awaits, and writing to a lost
connection does nothing.
"""

import abc
import asyncio
from collections.abc import Callable, Sequence

from ..progress.update import Update
from .wire.welcome import Welcome

#: A client with more bytes pending than this lags: it gets no further update until it has accepted all of them.
HIGH_WATER = 32 * 1024

#: How many seconds closing a connection may take before it is aborted.
CLOSING_S = 5.0


class Stream(asyncio.Protocol, abc.ABC):
    """A client, see client.Client, with a connection of its own.

    Args:
        transport: the connection.

    Attributes:
        encode: encodes one update; one function for all streams of a kind.
        gone: called once when the connection is lost, for whatever reason; None after that, and while the client is not
            registered with a session.
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
        """Ignore incoming data: none is expected."""

    def connection_lost(self, error: Exception | None) -> None:
        """Call ``gone``, the first time only; may be called repeatedly."""
        gone, self.gone = self.gone, None
        if gone is not None:
            gone()

    # -- writing and closing

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
        """Abort the connection if it is open after CLOSING_S: closing waits until the peer has accepted all bytes."""
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

    # -- for the log

    @property
    def ending(self) -> str:
        """How the stream ended, in one word, for the log."""
        return "closed"
