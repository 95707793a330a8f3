"""Every exception that this package raises, as one tree.

Each has what its reader needs: the HTTP status, a stable ``code`` for programs, whether trying again later can help, and
a message that says what happened, why, and what to do. What a client gets of it is the object of body(): as JSON from the
middleware of http/errors.py, and in a frame on an open WebSocket. Only the deployed addresses word refusals of their own.

RpaError
├── ConfigError          bad settings: start-up ends with status 2
├── BadDocument          a stored or published document can't be read: counted and dropped
├── StorageUnavailable   neither Redis nor the files answer
└── RequestError         the caller's mistake
    ├── BadRequest
    ├── BadSessionId
    ├── BadCursor
    ├── Forbidden
    ├── SessionNotFound
    ├── Conflict
    ├── TooLarge
    ├── UnsupportedMediaType
    ├── TooSlow
    ├── UpgradeRequired
    └── ServerFull
"""

from typing import Any, Literal, TypedDict


class RpaError(Exception):
    """Base of all errors of rpa-server."""

    status = 500
    code = "internal"
    temporary = False
    headers: dict[str, str] = {}  # noqa: RUF012 - subclasses replace it, nobody changes it


class ConfigError(RpaError):
    """A setting is wrong; the message names it and says what is valid."""


class BadDocument(RpaError):
    """A stored or published document is torn, not JSON, or of another shape."""


class StorageUnavailable(RpaError):
    """No store could be read or written."""

    status = 503
    code = "storage_unavailable"
    temporary = True


class RequestError(RpaError):
    """The request can't be served as it is.

    Attributes:
        close_code: closes a WebSocket that was opened only to bring the error; 1008 is a breach of the server's policy.
    """

    status = 400
    code = "bad_request"
    close_code = 1008


class BadRequest(RequestError):
    """The request's body or parameters are wrong."""


class BadSessionId(RequestError):
    """The session id is not a valid one."""

    code = "bad_session_id"


class BadCursor(RequestError):
    """The ``after`` parameter is not a cursor."""

    code = "bad_cursor"


class Forbidden(RequestError):
    """The caller may not see this."""

    status = 403
    code = "forbidden"


class SessionNotFound(RequestError):
    """Nothing is stored for this session (yet)."""

    status = 404
    code = "session_not_found"
    temporary = True


class Conflict(RequestError):
    """Another robot is writing this session."""

    status = 409
    code = "conflict"


class TooLarge(RequestError):
    """The body is larger than the route accepts."""

    status = 413
    code = "too_large"


class UnsupportedMediaType(RequestError):
    """The body is not JSON."""

    status = 415
    code = "unsupported_media_type"


class TooSlow(RequestError):
    """The body did not arrive in time."""

    status = 408
    code = "too_slow"


class UpgradeRequired(RequestError):
    """A plain GET on a WebSocket route."""

    status = 426
    code = "upgrade_required"
    headers = {  # noqa: RUF012
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
    }


class ServerFull(RequestError):
    """The connection limit is reached."""

    status = 503
    code = "full"
    close_code = 1013  # try again later
    temporary = True
    headers = {"Retry-After": "5"}  # noqa: RUF012


class ErrorMessage(TypedDict):
    """A refusal: a frame on a socket, or the body of an answer of 400 and above."""

    type: Literal["error"]
    code: str  # of docs/api.rst, "Statuses"
    message: str  # one sentence in English, for programmers
    temporary: bool  # the same request may succeed later


def body(code: str, message: str, temporary: bool = False) -> ErrorMessage:
    """Build the error object that HTTP bodies and WebSocket frames share."""
    return {"type": "error", "code": code, "message": message, "temporary": temporary}


#: Further mistakes than this many are only counted.
_EXPLAINED = 3


def explain(messages: Any) -> str:
    """Combine the messages of a marshmallow ValidationError into one sentence.

    Args:
        messages: nested dicts with lists of texts, ``{"server": {"port": ["Not a valid integer."]}}``.

    Returns:
        Returns ``server.port: Not a valid integer.``; further mistakes follow, separated by semicolons, three at most.
    """
    lines = _flatten("", messages)
    more = f"; and {len(lines) - _EXPLAINED} more" if len(lines) > _EXPLAINED else ""
    return "; ".join(lines[:_EXPLAINED]) + more


def _flatten(path: str, messages: Any) -> list[str]:
    if isinstance(messages, dict):
        return [
            line
            for key, value in messages.items()
            for line in _flatten(path if key == "_schema" else f"{path}.{key}".lstrip("."), value)
        ]
    texts = messages if isinstance(messages, list) else [messages]
    return [f"{path}: {text}" if path else str(text) for text in texts]
