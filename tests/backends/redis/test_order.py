"""The order of runs: append.lua against order.py, and any interleaving of writers against a model of what is stored."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rpa_server.backends import leftovers
from rpa_server.backends.base import Store
from rpa_server.backends.files.store import FileStore
from rpa_server.backends.files.writer import FileWriter
from rpa_server.backends.merged import MergedStore
from rpa_server.backends.redis import append
from rpa_server.backends.redis.names import SESSIONS_KEY
from rpa_server.backends.redis.store import RedisStore
from rpa_server.backends.redis.store import client as async_client
from rpa_server.backends.redis.writer import RedisWriter
from rpa_server.progress.order import Claim, may_replace
from rpa_server.progress.outcome import SILENCE_S
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from rpa_server.tracker import failover
from rpa_server.watchers.adoption import Adoption
from tests.support.examples import examples
from tests.support.server import RedisServer, redis_server

SID = "s1"
STARTED = datetime(2026, 1, 15, 9, 30)
BEGAN = 1_768_480_200_000
BOTH = (False, True)
FLAGS = list(itertools.product(BOTH, BOTH, BOTH, BOTH, BOTH))


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A redis-server of this module's own."""
    with redis_server() as process:
        yield process


# -- the two implementations of the rule


def made(epoch: str, began: int, stepped: bool, final: bool) -> Run:
    """Return a run with its beginning, and a step and an end if wanted."""
    run = Run(SID, epoch, STARTED, 15, began, "w1")
    run.start(STARTED)
    if stepped:
        run.step(1, "Tela 1", STARTED)
    if final:
        run.finish("success", STARTED)
    return run


@pytest.mark.parametrize("evicted", BOTH, ids=["", "the snapshot is gone"])
def test_the_script_has_the_same_rule(server: RedisServer, evicted: bool) -> None:
    """For every two runs append.lua gives the answer of may_replace(), and writes nothing where that is no."""
    runs = itertools.product((-1, 0, 1), ("aaaa", "cccc"))
    answers = set()
    with server.client() as client:
        for (later, epoch), (stepped, ended, its_stepped, its_final, is_silent) in itertools.product(runs, FLAGS):
            client.flushdb()
            current = made("bbbb", BEGAN, its_stepped, its_final)
            run_script(client, append.call(current, list(current.updates)))
            if is_silent:
                client.zincrby(SESSIONS_KEY, -SILENCE_S, SID)
            if evicted:
                client.delete(f"rpa:progress:{SID}")
            challenger = made(epoch, BEGAN + later, stepped, ended)
            update = challenger.error("Placa recusada", "", STARTED)
            claim = Claim(epoch, BEGAN + later, stepped, ended)
            assert challenger.claim(update.seq) == claim
            # Without the snapshot nobody knows whether the run has reported a step, so it is taken to have.
            theirs = Claim("bbbb", BEGAN, its_stepped or evicted, its_final)
            allowed = may_replace(claim, theirs, SILENCE_S if is_silent else 0.0)
            kind = "ok" if allowed else "waiting" if claim.is_newer(theirs) else "superseded"
            before = contents(client)
            answer = run_script(client, append.call(challenger, [update], "over"))
            assert answer == append.Answer(kind, update.seq if allowed else 0, epoch="" if allowed else "bbbb")
            assert allowed or contents(client) == before
            answers.add(kind)
    assert answers == {"ok", "waiting", "superseded"}


def run_script(client: redis.Redis, call: append.Call) -> append.Answer:
    reply: Any = client.eval(append.SCRIPT, len(call.keys), *call.keys, *call.args)
    return append.answer(reply)


def contents(client: redis.Redis) -> dict[bytes, Any]:
    keys: Any = client.keys("*")
    return {key: client.dump(key) for key in keys}


# -- any interleaving of several runs and several writers


