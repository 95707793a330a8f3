"""Handlers of the deployed addresses: the PHP API that pages poll today, its older readers, and its event stream.

Under ``/api/rpa`` every answer is a 200, refusals included: any other status stops the pages for good. Addresses that
start or stop a robot are not served; the deployed system serves them.
"""

import functools
import secrets
import time
from datetime import datetime

from aiohttp import web

from ..errors import BadSessionId, RequestError, StorageUnavailable
from ..http import event_stream, params
from ..http.admission import Action
from ..http.keys import HUB, STORE
from ..progress.session_state import SessionState
from ..progress.update import Cursor
from . import php_json, progress_answer, reader_answer, sse_messages, status
from .event_stream import DeployedEventStream
from .keys import LAST_SEEN
from .last_seen import Seen
from .progress_answer import Answer

#: Below ``/rpa`` (a proxy may strip ``/api``) these names belong to the deployed API, so they are no session ids there.
RESERVED = ("progress", "health", "metrics", "sessions", "status", "monitor", "logs", "start", "stop", "cleanup")
#: CORS headers as the deployed server sends them; http/cors.py adds Access-Control-Allow-Origin.
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Authorization",
}
_NO_STORE = {"Cache-Control": "no-store"}
#: Stands for the time of the answer in answers that are kept; no robot writes it.
_AT = secrets.token_hex(16)
_NO_CACHE = {"Cache-Control": "no-cache, must-revalidate", "Expires": "Mon, 26 Jul 1997 05:00:00 GMT"}


def _answer(body: Answer, headers: dict[str, str], status: int = 200) -> web.Response:
    return _encoded(php_json.pretty(body), headers, status)


def _encoded(body: bytes, headers: dict[str, str], status: int = 200) -> web.Response:
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={**_CORS, **headers},
    )


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M:%S")


async def _look(request: web.Request, session_id: str) -> Seen | None:
    """Return what is known of a session, None if nothing is; what is known already is not read again."""
    last_seen = request.app[LAST_SEEN]
    try:
        known = last_seen.position(session_id)
        fresh = await request.app[STORE].read(session_id, known.seq)
        if fresh is not None and fresh.own and not _continues(fresh, known):
            fresh = await request.app[STORE].read(session_id, 0)
    except StorageUnavailable:  # then the last seen state is the answer
        fresh = None
    return last_seen.record(session_id, fresh, time.time())


def _continues(fresh: SessionState, known: Cursor) -> bool:
    """Tell whether *fresh* has all updates after *known*."""
    return not known.seq or (fresh.epoch == known.epoch and fresh.since(known) is not None)


async def preflight(request: web.Request) -> web.StreamResponse:
    """Answer OPTIONS as the deployed server does."""
    return web.Response(headers=_CORS)


async def api(request: web.Request) -> web.StreamResponse:
    """Answer any request under ``/api/rpa``, or the same under ``/rpa`` or ``/`` if a proxy strips the prefix."""
    if request.method == "OPTIONS":
        return await preflight(request)
    path = request.path.removeprefix("/api").removeprefix("/rpa")
    kind, _, rest = path.strip("/").partition("/")
    if request.method in ("GET", "HEAD") and kind == "progress" and rest:
        return _encoded(await _progress(request, rest), _NO_STORE)
    return _answer(await _body(request, kind, rest), _NO_STORE)


async def _body(request: web.Request, kind: str, rest: str) -> Answer:
    if request.method not in ("GET", "HEAD"):
        served = request.method in ("POST", "DELETE")
        return progress_answer.unserved(progress_answer.NOT_FOUND if served else progress_answer.NOT_ALLOWED)
    if kind == "health" and not rest:
        return {"success": True, "health": await status.health(request.app, _now())}
    if kind == "metrics" and not rest:
        return {"success": True, "metrics": await status.metrics(request.app, _now())}
    return progress_answer.unserved(progress_answer.NOT_FOUND)


def _words(error: RequestError) -> str:
    """Return the text of a refusal: the deployed system's where it has one, else ours."""
    return progress_answer.BAD_ID if isinstance(error, BadSessionId) else str(error)


async def _progress(request: web.Request, text: str) -> bytes:
    try:
        session_id = params.admitted(request, Action.READ, session_id=text).session_id
    except RequestError as error:
        return php_json.pretty(progress_answer.refusal(_words(error), _now(), error.status))
    seen = await _look(request, session_id)
    if seen is None:
        return php_json.pretty(progress_answer.progress(session_id, None, _now()))
    made = seen.answer(
        "progress",
        seen.run(time.time()),
        lambda run: php_json.pretty(progress_answer.progress(session_id, run, _AT)),
    )
    return made.replace(_AT.encode(), _now().encode())


async def full_progress(request: web.Request) -> web.StreamResponse:
    """Answer like the older readers, which take the session id as the query parameter ``session``."""
    now = datetime.now()
    try:
        session_id = params.admitted(request, Action.READ, "session").session_id
    except RequestError as error:
        if request.query.get("session"):
            return _answer(reader_answer.refusal(_words(error), now), _NO_CACHE)
        # get_progress.php ignored its parameter and so never refused a request: its pages expect only status 200.
        status = 200 if request.path == "/get_progress.php" else 400
        return _answer(reader_answer.refusal(reader_answer.NO_ID, now), _NO_CACHE, status)
    seen = await _look(request, session_id)
    if seen is None:
        return _answer(reader_answer.waiting(session_id, now), _NO_CACHE)
    made = seen.answer(
        "reader",
        seen.run(time.time()),
        lambda run: php_json.pretty(reader_answer.progress(session_id, run, _AT)),
    )
    return _encoded(made.replace(_AT.encode(), _now().encode()), _NO_CACHE)


async def progress_events(request: web.Request) -> web.StreamResponse:
    """Stream a session like ``progress_sse.php``, but without starting a robot."""
    try:
        admitted = params.admitted(request, Action.STREAM, "session_id")
    except BadSessionId as error:
        refusal = {"status": "error", "session_id": request.query.get("session_id", ""), "message": _words(error)}
        return web.Response(body=sse_messages.encode(refusal), content_type="text/event-stream", headers=_CORS)
    seen = await _look(request, admitted.session_id)
    silence_s = 0.0 if seen is None else seen.silence_s(time.time())
    session = request.app[HUB].session(admitted.session_id)
    kind = functools.partial(DeployedEventStream, session, silence_s, _now)
    return await event_stream.stream(request, admitted, kind, _CORS, whole=True)
