"""Writes one run to Redis, for the tracker: bounded in time, never retried; sends what Redis lacks of the run.

Blocking. The robot's thread writes over an open connection; a background thread opens it and sends what takes longer than
a robot may wait. Which of the two may use this object is decided in tracker/failover.py; they never use it at once.
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
#: Redis answers, but refuses us.
REFUSALS = (redis.AuthenticationError, redis.ResponseError)
#: Whatever a broken, refusing or vanished Redis may raise.
ERRORS = (redis.RedisError, OSError, ValueError, TypeError, AttributeError)


class RedisWriter:
    """Stores one run in Redis.

    Args:
        client: a ``redis.Redis``; its address and credentials are used, its timeouts and retries are not.

    Raises:
        AttributeError: *client* is something else.
    """

    def __init__(self, client: Any) -> None:
        self._connection = BoundedConnection(client.connection_pool)
        self._epoch = ""
        self._stored = 0

    def open(self) -> None:
        """Connect; raise one of ERRORS where Redis is not there or forbids scripts. May take long."""
        self._connection.open()
        with suppress(redis.exceptions.NoScriptError):  # the answer to the second probe where scripts are allowed
            self._connection.ask_all(time.monotonic() + TIMEOUT_S, append.PROBES)

    def close(self) -> None:
        """Disconnect; open() connects again."""
        self._connection.close()

    def write(self, run: Run) -> None:
        """Send the updates that Redis lacks of the run, within TIMEOUT_S.

        Raises:
            One of ERRORS. Redis may have stored the updates all the same; calling again does not store them twice.
        """
        deadline_s = time.monotonic() + TIMEOUT_S
        while (call := self.next_call(run)) is not None:
            self.send(call, deadline_s)

    def next_call(self, run: Run) -> append.Call | None:
        """Build the call that stores what Redis lacks of *run*; None where it lacks nothing."""
        if run.epoch != self._epoch:
            self._epoch, self._stored = run.epoch, 0
        lacking = min(run.seq - self._stored, len(run.updates))
        if lacking <= 0:
            return None
        missing = [run.updates[index] for index in range(-lacking, 0)]  # a slice, which a deque has not
        mode: append.Mode = "over" if missing[0].seq > self._stored + 1 else "repeat"
        return append.call(run.session_id, missing, run.brief_documents(), time.time(), mode)

    def send(self, call: append.Call, deadline_s: float) -> None:
        """Send a call of next_call(), which then knows how far Redis is.

        Raises:
            One of ERRORS, as write().
        """
        self._stored = append.answer(self._evaluate(call, deadline_s)).seq

    def _evaluate(self, call: append.Call, deadline_s: float) -> Any:
        """Run the script; a Redis that does not know it costs one trip more, not two."""
        ask = self._connection.ask
        try:
            return ask(deadline_s, "EVALSHA", append.SHA, len(call.keys), *call.keys, *call.args)
        except redis.exceptions.NoScriptError:
            return ask(deadline_s, "EVAL", append.SCRIPT, len(call.keys), *call.keys, *call.args)

    def _transaction(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Run commands in one step and return their replies."""
        framed: list[Command] = [("MULTI",), *commands, ("EXEC",)]
        replies: list[Any] = self._connection.ask_all(time.monotonic() + TIMEOUT_S, framed)[-1]
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                raise reply
        return replies

    def read(self, session_id: str) -> SessionState | None:
        """Return the stored state of a session, None where nothing is stored."""
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
    """Return the fields of a stream's entry as bytes, also where the robot's client decodes replies."""
    plain = [part.encode() if isinstance(part, str) else part for part in pairs]
    return dict(zip(plain[::2], plain[1::2], strict=True))


def connect(url: str) -> Any:
    """Return a client for *url*; nothing is sent yet."""
    return redis.Redis.from_url(url)
