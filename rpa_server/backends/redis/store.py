"""Sessions in Redis: reads and writes. What is published there comes through subscription.py."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...backoff import Breaker
from ...errors import BadDocument, StorageUnavailable
from ...progress.documents import from_redis
from ...progress.run import Run
from ...progress.session_id import is_session_id
from ...progress.session_state import SessionState
from ...progress.update import Cursor, Update, own_update
from . import append as script
from .names import SESSIONS_KEY, history_key, progress_key, result_key, session_key

logger = logging.getLogger(__name__)

TIMEOUT_S = 1.0
_LISTED = 1000
#: IdleGuard to Redis at once, so that a thousand sessions that are read at once cost no thousand descriptors.
_CONNECTIONS = 16

#: What a broken, refusing or vanished Redis may raise in asyncio.
ERRORS = (redis.RedisError, OSError, EOFError, ValueError, RuntimeError, AttributeError)


def client(url: str) -> redis.asyncio.Redis:
    """Return a client for *url* that gives up after a second and never retries; nothing is sent yet."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_connect_timeout=TIMEOUT_S,
        socket_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        protocol=2,
    )


class RedisStore:
    """The sessions in one Redis.

    Args:
        connection: from client().
    """

    def __init__(self, connection: redis.asyncio.Redis) -> None:
        self._client = connection
        self._append = connection.register_script(script.SCRIPT)
        self._scripts = True
        self._breaker = Breaker(base_s=0.25, cap_s=1.0)
        self._turns = asyncio.Semaphore(_CONNECTIONS)

    @asynccontextmanager
    async def _asking(self, what: str) -> AsyncIterator[None]:
        """Turn what Redis raises into StorageUnavailable, at once while it is known not to answer."""
        async with self._turns:
            if not self._breaker.allows(time.monotonic()):
                raise StorageUnavailable(f"Redis can't be {what}, it has just failed to answer.")
            try:
                yield
            except redis.ResponseError as error:  # Redis answers: this call is refused, the next may not be
                if isinstance(error, redis.ReadOnlyError):  # another one is the master now, perhaps at this address
                    await self._client.connection_pool.disconnect(inuse_connections=False)
                raise StorageUnavailable(f"Redis can't be {what} ({error}).") from None
            except ERRORS as error:
                self._breaker.failed(time.monotonic(), random.random())
                raise StorageUnavailable(f"Redis can't be {what} ({error}).") from None
            self._breaker.succeeded()

    async def read(self, session_id: str) -> SessionState | None:
        """Return the current state of a session, None where nothing is stored."""
        async with self._asking("read"), self._client.pipeline(transaction=True) as pipeline:
            pipeline.get(progress_key(session_id))
            pipeline.xrange(history_key(session_id))
            pipeline.pttl(progress_key(session_id))
            pipeline.mget(result_key(session_id), session_key(session_id))
            raw, stream, left_ms, ends = await pipeline.execute()
        try:
            held = from_redis(session_id, raw, [fields.get(b"data", b"") for _, fields in stream], *ends)
        except BadDocument as error:
            logger.debug("Session %s in Redis: %s", session_id, error)
            return None
        if held is not None and left_ms > 0:
            # Every writer, the deployed one too, gives the snapshot a day from each write on.
            held.written_s = time.time() - (script.TTL_S - left_ms / 1000)
        return held

    async def snapshots(self, session_ids: Sequence[str]) -> list[bytes | None]:
        """Return the snapshot of each session as it is stored, None where there is none."""
        async with self._asking("read"):
            raw: list[Any] = await self._client.mget([progress_key(name) for name in session_ids])
        return raw

    async def written(self, session_ids: Sequence[str]) -> list[float | None]:
        """Return when each session was last written, by the clock of its robot; None where that is not known."""
        async with self._asking("read"):
            try:
                times: list[float | None] = await self._client.zmscore(SESSIONS_KEY, list(session_ids))
            except redis.ResponseError:  # older than 6.2
                async with self._client.pipeline(transaction=False) as pipeline:
                    for session_id in session_ids:
                        pipeline.zscore(SESSIONS_KEY, session_id)
                    times = await pipeline.execute()
        return times

    async def positions(self, session_ids: Sequence[str]) -> dict[str, Cursor]:
        """Return the last cursor that Redis holds of each session, of those it knows."""
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
        """Return the ids of the sessions written last, newest first."""
        async with self._asking("read"):
            names: list[Any] = await self._client.zrevrange(SESSIONS_KEY, 0, min(limit, _LISTED) - 1)
        return [text for name in names if is_session_id(text := name.decode("utf-8", "replace"))]

    async def append(self, run: Run) -> bool:
        """Append the updates of *run*; False where another writer took their numbers."""
        mode: script.Mode = "exact" if run.base else "over" if run.replaces else "new"
        answer = await self._store(run, run.added(), mode)
        if answer.gap and run.base and not answer.held:  # so far the run was in files only
            answer = await self._store(run, list(run.updates), run.base)
            if answer.gap and not answer.held:  # a run longer than what is kept of it
                return await self.replay(run)
        return not answer.gap

    async def replay(self, run: Run) -> bool:
        """Store a run that another writer left behind, whatever Redis holds of it; False where that failed."""
        modes: tuple[script.Mode, ...] = ("repeat", "over")
        for mode in modes:
            if not (await self._store(run, list(run.updates), mode)).gap:
                return True
        return False

    async def _store(self, run: Run, updates: list[Update], mode: script.Mode | int) -> script.Answer:
        call = script.call(run.session_id, updates, run.brief_documents(), time.time(), mode)
        async with self._asking("written"):
            return await self._call(call)

    async def _call(self, call: script.Call) -> script.Answer:
        if self._scripts:
            try:
                return script.answer(await self._append(keys=call.keys, args=call.args))
            except redis.ResponseError as error:
                if not script.forbids_scripts(error):
                    raise
                self._scripts = False
        stream = call.keys[0]
        while True:
            try:
                async with self._client.pipeline() as pipeline:
                    await pipeline.watch(stream)
                    newest: Any = await pipeline.xrevrange(stream, count=1)
                    plan = script.plan(call, newest)
                    pipeline.multi()
                    for command in plan.commands:
                        pipeline.execute_command(*command)
                    await pipeline.execute()
                    return plan.answer
            except redis.WatchError:
                continue

    async def warn_of_eviction(self) -> None:
        """Log it where Redis may drop live sessions for want of memory."""
        try:
            async with self._asking("asked for its memory policy"):
                memory: Any = await self._client.info("memory")
        except StorageUnavailable as error:
            logger.info("%s", error)
            return
        policy = str(memory.get("maxmemory_policy", ""))
        if policy.startswith("allkeys") and memory.get("maxmemory"):
            logger.warning(
                "Redis evicts any key when its memory is full (maxmemory-policy %s), a running session's too; "
                "volatile-ttl or noeviction is safer.",
                policy,
            )

    async def aclose(self) -> None:
        """Close the connections; never raises."""
        with suppress(*ERRORS):
            await self._client.aclose()
