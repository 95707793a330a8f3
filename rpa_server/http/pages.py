"""The operator's page and its files, and the page that shows how to embed the widget."""

import functools
import html
import re

from aiohttp import web

from .. import assets
from . import scripts

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
#: How pages in web/ refer to the widget's script.
_WIDGET = "/static/rpa-progress.js"


async def static(request: web.Request) -> web.StreamResponse:
    """Serve a page, script or style sheet that is directly in ``web/``; any other name is a 404."""
    name = request.match_info["name"]
    path = assets.directory("web") / name
    if _FILE.fullmatch(name) is None or not path.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(path, headers=_HEADERS)


@functools.cache
def _read(name: str) -> str:
    """Return a page of ``web/`` in which the address of the widget's script has the version and a hash.

    So a cached page is never combined with a script of another version.
    """
    text = (assets.directory("web") / name).read_text(encoding="utf-8")
    script = scripts.read("rpa-progress.js")
    tag = "" if script is None else f"?{script.tag}"
    return text.replace(f'"{_WIDGET}"', f'"{scripts.versioned("rpa-progress")}{tag}"')


async def index(request: web.Request) -> web.StreamResponse:
    """Serve the operator's page."""
    return web.Response(text=_read("index.html"), content_type="text/html", headers=_HEADERS)


async def embed(request: web.Request) -> web.StreamResponse:
    """Serve the page that shows this server's snippet, and the widget as visitors see it."""
    script = scripts.read("rpa-progress.js")
    if script is None:
        raise web.HTTPNotFound
    origin = request.url.origin()
    if request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip() == "https":
        origin = origin.with_scheme("https")  # anybody can send this header, but only the sender gets the answer
    words = {
        "@ORIGIN@": str(origin),
        "@SCRIPT@": scripts.versioned("rpa-progress"),
        "@INTEGRITY@": script.integrity,
    }
    text = _read("embed.html")
    for mark, word in words.items():
        text = text.replace(mark, html.escape(word))
    return web.Response(text=text, content_type="text/html", headers=_HEADERS)
