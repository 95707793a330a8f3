"""The keys under which an aiohttp application has the objects that only the deployed addresses need."""

from aiohttp import web

from .last_seen import LastSeen
from .session_counts import SessionCounts

LAST_SEEN = web.AppKey("last_seen", LastSeen)
SESSION_COUNTS = web.AppKey("session_counts", SessionCounts)
