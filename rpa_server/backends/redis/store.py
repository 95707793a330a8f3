"""Reads and writes sessions in Redis, for the server. Published messages arrive through subscription.py.

Invariant: no round trip takes longer than TIMEOUT_S; after a failed one, calls fail at once for up to a second.
"""

import logging
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis.asyncio
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ... import safejson
from ...backoff import Breaker
from ...errors import BadDocument, StorageUnavailable
from ...progress.documents import own_cursor
from ...progress.redis_documents import from_foreign, from_own, replayed
from ...progress.run import Run
from ...progress.session_id import is_session_id
from ...progress.session_state import SessionState
from ...progress.update import Cursor, Update, own_update
from ..base import TTL_S
from . import append as script
from .connection import Command
from .link import TIMEOUT_S, Link
from .names import PROBE_KEY, SESSIONS_KEY, history_key, progress_key, result_key, session_key

logger = logging.getLogger(__name__)

_LISTED = 1000
#: This module relies on these options, so they override the address: timeouts, no retries, replies as bytes in RESP2 and
#: in the shapes that they always had.
_OPTIONS: dict[str, Any] = {
    "socket_connect_timeout": TIMEOUT_S,
    "socket_timeout": TIMEOUT_S,
    "retry": Retry(NoBackoff(), 0),
    "health_check_interval": 0,
    "protocol": 2,
    "decode_responses": False,
    "legacy_responses": True,
    "max_connections": None,
}

#: Under the policies of Redis that are not among these, sessions are evicted although other keys were not used for longer.
_SAFE_POLICIES = ("allkeys-lru", "allkeys-lfu", "allkeys-lrm", "noeviction")

#: The exceptions that redis.asyncio may raise if Redis is broken, refuses, or disappears.
ERRORS = (redis.RedisError, OSError, EOFError, ValueError, RuntimeError, AttributeError)


def client(url: str) -> redis.asyncio.Redis:
    """Return a client for *url* that times out after a second and never retries; it connects at the first command."""
    pool = redis.asyncio.ConnectionPool(**{**parse_url(url), **_OPTIONS})
    return redis.asyncio.Redis.from_pool(pool)


