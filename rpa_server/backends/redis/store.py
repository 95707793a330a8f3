"""Reads and writes sessions in Redis, for the server. Published messages arrive through subscription.py.

Invariant: no round trip takes longer than TIMEOUT_S; after a failed one, calls fail at once for up to a second.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import redis.asyncio
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...backoff import Breaker
from ...errors import BadDocument, StorageUnavailable
from ...progress.documents import from_redis
from ...progress.run import Run
from ...progress.session_id import is_session_id
from ...progress.session_state import SessionState
from ...progress.update import Cursor, Update, own_update
from ..base import TTL_S
from . import append as script
from .names import PROBE_KEY, SESSIONS_KEY, history_key, progress_key, result_key, session_key

logger = logging.getLogger(__name__)

TIMEOUT_S = 1.0
_LISTED = 1000
#: How many calls use a connection at the same time: reading a thousand sessions must not take a thousand descriptors.
_CONNECTIONS = 16
#: This module relies on these options, so they override the address: timeouts, no retries, replies as bytes in RESP2 and
#: in the shapes that they always had, a connection for each of the _CONNECTIONS.
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
        self._breaker = Breaker(base_s=0.25, cap_s=1.0)
        self._turns = asyncio.Semaphore(_CONNECTIONS)

    @asynccontextmanager
    async def _asking(self, what: str) -> AsyncIterator[None]:
        """Convert exceptions of Redis in the block into StorageUnavailable.

        While the breaker is open, StorageUnavailable is raised before the block runs.

        Args:
            what: completes the error message "Redis can't be …": "read", "written".
        """
        async with self._turns:
            if not self._breaker.allows(time.monotonic()):
                raise StorageUnavailable(f"Redis can't be {what}, it has just failed to answer.")
            try:
                yield
            except redis.ResponseError as error:  # Redis did answer, so the breaker records no failure
                if isinstance(error, redis.ReadOnlyError):  # a new connection may lead to the new master
                    await self._client.connection_pool.disconnect(inuse_connections=False)
                raise StorageUnavailable(f"Redis can't be {what} ({error}).") from None
            except ERRORS as error:
                self._breaker.failed(time.monotonic(), random.random())
                raise StorageUnavailable(f"Redis can't be {what} ({error}).") from None
            self._breaker.succeeded()

    async def read(self, session_id: str) -> SessionState | None:
        """Return the current state of a session, None if nothing is stored or the snapshot can't be understood."""
        async with self._asking("read"), self._client.pipeline(transaction=False) as pipeline:
            # No transaction: Redis refuses MULTI when its memory is full. A writer may come in between, so each command
            # may only see more than the one before it: no time later than the snapshot, no stream that lacks its update.
            pipeline.pttl(progress_key(session_id))
            pipeline.get(progress_key(session_id))
            pipeline.xrange(history_key(session_id))
            pipeline.mget(result_key(session_id), session_key(session_id))
            left_ms, raw, stream, ends = await pipeline.execute()
        try:
            state = from_redis(session_id, raw, [fields.get(b"data", b"") for _, fields in stream], *ends)
        except BadDocument as error:
            logger.debug("Session %s in Redis: %s", session_id, error)
            return None
        if state is not None and left_ms > 0:
            # Every writer, deployed robots included, lets the snapshot expire a day after each write.
            state.written_s = time.time() - (TTL_S - left_ms / 1000)
        return state

    async def snapshots(self, session_ids: Sequence[str]) -> list[bytes | None]:
        """Return each session's stored snapshot as bytes, None if there is none."""
        async with self._asking("read"):
            raw: list[Any] = await self._client.mget([progress_key(name) for name in session_ids])
        return raw

    async def written(self, session_ids: Sequence[str]) -> list[float | None]:
        """Return when each session was last written (seconds since 1970, by its writer's clock), None if unknown."""
        async with self._asking("read"):
            try:
                times: list[float | None] = await self._client.zmscore(SESSIONS_KEY, list(session_ids))
            except redis.ResponseError:  # Redis before 6.2 has no ZMSCORE
                async with self._client.pipeline(transaction=False) as pipeline:
                    for session_id in session_ids:
                        pipeline.zscore(SESSIONS_KEY, session_id)
                    times = await pipeline.execute()
        return times

    async def positions(self, session_ids: Sequence[str]) -> dict[str, Cursor]:
        """Return the cursor of the newest update in each session's stream, by session id.

        Sessions whose stream is empty, or whose newest entry is not an update of our tracker, are left out.
        """
        async with self._asking("read"), self._client.pipeline(transaction=False) as pipeline:
            for session_id in session_ids:
                pipeline.xrevrange(history_key(session_id), count=1)
            newest = await pipeline.execute(raise_on_error=False)
        found = {}
        for session_id, entries in zip(session_ids, newest, strict=True):
            if isinstance(entries, list) and entries:
                update = own_update(entries[0][1].get(b"data", b""))
                if update is not None and update.cursor is not None:
                    found[session_id] = update.cursor
        return found

    async def sessions(self, limit: int) -> list[str]:
        """Return the ids of the *limit* most recently written sessions (1,000 at most), newest first."""
        async with self._asking("read"):
            names: list[Any] = await self._client.zrevrange(SESSIONS_KEY, 0, min(limit, _LISTED) - 1)
        return [text for name in names if is_session_id(text := name.decode("utf-8", "replace"))]

    async def append(self, run: Run) -> bool:
        """Append the updates added to *run* since it was resumed; see Store.append()."""
        mode: script.Mode = "exact" if run.base else "over" if run.replaces else "new"
        answer = await self._store(run, run.added(), mode)
        if answer.gap and answer.seq < run.base:  # Redis lacks updates of this run: they are only in files
            answer = await self._store(run, list(run.updates), run.base)
            if answer.gap and answer.seq < run.base:  # *run* no longer has the first of them
                return await self.replay(run)
        return not answer.gap

    async def replay(self, run: Run) -> bool:
        """Store all updates that *run* has; if Redis lacks the updates before them, they replace the stored ones.

        Returns True: in the mode ``over`` the script refuses nothing.
        """
        modes: tuple[script.Mode, ...] = ("repeat", "over")
        for mode in modes:
            if not (await self._store(run, list(run.updates), mode)).gap:
                return True
        return False

    async def _store(self, run: Run, updates: list[Update], mode: script.Mode | int) -> script.Answer:
        call = script.call(run.session_id, updates, run.brief_documents(), time.time(), mode)
        async with self._asking("written"):
            reply: Any
            try:
                reply = await self._client.evalsha(script.SHA, len(call.keys), *call.keys, *call.args)
            except redis.exceptions.NoScriptError:  # Redis was restarted or its scripts were flushed
                reply = await self._client.eval(script.SCRIPT, len(call.keys), *call.keys, *call.args)
            return script.answer(reply)

    async def refusal(self) -> str | None:
        """Write a key that nobody reads; return why Redis refuses that, full memory for example, None if it does not.

        Raises:
            StorageUnavailable: Redis does not answer.
        """
        async with self._asking("written"):
            try:
                await self._client.set(PROBE_KEY, b"", px=1)
            except redis.ResponseError as error:
                return f"Redis serves reads, but refuses to write ({error}); what is published over HTTP goes to files."
        return None

    async def warn_of_eviction(self) -> None:
        """Log a warning if Redis, once its memory is full, may evict running sessions before keys that nobody uses."""
        try:
            async with self._asking("asked for its memory policy"):
                memory: Any = await self._client.info("memory")
        except StorageUnavailable as error:
            logger.info("%s", error)
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
        with suppress(*ERRORS):
            await self._client.aclose()
