"""What no request handler sees: connections that never finish a request, and running out of descriptors.

aiohttp has no time limit for a request's header, and asyncio logs every accept that fails for want of a
descriptor, a thousand lines at a time. Both are bounded here, for however the server was started.
"""

import asyncio
import errno
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from ..log import RateLimit
from .descriptors import highest_descriptor

logger = logging.getLogger(__name__)

#: A connection must have sent a whole request header within this time.
HEADER_S = 10.0
_SWEEP_S = 1.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)










class IdleGuard:
    """Drops connections that send no request, and those that come when the descriptors run out.

    Args:
        limit: how many connections there may be before silent ones are dropped at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._served: set[Any] = set()
        self._since: dict[Any, float] = {}
        self._arrivals: dict[Any, None] = {}
        self._server: Any = None
        self.dropped = 0

    @property
    def middleware(self) -> Any:
        """Notes which connections did send a request."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._served.add(request.protocol)
            # The server object is in no public place, and python -m aiohttp.web hands out no runner.
            if self._server is None:
                self.guard(getattr(request.protocol, "_manager", None))
            return await handler(request)

        return note

    def guard(self, server: Any) -> None:
        """Look at every new connection of *server*, a ``web.Server``, before anything is read from it."""
        if server is None or server is self._server:
            return
        self._server, made = server, server.connection_made

        def connection_made(handler: Any, transport: asyncio.Transport) -> None:
            made(handler, transport)
            self._check_room(handler)

        server.connection_made = connection_made

    def _check_room(self, connection: Any) -> None:
        """Drop a connection that came when the descriptors run out."""
        raw = connection.transport.get_extra_info("socket")
        # A new descriptor is the lowest that is free, so its number tells how many are in use.
        if raw is not None and raw.fileno() > highest_descriptor():
            self._drop(connection)

    # -- connections that are not aiohttp's yet

    def arrived(self, connection: Any) -> None:
        """Note a connection that has said nothing; it is one with a ``transport``."""
        self._arrivals[connection] = None
        self._check_room(connection)

    def spoke(self, connection: Any, successor: Any = None) -> None:
        """Forget it, or go on with *successor*, which has not sent a whole request either; fine more than once."""
        self._arrivals.pop(connection, None)
        since_s = self._since.pop(connection, None)
        if successor is not None and since_s is not None:
            self._since[successor] = since_s

    # -- silence

    async def run(self) -> None:
        """SnapshotPoll, for ever; guard() arms it for those that are aiohttp's."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            held = [] if self._server is None else self._server.connections
            self._sweep([*held, *self._arrivals], time.monotonic())

    def _sweep(self, connections: list[Any], now_s: float) -> None:
        self._served.intersection_update(connections)
        silent = [connection for connection in connections if connection not in self._served]
        self._since = {connection: self._since.get(connection, now_s) for connection in silent}
        silent.sort(key=self._since.__getitem__)
        excess = len(connections) - self._limit
        for place, connection in enumerate(silent):
            if place < excess or now_s - self._since[connection] > HEADER_S:
                self._drop(connection)

    def _drop(self, connection: Any) -> None:
        if connection.transport is not None:
            self.dropped += 1
            connection.transport.abort()


class _Malformed(logging.Filter):
    """Turns what strangers send instead of HTTP into one line now and then; aiohttp logs a traceback for each."""

    def __init__(self) -> None:
        super().__init__()
        self._brake = RateLimit()

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        held = self._brake.allow(time.monotonic())
        first = str(error.message).partition("\n")[0]
        record.msg, record.args = "What %s sent is no HTTP (%s); %s more before.", (record.args or "?", first, held)
        record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return held is not None


async def short_log(app: web.Application) -> AsyncIterator[None]:
    """Log failing accepts and malformed requests once in a while instead of a thousand times a second."""
    malformed = _Malformed()
    logging.getLogger("aiohttp.server").addFilter(malformed)
    loop = asyncio.get_running_loop()
    brake = RateLimit(10.0)

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED and "accept" in str(context.get("message"))):
            loop.default_exception_handler(context)
        elif (held := brake.allow(time.monotonic())) is not None:
            logger.error(
                "No descriptor is left for a new connection (%s, %d times more before); raise the limit (ulimit -n, "
                "LimitNOFILE) or lower RPA_MAX_CONNECTIONS.",
                error.strerror,
                held,
            )

    loop.set_exception_handler(handle)
    yield
    loop.set_exception_handler(None)
    logging.getLogger("aiohttp.server").removeFilter(malformed)