class Line(RedisWriter):
    """A writer whose line to Redis can be cut, or lose a reply after Redis has obeyed."""

    down = False
    loses = False

    def open(self) -> None:
        self._check()
        super().open()

    def _evaluate(self, call: append.Call, deadline_s: float) -> Any:
        self._check()
        reply = super()._evaluate(call, deadline_s)
        if self.loses:
            self.loses = False
            raise redis.TimeoutError("The reply is lost.")
        return reply

    def _read(self, session_id: str, deadline_s: float) -> SessionState | None:
        self._check()
        return super()._read(session_id, deadline_s)

    def _check(self) -> None:
        if self.down:
            raise redis.ConnectionError("The line is cut.")


class NoCourier:
    """Stands for the courier's thread: the test makes its attempts itself."""

    def run(self, errand: object) -> bool:
        return False

    def undisturbed(self) -> nullcontext[None]:
        return nullcontext()


class Process:
    """One process that writes a run, as the tracker does.

    Attributes:
        run: its own copy of the run.
        known: the times of the updates that it knows of, which identify them.
        pending: those of them that no store had taken yet when it wrote last.
        ended: the end of the run was stored when it wrote last.
    """

    def __init__(self, directory: Path | None, client: redis.Redis | None, writer: str) -> None:
        self.writer = writer
        self.line = None if client is None else Line(client)
        self.failover = failover.Failover(None, directory)
        if self.line is not None:
            self.failover._stores.redis = self.line
            self.ask()
        self.run = Run(SID, "none", STARTED)
        self.known: list[str] = []
        self.pending: list[str] = []
        self.ended = False

    def ask(self) -> None:
        """Make an attempt to bring Redis up to date, as the courier does."""
        self.failover._breaker.failed(float("-inf"), 0.0)
        self.failover.ask()

    def write(self) -> bool:
        """Write the run; tell whether no store has said that another run is the current one."""
        self.failover.write(self.run)
        return self.failover._stores.not_current is None

    def close(self) -> None:
        if self.line is not None:
            self.line.close()


@dataclass
class Model:
    """What one store has: a run, and the times of its updates."""

    epoch: str
    began: int
    stepped: bool
    final: bool
    times: list[str]
    silence_s: float = 0.0

    @property
    def claim(self) -> Claim:
        return Claim(self.epoch, self.began, self.stepped, self.final)


def times(state: SessionState) -> list[str]:
    return [str(update.data["timestamp"]) for update in state.updates]


hours = st.integers(-48, 48)
kinds = st.lists(st.sampled_from(["step", "step", "step", "error", "end"]), min_size=1, max_size=2)
#: More writers at once would meet each other less often.
AT_ONCE = 4


