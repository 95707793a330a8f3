"""Clients' frames, made by the encoder of the websockets library, and frames that break the protocol."""

import importlib.metadata
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import frames as peer
from wsproto.frame_protocol import FrameDecoder, MessageDecoder, Opcode

from rpa_server.delivery.wire.incoming import (
    BAD_TEXT,
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    TOO_MANY,
    Message,
    ProtocolViolation,
    Reader,
)
from tests.support.server import ROOT

LIMIT = 70_000
#: The versions of wsproto with which this module's tests have passed. Run them with a new version before adding it.
CHECKED = ("1.3.0", "1.3.1", "1.3.2")


def frame(opcode: int, payload: bytes = b"", final: bool = True, mask: bool = True) -> bytes:
    """Encode one frame as a client would."""
    return peer.Frame(peer.Opcode(opcode), payload, fin=final).serialize(mask=mask)


def raw(first: int, payload: bytes = b"") -> bytes:
    """Make a masked frame that no encoder makes; the mask is zero, so the payload is readable."""
    return bytes((first, 0x80 | len(payload))) + bytes(4) + payload


def violation(*pieces: bytes, limit: int = LIMIT) -> int:
    """Feed pieces that must break the protocol, and return the close code of the violation."""
    reader = Reader(limit)
    with pytest.raises(ProtocolViolation) as caught:
        for piece in pieces:
            reader.feed(piece)
    return caught.value.code


messages = st.lists(
    st.one_of(
        st.tuples(st.just(TEXT), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))),
        st.tuples(st.just(BINARY), st.binary(max_size=300)),
        st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    ),
    max_size=8,
)


@given(messages, st.data())
def test_what_a_client_sends_is_read_however_it_arrives(sent: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """However bytes and messages are cut, and with pings between the fragments, the same messages come out."""
    wire, expected = b"", []
    for opcode, payload in sent:
        if opcode in (PING, PONG) or not data.draw(st.booleans()):
            wire += frame(opcode, payload)
            expected.append(Message(opcode, payload))
            continue
        cut = data.draw(st.integers(0, len(payload)))
        wire += frame(opcode, payload[:cut], final=False) + frame(PING, b"between") + frame(CONTINUATION, payload[cut:])
        expected += [Message(PING, b"between"), Message(opcode, payload)]
    reader, read = Reader(LIMIT), []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        read += reader.feed(wire[:size])
        wire = wire[size:]
    assert read == expected


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, LIMIT])
def test_every_form_of_length_is_read(size: int) -> None:
    """A frame with a length in 7, 16 or 64 bits is read in one piece and with its first 20 bytes one by one."""
    payload = os.urandom(size)
    wire = frame(BINARY, payload)
    assert Reader(LIMIT).feed(wire) == [Message(BINARY, payload)]
    slow = Reader(LIMIT)
    head = [message for byte in wire[:20] for message in slow.feed(bytes([byte]))]
    assert [*head, *slow.feed(wire[20:])] == [Message(BINARY, payload)]


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x0f\xa0bye", b"\x0b\xb8" + "é".encode()])
def test_a_close_frame_is_handed_on(payload: bytes) -> None:
    """A close frame is returned as a message, whether empty, with a code, or with a code and a reason."""
    assert Reader(LIMIT).feed(frame(CLOSE, payload)) == [Message(CLOSE, payload)]


