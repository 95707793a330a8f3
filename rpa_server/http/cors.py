"""The CORS headers: pages of the allowed origins may read the answers of the shared routes.

A route is shared when it answers OPTIONS: the deployed ones do so by themselves, shared() adds that answer to others,
and add_headers() looks for it. No answer ever allows credentials. Whether a page may open a WebSocket or publish, which
browsers do not ask about beforehand, is decided in admission.py.
"""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from .keys import ORIGINS

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Authorization, Cache-Control, Content-Type, If-None-Match, Last-Event-ID",
    "Access-Control-Max-Age": "7200",  # the most that Chromium keeps
}


async def _preflight(request: web.Request) -> web.StreamResponse:
    return web.Response(status=204, headers=_PREFLIGHT)


def shared(routes: Iterable[web.RouteDef], preflight: Handler = _preflight) -> list[web.RouteDef]:
    """Open *routes* to pages of the allowed origins: return them with a preflight answer each."""
    return [each for route in routes for each in (route, web.options(route.path, preflight))]


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add to answers of shared routes which pages may read them; a handler of the signal ``on_response_prepare``."""
    resource = request.match_info.route.resource
    if resource is None or not any(route.method in ("OPTIONS", "*") for route in resource):
        return
    origins, origin = request.app[ORIGINS], request.headers.get("Origin", "")
    if not origins.everyone:
        response.headers.add("Vary", "Origin")
    if origins.allows(origin):
        response.headers["Access-Control-Allow-Origin"] = "*" if origins.everyone else origin
        response.headers["Access-Control-Expose-Headers"] = "ETag, Retry-After"
