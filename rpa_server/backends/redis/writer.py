"""Writes one run to Redis, for the tracker: sends the updates that Redis lacks, within a time limit, without retries.

Blocking. The robot's thread writes over an open connection. A background thread opens the connection, and sends what
Redis missed, since both may take longer than a robot may wait. tracker/failover.py decides which of the two threads
uses this object; they never use it at the same time.
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

#: How many seconds the background thread may take to send everything that Redis lacks.
PATIENCE_S = 5.0
#: The exceptions that are raised if Redis answers, but refuses a command or the credentials.
REFUSALS = (redis.AuthenticationError, redis.ResponseError)
#: All exceptions that may be raised if Redis is broken, refuses, or disappears.
ERRORS = (redis.RedisError, OSError, ValueError, TypeError, AttributeError)


class RedisWriter:
    """Stores one run in Redis.

    Args:
        client: a ``redis.Redis``; its address and credentials are used, its timeouts and retries are not.

    Raises:
        AttributeError, TypeError: *client* is not a ``redis.Redis``.
    """

    def __init__(self, client: Any) -> None:
        self._connection = BoundedConnection(client.connection_pool)
        self._epoch = ""
        self._stored = 0

    def open(self) -> None:
        """Connect; raise one of ERRORS if Redis can't be reached or forbids scripts.

        There is no time limit, since the host's name is resolved here.
        """
        self._connection.open()
        with suppress(redis.exceptions.NoScriptError):  # the reply to the second probe if scripts are allowed
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
        """Build the call that stores the updates of *run* that Redis lacks; None if Redis lacks none."""
        if run.epoch != self._epoch:
            self._epoch, self._stored = run.epoch, 0
        lacking = min(run.seq - self._stored, len(run.updates))
        if lacking <= 0:
            return None
        missing = [run.updates[index] for index in range(-lacking, 0)]  # a deque has no slices
        mode: append.Mode = "over" if missing[0].seq > self._stored + 1 else "repeat"
        return append.call(run.session_id, missing, run.brief_documents(), time.time(), mode)

    def send(self, call: append.Call, deadline_s: float) -> None:
        """Send a call of next_call(), and remember the last ``seq`` that Redis has.

        Raises:
            One of ERRORS, as write().
        """
        self._stored = append.answer(self._evaluate(call, deadline_s)).seq

    def _evaluate(self, call: append.Call, deadline_s: float) -> Any:
        """Run the script by its hash; if Redis does not have the script yet, EVAL both loads and runs it."""
        ask = self._connection.ask
        try:
            return ask(deadline_s, "EVALSHA", append.SHA, len(call.keys), *call.keys, *call.args)
        except redis.exceptions.NoScriptError:
            return ask(deadline_s, "EVAL", append.SCRIPT, len(call.keys), *call.keys, *call.args)

    def read(self, session_id: str) -> SessionState | None:
        """Return the stored state of a session, None if nothing is stored; raise BadDocument or one of ERRORS.

        Without a transaction, like RedisStore.read(): the stream is read after the snapshot.
        """
        commands: list[Command] = [
            ("GET", progress_key(session_id)),
            ("XRANGE", history_key(session_id), "-", "+"),
        ]
        raw, stream = self._connection.ask_all(time.monotonic() + TIMEOUT_S, commands)
        return from_redis(session_id, raw, [_fields(pairs).get(b"data", b"") for _, pairs in stream])

    def delete(self, session_id: str) -> None:
        """Delete every key of a session; raise one of ERRORS."""
        keys = (progress_key, history_key, result_key, session_key)
        commands: list[Command] = [("DEL", *(key(session_id) for key in keys)), ("ZREM", SESSIONS_KEY, session_id)]
        self._connection.ask_all(time.monotonic() + TIMEOUT_S, commands)
        self._stored = 0


def _fields(pairs: list[Any]) -> dict[bytes, bytes]:
    """Return the fields of a stream's entry as bytes, even if the robot's client decodes replies."""
    plain = [part.encode() if isinstance(part, str) else part for part in pairs]
    return dict(zip(plain[::2], plain[1::2], strict=True))


def connect(url: str) -> Any:
    """Return a client for *url*; it connects at the first command."""
    return redis.Redis.from_url(url)
