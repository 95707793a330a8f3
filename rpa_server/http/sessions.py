"""Handlers for sessions as JSON: the poll, the list, and publishing."""

import asyncio
import time
from typing import Any, cast

from aiohttp import web
from aiohttp.web_exceptions import HTTPRequestEntityTooLarge

from .. import safejson
from ..delivery.poll import Waiter
from ..delivery.session import Session
from ..errors import BadCursor, BadDocument, BadRequest, SessionNotFound, TooLarge, TooSlow, UnsupportedMediaType
from ..progress import schemas
from ..progress.session_state import Document
from ..progress.shapes import PollAnswer, UpdateMessage
from ..progress.update import Cursor, Update, parse_cursor
from . import params
from .admission import MAX_BODY, Action
from .errors import answer
from .keys import HUB, PUBLISHER, SESSION_LIST

#: A request's body must have arrived within this many seconds.
_BODY_S = 10.0
_LIST_SIZE = 200
#: Seconds that the list waits for unread states, unless the client allows more.
_LIST_S = 0.02
_BRIEF = (
    "session_id",
    "etapa_atual",
    "total_etapas",
    "percentual",
    "estado",
    "final",
    "mensagem",
    "timestamp_inicio",
    "timestamp_atualizacao",
)


async def poll(request: web.Request) -> web.StreamResponse:
    """Answer with the current state and the updates after the client's cursor.

    With ``wait`` the handler waits up to that many seconds for something new, unless the run has ended.
    """
    asked = params.admitted(request, Action.POLL)
    known = _known(request)
    cursor = asked.cursor or known
    hub = request.app[HUB]
    if not asked.wait_s:
        session = hub.session(asked.session_id)
        hub.linger(session)
        await session.refresh(cursor)
        return _answer(session, cursor, known)
    moved = asyncio.Event()
    client = Waiter(moved.set)
    with hub.visit(asked.session_id, client) as session:
        hub.linger(session)
        await session.refresh(cursor)
        if _nothing_new(session, cursor):
            session.begin(client, session.cursor)
            try:
                async with asyncio.timeout(asked.wait_s):
                    await moved.wait()
            except TimeoutError:
                pass
        return _answer(session, cursor, known)


def _known(request: web.Request) -> Cursor | None:
    """Return the cursor in ``If-None-Match``, None if the header contains no cursor."""
    text = request.headers.get("If-None-Match", "").removeprefix("W/").strip('"')
    try:
        return parse_cursor(text)
    except BadCursor:
        return None


def _nothing_new(session: Session, cursor: Cursor | None) -> bool:
    return session.cursor is None or (cursor is not None and cursor == session.cursor and not session.final)


def _answer(session: Session, cursor: Cursor | None, known: Cursor | None) -> web.Response:
    state = session.state
    if state is None:
        raise SessionNotFound("Nothing has been written for this session yet.")
    headers = {"ETag": f'W/"{state.cursor}"', "Cache-Control": "no-cache, no-store"}
    if known == state.cursor:
        return web.Response(status=304, headers=headers)
    missed = None if cursor is None else _objects(state.since(cursor))
    body: PollAnswer = {
        "session_id": session.session_id,
        "epoch": state.epoch,
        "seq": state.seq,
        "recovered": missed is not None,
        "snapshot": state.view(time.time()),
        "updates": missed or [],
    }
    return answer(body, headers=headers)


def _objects(updates: list[Update] | None) -> list[UpdateMessage] | None:
    """Parse updates; None if there are none, or one of them only begins like an update."""
    try:
        return None if updates is None else [cast(UpdateMessage, update.data) for update in updates]
    except BadDocument:
        return None


async def list_sessions(request: web.Request) -> web.StreamResponse:
    """List at most _LIST_SIZE sessions of the last day, to clients on this machine alone."""
    patience_s = max(_LIST_S, params.admitted(request, Action.LIST).wait_s)
    states, unread = await request.app[SESSION_LIST].states(_LIST_SIZE, patience_s)
    now_s = time.time()
    briefs = [_brief(state.view(now_s)) for state in states]
    briefs.sort(key=lambda brief: str(brief["timestamp_atualizacao"]), reverse=True)
    return answer({"sessions": briefs, "unread": unread})


def _brief(view: Document) -> Document:
    return {key: view[key] for key in _BRIEF}


async def publish(request: web.Request) -> web.StreamResponse:
    """Store an update from a robot that can't reach Redis, and answer with its cursor."""
    session_id = params.admitted(request, Action.WRITE).session_id
    publication = schemas.publication(await _body(request))
    cursor = await request.app[PUBLISHER].publish(session_id, publication)
    await request.app[HUB].refresh(session_id)  # so that the next request for this session sees the update
    return answer({"session_id": session_id, "epoch": cursor.epoch, "seq": cursor.seq}, 201)


async def _body(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise UnsupportedMediaType("Send the update as application/json.")
    try:
        async with asyncio.timeout(_BODY_S):
            data = await request.read()
        return safejson.load_object(data)
    except TimeoutError:
        raise TooSlow(f"The body did not arrive within {_BODY_S:g} s.") from None
    except HTTPRequestEntityTooLarge:
        raise TooLarge(f"The body is larger than {MAX_BODY} bytes.") from None
    except (BadDocument, web.RequestPayloadError) as error:
        raise BadRequest(f"The body can't be read. {error}") from None
