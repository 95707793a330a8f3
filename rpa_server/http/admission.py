"""Whether a request may open, read or write a session: one decision for every way in.

Pure: it knows text, the allow-list and the room that is left, but no aiohttp, no socket and no clock. aiohttp's handlers
and the listener's fast WebSocket opening both ask admit(), so a rule that is added here holds for both of them.

The order of the rules is part of the answer: of several things that are wrong, the first one is reported.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple

from ..delivery.wire import handshake
from ..errors import BadCursor, Forbidden, ServerFull, UpgradeRequired
from ..origins import Origins, same_host
from ..progress.session_id import check_session_id
from ..progress.update import Cursor, parse_cursor

#: Names below ``/rpa`` that are the deployed API there (a proxy may take its ``/api`` off), not sessions.
RESERVED = ("progress", "health", "metrics", "sessions", "status", "monitor", "logs", "start", "stop", "cleanup")
#: Bytes that the body of a request may have.
MAX_BODY = 64 * 1024


class Action(Enum):
    """What a request wants of a session."""

    READ = "read once"
    STREAM = "open an event stream"
    SOCKET = "open a WebSocket"
    WRITE = "publish"


class Request(NamedTuple):
    """What admission needs to know of a request.

    Attributes:
        action: what it wants.
        session_id: as it stands in the address, percent-decoded but not checked; empty where there is none.
        headers: found by their names in lower case.
        host: the value of ``Host``.
        after: the query parameter of that name, None where there is none.
        method: the HTTP method.
    """

    action: Action
    session_id: str
    headers: Mapping[str, str]
    host: str = ""
    after: str | None = None
    method: str = "GET"


class Rules(NamedTuple):
    """What requests are judged by.

    Attributes:
        origins: the pages of other hosts that may connect.
        refusal: returns why no further connection can be served now, None while there is room.
    """

    origins: Origins
    refusal: Callable[[], ServerFull | None]


class Admitted(NamedTuple):
    """A request that may be served.

    Attributes:
        session_id: checked.
        cursor: where the client continues, None where it has nothing yet.
        accept: of a WebSocket, the value of ``Sec-WebSocket-Accept``; else empty.
        refusal: of a WebSocket that can't be served now, why. It is opened all the same and gets the error in a
            frame: a page can't read the answer of a handshake that fails.
    """

    session_id: str
    cursor: Cursor | None = None
    accept: str = ""
    refusal: ServerFull | None = None


def admit(request: Request, rules: Rules) -> Admitted:
    """Return what to serve.

    Raises:
        BadSessionId: the session id is missing or not valid.
        BadCursor: ``after`` is not a cursor.
        Forbidden: it is a page of an origin that may not do this.
        UpgradeRequired: it is not the handshake of a WebSocket.
        ServerFull: an event stream finds no room. A HEAD request needs none.
    """
    session_id = check_session_id(request.session_id)
    if request.action is Action.WRITE:
        _check_writing(request)
        return Admitted(session_id)
    cursor = _cursor(request)
    if request.action is Action.SOCKET:
        accept = _handshake(request, rules.origins)
        return Admitted(session_id, cursor, accept, rules.refusal())
    if request.action is Action.STREAM and request.method == "GET" and (refusal := rules.refusal()) is not None:
        raise refusal
    return Admitted(session_id, cursor)


def _cursor(request: Request) -> Cursor | None:
    """Return the cursor that the client hands back.

    A browser that reconnects repeats the address with its old ``after`` and reports in ``Last-Event-ID`` what it has
    received since, so the header comes first. The header may be another server's, so a malformed one counts as none.
    """
    asked = None if request.after is None else parse_cursor(request.after)
    try:
        return parse_cursor(request.headers["last-event-id"])
    except (KeyError, BadCursor):
        return asked


def _handshake(request: Request, origins: Origins) -> str:
    """Let programs, pages of this host and pages of the allowed origins connect; browsers leave this check to us."""
    if not origins.connects(request.headers.get("origin"), request.host):
        raise Forbidden("Pages of this origin may not connect; RPA_ALLOWED_ORIGINS lists those that may.")
    accept = handshake.accept(request.headers) if request.method == "GET" else None
    if accept is None:
        raise UpgradeRequired("This address speaks WebSocket; connect with an Upgrade request.")
    return accept


def _check_writing(request: Request) -> None:
    """Let programs and pages of this host write; pages of allowed origins may only read."""
    origin = request.headers.get("origin")
    if origin is not None and not same_host(origin, request.host):
        raise Forbidden("Pages of other origins may read, not write.")