class Writers(RuleBasedStateMachine):
    """Several runs of one session, each with several writers, in any order; the robots' clocks are arbitrary.

    Class attributes:
        redis: the server, None for files only.
        with_files: whether the writers have a data directory.
    """

    redis: RedisServer | None = None
    with_files = True
    processes = Bundle("processes")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.client = None if self.redis is None else self.redis.client()
        if self.client is not None:
            self.client.flushdb()
        self.runner = asyncio.Runner()
        self.remote = None if self.redis is None else RedisStore(async_client(self.redis.url))
        self.local = FileStore(self.directory)
        self.names = itertools.count(1)
        self.began = BEGAN
        self.alive: list[Process] = []

    def teardown(self) -> None:
        for process in self.alive:
            process.close()
        if self.remote is not None:
            self.runner.run(self.remote.aclose())
        self.runner.close()
        if self.client is not None:
            self.client.close()
        shutil.rmtree(self.directory)
        super().teardown()

    def process(self) -> Process:
        directory = self.directory if self.with_files else None
        process = Process(directory, self.client, f"w{next(self.names)}")
        self.alive.append(process)
        return process

    def now(self, hour: int) -> datetime:
        """Return the time by a robot's clock; no two calls return the same."""
        return STARTED + timedelta(hours=hour, microseconds=next(self.names))

    def read(self, store: Store) -> SessionState | None:
        return self.runner.run(store.read(SID, 0))

    # -- what may happen

    @rule(target=processes, hour=hours, passed_ms=st.integers(0, 1))
    @precondition(lambda self: len(self.alive) < AT_ONCE)
    def start(self, hour: int, passed_ms: int) -> Process:
        """Another robot, or a helper, makes a tracker for the session, perhaps in the same millisecond as the last one."""
        process = self.process()
        now = self.now(hour)
        self.began += passed_ms
        epoch = f"{(next(self.names) * 7919) % 65536:04x}"  # in no order
        process.run = Run(SID, epoch, now, 15, self.began, process.writer)
        process.run.start(now)
        self.report(process, now)
        return process

    @rule(process=processes, kinds=kinds, hour=hours)
    def go_on(self, process: Process, kinds: list[str], hour: int) -> None:
        """A writer reports steps, errors or the end."""
        for kind in kinds:
            now = self.now(hour)
            if kind == "step":
                process.run.step(1 + next(self.names) % 14, "Tela", now)
            elif kind == "error":
                process.run.error("Placa recusada", "", now)
            else:
                process.run.finish("success", now)
            self.report(process, now)

    @rule(target=processes, process=processes)
    @precondition(lambda self: len(self.alive) < AT_ONCE)
    def fork(self, process: Process) -> Process:
        """A writer forks: the child has a copy of all that the parent knows, and another id."""
        child = self.process()
        parent = process.run
        child.run = Run(SID, parent.epoch, STARTED, 15, parent.began, child.writer)
        for entry in parent.entries:
            child.run._record({**entry})
        self.copy(process, child)
        child.known, child.pending, child.ended = list(process.known), list(process.pending), process.ended
        return child

    def copy(self, parent: Process, child: Process) -> None:
        """Give the child's writers what the parent's know."""
        for store, theirs in ((parent.line, child.line), (parent.failover._stores.files, child.failover._stores.files)):
            if store is not None and theirs is not None:
                for name in ("_epoch", "stored", "_theirs", "_ours", "_version", "_encoded_seq", "_journalled"):
                    if hasattr(store, name):
                        setattr(theirs, name, getattr(store, name))
        if parent.failover._stores.files is not None and child.failover._stores.files is not None:
            child.failover._stores.files._encoded = parent.failover._stores.files._encoded.copy()
            child.run.version = parent.run.version
        child.failover._spilled = parent.failover._spilled
        child.failover._stores.run = child.run if parent.failover._stores.run is not None else None

    def report(self, process: Process, now: datetime) -> None:
        """Write what was recorded at *now*."""
        raise NotImplementedError


