"""The deployed system's addresses: the PHP API that pages poll today, its older readers, and its event stream.

Under ``/api/rpa`` every answer is a 200, whatever it says: pages stop for good on anything else. Nothing is started or
stopped here, and what those addresses of the deployed system do is left to it.
"""

import functools
import time
from datetime import datetime

from aiohttp import web

from .. import keys, legacy, legacy_events, legacy_full, naming, php
from ..errors import StorageUnavailable
from ..legacy_stream import DeployedEventStream
from ..standing import Document, State
from . import legacy_status, sse

#: As the deployed server sends them; whose pages may read is said by cors.py.
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Authorization",
}
_NO_CACHE = {"Cache-Control": "no-cache, must-revalidate", "Expires": "Mon, 26 Jul 1997 05:00:00 GMT"}


def _answer(body: Document, headers: dict[str, str], status: int = 200) -> web.Response:
    return web.Response(
        body=php.pretty(body),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={**_CORS, **headers},
    )


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M:%S")


async def _look(request: web.Request, session_id: str) -> tuple[State | None, float]:
    """Return what is known of a session, and for how many seconds its robot has been silent."""
    try:
        fresh = await request.app[keys.STORE].read(session_id)
    except StorageUnavailable:  # what was seen last stands in
        fresh = None
    now_s = time.time()
    seen = request.app[keys.OBSERVED].see(session_id, fresh, now_s)
    return (None, 0.0) if seen is None else (seen.state, seen.silence_s(now_s))


async def preflight(request: web.Request) -> web.StreamResponse:
    """Answer OPTIONS as the deployed server does."""
    return web.Response(headers=_CORS)


async def api(request: web.Request) -> web.StreamResponse:
    """Answer whatever is asked under ``/api/rpa``, or under it with its prefix taken off."""
    if request.method == "OPTIONS":
        return await preflight(request)
    return _answer(await _body(request), {"Cache-Control": "no-store"})


async def _body(request: web.Request) -> Document:
    path = request.path.removeprefix("/api").removeprefix("/rpa")
    kind, _, rest = path.strip("/").partition("/")
    if request.method not in ("GET", "HEAD"):
        served = request.method in ("POST", "DELETE")
        return legacy.unserved(legacy.NOT_FOUND if served else legacy.NOT_ALLOWED)
    if kind == "progress" and rest:
        return await _progress(request, rest)
    if kind == "health" and not rest:
        return {"success": True, "health": await legacy_status.health(request.app, _now())}
    if kind == "metrics" and not rest:
        return {"success": True, "metrics": await legacy_status.metrics(request.app, _now())}
    return legacy.unserved(legacy.NOT_FOUND)


async def _progress(request: web.Request, session_id: str) -> Document:
    if not naming.is_session_id(session_id):
        return legacy.refusal(legacy.BAD_ID, _now())
    held, silence_s = await _look(request, session_id)
    return legacy.progress(session_id, held, silence_s, _now())


async def full_progress(request: web.Request) -> web.StreamResponse:
    """Answer as the older readers do, which take the session as a parameter."""
    now = datetime.now()
    session_id = request.query.get("session", "")
    if not session_id:
        # The one that ignored its parameter had no such refusal: its pages know no other status than 200.
        status = 200 if request.path == "/get_progress.php" else 400
        return _answer(legacy_full.refusal(legacy_full.NO_ID, now), _NO_CACHE, status)
    if not naming.is_session_id(session_id):
        return _answer(legacy_full.refusal(legacy.BAD_ID, now), _NO_CACHE)
    held, silence_s = await _look(request, session_id)
    return _answer(legacy_full.progress(session_id, held, silence_s, now), _NO_CACHE)


async def progress_events(request: web.Request) -> web.StreamResponse:
    """Stream as ``progress_sse.php`` does, but start nothing."""
    session_id = request.query.get("session_id", "")
    if not naming.is_session_id(session_id):
        told = {"status": "error", "session_id": session_id, "message": legacy.BAD_ID}
        return web.Response(body=legacy_events.encode(told), content_type="text/event-stream", headers=_CORS)
    _, silence_s = await _look(request, session_id)
    return await sse.stream(request, functools.partial(DeployedEventStream, session_id, silence_s, _now), _CORS)
