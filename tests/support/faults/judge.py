"""Compares what robots reported with what every client received. Pure.

Clients reconnect until a run has ended, so each one should receive every update of its session, and an update that it
did not receive counts as lost. Two kinds are excused: updates up to the first state of a run that the client received,
and updates that a state skipped when the client was more than HISTORY updates behind, so that the history could no
longer fill the gap. A state received when the client was less behind excuses nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rpa_server.progress.update import HISTORY
from tests.support.faults.robots import End, Report
from tests.support.faults.table import Row
from tests.support.faults.viewers import Event

#: The keys in which a client's last state or update must equal the robot's final snapshot.
_FINAL = ("epoch", "seq", "estado", "final", "percentual", "total_etapas")
_JUMPS = ("join", "sync", "reset", "poll")


class Seen(Protocol):
    """What judge() reads of a client; viewers.LiveViewer has it."""

    session_id: str
    events: list[Event]

    def state(self) -> dict[str, Any]:
        """Return the last state or update received."""


@dataclass
class Verdict:
    """The sums over all clients.

    Attributes:
        clients: number of clients.
        updates: number of updates that the robots reported.
        lost, duplicated, misordered: see table.Row.
        excused: updates that a client did not receive because it was more than HISTORY updates behind.
        unknown: updates and states that a client received but no robot reported.
        resets, most_resets: states received instead of updates: the total, and the most for one client.
        delays_s: seconds from the robot's call to the arrival of each update at each client that was connected then.
        block_s: the longest call of a robot, in seconds.
        wrong: clients whose last state differs from the robot's final snapshot; Fleet.end() adds servers' answers.
        worst: description of the client that lost most updates, "" if none lost any.
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
        """Return the delay in seconds that *share* (0 to 1) of the deliveries did not exceed; 0 without deliveries."""
        ordered = sorted(self.delays_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def row(self, scenario: str, more: str = "") -> Row:
        """Return the verdict as a row of the table; *more* is added to its last column."""
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
        """The numbers of lost, duplicated, misordered, unknown and wrong: each must be 0."""
        return self.lost, self.duplicated, self.misordered, self.unknown, self.wrong


def judge(
    reports: Mapping[str, Sequence[Report]], clients: Iterable[Seen], ends: Mapping[str, End] | None = None
) -> Verdict:
    """Compare the robots' calls with what each client received; return the sums.

    Args:
        reports: the robots' calls, by session.
        clients: what the clients received.
        ends: how the robots ended, by session: a client of one of these sessions must have the final snapshot.
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
    """Return the time of the call that reported each update, by epoch and ``seq``; one call may report several."""
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
    """Counts the faults of one client, event by event."""

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
        """Classify the updates that a state skips.

        They are older than the client's first state of a run, or more than the history keeps, or they are lost.
        """
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
        """Return the last ``seq`` of the run that was reported before the client received this state, 0 for none."""
        known = (seq for (epoch, seq), at_s in self._called.items() if epoch == event.epoch and at_s <= event.at_s)
        return max(known, default=0)

    def _move(self, epoch: str, seq: int) -> None:
        self._epoch, self._seq = epoch, seq
        self._epochs.add(epoch)

    def lost(self) -> set[tuple[str, int]]:
        """Return what the client should have received but did not: of the runs it saw, or of all if it saw none."""
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
