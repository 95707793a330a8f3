"""Builds the application from its parts, and defines the tasks that run beside the requests, and the metrics."""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from . import config
from .backends.base import Store
from .backends.files.store import FileStore
from .backends.merged import MergedStore
from .backends.redis.store import RedisStore, client
from .backends.redis.subscription import Subscriber
from .config import Settings
from .delivery.hub import Hub
from .errors import ConfigError
from .http import cors, scripts
from .http.admission import MAX_BODY, Rules
from .http.errors import json_errors
from .http.keys import (
    FEED,
    FIGURES,
    FILES,
    HUB,
    METRICS,
    ORIGINS,
    PUBLISHER,
    REDIS,
    RULES,
    SESSION_LIST,
    SETTINGS,
    STORE,
    SUBSCRIBER,
)
from .http.metrics import Metrics
from .http.publish import Publisher
from .http.session_list import SessionList
from .legacy.keys import LAST_SEEN, SESSION_COUNTS
from .legacy.last_seen import LastSeen
from .legacy.session_counts import SessionCounts
from .origins import Origins
from .routes import add_routes
from .serving import endings
from .serving.descriptors import descriptor_limit, open_descriptors
from .serving.idle_guard import IdleGuard, short_log
from .serving.keys import IDLE_GUARD
from .serving.siblings import Siblings
from .tasks import background
from .watchers.adoption import Adoption
from .watchers.feed import Feed
from .watchers.file_watch import FileWatch
from .watchers.position_check import PositionCheck
from .watchers.snapshot_poll import SnapshotPoll

logger = logging.getLogger(__name__)

#: Seconds that start-up waits for the subscription to Redis and the check of its memory policy before it opens the port
#: anyway.
_FIRST_S = 1.0
#: The most bytes of a request line, or of a header. More than aiohttp's default of 8190, so that a session id of 10 kB
#: is refused by our own check, with a JSON body, and not by aiohttp's parser.
_MAX_LINE = 32 * 1024
_KEEPALIVE_S = 75.0


