"""Sockets of both dialects: which frames answer a client's frames; the transport only keeps what is written."""

import json

import pytest
from websockets import frames as peer

from rpa_server.delivery import websocket
from rpa_server.delivery.websocket import FLOODING, MAX_MESSAGE, NativeSocket, PlainSocket, Socket
from rpa_server.delivery.wire.incoming import BINARY, CLOSE, PING, PONG, TEXT, TOO_BIG
from tests.support.wire import Wire

DIALECTS = pytest.mark.parametrize("kind", [NativeSocket, PlainSocket])


def frame(opcode: int, payload: bytes = b"") -> bytes:
    return peer.Frame(peer.Opcode(opcode), payload).serialize(mask=True)


def said(socket: Socket, *frames: bytes) -> Wire:
    """Feed the client's frames to *socket*; return the transport with the answers."""
    wire = socket.transport
    assert isinstance(wire, Wire)
    for each in frames:
        socket.data_received(each)
    return wire


@DIALECTS
def test_a_ping_is_answered(kind: type[NativeSocket | PlainSocket]) -> None:
    """Both a JSON message of type ``ping`` and a ping frame are answered; a pong frame is not."""
    wire = said(kind(Wire()), frame(TEXT, b'{"type":"ping"}'))
    assert wire.frames() == [{"type": "pong"}]
    assert said(kind(Wire()), frame(PING, b"x")).data == bytes((0x80 | PONG, 1)) + b"x"
    assert said(kind(Wire()), frame(PONG, b"x")).data == b""


@DIALECTS
@pytest.mark.parametrize(
    "message",
    [frame(TEXT, b"["), frame(TEXT, b"[]"), frame(TEXT, b'{"type":"reset"}'), frame(BINARY, b"{}")],
    ids=["no JSON", "no object", "a reset", "binary"],
)
def test_what_is_not_known_is_reported(kind: type[NativeSocket | PlainSocket], message: bytes) -> None:
    """A binary frame or an unknown message is answered with ``bad_message``, and the connection stays open."""
    wire = said(kind(Wire()), message)
    assert [(answer["type"], answer["code"]) for answer in wire.frames()] == [("error", "bad_message")]
    assert not wire.closed


def test_an_untyped_object_is_echoed_in_the_plans_dialect_alone() -> None:
    """The plan's dialect echoes an object without ``type`` byte for byte; the native one answers ``bad_message``."""
    text = json.dumps({"etapa": 1, "mensagem": "Teste é"}).encode()
    assert text in said(PlainSocket(Wire()), frame(TEXT, text)).data
    assert said(NativeSocket(Wire()), frame(TEXT, text)).frames()[0]["code"] == "bad_message"


@DIALECTS
async def test_a_close_is_answered_and_the_connection_ended(kind: type[NativeSocket | PlainSocket]) -> None:
    """A close frame is answered with the same code, a later frame is not answered, and the connection is closed."""
    socket = kind(Wire())
    wire = said(socket, frame(CLOSE, b"\x03\xe9going") + frame(PING))
    assert wire.data == b"\x88\x02\x03\xe9"
    assert wire.closed
    assert socket.ending == "1001"


async def test_the_answer_to_our_close_ends_the_connection() -> None:
    """The answer to our close frame closes the connection; a second close frame would be a protocol error."""
    socket = NativeSocket(Wire())
    socket.finish()
    wire = said(socket, frame(TEXT, b'{"type":"ping"}'), frame(CLOSE, b"\x11\x3a"))
    assert len(wire.written) == 1
    assert wire.closed
    assert socket.ending == "4410"


async def test_a_peer_that_never_answers_our_close_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that does not answer our close frame within CLOSING_S is aborted."""
    import asyncio

    from rpa_server.delivery import stream

    monkeypatch.setattr(stream, "CLOSING_S", 0.01)
    socket = NativeSocket(Wire())
    socket.restart()
    await asyncio.sleep(0.05)
    assert said(socket).aborted


@DIALECTS
async def test_who_breaks_the_protocol_gets_the_reason_and_is_dropped(kind: type[NativeSocket | PlainSocket]) -> None:
    """After a protocol violation, here too big a message, the client gets a close frame and is disconnected."""
    wire = said(kind(Wire()), frame(TEXT, b"x" * (MAX_MESSAGE + 1)))
    assert wire.data[0] == 0x80 | CLOSE
    assert int.from_bytes(wire.data[2:4], "big") == TOO_BIG
    assert wire.closed


async def test_who_floods_is_dropped() -> None:
    """A client that sends more than _MOST_FRAMES frames, pings included, between two heartbeats is disconnected."""
    socket = NativeSocket(Wire())
    most = websocket._MOST_FRAMES
    said(socket, *[frame(PING)] * most)
    socket.ping()
    wire = said(socket, *[frame(PING)] * most)
    assert not wire.closed
    said(socket, frame(PING))
    assert wire.closed
    assert socket.close_code == FLOODING


def test_a_client_that_does_not_read_gets_no_answers() -> None:
    """While writing is paused a client's messages get no answers, which would pile up in memory."""
    socket = PlainSocket(Wire())
    socket.pause_writing()
    assert said(socket, frame(TEXT, b'{"etapa":1}'), frame(PING)).data == b""


def test_a_client_that_answers_the_ping_stays() -> None:
    """A client that has sent a pong since the ping is not aborted."""
    socket = NativeSocket(Wire())
    socket.ping()
    wire = said(socket, frame(PONG))
    socket.expire()
    assert wire.data == b"\x89\x00"
    assert not wire.aborted


def test_a_client_that_was_sent_no_ping_need_not_answer_one() -> None:
    """A client that got no ping, because writing to it was paused, is not aborted for lack of an answer."""
    socket = NativeSocket(Wire())
    socket.pause_writing()
    socket.ping()
    socket.resume_writing()
    socket.expire()
    assert not said(socket).aborted


def test_a_handshake_that_was_not_answered_ends_without_a_frame() -> None:
    """Before the handshake is answered a restart aborts the connection: a frame would corrupt the HTTP response."""
    socket = NativeSocket(Wire())
    socket.handshake_done = False
    socket.restart()
    wire = said(socket)
    assert wire.data == b""
    assert wire.aborted


def test_a_client_that_does_not_answer_the_ping_is_dropped() -> None:
    """A client that has sent nothing since the ping is aborted, even if the kernel still sees it as connected."""
    socket = NativeSocket(Wire())
    socket.expire()
    assert not said(socket).aborted
    socket.ping()
    socket.expire()
    assert said(socket).aborted