class OneStore(Writers):
    """Writers that have one store, which never fails: what it must have is known at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self.model: Model | None = None

    @rule(target=Writers.processes)
    @precondition(lambda self: len(self.alive) < AT_ONCE)
    def load(self) -> Any:
        """Another process goes on with whatever is stored."""
        if self.model is None:
            return multiple()
        process = self.process()
        state = process.failover.read(SID)
        assert state is not None
        process.run = Run.resume(SID, state, process.writer)
        process.known, process.ended = list(self.model.times), self.model.final
        return process

    @rule()
    def stay_silent(self) -> None:
        """Nobody writes for longer than SILENCE_S."""
        if self.model is None:
            return
        self.model.silence_s += SILENCE_S + 1
        if self.client is not None:
            self.client.zincrby(SESSIONS_KEY, -SILENCE_S - 1, SID)
            return
        for path in self.directory.iterdir():
            then_s = path.stat().st_mtime - SILENCE_S - 1
            os.utime(path, (then_s, then_s))

    def report(self, process: Process, now: datetime) -> None:
        process.known.append(now.isoformat())
        process.pending.append(now.isoformat())
        run, model = process.run, self.model
        allowed = True
        if model is not None and model.epoch != run.epoch:
            claim = Claim(run.epoch, run.began, run.stepped, process.ended)
            allowed = may_replace(claim, model.claim, model.silence_s)
        assert process.write() == allowed
        if not allowed:
            return
        if model is None or model.epoch != run.epoch:
            stepped, final = run.stepped, run.snapshot["final"]
            self.model = Model(run.epoch, run.began, stepped, final, list(process.known))
        else:
            model.times += [each for each in process.pending if each not in model.times]
            model.stepped |= run.stepped
            model.final |= run.snapshot["final"]
            model.silence_s = 0.0
        assert self.model is not None
        process.known, process.pending, process.ended = list(self.model.times), [], self.model.final

    @invariant()
    def every_reader_has_what_the_model_has(self) -> None:
        stores: list[Store] = [self.local] if self.remote is None else [self.remote]
        states = [self.read(store) for store in (*stores, MergedStore([*stores, self.local]))]
        if self.client is not None:
            reader = RedisWriter(self.client)
            reader.open()
            states.append(reader.read(SID))
            reader.close()
        else:
            states.append(FileWriter(self.directory).read(SID))
        for state in states:
            if self.model is None:
                assert state is None
                continue
            assert state is not None
            assert (state.epoch, state.seq) == (self.model.epoch, len(self.model.times))
            assert times(state) == self.model.times
            assert [update.seq for update in state.updates] == list(range(1, state.seq + 1))
            assert state.snapshot["final"] == self.model.final
            assert state.stepped == self.model.stepped
            assert state.began == self.model.began
        listed = self.runner.run(stores[0].sessions(10))
        assert listed == ([] if self.model is None else [SID])


class BothStores(Writers):
    """Writers that have Redis and files, lines that fail, robots that die, and those who hand in what these left.

    While something is only in files the two stores differ, so what is checked at every moment is only that the session
    goes on; at the end, once all lines work and everything is handed in, all readers must agree and nothing be missing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reported: dict[str, list[str]] = {}  # the times of each run's updates
        self.runs: dict[str, Run] = {}  # of each run the copy of its first writer
        self.places: dict[str, str] = {}  # the run that each store had when it was looked at
        self.displaced: set[str] = set()  # runs that lost their place in a store: it may lack updates of them

    def report(self, process: Process, now: datetime) -> None:
        process.write()
        self.reported.setdefault(process.run.epoch, []).append(now.isoformat())
        first = self.runs.setdefault(process.run.epoch, process.run)
        first.stepped |= process.run.stepped

    @rule(process=Writers.processes)
    def cut(self, process: Process) -> None:
        """A robot's line to Redis is cut."""
        assert process.line is not None
        process.line.down = True

    @rule(process=Writers.processes)
    def lose_a_reply(self, process: Process) -> None:
        """Redis obeys a robot's next call, but the robot never hears of it."""
        assert process.line is not None
        process.line.loses = True

    @rule(process=Writers.processes)
    def recover(self, process: Process) -> None:
        """A robot's line works again, and its courier makes an attempt."""
        assert process.line is not None
        process.line.down = False
        process.ask()

    @rule(process=consumes(Writers.processes))
    def die(self, process: Process) -> None:
        """A process is killed; nobody but its files knows what it had not sent."""
        if process.failover._stores.not_current is not None and process.failover._stores.not_current.waiting:
            self.displaced.add(process.run.epoch)  # what waited for the first step is gone
        self.alive.remove(process)
        process.close()

    @rule(server=st.booleans())
    def hand_in(self, server: bool) -> None:
        """Another robot in the directory, or the server, hands in what was left."""
        assert self.client is not None
        assert self.remote is not None
        if server:
            self.runner.run(Adoption(self.local, self.remote)._look())
        else:
            leftovers.hand_in_marked(self.directory, RedisWriter(self.client))

    @rule(target=Writers.processes)
    @precondition(lambda self: len(self.alive) < AT_ONCE)
    def load(self) -> Any:
        """Another process goes on with whatever is stored."""
        process = self.process()
        state = process.failover.read(SID)
        if state is None:
            return multiple()
        process.run = Run.resume(SID, state, process.writer)
        return process

    def states(self) -> dict[str, SessionState | None]:
        assert self.remote is not None
        return {"redis": self.read(self.remote), "files": self.read(self.local)}

    @invariant()
    def nothing_is_told_twice_or_out_of_order(self) -> None:
        for name, state in self.states().items():
            if state is None:
                continue
            before = self.places.get(name)
            if before is not None and before != state.epoch:
                self.displaced.add(before)
            self.places[name] = state.epoch
            self.check(state)

    def check(self, state: SessionState) -> None:
        found = times(state)
        assert len(set(found)) == len(found), "doubled"
        assert set(found) <= set(self.reported[state.epoch])
        assert [update.seq for update in state.updates] == list(range(1, state.seq + 1))
        for writer in {update.data["writer"] for update in state.updates}:
            own = [str(update.data["timestamp"]) for update in state.updates if update.data["writer"] == writer]
            assert own == sorted(own, key=self.reported[state.epoch].index), "out of order"

    def settle(self) -> None:
        """Let all lines work, and hand in everything."""
        for _ in range(2):
            for process in self.alive:
                assert process.line is not None
                process.line.down = process.line.loses = False
                process.ask()
            self.hand_in(server=False)
            self.hand_in(server=True)

    def teardown(self) -> None:
        try:
            if self.runs:
                self.settle()
                self.check_the_end()
        finally:
            super().teardown()

    def check_the_end(self) -> None:
        assert self.remote is not None
        assert self.client is not None
        self.nothing_is_told_twice_or_out_of_order()
        reader = RedisWriter(self.client)
        reader.open()
        states = [self.read(self.remote), self.read(MergedStore([self.remote, self.local])), reader.read(SID)]
        reader.close()
        cursors = {state.cursor for state in states if state is not None}
        assert len(cursors) == 1, cursors
        assert self.runner.run(self.remote.sessions(5)) == [SID]
        state = states[0]
        assert state is not None
        top = max(self.runs.values(), key=lambda run: (run.began, run.epoch))
        if top.stepped:
            assert state.epoch == top.epoch
        if state.epoch not in self.displaced:
            assert sorted(times(state)) == sorted(self.reported[state.epoch])


