"""Messages on their way from Redis to the hub: ours stay unchanged, others are redacted, garbage is counted."""

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpa_server.delivery.session import Session
from rpa_server.errors import BadDocument
from rpa_server.progress.update import MAX_UPDATE_BYTES
from rpa_server.watchers.feed import Feed, unnumbered_update
from tests.support.sessions import SESSION, ManualClock, Robot, SlowStore, Viewer, make_hub, settle, watch

CHANNEL = f"rpa_progress:{SESSION}".encode()
PLAN = {"etapa": 3, "mensagem": "Tela 3", "timestamp": "2025-10-09T19:19:39", "dados_extra": {"a": 1}}


class Line:
    """A feed, and a viewer of one session; the store has the first *steps* updates of the session's robot."""

    def __init__(self, steps: int = 1) -> None:
        self.robot = Robot(steps=steps)
        self.store = SlowStore(self.robot.state())
        self.clock = ManualClock()
        self.hub = make_hub(self.store, clock=self.clock)
        self.feed = Feed(self.hub)
        self.viewer = Viewer()
        self.session: Session = self.hub.session(SESSION)

    async def open(self) -> "Line":
        await watch(self.session, self.viewer)
        return self

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.feed.received, self.feed.unnumbered, self.feed.garbage


async def test_an_update_of_ours_is_delivered() -> None:
    """An update of our tracker reaches the viewers and is counted as received."""
    line = await Line().open()
    line.feed.message(CHANNEL, line.robot.step().raw)
    assert line.viewer.seqs == [2]
    assert line.counts == (1, 0, 0)


async def test_a_message_of_the_plan_is_delivered_without_a_cursor() -> None:
    """A message in the plan's shape reaches the viewers and is counted as unnumbered."""
    line = await Line().open()
    line.feed.message(CHANNEL, json.dumps(PLAN).encode())
    assert line.viewer.texts == ["Tela 3"]
    assert line.viewer.got[-1] == ("update", None)
    assert line.counts == (1, 1, 0)


_RUN = [update.raw for update in Robot(steps=8).run.updates]
_OTHER = [update.raw for update in Robot("bbbb", steps=3).run.updates]
_END = Robot(steps=3).finish().raw
#: Messages that may follow a run's first update, in any order: its next ones, another run's, an end, damaged ones.
_MESSAGES = [
    *_RUN, *_OTHER, _END, _RUN[2][:-1], _RUN[2][:-3] + b"\xff}", _RUN[2].replace(b'"mensagem"', b'\n"mensagem"'),
    _RUN[2].replace(b'"final":false,', b'"final":maybe,'), json.dumps(PLAN).encode(), b"",
]  # fmt: skip


@given(st.lists(st.sampled_from(range(len(_MESSAGES))), max_size=12))
def test_the_short_way_of_the_next_update_makes_no_difference(order: list[int]) -> None:
    """Viewers, counters and state are the same whether hub.take() handles updates or the feed parses each one."""

    async def outcome(short: bool) -> tuple[Any, ...]:
        line = await Line().open()
        if not short:
            line.hub.take = lambda session_id, raw: False  # type: ignore[method-assign]
        for number in [1, *order]:
            line.feed.message(CHANNEL, _MESSAGES[number])
        await settle()
        state = line.session.state
        assert state is not None
        raws = [update.raw for update in line.viewer.updates]
        return line.viewer.got, raws, line.counts, line.session.final, state.seq, state.snapshot, line.store.reads

    assert asyncio.run(outcome(short=True)) == asyncio.run(outcome(short=False))


async def test_the_next_update_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """After one message was parsed, the next ones are only compared with the head of the expected update."""
    line = await Line().open()
    line.feed.message(CHANNEL, line.robot.step().raw)
    monkeypatch.setattr("rpa_server.watchers.feed.own_update", None)
    line.session.mark.heard = False
    for update in line.robot.steps(600):
        line.feed.message(CHANNEL, update.raw)
    assert line.viewer.seqs == [*range(2, 603)]
    assert line.session.mark.heard, "so that its position need not be asked for"
    assert line.counts == (601, 0, 0)
    assert line.session.state is not None
    assert line.session.state.snapshot == line.robot.run.snapshot


async def test_what_comes_late_is_not_taken_for_the_next_update() -> None:
    """Messages whose updates a read of the store has already brought are dropped, and the next one is delivered."""
    line = await Line().open()
    line.feed.message(CHANNEL, line.robot.step().raw)
    late = line.robot.steps(4)
    line.store.stored = line.robot.state()
    line.session.changed()
    await settle()
    for update in (*late, line.robot.step()):
        line.feed.message(CHANNEL, update.raw)
    assert [update.raw for update in line.viewer.updates] == [update.raw for update in line.robot.run.updates][1:]
    assert line.viewer.seqs == [2, 3, 4, 5, 6, 7]


