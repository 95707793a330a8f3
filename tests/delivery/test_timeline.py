"""Timeline, tested alone: no store, no clients, no event loop."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server.delivery.timeline import FRESH_S, Change, Timeline, Verdict
from rpa_server.errors import BadDocument
from rpa_server.progress.documents import from_progress
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.snapshot import Ages
from rpa_server.progress.update import HISTORY, START, Cursor, Update
from tests.support import recordings
from tests.support.sessions import SESSION, Robot


def known(robot: Robot) -> Timeline:
    """Return a timeline that has read what *robot* did so far."""
    timeline = Timeline(SESSION, 15_000)
    timeline.adopt(robot.state())
    return timeline


def damaged(seq: int) -> Update:
    """Return an update that begins and ends like one of ours and can't be folded."""
    raw = b'{"type":"progress_update","epoch":"aaaa","seq":%d,"final":false,"status":5}' % seq
    return Update(raw, "aaaa", seq, False)


def fooled(robot: Robot) -> Timeline:
    """Return a timeline that has what *robot* did so far and one more step, and then took a damaged update for the next."""
    timeline = known(robot)
    timeline.accept(robot.step(), 0.0)
    assert timeline.offer(damaged(robot.run.seq + 1).raw, 0.0) is not None
    return timeline


# -- updates


def test_the_very_next_update_is_taken_by_its_bytes() -> None:
    """Once an update was accepted, offer() recognises the next one by its first bytes, without parsing it."""
    robot = Robot(steps=2)
    timeline = known(robot)
    assert timeline.accept(robot.step(), 0.0) is Verdict.NEXT
    update = robot.step()
    taken = timeline.offer(update.raw, 0.0)
    assert taken is not None
    assert (taken.cursor, taken.raw) == (update.cursor, update.raw)
    assert timeline.cursor == Cursor("aaaa", 4)


@pytest.mark.parametrize("steps", [-1, 0, 2])
def test_what_is_not_the_next_update_is_left_alone(steps: int) -> None:
    """offer() returns None for a seen update, one ahead, and a truncated next one, and changes nothing."""
    robot = Robot(steps=2)
    timeline = known(robot)
    timeline.accept(robot.step(), 0.0)
    ahead = robot.steps(3)
    raw = ahead[0].raw[:-2] if steps < 0 else (robot.run.updates[2] if steps == 0 else ahead[1]).raw
    assert timeline.offer(raw, 0.0) is None
    assert timeline.cursor == Cursor("aaaa", 3)


def test_every_update_has_its_verdict() -> None:
    """accept() tells apart: next, seen, unnumbered, and ahead, which includes another run and an empty timeline."""
    robot = Robot(steps=2)
    timeline = known(robot)
    following = robot.steps(3)
    verdicts = [
        timeline.accept(update, 0.0)
        for update in (following[1], following[0], following[0], Robot("bbbb", steps=1).step(), damaged(1))
    ]
    assert verdicts == [Verdict.AHEAD, Verdict.NEXT, Verdict.SEEN, Verdict.AHEAD, Verdict.SEEN]
    assert timeline.accept(Update(b'{"etapa":3,"mensagem":"x"}', None, 0, False), 0.0) is Verdict.UNNUMBERED
    assert Timeline(SESSION, 1).accept(following[0], 0.0) is Verdict.AHEAD


def test_an_update_that_can_not_be_folded_is_reported_once() -> None:
    """What is taken by its first bytes moves the position; once it was folded, take_damage() says that it is no update."""
    timeline = fooled(Robot(steps=2))
    assert timeline.cursor == Cursor("aaaa", 4)
    assert timeline.take_damage() is None  # it has not been folded yet
    assert timeline.state is not None
    assert isinstance(timeline.take_damage(), BadDocument)
    assert timeline.take_damage() is None


def test_e7_a_state_with_damage_is_replaced_by_the_next_read() -> None:
    """After an update that can't be folded the store's state is taken, even if it is behind, and clients are reset."""
    robot = Robot(steps=2)
    timeline = fooled(robot)
    change = timeline.adopt(robot.state())
    assert change is not None
    assert change.missed is None
    assert timeline.cursor == Cursor("aaaa", 3)
    assert timeline.adopt(robot.state()) is None, "replaced once"