class RedisStore:
    """The sessions in one Redis.

    Args:
        connection: from client().
    """

    def __init__(self, connection: redis.asyncio.Redis) -> None:
        self._client = connection
        self._link = Link(connection.connection_pool)
        self._breaker = Breaker(base_s=0.25, cap_s=1.0)

    async def _ask(self, what: str, *commands: Command) -> list[Any]:
        """Send commands and return their replies; a refused command's is the exception.

        Args:
            what: completes the error message "Redis can't be …": "read", "written".

        Raises:
            StorageUnavailable: Redis does not answer, or has failed to a moment ago.
        """
        if not self._breaker.allows(time.monotonic()):
            raise StorageUnavailable(f"Redis can't be {what}, it has just failed to answer.")
        try:
            replies = await self._link.try_all(*commands)
        except ERRORS as error:
            self._breaker.failed(time.monotonic(), random.random())
            raise StorageUnavailable(f"Redis can't be {what} ({error}).") from None
        self._breaker.succeeded()
        if any(isinstance(reply, redis.ReadOnlyError) for reply in replies):
            self._link.drop()  # a new connection may lead to the new master
        return replies

    async def _reply(self, what: str, *commands: Command) -> list[Any]:
        """Like _ask(), but raise StorageUnavailable if a command is refused, too."""
        replies = await self._ask(what, *commands)
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                raise StorageUnavailable(f"Redis can't be {what} ({reply}).")
        return replies

    async def read(self, session_id: str, after: int | None = None) -> SessionState | None:
        """Return the current state of a session, None if nothing is stored or the snapshot can't be understood.

        Args:
            after: see Store.read().
        """
        asked_s = time.time()
        key = progress_key(session_id)
        # A writer may come in between, so each command may only see more than the one before it: no time later than the
        # snapshot, no stream that lacks its update. A transaction would need memory, which a full Redis does not have.
        commands: list[Command] = [("TIME",), ("PTTL", key), ("GET", key)]
        if after is not None:
            commands.append(("XRANGE", history_key(session_id), after + 1, "+"))
        clock, left_ms, raw, *streams = await self._reply("read", *commands)
        try:
            state = await self._state(session_id, raw, _updates(streams[0]) if streams else [])
        except BadDocument as error:
            logger.debug("Session %s in Redis: %s", session_id, error)
            return None
        if state is None or left_ms <= 0:
            return state
        # Every writer, deployed robots included, lets the snapshot expire a day after each write. The time of the
        # reading is Redis' own: here some time may have passed since.
        now_s = _seconds(clock)
        return state.written_at(now_s - (TTL_S - left_ms / 1000), now_s - asked_s)

    async def _state(self, session_id: str, raw: bytes | None, updates: list[Update]) -> SessionState | None:
        if raw is None:  # perhaps it was evicted, and the stream was not
            (stream,) = await self._reply("read", ("XRANGE", history_key(session_id), "-", "+"))
            return replayed(session_id, _updates(stream))
        document = safejson.load_object(raw)
        if own_cursor(document) is not None:
            return from_own(session_id, document, updates)
        ends = await self._reply("read", ("MGET", result_key(session_id), session_key(session_id)))
        return from_foreign(session_id, document, *ends[0])

    async def snapshots(self, session_ids: Sequence[str]) -> list[bytes | None]:
        """Return each session's stored snapshot as bytes, None if there is none."""
        (raw,) = await self._reply("read", ("MGET", *map(progress_key, session_ids)))
        return list(raw)

    async def written(self, session_ids: Sequence[str]) -> list[float | None]:
        """Return when each session was last written (seconds since 1970, by Redis' clock), None if unknown."""
        (times,) = await self._ask("read", ("ZMSCORE", SESSIONS_KEY, *session_ids))
        if isinstance(times, redis.ResponseError):  # Redis before 6.2 has no ZMSCORE
            times = await self._reply("read", *(("ZSCORE", SESSIONS_KEY, name) for name in session_ids))
        return [None if time is None else float(time) for time in times]

    async def positions(self, session_ids: Sequence[str]) -> dict[str, Cursor]:
        """Return the cursor of the newest update in each session's stream, by session id.

        Sessions whose stream is empty, or whose newest entry is not an update of our tracker, are left out.
        """
        keys = map(history_key, session_ids)
        newest = await self._ask("read", *(("XREVRANGE", key, "+", "-", "COUNT", 1) for key in keys))
        if newest and all(isinstance(entries, redis.ResponseError) for entries in newest):
            raise StorageUnavailable(f"Redis can't be read ({newest[0]}).")
        found = {}
        for session_id, entries in zip(session_ids, newest, strict=True):
            updates = _updates(entries) if isinstance(entries, list) else []
            if updates and updates[0].cursor is not None:
                found[session_id] = updates[0].cursor
        return found

    async def sessions(self, limit: int) -> list[str]:
        """Return the ids of the *limit* most recently written sessions (1,000 at most), newest first."""
        (names,) = await self._reply("read", ("ZREVRANGE", SESSIONS_KEY, 0, min(limit, _LISTED) - 1))
        return [text for name in names if is_session_id(text := name.decode("utf-8", "replace"))]

    async def append(self, run: Run) -> bool:
        """Append the updates added to *run* since it was resumed; see Store.append()."""
        answer = await self._store(run, run.added(), "append" if run.base else "new")
        if answer.kind == "gap" and answer.seq < run.base:  # Redis lacks updates of this run: they are only in files
            return await self.hand_in(run)
        return answer.kind == "ok"

    async def hand_in(self, run: Run) -> bool:
        """Store the updates of *run* that Redis lacks; if it lacks those before them, they replace the stored ones.

        Updates whose numbers another writer has used get the next free ones.

        Returns:
            False, with nothing stored, if another run is the current one; see order.may_replace().
        """
        mode: script.Mode = "append"
        while (answer := await self._store(run, list(run.updates), mode)).kind != "ok":
            if answer.kind == "gap":
                mode = "over"
            elif answer.kind == "taken":
                stored = await self.read(run.session_id, 0)
                if stored is None or stored.epoch != run.epoch:
                    return False
                run.rejoin(stored, answer.taken)
                if not run.added():
                    return True
            else:
                return False
        return True

    async def clock_ahead_s(self) -> float:
        """Return how many seconds Redis' clock is ahead of this computer's."""
        asked_s = time.time()
        (clock,) = await self._reply("read", ("TIME",))
        return _seconds(clock) - asked_s

    async def _store(self, run: Run, updates: list[Update], mode: script.Mode) -> script.Answer:
        call = script.call(run, updates, mode)
        rest = (len(call.keys), *call.keys, *call.args)
        (reply,) = await self._ask("written", ("EVALSHA", script.SHA, *rest))
        if isinstance(reply, redis.exceptions.NoScriptError):  # Redis was restarted or its scripts were flushed
            (reply,) = await self._ask("written", ("EVAL", script.SCRIPT, *rest))
        if isinstance(reply, redis.ResponseError):
            raise StorageUnavailable(f"Redis can't be written ({reply}).")
        return script.answer(reply)

    async def refusal(self) -> str | None:
        """Write a key that nobody reads; return why Redis refuses that, full memory for example, None if it does not.

        Raises:
            StorageUnavailable: Redis does not answer.
        """
        (reply,) = await self._ask("written", ("SET", PROBE_KEY, b"", "PX", 1))
        if isinstance(reply, redis.ResponseError):
            return f"Redis serves reads, but refuses to write ({reply}); what is published over HTTP goes to files."
        return None

    async def warn_of_eviction(self) -> None:
        """Log a warning if Redis, once its memory is full, may evict running sessions before keys that nobody uses."""
        try:
            memory: Any = await self._client.info("memory")
        except ERRORS as error:
            logger.info("Redis can't be asked for its memory policy (%s).", error)
            return
        policy = str(memory.get("maxmemory_policy", ""))
        if policy not in _SAFE_POLICIES and memory.get("maxmemory"):
            logger.warning(
                "Redis may evict sessions that are still running when its memory is full (maxmemory-policy %s): "
                "take allkeys-lru, which evicts what was not used for longest, or noeviction.",
                policy,
            )

    async def aclose(self) -> None:
        """Close the connections; never raises."""
        await self._link.aclose()
        with suppress(*ERRORS):
            await self._client.aclose()


def _updates(stream: list[Any]) -> list[Update]:
    """Return the updates in a part of a stream, without entries that are not our tracker's."""
    payloads = (fields[fields.index(b"data") + 1] for _, fields in stream if b"data" in fields[::2])
    return [update for payload in payloads if (update := own_update(payload)) is not None]


def _seconds(clock: list[bytes]) -> float:
    """Return the reply to TIME in seconds since 1970."""
    return int(clock[0]) + int(clock[1]) / 1e6
