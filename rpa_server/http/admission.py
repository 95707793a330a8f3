"""Decides whether a request may list sessions, or open, read or write one: one decision for every entry point.

Pure: it works on texts, the allow-list and the number of free connections, without aiohttp, sockets or a clock. All
handlers of sessions, the deployed ones too, and serving/listener.py call admit(), so a new rule here holds for all.

The order of the rules is part of the interface: if several things are wrong, the first one is reported.

Where future rules belong: a token would be read from ``request.headers`` or ``request.query`` at the top of admit() and
compared with a new attribute of Rules, which app.py fills. A limit per address would be checked by Rules.refusal,
called with ``request.peer()``; Hub.enter() and Hub.leave() would count each address's connections.
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
from ..progress.update import MAX_UPDATE_BYTES, Cursor, parse_cursor

#: The most bytes that the body of a request may have: an update's.
MAX_BODY = MAX_UPDATE_BYTES
#: The most seconds that a poll or the list may wait.
MAX_WAIT_S = 25.0
#: Headers that proxies add to a request.
_FORWARDED = ("x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip")


class Action(Enum):
    """What a request asks for."""

    LIST = "list the sessions"
    READ = "read the state of a session"
    POLL = "read what came behind a cursor, and wait for it where the query says so"
    STREAM = "open an event stream"
    SOCKET = "open a WebSocket"
    WRITE = "publish"


class Request(NamedTuple):
    """What the rules need of a request.

    Attributes:
        action: what the request asks for.
        session_id: as in the address, percent-decoded but not checked; empty if there is none.
        headers: looked up by lower-case names.
        query: the parameters of the address, percent-decoded.
        peer: returns the IP address of the peer, which is a proxy's if one is in between; empty for a Unix socket. A
            function, because asking the kernel costs a fifth of opening a WebSocket and most rules need no address.
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
        """True if the peer is on this machine and the request has no header that proxies add."""
        if any(name in self.headers for name in _FORWARDED):
            return False
        try:
            return ip_address(self.peer()).is_loopback
        except ValueError:
            return False


class Rules(NamedTuple):
    """The rules and limits that requests are checked against.

    Attributes:
        origins: the origins, besides the server's own, whose pages may connect.
        refusal: returns the error if no further connection can be served now, else None.
    """

    origins: Origins
    refusal: Callable[[], RequestError | None]


class Admitted(NamedTuple):
    """A request that may be served.

    Attributes:
        session_id: the checked session id; empty for the list.
        cursor: where the client continues, None if it has received nothing yet.
        accept: for a WebSocket, the value of ``Sec-WebSocket-Accept``; else empty.
        refusal: why a WebSocket can't be served now, None if it can. The WebSocket is opened all the same and gets the
            error in a frame: a page can't read the response to a handshake that fails.
        wait_s: how many seconds a poll or the list may wait for more, at most MAX_WAIT_S; else 0.
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
        BadCursor: ``after`` is not a cursor. LIST, READ and WRITE ignore it.
        BadRequest: ``wait`` is not a number of seconds.
        Forbidden: the client is a page of an origin that may not do this, or asks for the list from another machine.
        UpgradeRequired: a SOCKET request is not a WebSocket handshake.
        ServerFull: there is no free connection for a poll that waits or an event stream; HEAD of a stream needs none.
            For a SOCKET request the error is returned as ``refusal``.
    """
    action = request.action
    if action is Action.SOCKET:  # first, because after a restart all pages reconnect at once
        session_id, cursor = check_session_id(request.session_id), _cursor(request)
        return Admitted(session_id, cursor, _handshake(request, rules.origins), rules.refusal())
    if action is Action.LIST:
        if not request.is_local:  # whoever has the id of a session can read it
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
    """Return the cursor that the client sends, None if it sends none.

    A browser that reconnects repeats the address with its old ``after``, but reports in ``Last-Event-ID`` what it has
    received since, so the header wins. Its value may be another server's, so a malformed one is ignored.
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
    """Raise Forbidden for a page of another host: even pages of allowed origins may only read."""
    origin = request.headers.get("origin")
    if origin is not None and not same_host(origin, request.host):
        raise Forbidden("Pages of other origins may read, not write.")
