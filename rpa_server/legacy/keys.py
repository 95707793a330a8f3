"""The typed keys of the objects that the deployed addresses need."""

from aiohttp import web

from .last_seen import LastSeen
from .session_counts import SessionCounts

LAST_SEEN = web.AppKey("last_seen", LastSeen)
SESSION_COUNTS = web.AppKey("session_counts", SessionCounts)
