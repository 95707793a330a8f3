"""The clients of a session as bytes on a transport: no HTTP, no aiohttp."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpa_server.delivery.event_stream import EventStream, PlainEventStream
from rpa_server.delivery.poll import Waiter
from rpa_server.delivery.session import Session
from rpa_server.delivery.stream import HIGH_WATER, Stream
from rpa_server.delivery.websocket import FINISHED, RESTART, NativeSocket, PlainSocket
from rpa_server.delivery.wire.messages import plain_message
from rpa_server.progress.update import Cursor, Update
from tests.support.sessions import SESSION, Robot, SlowStore, make_hub, watch
from tests.support.wire import Wire

STREAMS: dict[str, Callable[[Wire], Stream]] = {
    "native socket": NativeSocket,
    "plain socket": PlainSocket,
    "events": EventStream,
    "plain events": PlainEventStream,
}


def stream_names() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", STREAMS)


def push(client: Stream, update: Update) -> bool:
    """Give *client* one update as Audience does."""
    return client.write(client.encode(update))


async def known(robot: Robot) -> Session:
    """Return a session whose state is loaded."""
    session = make_hub(SlowStore(robot.state())).session(SESSION)
    await session.load()
    return session


# -- pressure


@stream_names()
def test_a_stream_that_is_behind_takes_nothing(name: str) -> None:
    """From the high-water mark until everything is accepted, updates are not written, and the caller is informed."""
    wire = Wire(unsent=HIGH_WATER + 1)
    client = STREAMS[name](wire)
    assert wire.limits == (0, HIGH_WATER)
    client.pause_writing()
    assert push(client, Robot().step()) is False
    assert wire.written == []
    assert client.pending == HIGH_WATER + 1
    client.resume_writing()
    assert push(client, Robot().step()) is True


@stream_names()
def test_a_stream_takes_an_update_in_one_write(name: str) -> None:
    """An update is written at once, in one piece."""
    wire = Wire()
    assert push(STREAMS[name](wire), Robot().step()) is True
    assert len(wire.written) == 1


@stream_names()
def test_gone_is_called_once_when_the_connection_is_lost(name: str) -> None:
    """That holds however often and for whatever reason the connection is lost."""
    calls: list[bool] = []
    client = STREAMS[name](Wire())
    client.gone = lambda: calls.append(True)
    client.connection_lost(None)
    client.connection_lost(OSError())
    assert calls == [True]


@stream_names()
def test_a_batch_is_one_write(name: str) -> None:
    """The updates that a client catches up with are written in one piece; without any nothing is written."""
    wire = Wire(unsent=HIGH_WATER + 1)
    client = STREAMS[name](wire)
    client.send([])
    assert wire.written == []
    client.send(Robot().steps(3))
    assert len(wire.written) == 1


@stream_names()
def test_aborting_drops_the_connection(name: str) -> None:
    """A stalled client's connection is dropped without a close frame."""
    wire = Wire()
    STREAMS[name](wire).abort()
    assert wire.aborted
    assert wire.written == []


# -- the native socket


async def test_a_native_socket_gets_updates_untouched() -> None:
    """A frame contains exactly the bytes that the robot published."""
    wire, robot = Wire(), Robot()
    updates = robot.steps(2)
    client = NativeSocket(wire)
    for update in updates:
        push(client, update)
    assert [update.raw in wire.data for update in updates] == [True, True]
    assert wire.frames() == [update.data for update in updates]


async def test_a_native_socket_is_synced_with_the_whole_state() -> None:
    """The sync message has the position, the snapshot and the heartbeat."""
    wire, robot = Wire(), Robot(steps=3)
    session = await known(robot)
    NativeSocket(wire).sync(session.welcome())
    (message,) = wire.frames()
    assert message == {
        "type": "sync",
        "session_id": SESSION,
        "epoch": "aaaa",
        "seq": 3,
        "recovered": False,
        "snapshot": session.welcome().snapshot,
        "heartbeat_ms": 15000,
    }


async def test_a_recovered_sync_names_the_position_that_updates_follow_on() -> None:
    """If the updates follow, the sync has the client's own position and no snapshot."""
    wire = Wire()
    NativeSocket(wire).sync((await known(Robot(steps=3))).welcome(Cursor("aaaa", 1)))
    (message,) = wire.frames()
    assert (message["epoch"], message["seq"], message["recovered"], message["snapshot"]) == ("aaaa", 1, True, None)


