"""Writes one run to Redis, for the tracker: sends the updates that Redis lacks, within a time limit, without retries.

Blocking. The robot's thread writes over an open connection. A background thread opens the connection, and sends what
Redis missed, since both may take longer than a robot may wait. tracker/failover.py decides which of the two threads
uses this object; they never use it at the same time.
"""

import time
from contextlib import suppress
from typing import Any

import redis

from ...progress.redis_documents import from_redis
from ...progress.run import Run
from ...progress.session_state import SessionState
from ..base import NotCurrent
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

    Attributes:
        stored: number of the last update of the run that Redis is known to have, 0 if it has none.

    Raises:
        AttributeError, TypeError: *client* is not a ``redis.Redis``.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._connection = BoundedConnection(client.connection_pool)
        self._epoch = ""
        self.stored = 0
        self._clock_s: float | None = None  # Redis' time when the steady clock was 0
        self._theirs: tuple[SessionState, int] | None = None  # what Run.rejoin() needs before the next call

    def open(self) -> None:
        """Connect; raise one of ERRORS if Redis can't be reached or forbids scripts.

        There is no time limit, since the host's name is resolved here.
        """
        self._connection.open()
        with suppress(redis.exceptions.NoScriptError):  # the reply to the second probe if scripts are allowed
            self._connection.ask_all(time.monotonic() + TIMEOUT_S, append.PROBES)
        asked_s = time.monotonic()
        seconds, micros = self._connection.ask(asked_s + TIMEOUT_S, "TIME")
        self._clock_s = int(seconds) + int(micros) / 1e6 - asked_s

    def clock_ms(self) -> int | None:
        """Return Redis' time in milliseconds since 1970, None before open()."""
        return None if self._clock_s is None else round((self._clock_s + time.monotonic()) * 1000)

    def another(self) -> "RedisWriter":
        """Return a writer with a connection of its own to the same Redis; not opened yet."""
        return RedisWriter(self._client)

    def close(self) -> None:
        """Disconnect; open() connects again."""
        self._connection.close()

    def write(self, run: Run) -> None:
        """Send the updates of *run* that Redis lacks, within TIMEOUT_S.

        Raises:
            NotCurrent: another run of the session is the current one.
            One of ERRORS. Redis may have stored the updates nevertheless; calling again does not store them twice.
        """
        deadline_s = time.monotonic() + TIMEOUT_S
        while (call := self.next_call(run)) is not None:
            self.send(call, deadline_s)

    def next_call(self, run: Run) -> append.Call | None:
        """Build the call that stores the updates of *run* that Redis lacks; None if Redis lacks none.

        If the last call found that another writer of the run has used its numbers, those updates of *run* get new ones.
        """
        if run.epoch != self._epoch:
            self._epoch, self.stored, self._theirs = run.epoch, run.base, None
        if self._theirs is not None:
            (state, taken), self._theirs = self._theirs, None
            if state.epoch == run.epoch:
                run.rejoin(state, taken)
                self.stored = state.seq
        lacking = min(run.seq - self.stored, len(run.updates))
        if lacking <= 0:
            return None
        missing = [run.updates[index] for index in range(-lacking, 0)]  # a deque has no slices
        return append.call(run, missing, "over" if missing[0].seq > self.stored + 1 else "append")

    def send(self, call: append.Call, deadline_s: float) -> None:
        """Send a call of next_call(), and remember the last ``seq`` that Redis has.

        Raises:
            NotCurrent, or one of ERRORS, as write().
        """
        answer = append.answer(self._evaluate(call, deadline_s))
        if answer.epoch:
            raise NotCurrent(answer.epoch, answer.kind == "waiting")
        self.stored = answer.seq
        if answer.kind == "taken":
            state = self._read(call.session_id, deadline_s)
            self.stored, self._theirs = 0, None if state is None else (state, answer.taken)

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
        return self._read(session_id, time.monotonic() + TIMEOUT_S)

    def _read(self, session_id: str, deadline_s: float) -> SessionState | None:
        commands: list[Command] = [
            ("GET", progress_key(session_id)),
            ("XRANGE", history_key(session_id), "-", "+"),
        ]
        raw, stream = self._connection.ask_all(deadline_s, commands)
        return from_redis(session_id, raw, [_fields(pairs).get(b"data", b"") for _, pairs in stream])

    def delete(self, session_id: str) -> None:
        """Delete every key of a session; raise one of ERRORS."""
        keys = (progress_key, history_key, result_key, session_key)
        commands: list[Command] = [("DEL", *(key(session_id) for key in keys)), ("ZREM", SESSIONS_KEY, session_id)]
        self._connection.ask_all(time.monotonic() + TIMEOUT_S, commands)
        self.stored = 0


def _fields(pairs: list[Any]) -> dict[bytes, bytes]:
    """Return the fields of a stream's entry as bytes, even if the robot's client decodes replies."""
    plain = [part.encode() if isinstance(part, str) else part for part in pairs]
    return dict(zip(plain[::2], plain[1::2], strict=True))


def connect(url: str) -> Any:
    """Return a client for *url*; it connects at the first command."""
    return redis.Redis.from_url(url)
