"""What the application carries for the deployed addresses, by typed key."""

from aiohttp import web

from .last_seen import LastSeen
from .session_counts import SessionCounts

LAST_SEEN = web.AppKey("last_seen", LastSeen)
SESSION_COUNTS = web.AppKey("census", SessionCounts)
