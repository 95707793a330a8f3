"""The typed keys under which the application keeps its parts; legacy/keys.py and serving/keys.py have more."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from ..backends.base import Store
from ..backends.files.store import FileStore
from ..backends.redis.store import RedisStore
from ..backends.redis.subscription import Subscriber
from ..config import Settings
from ..delivery.hub import Hub
from ..origins import Origins
from ..watchers.feed import Feed
from .admission import Rules
from .metrics import Metrics
from .publish import Publisher
from .session_list import SessionList

SETTINGS = web.AppKey("settings", Settings)
HUB = web.AppKey("hub", Hub)
FEED = web.AppKey("feed", Feed)
STORE = web.AppKey("store", Store)
FILES = web.AppKey("files", FileStore)
#: None if no Redis is configured, like SUBSCRIBER.
REDIS = web.AppKey[RedisStore | None]("redis")
SESSION_LIST = web.AppKey("session_list", SessionList)
PUBLISHER = web.AppKey("publisher", Publisher)
RULES = web.AppKey("rules", Rules)
ORIGINS = web.AppKey("origins", Origins)
#: Returns every figure by name, combined over all processes on this port.
FIGURES = web.AppKey[Callable[[], Awaitable[dict[str, float]]]]("figures")
METRICS = web.AppKey("metrics", Metrics)
SUBSCRIBER = web.AppKey[Subscriber | None]("subscriber")
