"""One connection to Redis whose every exchange ends in time.

redis-py's own limits hold for one trip to Redis each, and it connects again, names and all, whenever it finds
itself disconnected: several trips add up to more than a robot may wait. Here one deadline holds for all trips of a
call, and connecting is a thing of its own, for a thread that nobody waits for.

Invariant: after a failed exchange the connection is closed, so that a late reply is never taken for another one's.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_TIMEOUT_S = 0.3
TIMEOUT_S = 0.5
#: How long to wait for more of a reply that comes in pieces.
_PIECE_S = 0.001

Command = Sequence[Any]


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

    def open(self) -> None:
        """Connect; may take as long as finding the address does, so never in the robot's thread.

        Raises:
            redis.RedisError, OSError: Redis is not there, or does not let us in.
        """
        if os.getpid() != self._pid:
            self._renew()  # forked: the socket is the parent's
        self._connection.connect()

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
        connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        replies = [self._reply(deadline_s) for _ in commands]
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                raise reply
        return replies

    def _reply(self, deadline_s: float) -> Any:
        try:
            while True:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not self._connection.can_read(left_s):
                    raise redis.TimeoutError("Redis does not answer in time")
                with suppress(redis.TimeoutError):  # a piece of the reply is there, not all of it
                    return self._read()
                time.sleep(_PIECE_S)
        except BaseException:
            self._connection.disconnect()
            raise

    def _read(self) -> Any:
        """Read one reply without waiting; a refusal is returned, since the replies behind it must be read too."""
        try:
            return self._connection.read_response(timeout=0, disconnect_on_error=False)
        except redis.ResponseError as error:
            return error

    def close(self) -> None:
        """Disconnect; fine in any state."""
        self._connection.disconnect()
