"""DeployedEventStream: which messages of the deployed ``progress_sse.php`` a page gets, and when its stream ends."""

import asyncio
from typing import Any

import pytest

from rpa_server.delivery.session import Session
from rpa_server.delivery.stream import HIGH_WATER
from rpa_server.legacy.event_stream import DeployedEventStream
from rpa_server.progress import outcome
from tests.support.recordings import plans
from tests.support.sessions import SESSION, Robot, SlowStore, make_hub
from tests.support.wire import Wire


class Page:
    """A DeployedEventStream on a Wire, which keeps what is written and counts how often it was closed."""

    def __init__(self, silence_s: float = 0.0) -> None:
        self.wire = Wire()
        self._silence_s = silence_s

    @property
    def stopped(self) -> int:
        return self.wire.closes

    async def watch(self, store: SlowStore) -> Session:
        """Let the stream join a session that is read from *store*, as the handler does; return the session."""
        session = make_hub(store).session(SESSION)
        self.stream = DeployedEventStream(session, self._silence_s, lambda: "2026-01-15 09:30:00", self.wire)
        session.join(self.stream)
        await session.load()
        session.begin(self.stream, None)
        return session

    @property
    def said(self) -> list[str]:
        """The ``status`` values of the messages that were sent."""
        return [message["status"] for _, message in self.wire.events()]


async def test_a_run_is_reported_from_starting_to_completed() -> None:
    """``started`` comes with the robot's first report, a message with each update, and nothing after the last one."""
    robot, page = Robot(), Page()
    store = SlowStore()
    session = await page.watch(store)
    assert page.said == ["starting"]
    store.stored = Robot(steps=1).state()
    session.changed()
    await asyncio.sleep(0.01)
    robot.steps(1)
    assert page.said == ["starting", "started", "executando"]
    session.publish(robot.step("Tela 2 concluída"))
    robot.run.estimates({"coberturas_detalhadas": []}, robot.run_time())
    session.publish(robot.run.updates[-1])
    session.publish(robot.run.finish("success", robot.run_time(), plans())[-1])
    assert page.said[3:] == ["executando", "executando", "success", "completed"]
    assert page.stopped == 1
    session.publish(robot.step("nachgereicht"))
    assert page.said[-1] == "completed"


async def test_only_the_last_message_has_an_id() -> None:
    """Only the last message has an id: a page that reconnects with it gets 204, a page without an id the rest."""
    robot, page = Robot(steps=3), Page()
    robot.run.finish("success", robot.run_time(), plans())
    await page.watch(SlowStore(robot.state()))
    ids = [cursor for cursor, _ in page.wire.events()]
    assert ids[:-1] == [None, None, None]
    assert ids[-1] == f"aaaa:{robot.run.seq}"


async def test_who_comes_after_a_long_silence_learns_it_at_once() -> None:
    """A page that connects after SILENCE_S without a report gets ``timeout`` at once, and its stream is closed."""
    page = Page(silence_s=outcome.SILENCE_S)
    await page.watch(SlowStore(Robot(steps=3).state()))
    assert page.said == ["starting", "started", "timeout"]
    assert page.stopped == 1


@pytest.mark.parametrize("known", [False, True])
async def test_a_silence_ends_the_stream(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """The stream ends with ``timeout`` if no robot ever writes, and if the robot of a run stops reporting."""
    monkeypatch.setattr(outcome, "SILENCE_AT_START_S", 0.02)
    monkeypatch.setattr(outcome, "SILENCE_S", 0.02)
    page = Page()
    await page.watch(SlowStore(Robot(steps=3).state() if known else None))
    assert page.stopped == 0
    await asyncio.sleep(0.04)
    assert page.said[-1] == "timeout"
    assert page.stopped == 1


async def test_a_word_from_the_robot_breaks_the_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The silence is measured from the last report, so no ``timeout`` is sent while a robot keeps reporting."""
    monkeypatch.setattr(outcome, "SILENCE_S", 0.25)
    robot, page = Robot(steps=3), Page()
    session = await page.watch(SlowStore(robot.state()))
    for _ in range(4):
        await asyncio.sleep(0.09)
        session.publish(robot.step())
    assert page.said[2:] == ["executando"] * 5
    page.stream.connection_lost(None)


async def test_a_closed_stream_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the connection is lost neither an update nor a silence writes anything or closes the stream."""
    monkeypatch.setattr(outcome, "SILENCE_S", 0.02)
    robot, page = Robot(steps=3), Page()
    session = await page.watch(SlowStore(robot.state()))
    before = page.said
    page.stream.connection_lost(None)
    session.publish(robot.step())
    await asyncio.sleep(0.04)
    assert page.said == before
    assert page.stopped == 0


async def test_a_page_that_takes_nothing_gets_the_newest_state_later() -> None:
    """A page that accepted nothing for a while gets only the newest state; the states in between are left out."""
    robot, page = Robot(steps=3), Page()
    session = await page.watch(SlowStore(robot.state()))
    page.wire.unsent = HIGH_WATER + 1
    page.stream.pause_writing()
    for update in robot.steps(5):
        assert page.stream.write(b"") is False
        session.publish(update)
    page.wire.unsent = 0
    page.stream.resume_writing()
    session.catch_up(asyncio.get_running_loop().time())
    messages: list[Any] = [message for _, message in page.wire.events()]
    assert len(messages) == 4
    assert messages[-1]["mensagem"] == robot.run.snapshot["mensagem"]
    page.stream.connection_lost(None)


async def test_a_new_run_of_the_session_is_shown_like_an_update() -> None:
    """A new run of the session is reported by a progress message: this stream has no message for a reset."""
    page = Page()
    store = SlowStore(Robot(steps=9).state())
    session = await page.watch(store)
    store.stored = Robot("bbbb", steps=2, minute=5).state()
    session.changed()
    await asyncio.sleep(0.01)
    last = page.wire.events()[-1][1]
    assert (last["etapa_atual"], last["timestamp_inicio"]) == (2, store.stored.started)
    page.stream.connection_lost(None)
