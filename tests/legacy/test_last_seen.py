"""LRU cache of the newest state of each polled session."""

from typing import Any

from rpa_server.legacy.last_seen import LastSeen
from rpa_server.progress.documents import from_history
from rpa_server.progress.file_documents import from_files
from rpa_server.progress.outcome import SILENCE_S
from rpa_server.progress.session_state import SessionState
from tests.support import recordings

HISTORY = recordings.ALL["success"]


def state_of(length: int, written_s: float | None = None, **more: Any) -> SessionState:
    """Return the state after the first *length* entries of a recorded run."""
    found = from_history("s1", {**HISTORY, "historico": HISTORY["historico"][:length], **more})
    found.written_s = written_s
    return found


def test_a_silence_is_counted_from_the_last_change_that_was_seen() -> None:
    """If the store can't tell when a session was written, its silence begins when its state is first seen."""
    last_seen = LastSeen()
    for now_s, length, silence_s in [(1000.0, 3, 0.0), (1400.0, 3, 400.0), (1500.0, 4, 0.0), (1501.0, 4, 1.0)]:
        seen = last_seen.record("s1", state_of(length), now_s)
        assert seen is not None
        assert seen.silence_s(now_s) == silence_s


def test_the_time_of_the_files_is_believed_where_there_is_one() -> None:
    """If the store tells when a session was written, its silence is measured from then; a future time counts as now."""
    seen = LastSeen().record("s1", state_of(3, written_s=100.0), 1000.0)
    assert seen is not None
    assert seen.silence_s(1000.0) == 900.0
    seen = LastSeen().record("s1", state_of(3, written_s=5000.0), 1000.0)
    assert seen is not None
    assert seen.silence_s(1000.0) == 0.0


def test_a_file_that_is_only_touched_is_no_news() -> None:
    """A later time of writing without a new position does not shorten the silence."""
    last_seen = LastSeen()
    last_seen.record("s1", state_of(3, written_s=100.0), 1000.0)
    seen = last_seen.record("s1", state_of(3, written_s=990.0), 1000.0)
    assert seen is not None
    assert seen.silence_s(1000.0) == 900.0


def test_what_was_seen_stands_in_while_no_store_answers() -> None:
    """While the store returns nothing, record() returns the last seen state, until that is SILENCE_S old."""
    last_seen = LastSeen()
    assert last_seen.record("s1", None, 1000.0) is None
    last_seen.record("s1", state_of(5), 1000.0)
    seen = last_seen.record("s1", None, 1000.0 + SILENCE_S - 1)
    assert seen is not None
    assert seen.state.seq == 5
    assert last_seen.record("s1", None, 1000.0 + SILENCE_S) is None
    assert last_seen.record("s1", None, 1001.0) is None


def test_a_store_that_has_less_takes_nothing_back() -> None:
    """A store that goes back, such as a lagging replica, does not replace the newer state that was seen."""
    last_seen = LastSeen()
    last_seen.record("s1", state_of(9), 1000.0)
    seen = last_seen.record("s1", state_of(4), 1001.0)
    assert seen is not None
    assert seen.state.seq == 9
    assert seen.silence_s(1001.0) == 1.0


def test_another_run_replaces_the_one_before() -> None:
    """A run that began later replaces the seen one; an earlier one does so only when the seen one is SILENCE_S old."""
    last_seen = LastSeen()
    last_seen.record("s1", state_of(9), 1000.0)
    seen = last_seen.record("s1", state_of(2, timestamp_inicio="2026-01-16T00:00:00"), 1001.0)
    assert seen is not None
    assert seen.state.seq == 2
    seen = last_seen.record("s1", state_of(9), 1002.0)
    assert seen is not None
    assert seen.state.seq == 2
    seen = last_seen.record("s1", state_of(9), 1002.0 + SILENCE_S)
    assert seen is not None
    assert seen.state.seq == 9


def test_a_robot_without_a_history_takes_nothing_back() -> None:
    """The percentage of a robot without a history never falls, though an exception sets its snapshot to step 0."""
    history, last_seen = recordings.ALL["interrupted"], LastSeen()
    percents = []
    for number, part in enumerate(recordings.prefixes(history)):
        fresh = from_files("s1", recordings.progress_of(part, history), None)
        seen = last_seen.record("s1", fresh, 1000.0 + number)
        assert seen is not None
        percents.append(seen.state.snapshot["percentual"])
    assert percents == sorted(percents)
    assert percents[-1] == 100.0


def test_the_longest_unasked_is_dropped_first() -> None:
    """A cache for two sessions drops the least recently requested one when a third is recorded."""
    last_seen = LastSeen(kept=2)
    for session_id in ("s1", "s2", "s1", "s3"):
        last_seen.record(session_id, state_of(3), 1000.0)
    assert last_seen.record("s1", None, 1001.0) is not None
    assert last_seen.record("s2", None, 1001.0) is None
    assert last_seen.record("s3", None, 1001.0) is not None
