"""The typed keys of what the application keeps about the process that serves it."""

from aiohttp import web

from .idle_guard import IdleGuard

IDLE_GUARD = web.AppKey("idle_guard", IdleGuard)