async def test_who_joins_between_two_updates_gets_the_last_one() -> None:
    """Right after each update, the first message for clients that join has that update's text."""
    line = await Line().open()
    for _ in range(3):
        update = line.robot.step()
        line.feed.message(CHANNEL, update.raw)
        for _ in range(2):
            snapshot = line.session.welcome().snapshot
            assert snapshot is not None and snapshot["mensagem"] == update.data["mensagem"]


async def test_what_was_delivered_is_kept_for_who_lags_alone() -> None:
    """Delivered updates are logged while a client lags, and the log is emptied once it has caught up."""
    line = await Line().open()
    line.viewer.pending = 1
    for update in line.robot.steps(10):
        line.feed.message(CHANNEL, update.raw)
    assert len(line.session._audience._log) == 10
    line.viewer.pending = 0
    line.session.catch_up(line.clock.steady_s())
    assert line.viewer.seqs == list(range(2, 12))
    line.feed.message(CHANNEL, line.robot.step().raw)
    assert line.viewer.seqs == list(range(2, 13))
    assert line.session._audience._log == []


@pytest.mark.parametrize(
    "channel",
    [b"rpa_progress:", b"rpa_progress:../x", b"rpa_progress:*", b"rpa_progress:\xff", b"rpa_progress:a b", b"rpa_", b""],
)
async def test_a_channel_that_names_no_session_is_garbage(channel: bytes) -> None:
    """A message on a channel that does not belong to a session is counted as garbage and dropped."""
    line = await Line().open()
    line.feed.message(channel, line.robot.step().raw)
    assert line.viewer.seqs == []
    assert line.counts == (0, 0, 1)


GARBAGE = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "a number": b"5",
    "NaN": b'{"etapa": NaN}',
    "bad UTF-8": b'{"mensagem": "\xff"}',
    "a step that is none": b'{"etapa": true}',
    "a step that is a list": b'{"etapa": [1]}',
    "a message that is none": b'{"mensagem": 5}',
    "extras that are none": b'{"dados_extra": []}',
    "estimates that are none": b'{"estimativas": "x"}',
    "too deep": b'{"a":' * 100_000,
    "too large": b'{"mensagem": "%b"}' % (b"x" * 4 * MAX_UPDATE_BYTES),
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_counted_and_dropped(raw: bytes) -> None:
    """A message that is not an update is counted and reaches no viewer, and the next update is delivered."""
    line = await Line().open()
    line.feed.message(CHANNEL, raw)
    line.feed.message(CHANNEL, line.robot.step().raw)
    assert line.viewer.seqs == [2]
    assert len(line.viewer.got) == 2
    assert line.counts == (1, 0, 1)


OWN_LOOKING = {
    "cut off": b'{"type":"progress_update","epoch":"aaaa","seq":2,"final":false,"estado":"exec}',
    "binary": b'{"type":"progress_update","epoch":"aaaa","seq":2,"final":false,\xff\xfe}',
    "without what it needs": b'{"type":"progress_update","epoch":"aaaa","seq":2,"final":false,"x":1}',
    "of the wrong types": b'{"type":"progress_update","epoch":"aaaa","seq":2,"final":false,"evento":[],"etapa":{},'
    b'"dados_extra":5,"status":5,"mensagem":5,"timestamp":5}',
}


@pytest.mark.parametrize("raw", OWN_LOOKING.values(), ids=OWN_LOOKING.keys())
async def test_what_only_looks_like_ours_spoils_no_session(raw: bytes) -> None:
    """After a broken message that begins like one of ours, clients can still join, and later updates still arrive."""
    line = await Line().open()
    line.feed.message(CHANNEL, raw)
    await settle()
    joined = await watch(line.session, Viewer())
    assert line.session.welcome().snapshot is not None
    line.robot.steps(2)
    line.store.stored = line.robot.state()
    line.feed.message(CHANNEL, line.robot.run.updates[-1].raw)
    await settle()
    assert line.session.welcome().snapshot is not None
    assert joined.check() == line.robot.run.updates[-1].cursor


