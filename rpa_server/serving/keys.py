"""What the application keeps of the process that serves it, by typed key."""

from aiohttp import web

from .idle_guard import IdleGuard

IDLE_GUARD = web.AppKey("idle_guard", IdleGuard)