def test_e7_a_state_with_damage_is_not_replaced_by_an_earlier_run() -> None:
    """A store that has only an earlier run of the session replaces nothing; the next read of this run does."""
    robot = Robot(steps=2, minute=1)
    timeline = fooled(robot)
    assert timeline.adopt(Robot("bbbb", steps=5).state()) is None
    assert timeline.adopt(robot.state()) is not None


def test_e7_what_is_parsed_before_it_is_taken_moves_nothing() -> None:
    """After a read, an update that can't be folded is dropped at once: take_damage() says so, the state stays."""
    timeline = known(Robot(steps=2))
    assert timeline.accept(damaged(3), 0.0) is Verdict.DAMAGED
    assert isinstance(timeline.take_damage(), BadDocument)
    assert timeline.cursor == Cursor("aaaa", 2)
    assert timeline.adopt(Robot(steps=2).state()) is None


def test_e7_another_update_of_the_same_number_brings_doubt() -> None:
    """If the real update of a number comes after a forged one, the store is asked; the same one again is no reason."""
    robot = Robot(steps=2)
    timeline, real = known(robot), robot.step()
    assert timeline.accept(Robot(steps=2).step("forged"), 0.0) is Verdict.NEXT
    assert timeline.accept(real, 0.0) is Verdict.SEEN
    assert timeline.take_damage() is not None
    assert timeline.adopt(robot.state()) is not None
    assert [timeline.accept(update, 0.0) for update in robot.run.updates] == [Verdict.SEEN] * 3
    assert timeline.take_damage() is None


def test_b19_the_stored_snapshot_stands_in_for_what_could_not_be_folded() -> None:
    """After an update that can't be folded a read at the same position, or a later one, brings the snapshot."""
    robot = Robot(steps=2)
    timeline = fooled(robot)
    assert timeline.state is not None
    robot.finish()
    assert timeline.adopt(robot.state()) == Change(None)
    assert timeline.state.snapshot == robot.run.snapshot
    assert timeline.final
    assert timeline.adopt(robot.state()) is None


def test_a_step_that_is_read_after_the_next_one_came_is_not_told_again() -> None:
    """A robot that publishes and writes snapshots may go on while one is read: its earlier step is recognised."""
    timeline = Timeline(SESSION, 1)
    for step in (6, 7, 8):
        raw = b'{"etapa":%d,"mensagem":"Tela %d"}' % (step, step)
        assert timeline.accept(Update(raw, None, 0, False), 0.0) is Verdict.UNNUMBERED
    for step, told in ((7, []), (8, []), (9, [9])):
        document = {**recordings.progress_of(recordings.ALL["stuck"]), "etapa_atual": step, "total_etapas": 15}
        document |= {"mensagem": f"Tela {step}", "timestamp_inicio": "2026-01-15T09:00:00"}
        document["timestamp_atualizacao"] = f"2026-01-15T10:00:{step:02}"
        change = timeline.adopt(from_progress(SESSION, document))
        assert change is not None
        assert change.missed is not None
        assert [update.data["etapa"] for update in change.missed] == told


def test_what_is_kept_is_bounded_and_the_snapshot_has_it_all() -> None:
    """A timeline keeps fewer than 2 * HISTORY updates, and its snapshot includes those that were dropped."""
    robot = Robot(steps=1)
    timeline = known(robot)
    timeline.accept(robot.run.error("Placa recusada", "", robot.run_time()), 0.0)
    for update in robot.steps(2 * HISTORY):
        timeline.accept(update, 0.0)
    state = timeline.state
    assert state is not None
    assert HISTORY <= len(state.updates) < 2 * HISTORY
    assert state.snapshot == robot.run.snapshot


# -- reads


def test_a_read_that_brings_nothing_new_is_no_change() -> None:
    """adopt() is None for a read that finds nothing, the known state, or an earlier one."""
    robot = Robot(steps=2)
    timeline, before = known(robot), robot.state()
    timeline.accept(robot.step(), 0.0)
    assert [timeline.adopt(state) for state in (None, before, robot.state())] == [None, None, None]
    assert timeline.cursor == Cursor("aaaa", 3)