def create_app(argv: list[str] | None = None) -> web.Application:
    """Build the application from the environment; the entry point of ``python -m aiohttp.web``.

    A wrong setting ends the process with one sentence on standard error and exit status 2.

    Args:
        argv: arguments that ``python -m aiohttp.web`` did not consume; any argument is an error.
    """
    try:
        if argv:
            raise ConfigError(f"There are no such options: {' '.join(argv)}; settings come from the environment.")
        return build(config.load(os.environ))
    except ConfigError as error:
        print(f"rpa-server: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        raise SystemExit(2) from None


def build(settings: Settings, socket_path: Path | None = None) -> web.Application:
    """Build the application for *settings*.

    Args:
        settings: what config.load() returned.
        socket_path: unix socket on which the port's other server processes ask this one for its figures, see
            serving.siblings.Siblings; None (the default) if this is the only process.

    Raises:
        ConfigError: ``data_dir`` is not a directory.
    """
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # at level INFO it logs a line for every change of a file
    scripts.load()
    room = descriptor_limit()
    if room < settings.max_connections:
        logger.warning("Only %d connections fit into this process's descriptor limit (ulimit -n).", room)
    idle_guard = IdleGuard(room)
    app = web.Application(
        middlewares=[idle_guard.middleware, json_errors],
        client_max_size=MAX_BODY,
        handler_args={
            "handler_cancellation": True,
            "max_line_size": _MAX_LINE,
            "max_field_size": _MAX_LINE,
            "keepalive_timeout": _KEEPALIVE_S,
        },
    )
    app[SETTINGS] = settings
    app[IDLE_GUARD] = idle_guard
    _add_backends(app, settings)
    _add_hub(app, min(settings.max_connections, room), settings)
    app[METRICS] = _metrics(app)
    siblings = Siblings(app[METRICS].values, socket_path)
    app[FIGURES] = siblings.totals
    app.on_response_prepare.extend([_harden, cors.add_headers])
    app.cleanup_ctx.extend([endings.on_hangup, short_log, siblings.serve, _keep_connections, _watch_files, _subscribe])
    app.on_shutdown.extend([lambda _: app[HUB].close(), lambda _: app[SESSION_COUNTS].close()])
    add_routes(app)
    return app


def _add_backends(app: web.Application, settings: Settings) -> None:
    data_dir = Path(settings.data_dir)
    if os.path.exists(data_dir) and not os.path.isdir(data_dir):  # noqa: PTH110, PTH112 - Path's raise PermissionError
        raise ConfigError(f"The setting in RPA_DATA_DIR is wrong: {data_dir} is not a directory.")
    files = FileStore(data_dir)
    redis = None if settings.redis_url is None else RedisStore(client(settings.redis_url))
    stores: list[Store] = [files] if redis is None else [redis, files]
    app[FILES], app[REDIS], app[STORE] = files, redis, MergedStore(stores)
    app[PUBLISHER] = Publisher(app[STORE])
    app[LAST_SEEN] = LastSeen()
    app[SESSION_COUNTS] = SessionCounts(app[STORE], time.time)


def _add_hub(app: web.Application, max_connections: int, settings: Settings) -> None:
    hub = app[HUB] = Hub(app[STORE], max_connections, settings.heartbeat_s)
    feed = app[FEED] = Feed(hub)
    app[SUBSCRIBER] = None
    if settings.redis_url is not None:
        app[SUBSCRIBER] = Subscriber(settings.redis_url, feed.message, feed.written)
    app[SESSION_LIST] = SessionList(app[STORE], hub.tasks.spawn)
    app[ORIGINS] = Origins(settings.allowed_origins)
    app[RULES] = Rules(app[ORIGINS], hub.refusal)


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")


def _metrics(app: web.Application) -> Metrics:
    hub, feed, files, idle_guard = app[HUB], app[FEED], app[FILES], app[IDLE_GUARD]
    metrics = Metrics()
    metrics.add("connections", "Open streams and waiting polls", lambda: hub.connections, counter=False)
    metrics.add("sessions_watched", "Sessions that somebody watches", lambda: len(hub.watched()), counter=False)
    metrics.add("updates_delivered", "Updates written to clients", lambda: hub.counters.delivered)
    metrics.add("resets", "Messages to clients that continuity was lost", lambda: hub.counters.resets)
    metrics.add("clients_aborted", "Clients dropped for taking nothing", lambda: hub.counters.aborted)
    metrics.add("messages_received", "Updates that came from Redis", lambda: feed.received)
    metrics.add("messages_foreign", "Updates that another writer than our tracker published", lambda: feed.unnumbered)
    metrics.add("messages_garbage", "Messages that were dropped", lambda: feed.garbage + hub.counters.damaged)
    metrics.add("updates_cut", "Posted updates that were cut to their short values", lambda: app[PUBLISHER].cut)
    if (subscriber := app[SUBSCRIBER]) is not None:
        metrics.add("subscription_losses", "Times that the subscription to Redis was lost", lambda: subscriber.losses)
    metrics.add("files_broken", "Reads that found no usable file", lambda: files.broken)
    metrics.add("connections_dropped", "Connections dropped for sending no request", lambda: idle_guard.dropped)
    metrics.add("tasks", "Tasks of the event loop", lambda: len(asyncio.all_tasks()), counter=False)
    metrics.add("descriptors", "Open file descriptors", open_descriptors, counter=False)
    return metrics


async def _keep_connections(app: web.Application) -> AsyncIterator[None]:
    async with (
        background(app[IDLE_GUARD].run, "drop silent connections"),
        background(app[HUB].heartbeat.run, "heartbeat"),
    ):
        yield


async def _subscribe(app: web.Application) -> AsyncIterator[None]:
    subscriber, redis, hub = app[SUBSCRIBER], app[REDIS], app[HUB]
    if subscriber is None or redis is None:
        yield
        return
    adoption = Adoption(app[FILES], redis)
    check = PositionCheck(hub, redis)
    subscriber.resubscribed += [check.missed, adoption.want]
    async with (
        contextlib.aclosing(redis),
        background(subscriber.run, "subscribe"),
        background(check.run, "check positions"),
        background(SnapshotPoll(hub, redis, subscriber).run, "look for snapshots"),
        background(adoption.run, "adopt files"),
    ):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_S):
                await subscriber.active.wait()
                await redis.warn_of_eviction()
        yield


async def _watch_files(app: web.Application) -> AsyncIterator[None]:
    async with background(FileWatch(app[FILES], app[HUB]).run, "watch files"):
        yield
