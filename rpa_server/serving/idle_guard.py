"""Drops connections that never finish the header of a request, and new ones when descriptors run out.

aiohttp has no time limit for a request's header, and asyncio logs every accept that fails for want of a descriptor, a
thousand lines at a time. This module bounds both, whether rpa-server or ``python -m aiohttp.web`` started the server.
"""

import asyncio
import errno
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from ..http import takeover
from ..log import RateLimit
from .descriptors import highest_descriptor

logger = logging.getLogger(__name__)

#: A connection must have sent a whole request header within this many seconds.
HEADER_S = 10.0
#: Seconds between two checks of all connections.
_CHECK_S = 1.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class IdleGuard:
    """Drops connections that send no request, and new ones when descriptors run out.

    Args:
        limit: while there are more connections than this, silent ones are dropped at once, the longest silent first.

    Attributes:
        dropped: number of dropped connections.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._served: set[Any] = set()
        self._silent_since: dict[Any, float] = {}
        self._arrivals: dict[Any, None] = {}
        self._server: web.Server | None = None
        self.dropped = 0

    @property
    def middleware(self) -> Any:
        """Middleware that records which connections have sent a request, and calls guard() if that was not done."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._served.add(takeover.connection_of(request))
            if self._server is None:
                self.guard(takeover.server_of(request))
            return await handler(request)

        return note

    def guard(self, server: web.Server | None) -> None:
        """Check every new connection of *server* before anything is read from it; run() then checks the silent ones."""
        if server is None or server is self._server:
            return
        self._server = server
        takeover.on_connection(server, self._check_room)

    def _check_room(self, connection: Any) -> None:
        """Drop a new connection when descriptors run out."""
        raw = connection.transport.get_extra_info("socket")
        # A new descriptor gets the lowest free number, so its number tells how many are in use.
        if raw is not None and raw.fileno() > highest_descriptor():
            self._drop(connection)

    # -- connections that the listener has not passed to aiohttp

    def arrived(self, connection: Any) -> None:
        """Record a connection that has sent nothing yet.

        Args:
            connection: any object with a ``transport``.
        """
        self._arrivals[connection] = None
        self._check_room(connection)

    def spoke(self, connection: Any, successor: Any = None) -> None:
        """Forget a connection that has sent its first bytes or is lost. May be called repeatedly.

        Args:
            connection: what arrived() got.
            successor: aiohttp's protocol for the same connection, for which the time limit goes on: the request may not
                be whole yet. None (the default) if there is none.
        """
        self._arrivals.pop(connection, None)
        since_s = self._silent_since.pop(connection, None)
        if successor is not None and since_s is not None:
            self._silent_since[successor] = since_s

    # -- dropping connections

    async def run(self) -> None:
        """Drop silent connections, for ever; those of aiohttp only once guard() was called."""
        while True:
            await asyncio.sleep(_CHECK_S)
            of_aiohttp = [] if self._server is None else takeover.connections(self._server)
            self._drop_silent([*of_aiohttp, *self._arrivals], time.monotonic())

    def _drop_silent(self, connections: list[Any], now_s: float) -> None:
        self._served.intersection_update(connections)
        silent = [connection for connection in connections if connection not in self._served]
        self._silent_since = {connection: self._silent_since.get(connection, now_s) for connection in silent}
        silent.sort(key=self._silent_since.__getitem__)
        excess = len(connections) - self._limit
        for index, connection in enumerate(silent):
            if index < excess or now_s - self._silent_since[connection] > HEADER_S:
                self._drop(connection)

    def _drop(self, connection: Any) -> None:
        if connection.transport is not None:
            self.dropped += 1
            connection.transport.abort()


class _MalformedRequests(logging.Filter):
    """Logs malformed requests in one line, at most one every 30 s; aiohttp logs a traceback for each."""

    def __init__(self) -> None:
        super().__init__()
        self._rate = RateLimit()

    def filter(self, record: logging.LogRecord) -> bool:
        failure = takeover.parse_failure(record.exc_info[1] if record.exc_info else None)
        if failure is None:
            return True
        suppressed = self._rate.allow(time.monotonic())
        first = failure.partition("\n")[0]
        record.msg = "What %s sent is no HTTP (%s); %s more before."
        record.args = (record.args or "?", first, suppressed)
        record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return suppressed is not None


async def short_log(app: web.Application) -> AsyncIterator[None]:
    """Log failed accepts at most every 10 s, and malformed requests at most every 30 s; for ``app.cleanup_ctx``."""
    malformed = _MalformedRequests()
    logging.getLogger("aiohttp.server").addFilter(malformed)
    loop = asyncio.get_running_loop()
    rate = RateLimit(10.0)

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED and "accept" in str(context.get("message"))):
            loop.default_exception_handler(context)
        elif (suppressed := rate.allow(time.monotonic())) is not None:
            logger.error(
                "No descriptor is left for a new connection (%s, %d times more before); raise the limit (ulimit -n, "
                "LimitNOFILE) or lower RPA_MAX_CONNECTIONS.",
                error.strerror,
                suppressed,
            )

    loop.set_exception_handler(handle)
    yield
    loop.set_exception_handler(None)
    logging.getLogger("aiohttp.server").removeFilter(malformed)
