"""Decides whether a request may open, read or write a session: one decision for every entry point.

Pure: it knows text, the allow-list and the room that is left, but no aiohttp, no socket and no clock. The handlers, the
deployed ones too, and the listener's fast WebSocket opening all ask admit(), so a rule that is added here holds for all.

The order of the rules is part of the interface: if several things are wrong, the first one is reported.

Where the next rules go: a token is looked for in ``request.headers`` and ``request.query`` at the top of admit(), and what
it is compared with is an attribute of Rules, which app.py fills. A limit per address belongs to Rules.refusal, which
is then asked with ``request.peer()``; Hub.enter() and Hub.leave() are where open connections are counted.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from ipaddress import ip_address
from typing import NamedTuple

from ..delivery.wire import handshake
from ..errors import BadCursor, BadRequest, Forbidden, RequestError, UpgradeRequired
from ..origins import Origins, same_host
from ..progress.session_id import check_session_id
from ..progress.update import Cursor, parse_cursor

#: The most bytes that the body of a request may have.
MAX_BODY = 64 * 1024
#: Seconds that a poll may wait for news.
MAX_WAIT_S = 25.0
#: What proxies add to a request.
_FORWARDED = ("x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip")


class Action(Enum):
    """What a request wants."""

    LIST = "list the sessions"
    READ = "read the state of a session"
    POLL = "read what came behind a cursor, and wait for it where the query says so"
    STREAM = "open an event stream"
    SOCKET = "open a WebSocket"
    WRITE = "publish"


class Request(NamedTuple):
    """What admission needs to know of a request.

    Attributes:
        action: what the request wants to do.
        session_id: as in the address, percent-decoded but not checked; empty if there is none.
        headers: looked up by lower-case names.
        query: the parameters of the address, percent-decoded.
        peer: returns the IP address of the peer, which is a proxy's where one stands in between; empty for a Unix socket.
            A function, because asking the kernel costs a fifth of opening a WebSocket and most rules need no address.
        host: the value of ``Host``.
        method: the HTTP method.
    """

    action: Action
    session_id: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    peer: Callable[[], str]
    host: str
    method: str = "GET"

    @property
    def is_local(self) -> bool:
        """True where the caller is a program on this machine, not one behind a proxy on it."""
        if any(name in self.headers for name in _FORWARDED):
            return False
        try:
            return ip_address(self.peer()).is_loopback
        except ValueError:
            return False


class Rules(NamedTuple):
    """The rules and limits that requests are checked against.

    Attributes:
        origins: pages of these other origins may connect.
        refusal: returns the error if no further connection can be served now, None while there is room.
    """

    origins: Origins
    refusal: Callable[[], RequestError | None]


class Admitted(NamedTuple):
    """A request that may be served.

    Attributes:
        session_id: checked; empty for the list.
        cursor: where the client continues, None if it has received nothing yet.
        accept: for a WebSocket, the value of ``Sec-WebSocket-Accept``; else empty.
        refusal: why a WebSocket can't be served now, None if it can. It is opened all the same and gets the error in a
            frame: a page can't read the answer of a handshake that fails.
        wait_s: of a poll and of the list, how many seconds the caller waits for more, at most MAX_WAIT_S.
    """

    session_id: str
    cursor: Cursor | None = None
    accept: str = ""
    refusal: RequestError | None = None
    wait_s: float = 0.0


def admit(request: Request, rules: Rules) -> Admitted:
    """Check a request against the rules; return what to serve.

    Raises:
        BadSessionId: the session id is missing or not valid.
        BadCursor: ``after`` is not a cursor; a mere READ has none.
        BadRequest: ``wait`` is not a number of seconds.
        Forbidden: it is a page of an origin that may not do this, or the list for a caller on another machine.
        UpgradeRequired: the request is not a WebSocket handshake.
        ServerFull: an event stream or a poll that waits finds no room. A HEAD request for a stream needs none.
    """
    action = request.action
    if action is Action.SOCKET:  # first, because all pages come back at once
        session_id, cursor = check_session_id(request.session_id), _cursor(request)
        return Admitted(session_id, cursor, _handshake(request, rules.origins), rules.refusal())
    if action is Action.LIST:
        if not request.is_local:  # an id is all it takes to read a session
            raise Forbidden("Sessions are listed to callers on the server's own machine only.")
        return Admitted("", wait_s=_wait_s(request))
    session_id = check_session_id(request.session_id)
    if action is Action.WRITE:
        _check_writing(request)
    if action in (Action.READ, Action.WRITE):
        return Admitted(session_id)
    cursor = _cursor(request)
    if action is Action.POLL:
        wait_s = _wait_s(request)
        stays = wait_s > 0
    else:
        wait_s, stays = 0.0, request.method == "GET"
    if stays and (refusal := rules.refusal()) is not None:
        raise refusal
    return Admitted(session_id, cursor, wait_s=wait_s)


def _cursor(request: Request) -> Cursor | None:
    """Return the cursor that the client sends.

    A browser that reconnects repeats the address with its old ``after``, but reports in ``Last-Event-ID`` what it has
    received since, so the header wins. The header may come from another server, so a malformed one is ignored.
    """
    after = request.query.get("after")
    asked = None if after is None else parse_cursor(after)
    last = request.headers.get("last-event-id")
    if last is not None:
        with suppress(BadCursor):
            return parse_cursor(last)
    return asked


def _wait_s(request: Request) -> float:
    try:
        seconds = float(request.query.get("wait", "0"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise BadRequest("The parameter wait is a number of seconds from 0 to 25.")
    return min(seconds, MAX_WAIT_S)


def _handshake(request: Request, origins: Origins) -> str:
    """Check the origin, which browsers leave to the server; return the value of ``Sec-WebSocket-Accept``."""
    if not origins.connects(request.headers.get("origin"), request.host):
        raise Forbidden("Pages of this origin may not connect; RPA_ALLOWED_ORIGINS lists those that may.")
    accept = handshake.accept(request.headers) if request.method == "GET" else None
    if accept is None:
        raise UpgradeRequired("This address speaks WebSocket; connect with an Upgrade request.")
    return accept


def _check_writing(request: Request) -> None:
    """Refuse writing to pages of other hosts; pages of allowed origins may only read."""
    origin = request.headers.get("origin")
    if origin is not None and not same_host(origin, request.host):
        raise Forbidden("Pages of other origins may read, not write.")
