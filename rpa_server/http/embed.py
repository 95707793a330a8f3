"""The scripts that other sites embed, and the page that shows how."""

import html

from aiohttp import web

from . import pages, scripts

_FOREVER = "public, max-age=31536000, immutable"
_SHORTLY = "public, max-age=300, stale-while-revalidate=86400"


async def file(request: web.Request) -> web.StreamResponse:
    """Serve a script or its data to pages of any site."""
    return _answer(request, request.match_info["name"])


async def tracker(request: web.Request) -> web.StreamResponse:
    """Serve the whole script, and its data, under the name that the deployed pages know."""
    return _answer(request, f"rpa-progress{request.match_info['rest']}")


def _answer(request: web.Request, name: str) -> web.Response:
    found = scripts.find(name)
    if found is None:
        raise web.HTTPNotFound
    content, is_fixed = found
    is_packed = "gzip" in request.headers.get("Accept-Encoding", "")
    tag = f"{content.tag}-gz" if is_packed else content.tag
    headers = {
        "Cache-Control": _FOREVER if is_fixed else _SHORTLY,
        "ETag": f'"{tag}"',
        "Vary": "Accept-Encoding",
        # Scripts with an integrity attribute are fetched as CORS requests, without credentials.
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
    if any(known.value in (tag, "*") for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    if is_packed:
        headers["Content-Encoding"] = "gzip"
    body = content.packed if is_packed else content.body
    return web.Response(body=body, content_type=content.content_type, charset="utf-8", headers=headers)


async def show(request: web.Request) -> web.StreamResponse:
    """Show the snippet for this server, and the widget as visitors see it."""
    script = scripts.read("rpa-progress.js")
    if script is None:
        raise web.HTTPNotFound
    origin = request.url.origin()
    if request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip() == "https":
        origin = origin.with_scheme("https")  # a proxy took TLS off; this only words an answer to who says so
    words = {
        "@ORIGIN@": str(origin),
        "@SCRIPT@": scripts.versioned("rpa-progress"),
        "@INTEGRITY@": script.integrity,
    }
    text = pages.read("embed.html")
    for mark, word in words.items():
        text = text.replace(mark, html.escape(word))
    return web.Response(text=text, content_type="text/html", headers=pages.HEADERS)
