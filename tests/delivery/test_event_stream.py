"""Every kind of stream, and the waiting poll: what each of them writes to its transport or does instead."""

from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

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
    """Write one update to *client* as Audience does; tell whether it was accepted."""
    return client.write(client.encode(update))


async def known(robot: Robot) -> Session:
    """Return a session whose state is loaded."""
    session = make_hub(SlowStore(robot.state())).session(SESSION)
    await session.load()
    return session


# -- every stream


@stream_names()
def test_a_stream_that_is_behind_takes_nothing(name: str) -> None:
    """With more than HIGH_WATER bytes pending, write() writes nothing and returns False, until all are accepted."""
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
    """An update is written at once, with a single write()."""
    wire = Wire()
    assert push(STREAMS[name](wire), Robot().step()) is True
    assert len(wire.written) == 1


@stream_names()
def test_gone_is_called_once_when_the_connection_is_lost(name: str) -> None:
    """``gone`` is called once, however often and for whatever reason connection_lost() is called."""
    calls: list[bool] = []
    client = STREAMS[name](Wire())
    client.gone = lambda: calls.append(True)
    client.connection_lost(None)
    client.connection_lost(OSError())
    assert calls == [True]


@stream_names()
def test_a_batch_is_one_write(name: str) -> None:
    """send() writes all its updates with a single write(), and nothing for an empty list."""
    wire = Wire(unsent=HIGH_WATER + 1)
    client = STREAMS[name](wire)
    client.send([])
    assert wire.written == []
    client.send(Robot().steps(3))
    assert len(wire.written) == 1


@stream_names()
def test_aborting_drops_the_connection(name: str) -> None:
    """abort() drops the connection and writes nothing, no close frame either."""
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
    """A sync has the session, position, snapshot, ages, heartbeat, whether it is recovered, and nothing else."""
    wire, robot = Wire(), Robot(steps=3)
    session = await known(robot)
    NativeSocket(wire).sync(session.welcome())
    (message,) = wire.frames()
    shown = session.welcome().snapshot
    assert shown is not None
    assert message == {
        "type": "sync",
        "session_id": SESSION,
        "epoch": "aaaa",
        "seq": 3,
        "recovered": False,
        "snapshot": {**shown, "duracao_ms": ANY},
        "idade_ms": None,
        "duracao_ms": ANY,
        "heartbeat_ms": 15000,
    }


async def test_a_recovered_sync_names_the_position_that_updates_follow_on() -> None:
    """A recovered sync has the client's own position, which the updates follow, and no snapshot."""
    wire = Wire()
    NativeSocket(wire).sync((await known(Robot(steps=3))).welcome(Cursor("aaaa", 1)))
    (message,) = wire.frames()
    assert (message["epoch"], message["seq"], message["recovered"], message["snapshot"]) == ("aaaa", 1, True, None)


async def test_a_sync_of_an_unknown_session_is_empty() -> None:
    """The sync of an unknown session has null as epoch and snapshot, and 0 as seq."""
    wire = Wire()
    NativeSocket(wire).sync(make_hub(SlowStore()).session(SESSION).welcome())
    (message,) = wire.frames()
    assert (message["epoch"], message["seq"], message["recovered"], message["snapshot"]) == (None, 0, False, None)


async def test_a_native_reset_has_the_whole_state() -> None:
    """A reset has the position and the snapshot at that position."""
    wire, session = Wire(), await known(Robot(steps=3))
    welcome = session.welcome()
    NativeSocket(wire).reset(welcome)
    assert wire.frames() == [
        {"type": "reset", "session_id": SESSION, "epoch": "aaaa", "seq": 3, "snapshot": welcome.snapshot}
    ]


