"""What pages of other origins may do: read the data of the routes that are shared, and nothing else.

Which origins those are is origins.py's matter. A route is shared when it answers OPTIONS: the deployed ones do so by
themselves, shared() gives that answer to others, and add_headers() looks for it. No answer ever allows credentials.
"""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from ..errors import Forbidden
from ..origins import same_host
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
    """Say, on the answers of shared routes, who may read them; a signal handler of ``on_response_prepare``."""
    resource = request.match_info.route.resource
    if resource is None or not any(route.method in ("OPTIONS", "*") for route in resource):
        return
    origins, origin = request.app[ORIGINS], request.headers.get("Origin", "")
    if not origins.everyone:
        response.headers.add("Vary", "Origin")
    if origins.allows(origin):
        response.headers["Access-Control-Allow-Origin"] = "*" if origins.everyone else origin
        response.headers["Access-Control-Expose-Headers"] = "ETag, Retry-After"


def check_connecting(request: web.Request) -> None:
    """Let programs, pages of this host and pages of the allowed origins connect.

    Raises:
        Forbidden: it is a page of another origin. Browsers ask nobody before they open a WebSocket.
    """
    if not request.app[ORIGINS].connects(request.headers.get("Origin"), request.host):
        raise Forbidden("Pages of this origin may not connect; RPA_ALLOWED_ORIGINS lists those that may.")


def check_writing(request: web.Request) -> None:
    """Let programs and pages of this host write.

    Raises:
        Forbidden: it is a page of another origin, on the list or not.
    """
    if _foreign(request):
        raise Forbidden("Pages of other origins may read, not write.")


def _foreign(request: web.Request) -> bool:
    origin = request.headers.get("Origin")
    return origin is not None and not same_host(origin, request.host)
