"""One blocking connection to Redis with a deadline, and everything that we use of redis-py's private API.

redis-py's own timeouts apply to each round trip, and redis-py reconnects (name resolution included) whenever it finds
itself disconnected, so several trips can take longer than a robot may wait. Here one deadline covers all trips of a
call, and connecting, which has no deadline, is a separate call for a background thread.

Invariant: after a failed exchange the connection is closed, so that a late reply is never taken for the reply to a
later command.

redis-py opens the connection and authenticates. After that, commands bypass redis-py, which would need twice as many
system calls; only a connection without a socket, as in fakeredis, is used through its own methods.

Only socket_of() and transport_of() use private attributes of redis-py; tests/backends/redis/test_connection.py names
the versions of redis-py that were checked.
"""

import inspect
import os
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    import asyncio

CONNECT_TIMEOUT_S = 0.3
TIMEOUT_S = 0.5
_READ_BYTES = 65536
_INCOMPLETE = object()

Command = Sequence[Any]


def socket_of(connection: Any) -> socket.socket | None:
    """Return the socket of an open ``redis.Connection``, None if it has none (fakeredis)."""
    found = getattr(connection, "_sock", None)
    return found if isinstance(found, socket.socket) else None


def transport_of(connection: Any) -> "asyncio.Transport":
    """Return the transport of an open ``redis.asyncio.Connection``."""
    transport: asyncio.Transport = connection._writer.transport
    return transport


def _response_error(text: str) -> redis.ResponseError:
    return redis.exceptions.NoScriptError(text) if text.startswith("NOSCRIPT") else redis.ResponseError(text)


class BoundedConnection:
    """A connection as a redis-py connection pool makes them, but not one of the pool's, whose number may be limited.

    Args:
        pool: supplies host, password and TLS; its timeouts and retries are not used.

    Raises:
        TypeError: the pool is redis.asyncio's.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._renew()
        if inspect.iscoroutinefunction(self._connection.connect):
            raise TypeError("it is an asyncio client, and a tracker blocks")

    def _renew(self) -> None:
        self._pid = os.getpid()
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection.socket_connect_timeout = CONNECT_TIMEOUT_S
        connection.socket_timeout = TIMEOUT_S
        connection.retry = Retry(NoBackoff(), 0)
        connection.health_check_interval = 0
        self._connection = connection
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Connect. Resolving the host's name has no timeout, so never call this in the robot's thread.

        Raises:
            redis.RedisError, OSError: Redis can't be reached, or refuses the connection.
        """
        if os.getpid() != self._pid:
            self._renew()  # after a fork the socket belongs to the parent
        self._connection.connect()
        self._socket = socket_of(self._connection)
        self._reader = hiredis.Reader(replyError=_response_error, notEnoughData=_INCOMPLETE)

    def ask(self, deadline_s: float, *command: Any) -> Any:
        """Send one command and return the reply; see ask_all()."""
        return self.ask_all(deadline_s, [command])[0]

    def ask_all(self, deadline_s: float, commands: Sequence[Command]) -> list[Any]:
        """Send all commands in one write and return their replies.

        Args:
            deadline_s: when to give up, as a time of time.monotonic.

        Raises:
            redis.ResponseError: Redis refused a command (the first error is raised); the connection stays usable.
            redis.RedisError, OSError: no connection, or no reply in time; the commands may still have been executed.
        """
        connection = self._connection
        if not connection.is_connected or os.getpid() != self._pid:
            raise redis.ConnectionError("the connection was lost")
        if time.monotonic() >= deadline_s:
            raise redis.TimeoutError("Redis is too slow")
        try:
            exchange = self._through_library if self._socket is None else self._exchange
            replies = exchange(commands, deadline_s)
        except BaseException:
            self.close()
            raise
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                raise reply
        return replies

    def _exchange(self, commands: Sequence[Command], deadline_s: float) -> list[Any]:
        assert self._socket is not None
        try:
            self._socket.settimeout(_left_s(deadline_s))
            self._socket.sendall(b"".join(hiredis.pack_command(tuple(command)) for command in commands))
            return [self._reply(self._socket, deadline_s) for _ in commands]
        except TimeoutError:
            raise redis.TimeoutError("Redis does not answer in time") from None
        except hiredis.HiredisError as error:
            raise redis.ConnectionError(f"whatever answers there is not a Redis ({error})") from None

    def _reply(self, raw: socket.socket, deadline_s: float) -> Any:
        """Return one reply; if Redis refused the command, return the error instead of raising it."""
        while (reply := self._reader.gets()) is _INCOMPLETE or isinstance(reply, hiredis.PushNotification):
            raw.settimeout(_left_s(deadline_s))
            data = raw.recv(_READ_BYTES)
            if not data:
                raise redis.ConnectionError("Redis closed the connection")
            self._reader.feed(data)
        return reply

    def _through_library(self, commands: Sequence[Command], deadline_s: float) -> list[Any]:
        self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
        return [self._library_reply(deadline_s) for _ in commands]

    def _library_reply(self, deadline_s: float) -> Any:
        if not self._connection.can_read(_left_s(deadline_s)):
            raise redis.TimeoutError("Redis does not answer in time")
        try:
            return self._connection.read_response(disconnect_on_error=False)
        except redis.ResponseError as error:
            return error

    def close(self) -> None:
        """Disconnect; may be called in any state."""
        self._socket = None
        self._connection.disconnect()


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
