"""The one subscription that feeds the hub: every message on ``rpa_progress:*``, and word of every snapshot written.

The deployed robot writes its snapshot and publishes nothing. Redis tells of that itself where it is set to, which is
done here where the server may.

redis-py's PubSub can go deaf or spin for ever without raising, and costs more than everything behind it, so it is
not used: the library connects (password, TLS, unix socket), then the connection is ours, and what one read of the
socket brought is delivered at once. A watchdog publishes to a channel of its own whenever the line is quiet; when
that does not come back in time the line is dead, and everything is built anew.
"""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import hiredis
import redis.asyncio

from ...backoff import delay
from ...log import RateLimit
from .names import CHANNEL_PATTERN, PROBE_CHANNEL_PREFIX, keyspace_pattern
from .store import TIMEOUT_S, client

logger = logging.getLogger(__name__)

IDLE_S = 1.5
ECHO_S = 2.0
#: Errors that waiting does not mend.
_REFUSALS = (redis.AuthenticationError, redis.ResponseError)
_NOTHING = object()
_OURS = CHANNEL_PATTERN.encode()

Deliver = Callable[[bytes, bytes], None]
Written = Callable[[bytes], None]


class _Line(asyncio.Protocol):
    """One connection on which Redis sends messages.

    Attributes:
        heard_s: when it last sent anything, on the clock of time.monotonic.
        confirmed: done once as many subscriptions as were asked for are active.
        lost: fails when the connection ends, with the reason.
        told: Redis is subscribed for word of snapshots, too.
    """

    def __init__(self, deliver: Deliver, written: Written, subscriptions: int) -> None:
        loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._written = written
        self.told = False
        self._reader = hiredis.Reader(replyError=redis.ResponseError, notEnoughData=_NOTHING)
        self._missing = subscriptions
        self.heard_s = time.monotonic()
        self.confirmed: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def data_received(self, data: bytes) -> None:
        if self.lost.done():  # what came before it was nonsense, or could not be delivered
            return
        self.heard_s = time.monotonic()
        reader, deliver = self._reader, self._deliver
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                if type(reply) is list and reply[0] == b"pmessage":
                    if reply[1] == _OURS:
                        deliver(reply[2], reply[3])
                    elif reply[3] == b"set":
                        self._written(reply[2])
                else:
                    self._other(reply)
        except Exception as error:  # whatever it is, reading on would be reading nonsense
            self._fail(error)

    def _other(self, reply: Any) -> None:
        if isinstance(reply, Exception):
            if not self.confirmed.done():
                raise reply
            logger.info("Redis gives no word of snapshots (%s); they are looked for.", reply)
        elif reply[0] in (b"psubscribe", b"subscribe"):
            self._missing -= 1
            self.told = self._missing < 0
            if self._missing == 0:
                self.confirmed.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or redis.ConnectionError("Redis closed the connection"))

    async def wait(self, true: asyncio.Future[None] | None, seconds: float) -> None:
        """Wait for *true*, for the time to pass, or for the connection to be lost; raise what it was lost of."""
        await asyncio.wait([self.lost, *([true] if true else [])], timeout=seconds, return_when="FIRST_COMPLETED")
        if self.lost.done():
            self.lost.result()
        if true is not None and not true.done():
            raise TimeoutError("Redis does not answer")


