"""The page and its files."""

import re

from aiohttp import web

from .. import resources

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


_FILE = re.compile(r"[a-z0-9_-]+\.(css|html|js)")


async def static(request: web.Request) -> web.StreamResponse:
    """Serve one of the page's files; what is none of them is not there."""
    name = request.match_info["name"]
    path = resources.directory("web") / name
    if _FILE.fullmatch(name) is None or not path.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(path, headers=_HEADERS)


async def index(request: web.Request) -> web.StreamResponse:
    """Serve the page."""
    return web.FileResponse(resources.directory("web") / "index.html", headers=_HEADERS)
