"""The opening handshake, with the websockets library as reference, and requests that parse() leaves to aiohttp."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from websockets.utils import accept_key

from rpa_server.delivery.wire.handshake import accept, answer, native, parse
from tests.support.handshakes import CHROMIUM

KEY = base64.b64encode(bytes(range(16))).decode()
GOOD = {
    "Upgrade": "WebSocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def test_a_handshake_is_answered() -> None:
    """accept() returns the same digest for a key as the websockets library."""
    assert accept(CIMultiDict(GOOD)) == accept_key(KEY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Upgrade", None),
        ("Upgrade", "h2c"),
        ("Connection", None),
        ("Connection", "upgraded"),
        ("Sec-WebSocket-Version", "8"),
        ("Sec-WebSocket-Key", None),
        ("Sec-WebSocket-Key", "short"),
        ("Sec-WebSocket-Key", KEY[:-2]),
        ("Sec-WebSocket-Key", "é" * 24),
    ],
)
def test_what_is_no_handshake_is_not_answered(name: str, value: str | None) -> None:
    """A handshake with one missing or wrong header gets no digest."""
    headers = {**GOOD, name: value}
    assert accept(CIMultiDict({key: text for key, text in headers.items() if text is not None})) is None


@pytest.mark.parametrize("offered", ["rpa.v1", "other, rpa.v1", "rpa.v1,other"])
def test_our_own_protocol_is_taken(offered: str) -> None:
    """The answer names the subprotocol ``rpa.v1`` if the client offers it, and none otherwise."""
    headers = {"sec-websocket-protocol": offered}
    assert native(headers)
    assert b"\r\nSec-WebSocket-Protocol: rpa.v1\r\n" in answer("x", headers)
    assert b"Sec-WebSocket-Protocol" not in answer("x", {"sec-websocket-protocol": "rpa.v10"})


# -- parse()


def test_a_browsers_handshake_is_read() -> None:
    """parse() reads the session, the cursor and all 13 headers of Chromium's handshake."""
    opening = parse(CHROMIUM)
    assert opening is not None
    assert (opening.session_id, opening.after) == ("s1", "abc:5")
    assert opening.headers["origin"] == "https://www.example.com"
    assert len(opening.headers) == 13
    assert accept(opening.headers) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("path", ["/rpa/s1", "/ws/rpa/s1", "/session/s1"])
def test_all_addresses_of_a_socket_are_known(path: str) -> None:
    """parse() reads the session from each address of a WebSocket; without ``after`` the cursor is None."""
    opening = parse(CHROMIUM.replace(b"/rpa/s1?after=abc:5", path.encode()))
    assert opening is not None
    assert (opening.session_id, opening.after) == ("s1", None)


@pytest.mark.parametrize(
    ("usual", "odd"),
    [
        (b"GET", b"POST"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"/rpa/s1", b"/rpa/s%31"),
        (b"/rpa/s1", b"/rpa/s1/"),
        (b"/rpa/s1", b"/x/rpa/s1"),
        (b"/rpa/s1", b"/ws/session"),
        (b"/rpa/s1", b"/api/sessions/s1"),
        (b"?after", b"?a=1&after"),
        (b"Pragma: no-cache", b"Upgrade: websocket"),
        (b"Pragma: no-cache", b"pragma : no-cache"),
        (b"Pragma: no-cache", b"Pragma"),
        (b"Pragma: no-cache", b"A: b\r\n folded"),
        (b"Pragma: no-cache", b"A: b\n"),
        (b"Pragma: no-cache", b"A: \xe9"),
        (b"Pragma: no-cache", b"Content-Length: 5"),
        (b"Pragma: no-cache", b"Transfer-Encoding: chunked"),
        (b"no-cache", b"x" * 9000),
        (b"Pragma: no-cache", b"\r\n".join(b"X-%s: 1" % (b"a" * number) for number in range(1, 66))),
        (b"\r\n\r\n", b"\r\n"),
        (b"\r\n\r\n", b"\r\n\r\nmore"),
    ],
)
def test_what_is_not_quite_usual_is_left_to_others(usual: bytes, odd: bytes) -> None:
    """parse() returns None for a request with one unusual detail, and so leaves it to aiohttp's complete parser."""
    assert usual in CHROMIUM
    assert parse(CHROMIUM.replace(usual, odd, 1)) is None


@given(st.binary(max_size=300), st.integers(0, len(CHROMIUM)), st.integers(0, len(CHROMIUM)))
def test_any_bytes_are_a_handshake_or_none(noise: bytes, start: int, end: int) -> None:
    """No bytes make parse() raise, and the headers that it returns contain no line ends."""
    opening = parse(CHROMIUM[: min(start, end)] + noise + CHROMIUM[max(start, end) :])
    if opening is not None:
        assert not any(character in text for text in opening.headers.values() for character in "\r\n")
