"""The subscription to Redis: published messages arrive, and a lost connection is replaced."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rpa_server.backends.redis import names, subscription
from rpa_server.backends.redis.subscription import Subscriber
from tests.support.server import RedisServer, until
from tests.support.sessions import SESSION

CHANNEL = names.channel(SESSION).encode()


class Subscription:
    """A running Subscriber: each message that it delivered, and when each subscription became active."""

    def __init__(self, url: str) -> None:
        self.messages: list[tuple[bytes, bytes]] = []
        self.subscriber = Subscriber(url, lambda channel, raw: self.messages.append((channel, raw)))
        self.active: list[float] = []
        self.subscriber.resubscribed.append(lambda: self.active.append(time.monotonic()))


@contextlib.asynccontextmanager
async def subscribed(url: str) -> AsyncIterator[Subscription]:
    made = Subscription(url)
    task = asyncio.create_task(made.subscriber.run())
    try:
        yield made
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_messages_are_delivered_in_order(redis_process: RedisServer) -> None:
    """Messages on ``rpa_progress:*`` are delivered in order; those on other channels, the probe's included, are not."""
    async with subscribed(redis_process.url) as made:
        await until(lambda: made.active)
        assert made.subscriber.active.is_set()
        assert made.subscriber.reason == ""
        with redis_process.client() as connection:
            for number in range(500):
                connection.publish(CHANNEL, str(number))
            connection.publish("other", "x")
            connection.publish("rpa_progres:x", "x")
        await until(lambda: len(made.messages) >= 500)
        await asyncio.sleep(0.02)
    assert made.messages == [(CHANNEL, str(number).encode()) for number in range(500)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the timeouts of subscription.py to 0.3 s and less, so that a silent Redis is noticed sooner."""
    for name, seconds in (("TIMEOUT_S", 0.3), ("IDLE_S", 0.15), ("ECHO_S", 0.3)):
        monkeypatch.setattr(subscription, name, seconds)


@pytest.mark.usefixtures("impatient")
async def test_a_quiet_line_is_kept(redis_process: RedisServer) -> None:
    """While nobody else publishes, the subscriber receives its own probes and keeps the connection."""
    with redis_process.client() as connection:

        def spoken() -> int:
            commands: Any = connection.info("commandstats")
            return int(commands.get("cmdstat_publish", {"calls": 0})["calls"])

        async with subscribed(redis_process.url) as made:
            await until(lambda: made.active)
            await until(lambda: spoken() >= 3)
            assert len(made.active) == 1
            assert made.messages == []


async def test_a_redis_that_forbids_scripts_is_named(
    redis_process: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Redis forbids scripts, updates still arrive, and one warning is logged, however often we reconnect."""
    monkeypatch.setattr(subscription, "SCRIPTS_PERIOD_S", 0.1)
    with redis_process.client() as connection:
        connection.execute_command("ACL", "SETUSER", "default", "-evalsha")
        async with subscribed(redis_process.url) as made:
            await until(lambda: made.active)
            assert (made.subscriber.refused, made.subscriber.active.is_set()) == (True, True)
            assert "EVALSHA" in made.subscriber.reason
            connection.publish(CHANNEL, "1")
            await until(lambda: made.messages)
            connection.client_kill_filter(_type="pubsub")
            await until(lambda: len(made.active) == 2)
            assert made.subscriber.refused
            assert caplog.text.count("forbids scripts") == 1
            connection.execute_command("ACL", "SETUSER", "default", "+evalsha")
            await until(lambda: not made.subscriber.refused)
            assert made.subscriber.reason == ""


async def test_a_lost_redis_is_subscribed_again(redis_process: RedisServer) -> None:
    """After Redis was killed and restarted the subscription resumes and the ``resubscribed`` functions are called."""
    async with subscribed(redis_process.url) as made:
        await until(lambda: made.active)
        redis_process.kill()
        await until(lambda: not made.subscriber.active.is_set())
        assert made.subscriber.reason
        redis_process.start()
        await until(lambda: len(made.active) == 2)
        with redis_process.client() as connection:
            connection.publish(CHANNEL, "again")
        await until(lambda: made.messages)


async def test_a_connection_that_was_killed_is_made_anew(redis_process: RedisServer) -> None:
    """If an operator kills the subscribed connection, a new one is subscribed within 3 s."""
    async with subscribed(redis_process.url) as made:
        await until(lambda: made.active)
        with redis_process.client() as connection:
            connection.client_kill_filter(_type="pubsub")
        await until(lambda: len(made.active) == 2, 3)


@pytest.mark.usefixtures("impatient")
async def test_a_line_that_went_deaf_is_made_anew(redis_process: RedisServer) -> None:
    """A Redis that hangs is noticed although the connection stays open; once Redis goes on, a new one is made."""
    async with subscribed(redis_process.url) as made:
        await until(lambda: made.active)
        redis_process.signal(signal.SIGSTOP)
        try:
            await until(lambda: not made.subscriber.active.is_set(), 8)
        finally:
            redis_process.signal(signal.SIGCONT)
        await until(lambda: len(made.active) == 2)


async def test_a_redis_that_is_not_there_yet_is_waited_for(redis_process: RedisServer) -> None:
    """If Redis starts after the subscriber, the subscriber waits for it, and then subscribes."""
    redis_process.kill()
    async with subscribed(redis_process.url) as made:
        await until(lambda: made.subscriber.reason not in ("", "not connected yet"))
        redis_process.start()
        await until(lambda: made.active)


async def test_a_cancelled_subscription_leaves_no_connection(redis_process: RedisServer) -> None:
    """Cancelling the subscriber's task closes all its connections to Redis."""
    with redis_process.client() as connection:

        def ours() -> int:
            clients: Any = connection.client_list()
            return len(clients) - 1

        async with subscribed(redis_process.url) as made:
            await until(lambda: made.active)
            assert ours() >= 1
        await until(lambda: ours() == 0)