@pytest.mark.parametrize(("end", "code"), [("finish", FINISHED), ("restart", RESTART)])
async def test_a_native_socket_is_closed_with_the_reason_in_the_code(end: str, code: int) -> None:
    """The end of the run closes with code 4410, a restart with 1012; a second close changes nothing."""
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
    """A plain socket whose cursor was recovered gets nothing before the updates."""
    wire = Wire()
    PlainSocket(wire).sync((await known(Robot(steps=3))).welcome(Cursor("aaaa", 1)))
    assert wire.written == []


async def test_a_plain_socket_of_an_unknown_session_stays_silent() -> None:
    """A plain socket of an unknown session gets no first message."""
    wire = Wire()
    PlainSocket(wire).sync(make_hub(SlowStore()).session(SESSION).welcome())
    assert wire.written == []


async def test_estimates_are_followed_by_their_own_frame() -> None:
    """An update with estimates is followed by a frame with them, in which every coverage has ``nome``."""
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
    """A client that joins after the estimates gets them in a frame of their own, which follows the stored state."""
    wire, robot = Wire(), Robot()
    robot.run.estimates({"coberturas_detalhadas": [{"nome_cobertura": "Compreensiva"}]}, robot.run_time())
    PlainSocket(wire).sync((await known(robot)).welcome())
    first, second = wire.frames()
    assert first["type"] == "progress_update"
    assert second["type"] == "estimativas"
    assert second["estimativas"]["coberturas_detalhadas"][0]["nome"] == "Compreensiva"


def test_a_plain_socket_is_never_closed_cleanly() -> None:
    """A plain socket stays open at the end and is aborted by a restart, so that its page reconnects."""
    wire = Wire()
    client = PlainSocket(wire)
    client.finish()
    assert not wire.aborted
    client.restart()
    assert wire.aborted
    assert wire.written == []


# -- event streams


async def test_an_event_has_its_cursor_as_id() -> None:
    """A numbered update is an unnamed event with its cursor as id; an unnumbered one has no id."""
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
    """The id of a sync is never ahead of what the client has, else a reconnecting client would miss updates."""
    session = await known(Robot(steps=3))
    ahead, behind = Wire(), Wire()
    EventStream(ahead).sync(session.welcome())
    EventStream(behind).sync(session.welcome(Cursor("aaaa", 1)))
    assert [cursor for cursor, _ in ahead.events()] == ["aaaa:3"]
    assert [cursor for cursor, _ in behind.events()] in ([None], ["aaaa:1"])


async def test_a_reset_event_has_the_new_position() -> None:
    """The id of a reset is the position of the snapshot in it."""
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
    """The end of the run and a restart close the connection without a message; the browser reconnects by itself."""
    wire = Wire()
    getattr(EventStream(wire), end)()
    assert wire.data == b""
    assert wire.closed


def test_the_heartbeat_of_an_event_stream_is_a_comment() -> None:
    """A ping is a comment, left out while writing is paused, and expire() does nothing."""
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
    """Updates, a reset, the end, a restart and an abort each wake a waiting poll."""
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
    """Neither sync(), with which a poll begins to wait, nor an empty list of updates wakes it."""
    woken: list[bool] = []
    client = Waiter(lambda: woken.append(True))
    await watch(make_hub(SlowStore(Robot(steps=1).state())).session(SESSION), client, Cursor("aaaa", 1))
    client.send([])
    assert woken == []
    assert client.pending == 0


# -- encoding


async def test_the_plain_snapshot_of_nothing_is_nothing() -> None:
    """plain_message() is None for a session that nobody has written."""
    assert plain_message(make_hub(SlowStore()).session(SESSION).welcome()) is None


@given(st.text())
def test_any_text_survives_every_framing(text: str) -> None:
    """Any text in an update is read back unchanged from a WebSocket frame and from an event."""
    robot, socket, stream = Robot(), Wire(), Wire()
    update = robot.step(text.encode("utf-8", "replace").decode())
    push(NativeSocket(socket), update)
    push(EventStream(stream), update)
    assert socket.frames() == [message for _, message in stream.events()] == [update.data]