async def test_a_sync_of_an_unknown_session_is_empty() -> None:
    """If nothing is known, snapshot and epoch are null and seq is 0."""
    wire = Wire()
    NativeSocket(wire).sync(make_hub(SlowStore()).session(SESSION).welcome())
    (message,) = wire.frames()
    assert (message["epoch"], message["seq"], message["recovered"], message["snapshot"]) == (None, 0, False, None)


async def test_a_native_reset_has_the_whole_state() -> None:
    """A reset has the position and the snapshot at that position."""
    wire, session = Wire(), await known(Robot(steps=3))
    NativeSocket(wire).reset(session.welcome())
    assert wire.frames() == [
        {"type": "reset", "session_id": SESSION, "epoch": "aaaa", "seq": 3, "snapshot": session.welcome().snapshot}
    ]


@pytest.mark.parametrize(("end", "code"), [("finish", FINISHED), ("restart", RESTART)])
async def test_a_native_socket_is_closed_with_the_reason_in_the_code(end: str, code: int) -> None:
    """The end of the run has code 4410, a restart 1012; the first code stays."""
    wire = Wire()
    client = NativeSocket(wire)
    getattr(client, end)()
    client.restart()
    assert len(wire.written) == 1
    assert wire.data[:2] == bytes((0x88, len(wire.data) - 2))
    assert int.from_bytes(wire.data[2:4], "big") == code == client.close_code


# -- the plain socket


async def test_a_plain_socket_gets_the_stored_state_as_a_first_update() -> None:
    """The plan's page gets the snapshot flat, as a progress_update, and neither sync nor reset."""
    wire = Wire()
    PlainSocket(wire).sync((await known(Robot(steps=3))).welcome())
    (message,) = wire.frames()
    assert message["type"] == "progress_update"
    assert (message["etapa"], message["etapa_atual"], message["mensagem"]) == (3, 3, "Passo 3")
    assert message["timestamp"] == message["timestamp_atualizacao"]
    assert "estimativas" not in message
    assert "resultado" not in message


async def test_a_plain_socket_that_continues_gets_no_snapshot() -> None:
    """If the updates follow, nothing is sent before them."""
    wire = Wire()
    PlainSocket(wire).sync((await known(Robot(steps=3))).welcome(Cursor("aaaa", 1)))
    assert wire.written == []


async def test_a_plain_socket_of_an_unknown_session_stays_silent() -> None:
    """If nothing is stored, nothing is sent."""
    wire = Wire()
    PlainSocket(wire).sync(make_hub(SlowStore()).session(SESSION).welcome())
    assert wire.written == []


async def test_estimates_are_followed_by_their_own_frame() -> None:
    """An update with estimates is followed by a frame with them, in which every item has ``nome``."""
    wire, robot = Wire(), Robot()
    update = robot.run.estimates({"coberturas_detalhadas": [{"nome_cobertura": "Compreensiva"}, "x"]}, robot.run_time())
    push(PlainSocket(wire), update)
    first, second = wire.frames()
    assert first == update.data
    assert second["type"] == "estimativas"
    assert second["estimativas"]["coberturas_detalhadas"] == [
        {"nome_cobertura": "Compreensiva", "nome": "Compreensiva"},
        "x",
    ]


async def test_a_stored_state_with_estimates_is_followed_by_their_frame() -> None:
    """A client that comes after step 5 gets the estimates like those that were there before."""
    wire, robot = Wire(), Robot()
    robot.run.estimates({"coberturas_detalhadas": [{"nome_cobertura": "Compreensiva"}]}, robot.run_time())
    PlainSocket(wire).sync((await known(robot)).welcome())
    first, second = wire.frames()
    assert first["type"] == "progress_update"
    assert second["type"] == "estimativas"
    assert second["estimativas"]["coberturas_detalhadas"][0]["nome"] == "Compreensiva"


def test_a_plain_socket_is_never_closed_cleanly() -> None:
    """The plan's page never reconnects after a clean close: at the end it stays open, a restart drops it."""
    wire = Wire()
    client = PlainSocket(wire)
    client.finish()
    assert not wire.aborted
    client.restart()
    assert wire.aborted
    assert wire.written == []


# -- event streams


