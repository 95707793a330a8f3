"""Converts aiohttp's requests into those of admission.py, which checks each value once for all handlers."""

from aiohttp import web

from .admission import Action, Admitted, Request, admit
from .keys import RULES


def admitted(request: web.Request, action: Action, *names: str, session_id: str | None = None) -> Admitted:
    """Return what to serve; raises what admission.admit() raises.

    Args:
        names: query parameters that may contain the session id if the path has none; the first one present is used.
        session_id: the text of the session id if the handler cut it out of the address itself; None by default.
    """
    text = request.match_info.get("session") if session_id is None else session_id
    if text is None:
        text = next((request.query[name] for name in names if name in request.query), "")
    asked = Request(
        action, text, request.headers, request.query, lambda: request.remote or "", request.host, request.method
    )
    return admit(asked, request.app[RULES])
