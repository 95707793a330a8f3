"""What aiohttp's requests carry, in the terms of admission; each value is checked once, at the edge."""

from aiohttp import web

from ..errors import BadRequest
from .admission import Action, Admitted, Request, admit
from .keys import RULES

MAX_WAIT_S = 25.0


def admitted(request: web.Request, action: Action, *names: str) -> Admitted:
    """Return what to serve; see admission.admit() for what is raised.

    Args:
        names: query parameters that may have the session id, where the path has none; the first one that is there counts.
    """
    text = request.match_info.get("session")
    if text is None:
        text = next((request.query[name] for name in names if name in request.query), "")
    asked = Request(action, text, request.headers, request.host, request.query.get("after"), request.method)
    return admit(asked, request.app[RULES])


def wait_s(request: web.Request) -> float:
    """Return how many seconds a poll may be kept waiting for news, at most MAX_WAIT_S.

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
