"""One connection to Redis whose every exchange ends in time.

redis-py's own limits hold for one trip to Redis each, and it connects again, names and all, whenever it finds
itself disconnected: several trips add up to more than a robot may wait. Here one deadline holds for all trips of a
call, and connecting is a thing of its own, for a thread that nobody waits for.

Invariant: after a failed exchange the connection is closed, so that a late reply is never taken for another one's.

The library opens the connection; what goes over it does not pass through the library, which would ask the kernel twice
as often. Only a client without a socket, fakeredis, is spoken to through its own methods.
"""

import os
import socket
import time
from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_TIMEOUT_S = 0.3
TIMEOUT_S = 0.5
_PIECE = 65536
_NOTHING = object()

Command = Sequence[Any]


def _refusal(text: str) -> redis.ResponseError:
    return redis.exceptions.NoScriptError(text) if text.startswith("NOSCRIPT") else redis.ResponseError(text)


class BoundedConnection:
    """A connection made from a pool of redis-py's, but never given back to it.

    Args:
        pool: knows host, password, TLS; its time limits and retries are not used.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._renew()

    def _renew(self) -> None:
        self._pid = os.getpid()
        connection = self._pool.make_connection()
        connection.socket_connect_timeout = CONNECT_TIMEOUT_S
        connection.socket_timeout = TIMEOUT_S
        connection.retry = Retry(NoBackoff(), 0)
        connection.health_check_interval = 0
        self._connection = connection
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Connect; may take as long as finding the address does, so never in the robot's thread.

        Raises:
            redis.RedisError, OSError: Redis is not there, or does not let us in.
        """
        if os.getpid() != self._pid:
            self._renew()  # forked: the socket is the parent's
        self._connection.connect()
        raw = getattr(self._connection, "_sock", None)
        self._socket = raw if isinstance(raw, socket.socket) else None
        self._reader = hiredis.Reader(replyError=_refusal, notEnoughData=_NOTHING)

    def ask(self, deadline_s: float, *command: Any) -> Any:
        """Send one command and return the reply."""
        return self.ask_all(deadline_s, [command])[0]

    def ask_all(self, deadline_s: float, commands: Sequence[Command]) -> list[Any]:
        """Send commands at once and return their replies.

        Args:
            deadline_s: when to give up, on the clock of time.monotonic.

        Raises:
            redis.ResponseError: the first command that Redis refused.
            redis.RedisError, OSError: no connection, or no answer in time; what was sent may have been done.
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
            raise redis.ConnectionError(f"what answers there is no Redis ({error})") from None

    def _reply(self, raw: socket.socket, deadline_s: float) -> Any:
        """Return one reply, or what Redis refused a command with."""
        while (reply := self._reader.gets()) is _NOTHING or isinstance(reply, hiredis.PushNotification):
            raw.settimeout(_left_s(deadline_s))
            data = raw.recv(_PIECE)
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
        """Disconnect; fine in any state."""
        self._socket = None
        self._connection.disconnect()


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
