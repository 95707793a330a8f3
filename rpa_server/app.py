"""Puts the parts together; holds no logic of its own."""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from . import config, cors, embedded, keys
from .background import background
from .census import Census
from .config import Settings
from .connections import Connections, descriptor_limit, open_descriptors, short_log
from .errors import ConfigError
from .feed import Feed
from .handlers.sessions import MAX_BODY
from .hub import Hub
from .listing import Listing
from .metrics import Metrics
from .middlewares import json_errors
from .observed import Observed
from .origins import Origins
from .publisher import Publisher
from .recovery import Adoption, PositionCheck
from .routes import add_routes
from .stores import Store
from .stores.files import FileStore
from .stores.merge import MergedStore
from .stores.redis import RedisStore, client
from .stores.subscription import Subscriber
from .sweep import Sweep
from .workers import Siblings

logger = logging.getLogger(__name__)

#: How long opening the port may wait for Redis to be subscribed.
_FIRST_S = 1.0
#: Long enough that a 10 kB session id gets our answer, not the parser's.
_MAX_LINE = 32 * 1024
_KEEPALIVE_S = 75.0


def create_app(argv: list[str] | None = None) -> web.Application:
    """Build the application from the environment; the entry point of ``python -m aiohttp.web``.

    Settings that are wrong are told in one sentence on standard error, exit status 2.

    Args:
        argv: what ``python -m aiohttp.web`` did not take itself; there are no options.
    """
    try:
        if argv:
            raise ConfigError(f"There are no such options: {' '.join(argv)}; settings come from the environment.")
        return build(config.load(os.environ))
    except ConfigError as error:
        print(f"rpa-server: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        raise SystemExit(2) from None


def build(settings: Settings, place: Path | None = None) -> web.Application:
    """Build the application for *settings*; *place*: see workers.Siblings."""
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it names every file it sees change
    embedded.load()
    data_dir = Path(settings.data_dir)
    if data_dir.exists() and not data_dir.is_dir():
        raise ConfigError(f"The setting in RPA_DATA_DIR is wrong: {data_dir} is not a directory.")
    room = descriptor_limit()
    if room < settings.max_connections:
        logger.warning("Only %d connections fit into this process's descriptor limit (ulimit -n).", room)
    connections = Connections(room)
    app = web.Application(
        middlewares=[connections.middleware, json_errors],
        client_max_size=MAX_BODY,
        handler_args={
            "handler_cancellation": True,
            "max_line_size": _MAX_LINE,
            "max_field_size": _MAX_LINE,
            "keepalive_timeout": _KEEPALIVE_S,
        },
    )
    files = FileStore(data_dir)
    redis = None if settings.redis_url is None else RedisStore(client(settings.redis_url))
    stores: list[Store] = [files] if redis is None else [redis, files]
    store = MergedStore(stores)
    hub = Hub(store.read, min(settings.max_connections, room), settings.heartbeat_s)
    feed = Feed(hub)
    subscriber = None
    if settings.redis_url is not None:
        subscriber = Subscriber(settings.redis_url, feed.message, feed.written)
    app.on_response_prepare.extend([_harden, cors.add_headers])
    app[keys.SETTINGS] = settings
    app[keys.ORIGINS] = Origins(settings.allowed_origins)
    app[keys.STORE] = store
    app[keys.FILES] = files
    app[keys.REDIS] = redis
    app[keys.HUB] = hub
    app[keys.FEED] = feed
    app[keys.SUBSCRIBER] = subscriber
    app[keys.OBSERVED] = Observed()
    app[keys.CENSUS] = Census(store, time.time)
    app[keys.LISTING] = Listing(store, hub.spawn)
    app[keys.PUBLISHER] = Publisher(store)
    app[keys.CONNECTIONS] = connections
    app[keys.METRICS] = _metrics(app)
    app[keys.SIBLINGS] = Siblings(app[keys.METRICS].values, place)
    app.cleanup_ctx.extend([short_log, app[keys.SIBLINGS].serve, _keep_connections, _watch_files, _subscribe])
    app.on_shutdown.extend([lambda _: hub.close(), lambda app: app[keys.CENSUS].close()])
    add_routes(app)
    return app


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")


def _metrics(app: web.Application) -> Metrics:
    hub, feed, files, sweeper = app[keys.HUB], app[keys.FEED], app[keys.FILES], app[keys.CONNECTIONS]
    metrics = Metrics()
    metrics.add("connections", "Open streams and waiting polls", lambda: hub.connections, counter=False)
    metrics.add("sessions_watched", "Sessions that somebody watches", lambda: len(hub.watched()), counter=False)
    metrics.add("updates_delivered", "Updates written to clients", lambda: hub.delivered)
    metrics.add("resets", "Clients told that continuity was lost", lambda: hub.resets)
    metrics.add("clients_aborted", "Clients dropped for taking nothing", lambda: hub.aborted)
    metrics.add("messages_received", "Updates that came from Redis", lambda: feed.received)
    metrics.add("messages_foreign", "Updates that a foreign writer published", lambda: feed.foreign)
    metrics.add("messages_garbage", "Messages that were dropped", lambda: feed.garbage)
    if (subscriber := app[keys.SUBSCRIBER]) is not None:
        metrics.add("subscription_losses", "Times that the subscription to Redis was lost", lambda: subscriber.losses)
    metrics.add("files_broken", "Reads that found no usable file", lambda: files.broken)
    metrics.add("connections_dropped", "Connections dropped for sending no request", lambda: sweeper.dropped)
    metrics.add("tasks", "Tasks of the event loop", lambda: len(asyncio.all_tasks()), counter=False)
    metrics.add("descriptors", "Open file descriptors", open_descriptors, counter=False)
    return metrics


async def _keep_connections(app: web.Application) -> AsyncIterator[None]:
    async with (
        background(app[keys.CONNECTIONS].run, "drop silent connections"),
        background(app[keys.HUB].pulse.run, "heartbeat"),
    ):
        yield


async def _subscribe(app: web.Application) -> AsyncIterator[None]:
    subscriber, redis, hub = app[keys.SUBSCRIBER], app[keys.REDIS], app[keys.HUB]
    if subscriber is None or redis is None:
        yield
        return
    adoption = Adoption(app[keys.FILES], redis)
    check = PositionCheck(hub, redis)
    subscriber.resubscribed += [check.missed, adoption.want]
    async with (
        contextlib.aclosing(redis),
        background(subscriber.run, "subscribe"),
        background(check.run, "check positions"),
        background(Sweep(hub, redis, subscriber).run, "look for snapshots"),
        background(adoption.run, "adopt files"),
    ):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_S):
                await subscriber.active.wait()
                await redis.warn_of_eviction()
        yield


async def _watch_files(app: web.Application) -> AsyncIterator[None]:
    files, hub = app[keys.FILES], app[keys.HUB]

    async def follow() -> None:
        async for session_ids in files.changes():
            if not session_ids:
                hub.all_changed()
            for session_id in session_ids:
                hub.changed(session_id)

    async with background(follow, "watch files"):
        yield