async def test_an_event_has_its_cursor_as_id() -> None:
    """Every update is an unnamed event with its position as id."""
    wire, robot = Wire(), Robot()
    updates = robot.steps(2)
    client = EventStream(wire)
    push(client, updates[0])
    client.send([updates[1], Update(b'{"type":"progress_update"}', None, 0, False)])
    assert wire.events() == [
        ("aaaa:1", updates[0].data),
        ("aaaa:2", updates[1].data),
        (None, {"type": "progress_update"}),
    ]


async def test_the_id_never_runs_ahead_of_the_updates() -> None:
    """A sync has an id only if it has the snapshot: otherwise a lost connection would skip the updates that follow."""
    session = await known(Robot(steps=3))
    ahead, behind = Wire(), Wire()
    EventStream(ahead).sync(session.welcome())
    EventStream(behind).sync(session.welcome(Cursor("aaaa", 1)))
    assert [cursor for cursor, _ in ahead.events()] == ["aaaa:3"]
    assert [cursor for cursor, _ in behind.events()] in ([None], ["aaaa:1"])


async def test_a_reset_event_has_the_new_position() -> None:
    """After a reset the id is the position of the new state."""
    wire, session = Wire(), await known(Robot(steps=3))
    EventStream(wire).reset(session.welcome())
    ((cursor, message),) = wire.events()
    assert (cursor, message["type"], message["seq"]) == ("aaaa:3", "reset", 3)


async def test_a_plain_event_stream_gets_updates_alone() -> None:
    """The plan's script gets the stored state as an update, and neither sync nor reset."""
    wire, session = Wire(), await known(Robot(steps=3))
    client = PlainEventStream(wire)
    client.sync(session.welcome())
    client.reset(session.welcome())
    client.sync(session.welcome(Cursor("aaaa", 1)))
    assert [(cursor, message["type"]) for cursor, message in wire.events()] == [("aaaa:3", "progress_update")] * 2


@pytest.mark.parametrize("end", ["finish", "restart"])
async def test_an_event_stream_ends_with_its_connection(end: str) -> None:
    """The end of the run and a restart both close it without a message: the browser reconnects by itself."""
    wire = Wire()
    getattr(EventStream(wire), end)()
    assert wire.data == b""
    assert wire.closed


def test_the_heartbeat_of_an_event_stream_is_a_comment() -> None:
    """A comment carries no data, and is left out if the client is behind anyway."""
    wire = Wire()
    client = EventStream(wire)
    client.ping()
    client.expire()
    client.pause_writing()
    client.ping()
    assert wire.data == b":\n\n"


# -- waiting polls


@pytest.mark.parametrize("happens", ["write", "send", "reset", "finish", "restart", "abort"])
async def test_a_waiting_poll_wakes_whatever_happens(happens: str) -> None:
    """Any message to the client ends the wait."""
    woken: list[bool] = []
    client = Waiter(lambda: woken.append(True))
    robot = Robot()
    arguments: dict[str, tuple[Any, ...]] = {
        "write": (Waiter.encode(robot.step()),),
        "send": ([robot.step()],),
        "reset": (make_hub(SlowStore()).session(SESSION).welcome(),),
    }
    getattr(client, happens)(*arguments.get(happens, ()))
    assert woken == [True]


async def test_a_waiting_poll_sleeps_on_when_there_is_nothing() -> None:
    """Beginning to wait is nothing new, and neither is an empty batch."""
    woken: list[bool] = []
    client = Waiter(lambda: woken.append(True))
    await watch(make_hub(SlowStore(Robot(steps=1).state())).session(SESSION), client, Cursor("aaaa", 1))
    client.send([])
    assert woken == []
    assert client.pending == 0


async def test_the_plain_snapshot_of_nothing_is_nothing() -> None:
    """A session that nobody has written has no plain snapshot."""
    assert plain_message(make_hub(SlowStore()).session(SESSION).welcome()) is None


@given(st.text())
def test_any_text_survives_every_framing(text: str) -> None:
    """No text of a robot breaks a frame or an event."""
    robot, socket, stream = Robot(), Wire(), Wire()
    update = robot.step(text.encode("utf-8", "replace").decode())
    push(NativeSocket(socket), update)
    push(EventStream(stream), update)
    assert socket.frames() == [message for _, message in stream.events()] == [update.data]
