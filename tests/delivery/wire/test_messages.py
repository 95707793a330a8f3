"""Frames, read by the websockets library, and events, read by the rules of the HTML standard."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from rpa_server.delivery.wire.messages import reset_message, sync_message
from rpa_server.delivery.wire.sse import event, update_event
from rpa_server.delivery.wire.websocket import plain_frames, update_frame, ws_text
from rpa_server.delivery.wire.welcome import Welcome
from rpa_server.progress.coverages import with_names
from rpa_server.progress.snapshot import NO_AGES
from rpa_server.progress.update import Cursor, Update, make_update

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 70000]


def received(data: bytes) -> list[Frame]:
    """Return the frames that the websockets library's client reads from *data*."""
    client = Protocol(Side.CLIENT, max_size=None)
    client.receive_data(data)
    frames = [frame for frame in client.events_received() if isinstance(frame, Frame)]
    if client.parser_exc is not None:
        raise client.parser_exc
    return frames


@pytest.mark.parametrize("size", SIZES)
def test_a_text_frame_of_any_size_is_read_back_whole(size: int) -> None:
    """Text frames with lengths in 7, 16 and 64 bits are read back whole by the websockets library."""
    payload = b"x" * size
    (frame,) = received(ws_text(payload))
    assert frame.opcode is Opcode.TEXT
    assert frame.fin
    assert not (frame.rsv1 or frame.rsv2 or frame.rsv3)
    assert frame.data == payload


@pytest.mark.parametrize("size", SIZES)
def test_a_text_frame_is_what_another_library_writes(size: int) -> None:
    """A text frame has the bytes that the websockets library writes, with the length in its shortest form."""
    payload = b"x" * size
    assert ws_text(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_frames_in_a_row_come_apart_again(payloads: list[bytes]) -> None:
    """Frames that a lagging client gets in one write are read back one by one."""
    read = received(b"".join(map(ws_text, payloads)))
    assert [frame.data for frame in read] == payloads


def events(stream: bytes) -> list[tuple[str, str, str]]:
    """Parse an event stream as section 9.2.6 of the HTML standard says; return (type, data, last event id) tuples."""
    found, last_id = [], ""
    name, data = "", ""
    text = stream.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    for line in text.split("\n")[:-1]:
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                found.append((name or "message", data.removesuffix("\n"), last_id))
            name = data = ""
        elif key == "data":
            data += value + "\n"
        elif key == "id" and "\0" not in value:
            last_id = value
        elif key == "event":
            name = value
    return found


UPDATE: dict[str, Any] = {
    "type": "progress_update",
    "epoch": "5f0c9a1be2d34c77",
    "seq": 13,
    "final": False,
    "mensagem": "Tela 5 concluída\nlinha dois\r\u2028",
}


def test_an_event_is_unnamed_and_its_id_is_the_cursor() -> None:
    """An update is an event without a name, for EventSource's onmessage, and its id is the cursor."""
    update = make_update(UPDATE)
    ((name, data, last_id),) = events(update_event(update))
    assert name == "message"
    assert json.loads(data) == UPDATE
    assert last_id == "5f0c9a1be2d34c77:13"


def test_an_event_without_a_cursor_leaves_the_last_id_alone() -> None:
    """An event without a cursor has no id, so that the client keeps its last position."""
    numbered = event(b'{"a":1}', Cursor("a1", 7))
    bare = event(b'{"b":2}', None)
    assert events(numbered + bare) == [("message", '{"a":1}', "a1:7"), ("message", '{"b":2}', "a1:7")]
    assert b"id" not in bare


def messages(data: bytes) -> list[dict[str, Any]]:
    """Return the contents of the text frames in *data*."""
    return [json.loads(bytes(frame.data)) for frame in received(data)]


def test_an_update_without_estimates_is_one_plain_frame() -> None:
    """An update without estimates is one frame in the plan's dialect."""
    assert messages(plain_frames(make_update(UPDATE))) == [UPDATE]


def test_an_update_with_estimates_is_followed_by_a_frame_of_them_with_names() -> None:
    """An update with estimates is followed by a frame with them, in which coverages have both keys for their name."""
    estimates = {
        "coberturas_detalhadas": [
            {"nome_cobertura": "Ampla", "valores": {"de": "R$ 1,00", "ate": "R$ 2,00"}},
            {"nome": "Básica"},
            {"nome": "", "nome_cobertura": "Média"},
            {},
            "no object",
        ],
        "resumo": 5,
    }
    first, second = messages(plain_frames(make_update({**UPDATE, "estimativas": estimates})))
    assert first == {**UPDATE, "estimativas": estimates}
    assert second["type"] == "estimativas"
    items = second["estimativas"]["coberturas_detalhadas"]
    assert [item["nome"] for item in items[:4]] == ["Ampla", "Básica", "Média", ""]
    assert [item["nome_cobertura"] for item in items[:4]] == ["Ampla", "Básica", "Média", ""]
    assert items[0]["valores"] == {"de": "R$ 1,00", "ate": "R$ 2,00"}
    assert items[4] == "no object"
    assert second["estimativas"]["resumo"] == 5


@pytest.mark.parametrize("estimates", [None, [], "text", 5, {"coberturas_detalhadas": "none"}, {}])
def test_strange_estimates_never_stop_an_update(estimates: Any) -> None:
    """An update with strange estimates is sent, followed by a frame of them only if they are an object."""
    update = make_update({**UPDATE, "estimativas": estimates})
    first, *more = messages(plain_frames(update))
    assert first["estimativas"] == estimates
    assert [message["estimativas"] for message in more] == ([estimates] if isinstance(estimates, dict) else [])


def test_estimates_named_inside_something_else_are_no_estimates() -> None:
    """A key ``estimativas`` inside ``dados_extra`` makes no frame of estimates."""
    update = make_update({**UPDATE, "dados_extra": {"estimativas": {"coberturas_detalhadas": []}}})
    assert len(messages(plain_frames(update))) == 1


def test_adding_names_leaves_the_given_estimates_as_they_were() -> None:
    """with_names() does not modify the estimates that it is given, which are part of the session's state."""
    estimates = {"coberturas_detalhadas": [{"nome_cobertura": "Ampla"}]}
    with_names(estimates)
    assert estimates == {"coberturas_detalhadas": [{"nome_cobertura": "Ampla"}]}


def test_an_unnumbered_update_is_framed_by_its_bytes() -> None:
    """An unnumbered update is framed with the published bytes, and its event has no id."""
    update = Update(b'{"type":"progress_update","etapa":5}', None, 0, False)
    assert received(update_frame(update))[0].data == update.raw
    assert events(update_event(update)) == [("message", update.raw.decode(), "")]


def test_clients_that_share_a_first_message_share_its_bytes() -> None:
    """A Welcome is encoded once as a sync and once as a reset, however many clients share it."""
    welcome = Welcome("s1", 15_000, Cursor("a1", 7), None, NO_AGES)
    assert sync_message(welcome) is sync_message(welcome)
    assert reset_message(welcome) is reset_message(welcome)
    assert [json.loads(make(welcome))["type"] for make in (sync_message, reset_message)] == ["sync", "reset"]
