"""What the application carries, by typed key."""

from aiohttp import web

from .census import Census
from .config import Settings
from .connections import Connections
from .feed import Feed
from .hub import Hub
from .listing import Listing
from .metrics import Metrics
from .observed import Observed
from .origins import Origins
from .publisher import Publisher
from .stores import Store
from .stores.files import FileStore
from .stores.redis import RedisStore
from .stores.subscription import Subscriber
from .workers import Siblings

SETTINGS = web.AppKey("settings", Settings)
HUB = web.AppKey("hub", Hub)
FEED = web.AppKey("feed", Feed)
STORE = web.AppKey("store", Store)
FILES = web.AppKey("files", FileStore)
#: None where there is no Redis.
REDIS = web.AppKey[RedisStore | None]("redis")
OBSERVED = web.AppKey("observed", Observed)
CENSUS = web.AppKey("census", Census)
LISTING = web.AppKey("listing", Listing)
PUBLISHER = web.AppKey("publisher", Publisher)
ORIGINS = web.AppKey("origins", Origins)
CONNECTIONS = web.AppKey("connections", Connections)
METRICS = web.AppKey("metrics", Metrics)
SIBLINGS = web.AppKey("siblings", Siblings)
SUBSCRIBER = web.AppKey[Subscriber | None]("subscriber")
