"""The opening handshake of a WebSocket, as RFC 6455 has it for a server (section 4.2).

Pure. Headers are a mapping that is read with lower-case names: the dict that parse() makes, or aiohttp's, which ignores
case. parse() reads a whole request, but only the form that browsers and common libraries send; any other form is left
to aiohttp's parser.
"""

import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

#: Our own subprotocol; a client without it gets the plan's dialect, see delivery/websocket.py.
PROTOCOL = "rpa.v1"
_VERSION = "13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LONGEST = 8192
_REQUEST = re.compile(
    r"GET (?:/ws/rpa|/rpa|/session)/([A-Za-z0-9_.-]{1,128})(?:\?after=([0-9A-Za-z:]{1,90}))? HTTP/1\.1\r\n"
    r"((?:[A-Za-z-]{1,64}:[\t -~]*\r\n)+)\r\n"
)
_FIELD = re.compile(r"([A-Za-z-]+):([^\r]*)\r\n")
#: More headers than any browser sends; from 129 on aiohttp refuses a request.
_MOST_FIELDS = 64
#: HTTP/1.1 requires the first header; any of the others announces a body, so that the request is left to aiohttp.
_NEEDED, _ODD = "host", frozenset({"content-length", "transfer-encoding", "expect"})


class Opening(NamedTuple):
    """A request to open a WebSocket.

    Attributes:
        session_id: the session id in the path, not yet checked.
        after: the value of the query parameter ``after``, a cursor that is not yet checked; None without one.
        headers: their values by lower-case name; parse() returns None if a name is repeated.
    """

    session_id: str
    after: str | None
    headers: dict[str, str]


def parse(data: bytes) -> Opening | None:
    """Parse a GET for a WebSocket's address if it has the usual form, else return None; accept() checks the headers."""
    if len(data) > _LONGEST or not data.isascii():
        return None
    match = _REQUEST.fullmatch(data.decode("ascii"))
    if match is None:
        return None
    fields = _FIELD.findall(match[3])
    headers = {name.lower(): value.strip(" \t") for name, value in fields}
    if len(fields) > _MOST_FIELDS or len(headers) < len(fields) or _NEEDED not in headers or not _ODD.isdisjoint(headers):
        return None
    return Opening(match[1], match[2], headers)


def accept(headers: Mapping[str, str]) -> str | None:
    """Return the ``Sec-WebSocket-Accept`` value for a handshake's headers, None if they are not a valid handshake.

    Args:
        headers: looked up by lower-case names.
    """
    key = headers.get("sec-websocket-key", "").strip()
    upgrades = headers.get("upgrade", "").strip().lower() == "websocket"
    connects = _is_listed("upgrade", headers.get("connection", "").lower())
    if not (upgrades and connects and headers.get("sec-websocket-version", "").strip() == _VERSION and _is_key(key)):
        return None
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode()


def _is_listed(word: str, text: str) -> bool:
    """Tell whether *text*, the value of a header with a comma-separated list, contains *word*."""
    return text == word or word in map(str.strip, text.split(","))


def _is_key(text: str) -> bool:
    try:
        return len(binascii.a2b_base64(text, strict_mode=True)) == 16
    except (binascii.Error, ValueError):
        return False


def native(headers: Mapping[str, str]) -> bool:
    """Tell whether the client offers our own subprotocol."""
    return _is_listed(PROTOCOL, headers.get("sec-websocket-protocol", ""))


def answer(accepted: str, headers: Mapping[str, str]) -> bytes:
    """Build the 101 response that opens the socket.

    Args:
        accepted: what accept() returned for *headers*.
    """
    protocol = f"Sec-WebSocket-Protocol: {PROTOCOL}\r\n" if native(headers) else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted}\r\n{protocol}\r\n"
    ).encode()