@pytest.mark.parametrize(
    "wire",
    {
        "not masked": frame(TEXT, b"{}", mask=False),
        "reserved bit": raw(0xC1, b"{}"),
        "reserved data opcode": raw(0x83),
        "reserved control opcode": raw(0x8B),
        "long ping": b"\x89\xfe\0\x7e\0\0\0\0",
        "fragmented ping": raw(0x09),
        "stray continuation": frame(CONTINUATION, b"x"),
        "new message inside fragments": frame(TEXT, b"a", final=False) + frame(TEXT, b"b"),
        "close of one byte": raw(0x88, b"\x03"),
        "close 999": raw(0x88, b"\x03\xe7"),
        "close 1005": raw(0x88, b"\x03\xed"),
        "close 1015": raw(0x88, b"\x03\xf7"),
        "close 5000": raw(0x88, b"\x13\x88"),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_a_broken_frame_is_a_protocol_error(wire: tuple[str, bytes]) -> None:
    """A frame that breaks RFC 6455 is refused with 1002, in one piece and byte by byte."""
    assert violation(wire[1]) == PROTOCOL_ERROR
    assert violation(*(bytes([byte]) for byte in wire[1])) == PROTOCOL_ERROR


@pytest.mark.parametrize(
    "wire",
    [frame(TEXT, b"\xff"), frame(TEXT, b"\xc3", final=False) + frame(CONTINUATION, b"x")],
    ids=["in one frame", "over two"],
)
def test_text_that_is_none_is_refused(wire: bytes) -> None:
    """Text that is not UTF-8 is refused with 1007, even if only a character across two fragments is broken."""
    assert violation(wire) == BAD_TEXT


def test_a_close_reason_that_is_no_text_is_refused() -> None:
    """A close frame whose reason is not UTF-8 is refused with 1007."""
    assert violation(frame(CLOSE, b"\x03\xe8\xff")) == BAD_TEXT


def test_a_message_too_big_is_refused_before_it_arrives() -> None:
    """A message over the limit is refused as soon as a header announces it, in one frame or as a sum of fragments."""
    assert violation(b"\x82\xff" + (1 << 30).to_bytes(8, "big") + b"\0\0\0\0") == TOO_BIG
    assert violation(frame(BINARY, b"x" * 101), limit=100) == TOO_BIG
    parts = frame(BINARY, b"x" * 60, final=False), frame(CONTINUATION, b"x" * 41)
    assert violation(*parts, limit=100) == TOO_BIG


@pytest.mark.parametrize(
    "wire",
    [frame(PING), frame(TEXT, b"{}"), frame(CONTINUATION, b"", final=False)],
    ids=["pings", "messages", "fragments without payload"],
)
def test_frames_are_counted_whatever_they_carry(wire: bytes) -> None:
    """Frames of any kind are counted; the first one beyond the limit raises, unless the count was reset before it."""
    reader = Reader(LIMIT, 10)
    if wire[0] & 0x0F == CONTINUATION:
        reader.feed(frame(TEXT, b"", final=False))
        reader.frames = 0
    for _ in range(3):
        reader.feed(wire * 6)
        reader.feed(wire * 4)
        assert reader.frames == 10
        reader.frames = 0
    with pytest.raises(ProtocolViolation) as caught:
        reader.feed(wire * 1000)
    assert (caught.value.code, reader.frames) == (TOO_MANY, 11)


@pytest.mark.parametrize("size", [5, 300, 65_000])
def test_a_length_in_more_bytes_than_it_needs_is_refused(size: int) -> None:
    """A length that is not in its shortest form is refused with 1002, as RFC 6455 requires."""
    longer = b"\xfe" + size.to_bytes(2, "big") if size < 126 else b"\xff" + size.to_bytes(8, "big")
    assert violation(b"\x82" + longer + bytes(4)) == PROTOCOL_ERROR


def test_nothing_is_kept_between_messages() -> None:
    """A Reader keeps decoders only while a message is incomplete: a page sends a few bytes twice a minute."""
    reader = Reader(LIMIT)
    for piece in (frame(TEXT, b"{}"), frame(PING, b"x"), frame(TEXT, b"a", final=False) + frame(CONTINUATION, b"b")):
        reader.feed(piece)
        assert reader._decoders is None
    for piece in (frame(TEXT, b"", final=False), frame(CONTINUATION, b"b", final=False)):
        reader.feed(piece)
        assert reader._decoders is not None


# -- wsproto.frame_protocol, which wsproto does not document


def test_this_version_of_wsproto_was_checked() -> None:
    """The installed wsproto is a checked one, since its undocumented decoders may change in any release."""
    version = importlib.metadata.version("wsproto")
    assert version in CHECKED, (
        f"delivery/wire/incoming.py was checked with wsproto {', '.join(CHECKED)}, not with {version}: "
        "see that the other tests in this module pass with it, then add it to CHECKED"
    )


def test_wsproto_is_used_in_one_module() -> None:
    """incoming.py alone imports wsproto, so that a new version concerns one module."""
    users = [path.name for path in (ROOT / "rpa_server").rglob("*.py") if "from wsproto" in path.read_text("utf-8")]
    assert users == ["incoming.py"]


def test_the_decoders_say_what_they_wait_for() -> None:
    """wsproto's decoders show, as incoming.py needs, whether a header, a payload or a fragment is missing."""
    frames, message = FrameDecoder(client=False), MessageDecoder()
    assert (frames.header, len(frames.buffer), message.opcode) == (None, 0, None)
    wire = frame(TEXT, b"ab", final=False)
    frames.receive_bytes(wire[:1])
    assert (frames.parse_header(), frames.header, len(frames.buffer)) == (False, None, 1)
    frames.receive_bytes(wire[1:6])
    assert frames.parse_header()
    assert frames.header is not None
    assert (frames.header.opcode, frames.header.payload_len, len(frames.buffer)) == (Opcode.TEXT, 2, 0)
    assert frames.process_buffer() is None
    frames.receive_bytes(wire[6:])
    part = frames.process_buffer()
    assert part is not None
    assert (part.opcode, part.payload, part.frame_finished, part.message_finished) == (Opcode.TEXT, b"ab", True, False)
    message.process_frame(part)
    assert [frames.header, len(frames.buffer), message.opcode] == [None, 0, Opcode.TEXT]
    frames.receive_bytes(frame(CONTINUATION))
    assert (last := frames.process_buffer()) is not None
    assert message.process_frame(last).message_finished
    assert message.opcode is None


# -- arbitrary bytes


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_a_violation(wire: bytes) -> None:
    """Any bytes are parsed into messages or raise ProtocolViolation, no other exception."""
    reader = Reader(LIMIT)
    try:
        for message in reader.feed(wire):
            assert message.opcode in (TEXT, BINARY, CLOSE, PING, PONG)
    except ProtocolViolation as error:
        assert error.code in (PROTOCOL_ERROR, BAD_TEXT, TOO_BIG)
