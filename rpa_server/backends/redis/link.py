"""The connection over which the server reads and writes sessions: many requests at once, answered in order.

redis-py connects (password, TLS, unix socket); then the connection's transport gets our own protocol. A pipeline of
redis-py costs 100 us of CPU time, the same commands sent in this way 12: reading its session is most of what a visitor
costs who opens a page.

Invariants: replies are matched to requests by their order alone, so after any failure the connection is given up with
all its requests; no request waits longer than TIMEOUT_S for its replies.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import hiredis
import redis
import redis.asyncio

from .connection import Command, transport_of

#: Seconds within which Redis must have connected, and have answered a request.
TIMEOUT_S = 1.0
_INCOMPLETE = object()


def _response_error(text: str) -> redis.ResponseError:
    kind = text.partition(" ")[0]
    return _KINDS.get(kind, redis.ResponseError)(text)


_KINDS: dict[str, type[redis.ResponseError]] = {
    "NOSCRIPT": redis.exceptions.NoScriptError,
    "READONLY": redis.exceptions.ReadOnlyError,
}


class _Replies(asyncio.Protocol):
    """Matches what Redis sends to the requests that were sent over one connection."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(replyError=_response_error, notEnoughData=_INCOMPLETE)
        # By request, in order: how many replies it still lacks, those that came, its future, and its deadline.
        self._requests: deque[tuple[int, list[Any], asyncio.Future[list[Any]], float]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.open = False

    def begin(self, transport: asyncio.Transport) -> None:
        """Take the connection over; Redis owes no reply."""
        self._transport, self.open = transport, True
        transport.set_protocol(self)

    def send(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send *commands*; the future returns their replies, with an exception in place of each refusal."""
        assert self._transport is not None
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        deadline_s = self._loop.time() + TIMEOUT_S
        self._requests.append((len(commands), [], future, deadline_s))
        if self._timer is None:
            self._timer = self._loop.call_at(deadline_s, self._check)
        self._transport.write(b"".join(hiredis.pack_command(tuple(command)) for command in commands))
        return future

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _INCOMPLETE:
                count, replies, future, _ = self._requests[0]
                replies.append(reply)
                if len(replies) == count:
                    self._requests.popleft()
                    if not future.done():
                        future.set_result(replies)
        except (hiredis.HiredisError, IndexError) as error:
            self.fail(redis.ConnectionError(f"whatever answers there is not a Redis ({error})"))

    def _check(self) -> None:
        """Give up if the oldest request has waited too long; else look again when the next one will have."""
        self._timer = None
        if not self._requests:
            return
        deadline_s = self._requests[0][3]
        if self._loop.time() >= deadline_s:
            self.fail(redis.TimeoutError("Redis does not answer in time"))
        else:
            self._timer = self._loop.call_at(deadline_s, self._check)

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(redis.ConnectionError(f"Redis closed the connection{f' ({error})' if error else ''}"))

    def fail(self, error: Exception) -> None:
        """Close the connection, and end every request with *error*."""
        self.open = False
        if self._timer is not None:
            self._timer.cancel()
        while self._requests:
            future = self._requests.popleft()[2]
            if not future.done():
                future.set_exception(error)
        if self._transport is not None:
            self._transport.abort()


class Link:
    """One connection to a Redis; it is made at the first request, and anew after a failure.

    Args:
        pool: makes the connection.
    """

    def __init__(self, pool: redis.asyncio.ConnectionPool) -> None:
        self._pool = pool
        self._replies: _Replies | None = None
        self._connection: Any = None
        self._connecting: asyncio.Task[_Replies] | None = None

    async def ask(self, *commands: Command) -> list[Any]:
        """Send *commands* and return their replies.

        Raises:
            redis.ResponseError: Redis refused a command; this is the first refusal.
            redis.RedisError, OSError, TimeoutError: no connection, or no reply in time; the commands may have been
                executed.
        """
        replies = await self.try_all(*commands)
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                raise reply
        return replies

    async def try_all(self, *commands: Command) -> list[Any]:
        """Like ask(), but return a refusal as an exception object in place of the reply."""
        replies = self._replies
        if replies is None or not replies.open:
            replies = await self._connected()
        return await replies.send(commands)

    async def _connected(self) -> _Replies:
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> _Replies:
        try:
            await self._disconnect()
            self._connection = self._pool.make_connection()
            async with asyncio.timeout(TIMEOUT_S):
                await self._connection.connect()
            # The handshake is complete and nothing was sent since, so redis-py expects no more bytes.
            self._replies = _Replies()
            self._replies.begin(transport_of(self._connection))
            return self._replies
        finally:
            self._connecting = None

    async def _disconnect(self) -> None:
        replies, self._replies = self._replies, None
        connection, self._connection = self._connection, None
        if replies is not None:
            replies.fail(redis.ConnectionError("the connection is given up"))
        if connection is not None:
            with suppress(Exception):  # redis-py may raise anything about a connection that it lost
                async with asyncio.timeout(TIMEOUT_S):
                    await connection.disconnect(nowait=True)

    def drop(self) -> None:
        """Give the connection up, since its address may lead to another Redis by now; the next request connects."""
        if self._replies is not None:
            self._replies.fail(redis.ConnectionError("the connection is given up"))

    async def aclose(self) -> None:
        """Close the connection; never raises."""
        if self._connecting is not None:
            self._connecting.cancel()
            with suppress(BaseException):
                await self._connecting
        await self._disconnect()
