"""Compares what robots reported with what every client saw. Pure.

An update counts as lost if a client that was connected, or that reconnected while the history still had the update, did
not get it; a reset does not excuse that. Excused are only updates that the history no longer had at the reset, and those
before the first state that a client was given.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rpa_server.progress.update import HISTORY
from tests.support.faults.robots import End, Report
from tests.support.faults.table import Row
from tests.support.faults.viewers import Event

#: The keys in which a client's last message must agree with the robot's own state.
_FINAL = ("epoch", "seq", "estado", "final", "percentual", "total_etapas")
_JUMPS = ("join", "sync", "reset", "poll")


class Seen(Protocol):
    """What is judged of a client, see viewers.LiveViewer."""

    session_id: str
    events: list[Event]

    def state(self) -> dict[str, Any]:
        """Return the last state or update received."""


@dataclass
class Verdict:
    """The sums over all clients.

    Attributes:
        clients, updates: how many there were.
        lost, duplicated, misordered: see table.Row.
        excused: not seen, but rightly: beyond the history at a reset.
        unknown: seen, but not reported by any robot.
        resets, most_resets: the total, and the most for one client.
        delays_s: of every update, for every client that was connected when the robot made the call.
        block_s: the longest call of a robot.
        wrong: clients whose last message was not the robot's last state, and other observers with a wrong state.
        worst: description of the client that missed most.
    """

    clients: int = 0
    updates: int = 0
    lost: int = 0
    duplicated: int = 0
    misordered: int = 0
    excused: int = 0
    unknown: int = 0
    resets: int = 0
    most_resets: int = 0
    delays_s: list[float] = field(default_factory=list)
    block_s: float = 0.0
    wrong: int = 0
    worst: str = ""

    def delay_s(self, share: float = 1.0) -> float:
        """Return the delay that *share* of the deliveries did not exceed; 0 if there was none."""
        ordered = sorted(self.delays_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def row(self, scenario: str, more: str = "") -> Row:
        """Return the verdict as a row of the table."""
        words = [f"p99 {self.delay_s(0.99):.3f} s", f"{self.excused} excused" if self.excused else ""]
        words += [f"{self.wrong} end wrong" if self.wrong else "", f"{self.unknown} unknown" if self.unknown else "", more]
        return Row(
            scenario,
            clients=self.clients,
            updates=self.updates,
            lost=self.lost,
            duplicated=self.duplicated,
            misordered=self.misordered,
            resets=f"{self.resets}/{self.most_resets}",
            delay_s=self.delay_s(),
            block_s=self.block_s,
            more=", ".join(filter(None, words)),
        )

    @property
    def faults(self) -> tuple[int, int, int, int, int]:
        """Lost, duplicated, out of order, unknown, wrong at the end: all must be 0."""
        return self.lost, self.duplicated, self.misordered, self.unknown, self.wrong


def judge(
    reports: Mapping[str, Sequence[Report]], clients: Iterable[Seen], ends: Mapping[str, End] | None = None
) -> Verdict:
    """Compare.

    Args:
        reports: what the robots reported, by session.
        clients: what the clients saw.
        ends: how robots ended; the clients of these sessions must know it.
    """
    verdict = Verdict(updates=sum(len(_calls(calls)) for calls in reports.values()))
    verdict.block_s = max((report.block_s for calls in reports.values() for report in calls), default=0.0)
    most = 0
    for client in clients:
        trial = _Trial(reports.get(client.session_id, ()))
        for event in client.events:
            trial.take(event)
        trial.add_to(verdict)
        if (missed := len(trial.lost())) > most:
            most = missed
            verdict.worst = f"{client.session_id} lost {sorted(seq for _, seq in trial.lost())[:20]}: {client.events[-30:]}"
        if ends is not None and client.session_id in ends:
            verdict.wrong += _differs(client.state(), ends[client.session_id].snapshot)
    return verdict


def _calls(calls: Sequence[Report]) -> dict[tuple[str, int], float]:
    """Return when each update was reported; all updates of one call have its time."""
    called: dict[tuple[str, int], float] = {}
    last: dict[str, int] = {}
    for report in calls:
        for seq in range(last.get(report.epoch, 0) + 1, report.seq + 1):
            called[report.epoch, seq] = report.called_s
        last[report.epoch] = report.seq
    return called


def _differs(state: Mapping[str, Any], robots: Mapping[str, Any]) -> bool:
    return any(key not in state or state[key] != robots[key] for key in _FINAL)


class _Trial:
    """The judgement of one client."""

    def __init__(self, calls: Sequence[Report]) -> None:
        self._called = _calls(calls)
        self._seen: set[tuple[str, int]] = set()
        self._before: set[tuple[str, int]] = set()
        self._excused: set[tuple[str, int]] = set()
        self._epochs: set[str] = set()
        self._epoch = ""
        self._seq = 0
        self._up_s: float | None = None
        self.duplicated = self.misordered = self.resets = self.unknown = 0
        self.delays_s: list[float] = []

    def take(self, event: Event) -> None:
        if event.kind == "up":
            self._up_s = event.at_s
        elif event.kind == "down":
            self._up_s = None
        elif event.kind == "update":
            self._update(event)
        elif event.kind in _JUMPS:
            self.resets += event.kind != "join"
            if event.epoch:
                self._jump(event)

    def _update(self, event: Event) -> None:
        name = (event.epoch, event.seq)
        called_s = self._called.get(name)
        if called_s is None:
            self.unknown += 1
        elif name in self._seen:
            self.duplicated += 1
        elif event.epoch == self._epoch and event.seq < self._seq:
            self.misordered += 1
        if called_s is not None and self._up_s is not None and called_s >= self._up_s:
            self.delays_s.append(event.at_s - called_s)
        self._seen.add(name)
        self._move(event.epoch, max(event.seq, self._seq if event.epoch == self._epoch else 0))

    def _jump(self, event: Event) -> None:
        """Classify the updates that a state jumped over: before the client's time, beyond the history, or lost."""
        if (event.epoch, event.seq) not in self._called:
            self.unknown += 1
        if event.epoch != self._epoch:
            self._before.update((event.epoch, seq) for seq in range(1, event.seq + 1))
        elif event.seq < self._seq:
            self.misordered += 1
        elif self._newest(event) - self._seq > HISTORY:
            self._excused.update((event.epoch, seq) for seq in range(self._seq + 1, event.seq))
        self._seen.add((event.epoch, event.seq))  # the state includes that update
        self._move(event.epoch, event.seq)

    def _newest(self, event: Event) -> int:
        """Return the newest number that was reported when the client got the state."""
        known = (seq for (epoch, seq), at_s in self._called.items() if epoch == event.epoch and at_s <= event.at_s)
        return max(known, default=0)

    def _move(self, epoch: str, seq: int) -> None:
        self._epoch, self._seq = epoch, seq
        self._epochs.add(epoch)

    def lost(self) -> set[tuple[str, int]]:
        """Return the updates of the client's runs that it neither received nor is excused from."""
        due = {name for name in self._called if name[0] in self._epochs or not self._epochs}
        return due - self._seen - self._before - self._excused

    def add_to(self, verdict: Verdict) -> None:
        verdict.clients += 1
        verdict.lost += len(self.lost())
        verdict.excused += len(self._excused - self._seen)
        verdict.duplicated += self.duplicated
        verdict.misordered += self.misordered
        verdict.unknown += self.unknown
        verdict.resets += self.resets
        verdict.most_resets = max(verdict.most_resets, self.resets)
        verdict.delays_s += self.delays_s