def test_a_read_names_what_clients_lack_or_that_nobody_can_tell() -> None:
    """``missed`` has the updates after the position; it is None for another run or too short a history."""
    robot = Robot(steps=2)
    timeline = known(robot)
    robot.steps(3)
    change = timeline.adopt(robot.state())
    assert change is not None and change.missed is not None
    assert [update.seq for update in change.missed] == [3, 4, 5]
    robot.steps(9)
    short = robot.state()
    short.updates = short.updates[-4:]
    for state in (short, Robot("bbbb", steps=1, minute=5).state()):
        change = timeline.adopt(state)
        assert change is not None and change.missed is None


# -- first messages


def test_a_crowd_shares_one_welcome_until_something_moves() -> None:
    """Until an update arrives, clients that join within FRESH_S get one shared Welcome; no other Welcome is kept."""
    robot = Robot(steps=2)
    timeline = known(robot)
    alone = timeline.welcome(None, 0.0, 0.0)
    first = timeline.welcome(None, 0.0, 0.0, shared=True)
    assert first is not alone
    assert timeline.welcome(None, FRESH_S, 0.0, shared=True) is first
    assert timeline.welcome(None, FRESH_S + 0.1, 0.0, shared=True) is not first
    last = timeline.welcome(None, FRESH_S + 0.1, 0.0, shared=True)
    timeline.accept(robot.step(), 0.0)
    moved = timeline.welcome(None, FRESH_S + 0.1, 0.0, shared=True)
    assert (last.at, moved.at) == (Cursor("aaaa", 2), Cursor("aaaa", 3))


def test_a_welcome_tells_the_silence() -> None:
    """A Welcome's snapshot has the ``estado`` at the time of making it: after a long silence the run has expired."""
    robot = Robot(steps=2)
    state = robot.state()
    state.written_s = 1000.0
    timeline = Timeline(SESSION, 15_000)
    timeline.adopt(state)
    early, late = timeline.welcome(None, 0.0, 1001.0), timeline.welcome(None, 9.0, 5000.0)
    assert early.snapshot is not None and late.snapshot is not None
    assert (early.snapshot["estado"], late.snapshot["estado"]) == ("executando", "expirado")


def test_a12_a_welcome_tells_how_old_the_state_is() -> None:
    """A Welcome tells the age of the robot's last report and of its run, by the clock of the store, which is ahead."""
    state = Robot(steps=2).state()
    state.written_s, state.ahead_s, state.began = 1_000_010.0, 10.0, 999_910_000
    timeline = Timeline(SESSION, 15_000)
    timeline.adopt(state)
    welcome = timeline.welcome(None, 0.0, 1_000_025.5)
    assert welcome.ages == Ages(25_500, 125_500)
    assert welcome.snapshot is not None
    assert (welcome.snapshot["idade_ms"], welcome.snapshot["duracao_ms"]) == welcome.ages
    assert timeline.welcome(Cursor("aaaa", 1), 0.0, 1_000_025.5).ages == welcome.ages


@pytest.mark.parametrize("fast", [False, True])
def test_a12_a_live_update_is_as_old_as_its_arrival(fast: bool) -> None:
    """After a live update the age counts from its arrival, the duration from the beginning all the same."""
    robot = Robot(steps=2)
    state = robot.state()
    state.written_s, state.ahead_s, state.began = 1_000_010.0, 10.0, 999_910_000
    timeline = Timeline(SESSION, 15_000)
    timeline.adopt(state)
    timeline.accept(robot.step(), 1_000_020.0)
    if fast:
        timeline.offer(robot.step().raw, 1_000_020.0)
    timeline.adopt(robot.state())  # a read that finds nothing new does not make it younger
    assert timeline.welcome(None, 0.0, 1_000_045.0).ages == Ages(25_000, 145_000)


