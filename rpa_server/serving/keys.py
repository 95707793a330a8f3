"""What the application carries of the process that serves it, by typed key."""

from aiohttp import web

from .idle_guard import IdleGuard
from .siblings import Siblings

IDLE_GUARD = web.AppKey("connections", IdleGuard)
SIBLINGS = web.AppKey("siblings", Siblings)