async def test_e7_an_error_of_ours_costs_one_message(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever fails while a message is handled, the subscription goes on: the message is counted, the error logged."""
    line = await Line().open()
    line.viewer.write = lambda frame: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    for update in line.robot.steps(3):
        line.feed.message(CHANNEL, update.raw)
    assert line.feed.garbage == 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]


async def test_garbage_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """A robot that sends only garbage makes one line in the log, not one per message."""
    line = await Line().open()
    for _ in range(100):
        line.feed.message(CHANNEL, b"garbage")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert line.feed.garbage == 100


# -- messages of other writers


def test_a_message_of_another_writer_keeps_its_keys() -> None:
    """A message of another writer is relayed with ``type`` added and its other keys unchanged."""
    update = unnumbered_update(json.dumps({**PLAN, "extra": [1, None]}).encode())
    assert json.loads(update.raw) == {"type": "progress_update", **PLAN, "extra": [1, None]}
    assert update.cursor is None
    assert update.final is False


FORM = {"cpf": "111.444.777-35", "nome": "Maria de Teste", "placa": "ABC1D23"}
PUBLISHED: dict[str, Any] = {
    "etapa": 2,
    "mensagem": "Placa ABC1D23 recusada",
    "dados_extra": {"dados": FORM, "valor": "R$4.631,57", **FORM},
}


async def test_a_message_of_another_writer_brings_nothing_of_the_form_to_the_viewers() -> None:
    """In another writer's message, form fields are dropped, and what looks personal in a text is masked."""
    line = await Line().open()
    line.feed.message(CHANNEL, json.dumps({**PUBLISHED, "parametros": FORM}).encode())
    assert line.viewer.updates[-1].data == {
        "type": "progress_update",
        "etapa": 2,
        "mensagem": "Placa *** recusada",
        "dados_extra": {"dados": {}, "valor": "R$4.631,57"},
    }


async def test_what_our_tracker_attaches_is_delivered_as_it_is() -> None:
    """An update of our tracker is not redacted: the tracker's caller decides what pages see."""
    line = await Line().open()
    update = line.robot.run.step(2, PUBLISHED["mensagem"], line.robot.run_time(), PUBLISHED["dados_extra"])
    line.feed.message(CHANNEL, update.raw)
    delivered = line.viewer.updates[-1]
    assert delivered.raw == update.raw
    assert (delivered.data["mensagem"], delivered.data["dados_extra"]) == (PUBLISHED["mensagem"], PUBLISHED["dados_extra"])


FORGED: dict[str, dict[str, Any]] = {
    "a reset": {"type": "reset", "snapshot": None},
    "a sync": {"type": "sync", "snapshot": None},
    "a cursor": {"epoch": "aaaa", "seq": 99},
    "half a cursor": {"epoch": "aaaa"},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_a_message_of_another_writer_can_only_be_an_update_without_a_cursor(forged: dict[str, Any]) -> None:
    """Another writer's message becomes a progress_update with neither ``epoch`` nor ``seq``, whatever it contains."""
    message = json.loads(unnumbered_update(json.dumps({**PLAN, **forged}).encode()).raw)
    assert message["type"] == "progress_update"
    assert "epoch" not in message
    assert "seq" not in message


async def test_b20_an_update_of_ours_that_was_written_anew_keeps_its_position() -> None:
    """An update of ours with another head, as a newer tracker may write it, is delivered in its place, each once."""
    line = await Line().open()
    for _ in range(4):
        update = line.robot.step()
        line.feed.message(CHANNEL, json.dumps({"writer": "w", **update.data}).encode())
        line.feed.message(CHANNEL, update.raw)
    last = line.robot.finish()
    line.feed.message(CHANNEL, json.dumps({"writer": "w", **last.data}).encode())
    assert line.viewer.seqs == [2, 3, 4, 5, 6]
    assert line.counts == (9, 0, 0)
    assert line.session.final
    assert line.viewer.count("reset") == 0


async def test_b20_a_number_of_somebody_elses_moves_nothing() -> None:
    """A message of another writer that has an epoch and a number of its own is delivered without them."""
    line = await Line().open()
    line.feed.message(CHANNEL, json.dumps({"epoch": "aaaa", "seq": 2, "final": True, **PLAN}).encode())
    assert line.viewer.got[-1] == ("update", None)
    assert line.counts == (1, 1, 0)
    assert not line.session.final


def test_the_largest_message_of_another_writer_is_a_megabyte() -> None:
    """Another writer's message may have four times MAX_UPDATE_BYTES; with one more byte it is a BadDocument."""
    raw = b'{"mensagem":"%b"}'
    fits = raw % (b"x" * (4 * MAX_UPDATE_BYTES - len(raw) + 2))
    assert len(fits) == 4 * MAX_UPDATE_BYTES
    unnumbered_update(fits)
    with pytest.raises(BadDocument):
        unnumbered_update(fits + b" ")


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(
    inner) | st.dictionaries(st.sampled_from(["etapa", "mensagem", "dados_extra", "estimativas", "type", "seq"]),
                             inner)).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_message_raises(raw: bytes) -> None:
    """Whatever arrives is counted as an update or as garbage, and raises nothing."""
    feed = Feed(make_hub(SlowStore()))
    feed.message(CHANNEL, raw)
    assert feed.received + feed.garbage == 1


def test_a_message_of_another_writer_can_not_pass_for_one_of_ours() -> None:
    """Another writer can't set the type of a message, its position, or whether the run is over."""
    raw = b'{"type":"reset","etapa":1,"epoch":"x","seq":9,"final":true,"estado":"sucesso","mensagem":"m"}'
    update = unnumbered_update(raw)
    assert update.data == {"type": "progress_update", "etapa": 1, "mensagem": "m"}
    assert (update.cursor, update.final) == (None, False)
