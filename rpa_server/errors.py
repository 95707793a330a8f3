"""The exceptions for settings, documents, stores and requests, as one tree.

Each has an HTTP status, a stable ``code`` for programs, a flag that says whether trying again later can help, and a
message in English that says what is wrong. A client gets an exception as the object that body() builds: as
JSON from the middleware of http/errors.py, or in a frame on an open WebSocket. Only the deployed addresses answer with
refusals of their own (legacy/).

RpaError
├── ConfigError          a setting is wrong: the server exits with status 2
├── BadDocument          a document can't be read: it is skipped or refused
│   └── Unreadable       a file can't be read now, but may be sound
├── StorageUnavailable   a store can't be read or written now
└── RequestError         a request can't be served as it is, or not now
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
    """Base of all exceptions in this module.

    Attributes:
        status: the HTTP status of the response.
        code: names the kind of error, for programs; see "Statuses" in docs/api.rst.
        temporary: True if the same request may succeed later.
        headers: extra headers of the response.
    """

    status = 500
    code = "internal"
    temporary = False
    headers: dict[str, str] = {}  # noqa: RUF012 - subclasses replace it, no code changes it


class ConfigError(RpaError):
    """A setting is wrong; the message names it."""


class BadDocument(RpaError):
    """A document, stored or received, is incomplete, not JSON, or not of the expected shape."""


class Unreadable(BadDocument):
    """A file can't be read now, for example because the process has no descriptor left; its content may be sound."""


class StorageUnavailable(RpaError):
    """A store can't be read or written now; perhaps another one can."""

    status = 503
    code = "storage_unavailable"
    temporary = True


class RequestError(RpaError):
    """The request can't be served as it is, or not now.

    Attributes:
        close_code: closes a WebSocket that was opened only to report the error; 1008 means "policy violation".
    """

    status = 400
    code = "bad_request"
    close_code = 1008


class BadRequest(RequestError):
    """The request's body or parameters are wrong."""


class BadSessionId(RequestError):
    """The session id is missing or not valid."""

    code = "bad_session_id"


class BadCursor(RequestError):
    """The ``after`` parameter is not a cursor."""

    code = "bad_cursor"


class Forbidden(RequestError):
    """The client may not do this, because of its page's origin or its address."""

    status = 403
    code = "forbidden"


class SessionNotFound(RequestError):
    """Nothing is stored for this session (yet)."""

    status = 404
    code = "session_not_found"
    temporary = True


class Conflict(RequestError):
    """A robot of another system is writing this session."""

    status = 409
    code = "conflict"


class TooLarge(RequestError):
    """The body is larger than the route accepts."""

    status = 413
    code = "too_large"


class UnsupportedMediaType(RequestError):
    """The body's media type is not ``application/json``."""

    status = 415
    code = "unsupported_media_type"


class TooSlow(RequestError):
    """The body did not arrive in time."""

    status = 408
    code = "too_slow"


class UpgradeRequired(RequestError):
    """The request for a WebSocket route is not a valid handshake."""

    status = 426
    code = "upgrade_required"
    headers = {  # noqa: RUF012
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
    }


class ServerFull(RequestError):
    """No further connection is accepted: the limit is reached, or the server is stopping."""

    status = 503
    code = "full"
    close_code = 1013  # means "try again later"
    temporary = True
    headers = {"Retry-After": "5"}  # noqa: RUF012


class ErrorMessage(TypedDict):
    """A refusal: a frame on a WebSocket, or the body of a response with a status of 400 or above."""

    type: Literal["error"]
    code: str  # one of those in docs/api.rst, "Statuses"
    message: str  # in English, for programmers
    temporary: bool  # the same request may succeed later


def body(code: str, message: str, temporary: bool = False) -> ErrorMessage:
    """Build the error object that HTTP bodies and WebSocket frames share."""
    return {"type": "error", "code": code, "message": message, "temporary": temporary}


#: explain() quotes this many mistakes and only counts the others.
_EXPLAINED = 3


def explain(messages: Any) -> str:
    """Combine the messages of a marshmallow ValidationError into one sentence.

    Args:
        messages: nested dicts with lists of texts, ``{"server": {"port": ["Not a valid integer."]}}``.

    Returns:
        Returns ``server.port: Not a valid integer.``; several mistakes are separated by semicolons. Only the first
        three are quoted and the others counted, as in ``; and 2 more``.
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