def try_all(machine: type[Writers], monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(failover, "courier", NoCourier())
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples(count), stateful_step_count=30, deadline=None)
    )


@pytest.mark.timeout(1800)
def test_any_order_of_writers_leaves_what_the_model_has_in_redis(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Redis every reader gets the run that the rule makes the current one, with each of its updates once, in order."""

    class OnRedis(OneStore):
        redis = server
        with_files = False

    try_all(OnRedis, monkeypatch, 50)


@pytest.mark.timeout(1800)
def test_any_order_of_writers_leaves_what_the_model_has_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """In files every reader gets the run that the rule makes the current one, with each of its updates once, in order."""

    class OnFiles(OneStore):
        pass

    try_all(OnFiles, monkeypatch, 70)


@pytest.mark.timeout(1800)
def test_no_order_of_outages_loses_doubles_or_mixes_updates(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After outages, lost replies, deaths and handing in, all readers agree and the current run is complete."""

    class OnBoth(BothStores):
        redis = server

    try_all(OnBoth, monkeypatch, 130)


def test_what_a_dead_child_left_is_stored_by_its_parent(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent that hands over its files stores what a forked child has added to them during the outage."""

    class OnBoth(BothStores):
        redis = server

    monkeypatch.setattr(failover, "courier", NoCourier())
    state = OnBoth()
    parent = state.start(hour=0, passed_ms=0)
    state.go_on(parent, ["step"], hour=0)
    child = state.fork(parent)
    for process in (parent, child):
        state.cut(process)
        state.go_on(process, ["step"], hour=0)
    state.die(child)
    state.recover(parent)
    assert state.remote is not None
    found = state.read(state.remote)
    assert found is not None
    assert times(found) == state.reported[found.epoch]
    assert len(times(found)) == 4
    assert list(state.directory.iterdir()) == []
    state.teardown()
