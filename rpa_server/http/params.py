"""What requests carry, checked once, at the edge."""

from aiohttp import web

from ..errors import BadCursor, BadRequest
from ..progress.session_id import check_session_id
from ..progress.update import Cursor, parse_cursor

MAX_WAIT_S = 25.0


def session_id(request: web.Request, *names: str) -> str:
    """Return the session id from the path, or from the first of the query parameters *names*.

    Raises:
        BadSessionId: it is missing or not valid.
    """
    text = request.match_info.get("session")
    if text is None:
        text = next((request.query[name] for name in names if name in request.query), "")
    return check_session_id(text)


def after(request: web.Request) -> Cursor | None:
    """Return the cursor that the client hands back, None where it has none.

    A browser repeats the address with its old ``after`` when it comes back, and says in ``Last-Event-ID`` what it has
    got meanwhile, so that goes first. It may be another server's: an odd one counts as unknown.

    Raises:
        BadCursor: the parameter ``after`` is not a cursor.
    """
    text = request.query.get("after")
    asked = None if text is None else parse_cursor(text)
    try:
        return parse_cursor(request.headers["Last-Event-ID"])
    except (KeyError, BadCursor):
        return asked


def wait_s(request: web.Request) -> float:
    """Return how long a poll may be held back, at most MAX_WAIT_S seconds.

    Raises:
        BadRequest: it is not a number of seconds.
    """
    text = request.query.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise BadRequest("The parameter wait is a number of seconds from 0 to 25.")
    return min(seconds, MAX_WAIT_S)
