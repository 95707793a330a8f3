"""Writes one run to Redis, for the tracker: bounded in time, never retried; sends the updates that Redis lacks.

Blocking. The robot's thread writes over an open connection; a background thread opens it, and sends what takes longer
than a robot may wait. tracker/failover.py decides which of the two uses this object; they never use it at the same time.
"""

import time
from contextlib import suppress
from typing import Any

import redis

from ...progress.documents import from_redis
from ...progress.run import Run
from ...progress.session_state import SessionState
from . import append
from .connection import TIMEOUT_S, BoundedConnection, Command
from .names import SESSIONS_KEY, history_key, progress_key, result_key, session_key

#: How long the background thread may take to bring Redis up to date.
PATIENCE_S = 5.0
#: What is raised if Redis answers but refuses us.
REFUSALS = (redis.AuthenticationError, redis.ResponseError)
#: What may be raised if Redis is broken, refuses, or disappears.
ERRORS = (redis.RedisError, OSError, ValueError, TypeError, AttributeError)


class RedisWriter:
    """Stores one run in Redis.

    Args:
        client: a ``redis.Redis``; its address and credentials are used, its timeouts and retries are not.

    Raises:
        AttributeError: *client* is not such a client.
    """

    def __init__(self, client: Any) -> None:
        self._connection = BoundedConnection(client.connection_pool)
        self._epoch = ""
        self._stored = 0

    def open(self) -> None:
        """Connect; raise one of ERRORS if Redis can't be reached or forbids scripts. May take long."""
        self._connection.open()
        with suppress(redis.exceptions.NoScriptError):  # where scripts are allowed, the reply to the second probe
            self._connection.ask_all(time.monotonic() + TIMEOUT_S, append.PROBES)

    def close(self) -> None:
        """Disconnect; open() connects again."""
        self._connection.close()

    def write(self, run: Run) -> None:
        """Send the updates of *run* that Redis lacks, within TIMEOUT_S.

        Raises:
            One of ERRORS. Redis may have stored the updates nevertheless; calling again does not store them twice.
        """
        deadline_s = time.monotonic() + TIMEOUT_S
        while (call := self.next_call(run)) is not None:
            self.send(call, deadline_s)

    def next_call(self, run: Run) -> append.Call | None:
        """Build the call that stores what Redis lacks of *run*; None if it lacks nothing."""
        if run.epoch != self._epoch:
            self._epoch, self._stored = run.epoch, 0
        lacking = min(run.seq - self._stored, len(run.updates))
        if lacking <= 0:
            return None
        missing = [run.updates[index] for index in range(-lacking, 0)]  # a deque has no slices
        mode: append.Mode = "over" if missing[0].seq > self._stored + 1 else "repeat"
        return append.call(run.session_id, missing, run.brief_documents(), time.time(), mode)

    def send(self, call: append.Call, deadline_s: float) -> None:
        """Send a call of next_call(), and remember how far Redis has got.

        Raises:
            One of ERRORS, as write().
        """
        self._stored = append.answer(self._evaluate(call, deadline_s)).seq

    def _evaluate(self, call: append.Call, deadline_s: float) -> Any:
        """Run the script by its hash; a Redis that does not have it costs one more round trip, not two."""
        ask = self._connection.ask
        try:
            return ask(deadline_s, "EVALSHA", append.SHA, len(call.keys), *call.keys, *call.args)
        except redis.exceptions.NoScriptError:
            return ask(deadline_s, "EVAL", append.SCRIPT, len(call.keys), *call.keys, *call.args)

    def _transaction(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Run commands as one transaction and return their replies."""
        framed: list[Command] = [("MULTI",), *commands, ("EXEC",)]
        replies: list[Any] = self._connection.ask_all(time.monotonic() + TIMEOUT_S, framed)[-1]
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                raise reply
        return replies

    def read(self, session_id: str) -> SessionState | None:
        """Return the stored state of a session, None if nothing is stored."""
        commands = [
            ("GET", progress_key(session_id)),
            ("XRANGE", history_key(session_id), "-", "+"),
        ]
        raw, stream = self._transaction(commands)
        return from_redis(session_id, raw, [_fields(pairs).get(b"data", b"") for _, pairs in stream])

    def delete(self, session_id: str) -> None:
        """Delete every key of a session."""
        keys = (progress_key, history_key, result_key, session_key)
        commands = [("DEL", *(key(session_id) for key in keys)), ("ZREM", SESSIONS_KEY, session_id)]
        self._transaction(commands)
        self._stored = 0


def _fields(pairs: list[Any]) -> dict[bytes, bytes]:
    """Return the fields of a stream's entry as bytes, even if the robot's client decodes replies."""
    plain = [part.encode() if isinstance(part, str) else part for part in pairs]
    return dict(zip(plain[::2], plain[1::2], strict=True))


def connect(url: str) -> Any:
    """Return a client for *url*; it connects at the first command."""
    return redis.Redis.from_url(url)
