"""The server's subscription to Redis: every message on ``rpa_progress:*``, and every write of a snapshot.

The deployed robot writes its snapshot and publishes nothing. Redis itself can report such writes (keyspace
notifications); we switch that on if Redis permits it.

redis-py's PubSub is not used: it can stop delivering, or spin for ever, without raising an exception, and it takes more
CPU time than all that we do with a message. redis-py connects (password, TLS, unix socket); then the connection's
transport gets our own protocol, which delivers all messages of one read of the socket at once. If nothing arrives for
IDLE_S seconds, we publish to a channel that only this subscription listens to; if nothing comes back within ECHO_S
seconds, the connection is taken for dead and replaced.
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
from . import append
from .connection import transport_of
from .link import TIMEOUT_S
from .names import CHANNEL_PATTERN, PROBE_CHANNEL_PREFIX, keyspace_pattern
from .store import ERRORS, client

logger = logging.getLogger(__name__)

IDLE_S = 1.5
ECHO_S = 2.0
#: While Redis forbids scripts, the seconds between two checks whether it still does.
SCRIPTS_PERIOD_S = 5.0
#: Refusals by Redis: trying again does not help until somebody changes a setting.
_REFUSALS = (redis.AuthenticationError, redis.ResponseError)
_INCOMPLETE = object()
_OURS = CHANNEL_PATTERN.encode()

Deliver = Callable[[bytes, bytes], None]
Written = Callable[[bytes], None]


class _Messages(asyncio.Protocol):
    """Parses what Redis sends over one subscribed connection.

    Args:
        deliver, written: see Subscriber.
        subscriptions: the number of required subscriptions. The subscription to keyspace notifications is not required,
            and is confirmed or refused after them.

    Attributes:
        heard_s: when the last bytes arrived, as a time of time.monotonic.
        confirmed: done once all required subscriptions are active.
        lost: fails when the connection ends or a message can't be handled; the exception is the reason.
        notified: keyspace notifications for snapshot keys are active.
    """

    def __init__(self, deliver: Deliver, written: Written, subscriptions: int) -> None:
        loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._written = written
        self.notified = False
        self._reader = hiredis.Reader(replyError=redis.ResponseError, notEnoughData=_INCOMPLETE)
        self._missing = subscriptions
        self.heard_s = time.monotonic()
        self.confirmed: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def data_received(self, data: bytes) -> None:
        if self.lost.done():  # the parser or a handler failed before, so the rest of the stream can't be trusted
            return
        self.heard_s = time.monotonic()
        reader, deliver = self._reader, self._deliver
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _INCOMPLETE:
                if type(reply) is list and reply[0] == b"pmessage":
                    if reply[1] == _OURS:
                        deliver(reply[2], reply[3])
                    elif reply[3] == b"set":
                        self._written(reply[2])
                else:
                    self._other(reply)
        except Exception as error:  # the parser may be in the middle of a reply, so the connection is given up
            self._fail(error)

    def _other(self, reply: Any) -> None:
        """Handle a reply other than a pmessage: count a confirmed subscription, raise a refusal, ignore our own probe.

        A refusal after all required subscriptions were confirmed concerns keyspace notifications, and is only logged.
        """
        if isinstance(reply, Exception):
            if not self.confirmed.done():
                raise reply
            logger.info("Redis sends no keyspace notifications (%s); snapshots are polled.", reply)
        elif reply[0] in (b"psubscribe", b"subscribe"):
            self._missing -= 1
            self.notified = self._missing < 0
            if self._missing == 0:
                self.confirmed.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or redis.ConnectionError("Redis closed the connection"))

    async def wait(self, true: asyncio.Future[None] | None, seconds: float) -> None:
        """Wait until *true* is done, for *seconds* at most; raise the reason if the connection is lost meanwhile.

        Args:
            true: None to wait for the whole time.

        Raises:
            TimeoutError: *true* was not done in time.
        """
        await asyncio.wait([self.lost, *([true] if true else [])], timeout=seconds, return_when="FIRST_COMPLETED")
        if self.lost.done():
            self.lost.result()
        if true is not None and not true.done():
            raise TimeoutError("Redis does not answer")


class Subscriber:
    """Passes every message on ``rpa_progress:*`` to *deliver*, for ever, over one connection at a time.

    Args:
        url: the Redis to subscribe to.
        deliver: called with the channel and the message, both bytes; must not await.
        written: called with the keyspace channel (bytes) when a snapshot was written; must not await.

    Attributes:
        resubscribed: functions to call each time the subscription starts or resumes: messages published before that may
            be lost.
        active: set from the confirmation of the subscription until an error shows that it is lost.
        losses: number of times that the subscription was lost or could not be made.
        reason: what is wrong, a text for operators; empty while nothing is wrong.
        refused: only a changed setting helps: Redis refuses our password or a command, or we refuse its certificate or
            lack our authority's. If Redis only forbids scripts, updates still arrive and ``active`` is set as well.
        notified: keyspace notifications for snapshot keys are active, so nobody has to poll for snapshots.
    """

    def __init__(self, url: str, deliver: Deliver, written: Written = lambda channel: None) -> None:
        self._url = url
        self._deliver = deliver
        self._written = written
        self._messages: _Messages | None = None
        self.resubscribed: list[Callable[[], None]] = []
        self._probe = PROBE_CHANNEL_PREFIX + secrets.token_hex(8)
        self._log_limit = RateLimit()
        self._forbidden = False  # the last answer to the probes, so that a reconnection does not log it again
        self.active = asyncio.Event()
        self.losses = 0
        self.reason = "not connected yet"
        self.refused = False

    @property
    def notified(self) -> bool:
        return self._messages is not None and self._messages.notified

    async def run(self) -> None:
        """Subscribe, and resubscribe with a backoff whenever the connection is lost. Ends only when cancelled."""
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._session()
            except Exception as error:  # any error at all: without this task no further update would arrive from Redis
                if self.active.is_set():
                    attempt = 1  # the subscription did work, so the backoff starts over, with 25 to 50 ms
                self._down(error)
            await asyncio.sleep(delay(attempt, 0.05, 1.0, random.random()))

    def _down(self, error: Exception) -> None:
        self.active.clear()
        self.losses += 1
        self.reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        self.refused = isinstance(error, _REFUSALS) or self._bad_certificate()
        suppressed = self._log_limit.allow(time.monotonic())
        if suppressed is not None:
            logger.warning("The subscription to Redis is down (%s; %d like it before).", self.reason, suppressed)

    def _bad_certificate(self) -> bool:
        """Tell whether a certificate was refused, or the file of the certificate authority is missing."""
        reason = self.reason.lower()
        return "certificate" in reason or (self._url.startswith("rediss:") and "no such file" in reason)

    async def _session(self) -> None:
        """Connect, subscribe and deliver messages until something fails; raise the reason."""
        source = client(self._url)
        connection = source.connection_pool.make_connection()
        messages = _Messages(self._deliver, self._written, subscriptions=2)
        transport: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                await connection.connect()
            # The handshake is complete and nothing was sent since, so redis-py expects no more bytes.
            transport = transport_of(connection)
            transport.set_protocol(messages)
            for command in (("PSUBSCRIBE", CHANNEL_PATTERN), ("SUBSCRIBE", self._probe)):
                transport.write(b"".join(connection.pack_command(*command)))
            await messages.wait(messages.confirmed, TIMEOUT_S)
            await source.publish(self._probe, b"")  # shows a missing permission now, not at the first silence
            forbidden = await _forbids_scripts(source)
            if await _enable_notifications(source):
                # Sent only after both required subscriptions are confirmed: a refusal of this one is no error.
                pattern = keyspace_pattern(source.connection_pool.connection_kwargs.get("db") or 0)
                transport.write(b"".join(connection.pack_command("PSUBSCRIBE", pattern)))
            self._messages = messages
            self._up(forbidden)
            await self._watch(messages, source)
        finally:
            self._messages = None
            messages.lost.cancel()
            if transport is not None:
                transport.abort()
            with suppress(Exception):
                async with asyncio.timeout(TIMEOUT_S):
                    await connection.disconnect(nowait=True)
                    await source.aclose()

    def _up(self, forbidden: bool) -> None:
        self._set_forbidden(forbidden)
        self.active.set()
        logger.info("Subscribed to Redis.")
        for call in self.resubscribed:
            call()

    def _set_forbidden(self, forbidden: bool) -> None:
        if forbidden and not self._forbidden:
            logger.warning("%s; what is published over HTTP goes to files until then.", append.FORBIDDEN)
        self._forbidden = self.refused = forbidden
        self.reason = append.FORBIDDEN if forbidden else ""

    async def _watch(self, messages: _Messages, source: redis.asyncio.Redis) -> None:
        """Raise when the connection is lost, or when it is silent although we published a probe to ourselves.

        While scripts are forbidden, also check every SCRIPTS_PERIOD_S whether they still are.
        """
        scripts_s = time.monotonic()
        while True:
            await messages.wait(None, IDLE_S / 3)
            asked_s = time.monotonic()
            if self.refused and asked_s - scripts_s >= SCRIPTS_PERIOD_S:
                scripts_s = asked_s
                self._set_forbidden(await _forbids_scripts(source))
            if asked_s - messages.heard_s < IDLE_S:
                continue
            await source.publish(self._probe, b"")
            while messages.heard_s < asked_s:
                if time.monotonic() - asked_s > ECHO_S:
                    raise TimeoutError("nothing comes through the subscription any more")
                await messages.wait(None, 0.05)


async def _forbids_scripts(source: redis.asyncio.Redis) -> bool:
    """Tell whether Redis forbids us to run scripts; other failures are ignored, since other commands show them, too."""
    for probe in append.PROBES:
        try:
            await source.execute_command(*probe)
        except ERRORS as error:
            if append.forbids_scripts(error):
                return True
    return False


async def _enable_notifications(source: redis.asyncio.Redis) -> bool:
    """Switch on keyspace notifications for keys that are set; False if Redis refuses to show or change the setting."""
    try:
        setting: Any = await source.config_get("notify-keyspace-events")
        flags = str(setting.get("notify-keyspace-events", ""))
        lacking = ("" if "K" in flags else "K") + ("" if "A" in flags or "$" in flags else "$")
        if lacking:
            await source.config_set("notify-keyspace-events", flags + lacking)
            logger.info("Redis now reports keys that are set (notify-keyspace-events %s%s).", flags, lacking)
    except redis.ResponseError as error:
        logger.info("Redis does not say whether it sends keyspace notifications (%s).", error)
        return False
    return True
