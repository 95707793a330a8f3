"""The scripts that pages of other sites load: which address means which file, its bytes and hash, the response.

An address with a version has the same content for ever, whether that is the running version or an older one in
``web/dist``; any other version is a 404. Every file is read once, when the process starts. So a script always matches
the hash in this process's snippet, even if the files are replaced by a newer version's while the process runs.
"""

import base64
import functools
import gzip
import hashlib
import re
from dataclasses import dataclass

from aiohttp import web

from .. import assets
from ..assets import __version__

_NAME = re.compile(r"(?P<stem>rpa-progress|rpa-client)(?:-(?P<version>\d[\w.+-]*?))?\.(?P<kind>js|json)")
_DIST = assets.directory("web") / "dist"
_FOREVER = "public, max-age=31536000, immutable"
_SHORTLY = "public, max-age=300, stale-while-revalidate=86400"
_TYPES = {"js": "text/javascript", "json": "application/json"}


@dataclass(frozen=True)
class ScriptFile:
    """A script or its data, and what a response needs of it.

    Attributes:
        body: the file's bytes.
        packed: the body, compressed by gzip.
        integrity: the value of a script element's ``integrity`` attribute: SHA-384 of the body.
        tag: a short hash of the content.
        content_type: media type without parameters.
    """

    body: bytes
    packed: bytes
    integrity: str
    tag: str
    content_type: str


@functools.cache
def _files() -> frozenset[str]:
    """Return the names of the files in ``web/dist``; no other file is ever opened, whatever the requested address."""
    return frozenset(path.name for path in _DIST.glob("rpa-*"))


@functools.cache
def read(file: str) -> ScriptFile | None:
    """Return the file ``web/dist/<file>``, None if it does not exist."""
    path = _DIST / file
    if not path.is_file():
        return None
    body = path.read_bytes()
    digest = hashlib.sha384(body).digest()
    integrity = f"sha384-{base64.b64encode(digest).decode()}"
    # mtime=0: every server makes the same bytes, so they may share one ETag.
    return ScriptFile(body, gzip.compress(body, 9, mtime=0), integrity, digest.hex()[:16], _TYPES[path.suffix[1:]])


def load() -> None:
    """Read every file now, so that later changes on disk are not served."""
    for file in _files():
        read(file)


def find(name: str) -> tuple[ScriptFile, bool] | None:
    """Find the file for the last part of an address.

    Args:
        name: such as ``rpa-progress.js`` or, with the version, ``rpa-progress-1.0.0.js``.

    Returns:
        The file, and True if its name has a version, so that its content never changes; None if neither this version
        nor an older one in ``web/dist`` has it.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    file = f"{match['stem']}.{match['kind']}" if match["version"] in (None, __version__) else name
    content = read(file) if file in _files() else None
    return None if content is None else (content, match["version"] is not None)


def versioned(stem: str) -> str:
    """Return the address of the script *stem* with the running version, at which the content never changes."""
    return f"/static/{stem}-{__version__}.js"


async def file(request: web.Request) -> web.StreamResponse:
    """Serve a script or its data to pages of any site."""
    return _answer(request, request.match_info["name"])


async def tracker(request: web.Request) -> web.StreamResponse:
    """Serve ``rpa-progress``, the script or its data, as ``webflow_progress_tracker``, which deployed pages load."""
    return _answer(request, f"rpa-progress{request.match_info['rest']}")


def _answer(request: web.Request, name: str) -> web.Response:
    found = find(name)
    if found is None:
        raise web.HTTPNotFound
    content, is_fixed = found
    is_packed = "gzip" in request.headers.get("Accept-Encoding", "")
    tag = f"{content.tag}-gz" if is_packed else content.tag
    headers = {
        "Cache-Control": _FOREVER if is_fixed else _SHORTLY,
        "ETag": f'"{tag}"',
        "Vary": "Accept-Encoding",
        # Browsers run another site's script with an integrity attribute only if this header permits that.
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
