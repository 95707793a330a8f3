"""The judge of the fault scenarios counts every loss, repetition and disorder, except losses that are excused."""

from typing import Any

from tests.support.faults.judge import Verdict, judge
from tests.support.faults.robots import End, Report
from tests.support.faults.viewers import Event, Kind

E = "e1"


class Client:
    """A client with the given events; ``known`` is its last state."""

    session_id = "s"

    def __init__(self, *events: Event) -> None:
        self.events = list(events)
        self.known: dict[str, Any] = {}

    def state(self) -> dict[str, Any]:
        return self.known


def got(*seqs: int, epoch: str = E) -> list[Event]:
    """Return the events of updates that were received 0.1 s after the call that verdict() assumes."""
    return [Event("update", seq + 0.1, epoch, seq) for seq in seqs]


def state(kind: Kind, seq: int, at_s: float, epoch: str = E) -> Event:
    return Event(kind, at_s, epoch, seq)


def verdict(*events: Event, updates: int = 5) -> Verdict:
    """Judge one client of a robot that reports update n at second n, in calls of n hundredths of a second."""
    return judge({"s": [Report(E, seq, float(seq), 0.01 * seq) for seq in range(1, updates + 1)]}, [Client(*events)])


def test_everything_seen_once_is_no_fault() -> None:
    """For a connected client that received every update once, all counts are 0 and the delays are measured."""
    found = verdict(Event("up", 0.5), *got(1, 2, 3, 4, 5))
    assert (*found.faults, found.resets, found.excused) == (0,) * 7
    assert round(found.delay_s(), 6) == 0.1
    assert found.block_s == 0.05
    assert found.updates == 5


def test_hole_is_lost() -> None:
    """Updates that a client did not receive count as lost, in the middle of a run and at its end."""
    assert verdict(*got(1, 2, 4)).faults == (2, 0, 0, 0, 0)


def test_client_that_saw_nothing_lost_everything() -> None:
    """A client that received neither a state nor an update has lost every update."""
    assert verdict().lost == 5
    assert verdict(Event("join", 0.5)).lost == 5


def test_update_seen_twice_is_a_duplicate() -> None:
    """An update received again is a duplicate, whether it comes at once or later."""
    assert verdict(*got(1, 2, 2, 3, 4, 1, 5)).faults == (0, 2, 0, 0, 0)


def test_late_update_is_out_of_order_and_not_lost() -> None:
    """An update received after a later one counts as out of order, not as lost."""
    assert verdict(*got(1, 3, 2, 4, 5)).faults == (0, 0, 1, 0, 0)


def test_first_state_covers_what_came_before_it() -> None:
    """A client that joins late can lose only updates after its first state."""
    assert verdict(state("join", 3, 3.5), *got(5)).faults == (1, 0, 0, 0, 0)


def test_reset_within_history_counts_and_excuses_nothing() -> None:
    """Updates still in the server's history count as lost if a state skipped them."""
    found = verdict(*got(1), state("sync", 4, 4.5), *got(5))
    assert (found.lost, found.excused, found.resets, found.most_resets) == (2, 0, 1, 1)


def test_reset_beyond_history_excuses_what_it_jumps_over() -> None:
    """A reset excuses the updates it skips if the client was over 500 updates (HISTORY) behind; at 500 it does not."""
    found = verdict(*got(1), state("reset", 502, 502.5), *got(503), updates=503)
    assert (found.lost, found.excused, found.resets) == (0, 500, 1)
    found = verdict(*got(1), state("reset", 501, 501.5), *got(502), updates=502)
    assert (found.lost, found.excused, found.resets) == (499, 0, 1)


def test_state_older_than_what_was_seen_is_out_of_order() -> None:
    """A state older than the last update counts as disorder, and the updates repeated after it as duplicates."""
    found = verdict(*got(1, 2, 3), state("reset", 2, 3.5), *got(3, 4, 5))
    assert found.faults == (0, 1, 1, 0, 0)


def test_what_no_robot_reported_is_unknown() -> None:
    """An update is unknown if no robot reported its number, or only in another run."""
    assert verdict(*got(1, 2, 3, 4, 5, 6)).unknown == 1
    assert verdict(*got(1, 2, 3, 4, 5), *got(1, epoch="other")).unknown == 1


def test_delay_counts_only_for_who_was_there_when_the_robot_called() -> None:
    """No delay is counted for a client that was disconnected when the robot called."""
    events = [Event("up", 0.5), *got(1), Event("down", 1.5), Event("up", 2.5), Event("update", 2.6, E, 2), *got(3, 4, 5)]
    assert round(verdict(*events).delay_s(), 6) == 0.1
    late = verdict(Event("up", 0.5), Event("update", 4.0, E, 1), *got(2, 3, 4, 5))
    assert late.delay_s() == 3.0
    assert round(late.delay_s(0.5), 6) == 0.1


def test_call_that_made_two_updates_made_both_then() -> None:
    """If one call makes two updates, as an end with an error does, both are expected, from the time of that call on."""
    found = judge({"s": [Report(E, 1, 1.0, 0.0), Report(E, 3, 2.0, 0.0)]}, [Client(*got(1, 2, 3))])
    assert (found.updates, found.lost, found.unknown) == (3, 0, 0)


def test_last_message_must_be_the_robots_last_state() -> None:
    """A client whose last message is not the robot's last state counts as wrong."""
    robots = {"epoch": E, "seq": 1, "estado": "sucesso", "final": True, "percentual": 100.0, "total_etapas": 15}
    good, bad, blind = Client(*got(1)), Client(*got(1)), Client(*got(1))
    good.known, bad.known = {**robots, "mensagem": "x"}, {**robots, "percentual": 99.0}
    found = judge({"s": [Report(E, 1, 1.0, 0.0)]}, [good, bad, blind], {"s": End(robots, 0, "redis")})
    assert found.wrong == 2
    assert "2 end wrong" in found.row("X").more