class Subscriber:
    """Hands every message on ``rpa_progress:*`` to *deliver*, for ever, over one connection.

    Args:
        url: the Redis to subscribe to.
        deliver: called with the channel's and the message's bytes; must not await.
        written: called with the channel's bytes where a snapshot was written; must not await.

    Attributes:
        resubscribed: what to call each time the subscription is (again) active: what was published before may
            be lost.
        active: set while the subscription is believed to work.
        losses: how many times it ended.
        reason: why it does not work, for operators; empty while it does.
        refused: Redis answers but does not let us in: wrong password, missing permission, bad certificate.
        told: Redis gives word of snapshots, so nobody has to look for them.
    """

    def __init__(self, url: str, deliver: Deliver, written: Written = lambda channel: None) -> None:
        self._url = url
        self._deliver = deliver
        self._written = written
        self._line: _Line | None = None
        self.resubscribed: list[Callable[[], None]] = []
        self._probe = PROBE_CHANNEL_PREFIX + secrets.token_hex(8)
        self._brake = RateLimit()
        self.active = asyncio.Event()
        self.losses = 0
        self.reason = "not connected yet"
        self.refused = False

    @property
    def told(self) -> bool:
        return self._line is not None and self._line.told

    async def run(self) -> None:
        """Subscribe, and again whenever the connection is lost. Ends only by cancellation."""
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._session()
            except Exception as error:  # whatever went wrong in there, the task must not die of it
                if self.active.is_set():
                    attempt = 1  # it worked: the next try comes at once
                self._down(error)
            await asyncio.sleep(delay(attempt, 0.05, 1.0, random.random()))

    def _down(self, error: Exception) -> None:
        self.active.clear()
        self.losses += 1
        self.reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        self.refused = isinstance(error, _REFUSALS) or self._bad_certificate()
        held = self._brake.allow(time.monotonic())
        if held is not None:
            logger.warning("The subscription to Redis is down (%s; %d like it before).", self.reason, held)

    def _bad_certificate(self) -> bool:
        """Tell whether one was refused, or there is no file where the authority's should be."""
        reason = self.reason.lower()
        return "certificate" in reason or (self._url.startswith("rediss:") and "no such file" in reason)

    async def _session(self) -> None:
        """Subscribe and deliver until something fails."""
        source = client(self._url)
        connection = source.connection_pool.make_connection()
        line = _Line(self._deliver, self._written, subscriptions=2)
        transport: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                await connection.connect()
            # Nothing is on its way to the library now. It does not hand out its transport.
            transport = connection._writer.transport
            transport.set_protocol(line)
            for command in (("PSUBSCRIBE", CHANNEL_PATTERN), ("SUBSCRIBE", self._probe)):
                transport.write(b"".join(connection.pack_command(*command)))
            await line.wait(line.confirmed, TIMEOUT_S)
            await source.publish(self._probe, b"")  # who may not must be told now, not when the line is quiet
            if await _switch_on(source):
                # Behind the others: a Redis that refuses this one is none that refuses us.
                pattern = keyspace_pattern(source.connection_pool.connection_kwargs.get("db") or 0)
                transport.write(b"".join(connection.pack_command("PSUBSCRIBE", pattern)))
            self._line = line
            self._up()
            await self._watch(line, source)
        finally:
            self._line = None
            line.lost.cancel()
            if transport is not None:
                transport.abort()
            with suppress(Exception):
                async with asyncio.timeout(TIMEOUT_S):
                    await connection.disconnect(nowait=True)
                    await source.aclose()

    def _up(self) -> None:
        self.reason = ""
        self.refused = False
        self.active.set()
        logger.info("Subscribed to Redis.")
        for call in self.resubscribed:
            call()

    async def _watch(self, line: _Line, source: redis.asyncio.Redis) -> None:
        """Raise when the connection is lost, or when a quiet line turns out to be a dead one."""
        while True:
            await line.wait(None, IDLE_S / 3)
            asked = time.monotonic()
            if asked - line.heard_s < IDLE_S:
                continue
            await source.publish(self._probe, b"")
            while line.heard_s < asked:
                if time.monotonic() - asked > ECHO_S:
                    raise TimeoutError("nothing comes through the subscription any more")
                await line.wait(None, 0.05)


async def _switch_on(source: redis.asyncio.Redis) -> bool:
    """Let Redis tell of keys that are set, beside what it tells already; False where it may not be asked to."""
    try:
        setting: Any = await source.config_get("notify-keyspace-events")
        flags = str(setting.get("notify-keyspace-events", ""))
        lacking = ("" if "K" in flags else "K") + ("" if "A" in flags or "$" in flags else "$")
        if lacking:
            await source.config_set("notify-keyspace-events", flags + lacking)
            logger.info("Redis now tells of keys that are set (notify-keyspace-events %s%s).", flags, lacking)
    except redis.ResponseError as error:
        logger.info("Redis does not say whether it gives word of snapshots (%s).", error)
        return False
    return True