def test_a12_ages_that_are_not_known_are_none() -> None:
    """Without times of the store, and while nothing is known, no age is told."""
    for timeline in (Timeline(SESSION, 15_000), known(Robot(steps=2))):
        assert timeline.state is None or timeline.state.written_s is None
        if timeline.state is not None:
            timeline.state.began = None
        assert timeline.welcome(None, 0.0, 5.0).ages == Ages(None, None)


def test_a_cursor_that_says_from_the_beginning_is_given_its_run() -> None:
    """The Welcome for the cursor START has position 0 of the current run, so that the client learns its epoch."""
    welcome = known(Robot(steps=2)).welcome(START, 0.0, 0.0)
    assert (welcome.at, welcome.snapshot, welcome.recovered) == (Cursor("aaaa", 0), None, True)


# -- whatever happens


class Course:
    """A random sequence of updates and reads, and the position of a client that follows the timeline's results."""

    def __init__(self) -> None:
        self.robot, self.runs = Robot(), 1
        self.timeline = Timeline(SESSION, 15_000)
        self.wire: list[Update] = []
        self.stored: list[SessionState] = []
        self.snapshots: dict[Cursor, Any] = {}
        self.at: Cursor | None = None

    def record(self, count: int) -> None:
        """Let the robot report; a later read may find any of the states in between."""
        for _ in range(1 + count % 4):
            self.wire.append(self.robot.step())
            self.stored.append(self.robot.state())
            self.snapshots[self.stored[-1].cursor] = self.robot.run.snapshot

    def start_over(self, _: int) -> None:
        self.robot = Robot(f"run{self.runs}", minute=self.runs)
        self.runs += 1
        self.record(0)

    def offer(self, number: int) -> None:
        if self.wire and (taken := self.timeline.offer(self.wire[number % len(self.wire)].raw, 0.0)) is not None:
            self._follow(taken)

    def accept(self, number: int) -> None:
        if self.wire:
            update = self.wire[number % len(self.wire)]
            if self.timeline.accept(update, 0.0) is Verdict.NEXT:
                self._follow(update)

    def adopt(self, number: int) -> None:
        if not self.stored:
            return
        state = self.stored[-1 - number % len(self.stored)]
        copy = SessionState(state.epoch, state.seq, state.snapshot.copy(), list(state.updates))
        copy.updates = copy.updates[number % 3 :]
        before = self.at
        change = self.timeline.adopt(copy)
        if change is None:
            return
        if change.missed is None:
            self.at = self.timeline.cursor
            assert before is None or self.at is not None
            return
        for update in change.missed:
            self._follow(update)
        self.at = self.timeline.cursor

    def _follow(self, update: Update) -> None:
        assert update.cursor is not None
        if self.at is not None:
            assert update.cursor == (self.at.epoch, self.at.seq + 1), f"{update} does not follow on {self.at}"
        self.at = update.cursor

    def check(self) -> None:
        """Check that position and state are those of the client and the robot, and that since() is exact."""
        assert self.timeline.cursor == self.at
        state = self.timeline.state
        assert self.timeline.take_damage() is None
        if state is None or self.at is None:
            return
        assert state.snapshot == self.snapshots[self.at]
        assert self.timeline.final is state.snapshot["final"]
        for seq in range(self.at.seq + 2):
            missed = self.timeline.since(Cursor(self.at.epoch, seq))
            if missed is not None:
                assert [update.seq for update in missed] == list(range(seq + 1, self.at.seq + 1))
        welcome = self.timeline.welcome(None, 0.0, 0.0)
        assert welcome.at == self.at
        assert welcome.snapshot is not None and welcome.snapshot["mensagem"] == state.snapshot["mensagem"]


_EVENTS = ("record", "start_over", "offer", "accept", "adopt")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_EVENTS), st.integers(0, 30)), max_size=40))
def test_whatever_comes_the_position_is_sound(events: list[tuple[str, int]]) -> None:
    """Despite repetition, gaps, old reads and new runs nothing is skipped, doubled or taken back within a run."""
    course = Course()
    for name, number in events:
        event: Callable[[int], None] = getattr(course, name)
        before = course.at
        event(number)
        course.check()
        if before is not None and course.at is not None and before.epoch == course.at.epoch:
            assert course.at.seq >= before.seq
