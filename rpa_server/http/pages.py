"""The page and its files."""

import functools
import re

from aiohttp import web

from .. import assets
from . import scripts

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_FILE = re.compile(r"[a-z0-9_-]+\.(css|html|js)")
#: How pages in web/ name the widget's script.
_WIDGET = "/static/rpa-progress.js"


async def static(request: web.Request) -> web.StreamResponse:
    """Serve one of the page's files; what is none of them is not there."""
    name = request.match_info["name"]
    path = assets.directory("web") / name
    if _FILE.fullmatch(name) is None or not path.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(path, headers=HEADERS)


@functools.cache
def read(name: str) -> str:
    """Return a page of ours whose widget is this release's very script, so that no cache can mix the two."""
    text = (assets.directory("web") / name).read_text(encoding="utf-8")
    script = scripts.read("rpa-progress.js")
    tag = "" if script is None else f"?{script.tag}"
    return text.replace(f'"{_WIDGET}"', f'"{scripts.versioned("rpa-progress")}{tag}"')


async def index(request: web.Request) -> web.StreamResponse:
    """Serve the page."""
    return web.Response(text=read("index.html"), content_type="text/html", headers=HEADERS)
