"""The typed key under which the application keeps the IdleGuard of its process."""

from aiohttp import web

from .idle_guard import IdleGuard

IDLE_GUARD = web.AppKey("idle_guard", IdleGuard)
