"""CORS headers: pages of the allowed origins may read the responses of the shared routes.

A route is shared if its resource answers OPTIONS, which add_headers() checks: routes for all methods do, and for
others shared() adds a route. No response ever allows credentials. CORS does not restrict WebSockets, nor
requests that need no preflight; admission.py checks the origin of those that open a WebSocket or publish.
"""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from .keys import ORIGINS

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Authorization, Cache-Control, Content-Type, If-None-Match, Last-Event-ID",
    "Access-Control-Max-Age": "7200",  # the longest time that Chromium caches a preflight
}


async def _preflight(request: web.Request) -> web.StreamResponse:
    return web.Response(status=204, headers=_PREFLIGHT)


def shared(routes: Iterable[web.RouteDef], preflight: Handler = _preflight) -> list[web.RouteDef]:
    """Return *routes*, each followed by one that answers preflights: so pages of the allowed origins may read them."""
    return [each for route in routes for each in (route, web.options(route.path, preflight))]


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add CORS headers to responses of shared routes; a handler of the signal ``on_response_prepare``."""
    resource = request.match_info.route.resource
    if resource is None or not any(route.method in ("OPTIONS", "*") for route in resource):
        return
    origins, origin = request.app[ORIGINS], request.headers.get("Origin", "")
    if not origins.everyone:
        response.headers.add("Vary", "Origin")
    if origins.allows(origin):
        response.headers["Access-Control-Allow-Origin"] = "*" if origins.everyone else origin
        response.headers["Access-Control-Expose-Headers"] = "ETag, Retry-After"
