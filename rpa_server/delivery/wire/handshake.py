"""The opening handshake of a WebSocket, as RFC 6455 has it for a server (section 4.2).

Pure. Headers come as whoever has parsed them has them; parse() reads a whole request, but only one as browsers and
common libraries send it: what it does not know is for a real HTTP parser, not for it to repair.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

#: Our own subprotocol; without it a client gets the plan's dialect.
PROTOCOL = "rpa.v1"
_VERSION = "13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LONGEST = 8192
_REQUEST = re.compile(
    r"GET (?:/ws/rpa|/rpa|/session)/([A-Za-z0-9_.-]{1,128})(?:\?after=([0-9A-Za-z:]{1,90}))? HTTP/1\.1\r\n"
    r"((?:[A-Za-z-]{1,64}:[\t -~]*\r\n)+)\r\n"
)
_FIELD = re.compile(r"([A-Za-z-]+):([^\r]*)\r\n")
#: HTTP/1.1 demands the first; the others say that a request is more than its head.
_NEEDED, _ODD = "host", frozenset({"content-length", "transfer-encoding", "expect"})


class Opening(NamedTuple):
    """A request for a WebSocket.

    Attributes:
        session_id: not yet checked.
        after: the cursor that the client hands back, None where it has none.
        headers: by their names in lower case, every name once.
    """

    session_id: str
    after: str | None
    headers: dict[str, str]


def parse(data: bytes) -> Opening | None:
    """Read a request that is nothing but a handshake of the most usual kind; None for any other."""
    if len(data) > _LONGEST or not data.isascii():
        return None
    match = _REQUEST.fullmatch(data.decode("ascii"))
    if match is None:
        return None
    fields = _FIELD.findall(match[3])
    headers = {name.lower(): value.strip(" \t") for name, value in fields}
    if len(headers) < len(fields) or _NEEDED not in headers or not _ODD.isdisjoint(headers):
        return None
    return Opening(match[1], match[2], headers)


def accept(headers: Mapping[str, str]) -> str | None:
    """Return the value of ``Sec-WebSocket-Accept`` for a handshake's headers, None where they are no handshake.

    Args:
        headers: found by their names in lower case.
    """
    key = headers.get("sec-websocket-key", "").strip()
    upgrades = headers.get("upgrade", "").strip().lower() == "websocket"
    connects = "upgrade" in (word.strip() for word in headers.get("connection", "").lower().split(","))
    if not (upgrades and connects and headers.get("sec-websocket-version", "").strip() == _VERSION and _is_key(key)):
        return None
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def native(headers: Mapping[str, str]) -> bool:
    """Tell whether the client offers our own subprotocol."""
    return PROTOCOL in (name.strip() for name in headers.get("sec-websocket-protocol", "").split(","))


def answer(accepted: str, headers: Mapping[str, str]) -> bytes:
    """Write the answer that opens the socket.

    Args:
        accepted: what accept() returned for *headers*.
    """
    protocol = f"Sec-WebSocket-Protocol: {PROTOCOL}\r\n" if native(headers) else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted}\r\n{protocol}\r\n"
    ).encode()
