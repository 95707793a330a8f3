"""The state of a session: what follows a cursor, merging two stores, and reading it again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server.progress.deployed import End
from rpa_server.progress.documents import from_progress
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState, advance, later
from rpa_server.progress.update import START, Cursor
from tests.support.states import BEGAN, assert_sound, make, seqs


def state_of(made: Run, kept: int | None = None) -> SessionState:
    """Return the state of a store that has the last *kept* updates of a run; all of them for None."""
    updates = list(made.updates)
    return SessionState(made.epoch, made.seq, made.snapshot, updates if kept is None else updates[len(updates) - kept :])


# -- cursors


@settings(deadline=None)
@given(st.integers(0, 8), st.integers(0, 9), st.sampled_from(["", "aaaa", "bbbb"]), st.integers(0, 12))
def test_since_is_exactly_the_missing_suffix_or_nothing(steps: int, kept: int, epoch: str, seq: int) -> None:
    """The result is every update after the cursor, each once, in order, or None."""
    made = make(steps)
    found = state_of(made, min(kept, made.seq))
    cursor = START if epoch == "" else Cursor(epoch, seq)
    missing = list(range(cursor.seq + 1, found.seq + 1))
    known = set(seqs(found.updates) or [])
    provable = epoch in ("", "aaaa") and cursor.seq <= found.seq and known.issuperset(missing)
    assert seqs(found.since(cursor)) == (missing if provable else None)


def test_cursor_of_another_epoch_is_never_recovered() -> None:
    """The numbers of two runs can't be compared."""
    found = state_of(make(5))
    assert [found.since(Cursor("bbbb", seq)) for seq in range(8)] == [None] * 8


def test_cursor_ahead_of_what_is_known_is_never_recovered() -> None:
    """Either the store lost something, or the client made the cursor up."""
    found = state_of(make(5))
    assert found.since(Cursor("aaaa", 6)) == []
    assert found.since(Cursor("aaaa", 7)) is None


def test_cursor_before_what_is_kept_is_never_recovered() -> None:
    """A client must not miss updates without knowing it."""
    found = state_of(make(5), 2)
    assert seqs(found.since(Cursor("aaaa", 4))) == [5, 6]
    assert found.since(Cursor("aaaa", 3)) is None
    assert found.since(START) is None


# -- two stores


def _state(steps: int, kept: int, run: tuple[str, int], sparse: bool) -> SessionState:
    made = make(steps, *run)
    found = state_of(made, min(kept, made.seq))
    found.sparse = sparse and run[0] == "cccc"
    return found


STATES = st.builds(
    _state,
    st.integers(0, 6),
    st.integers(0, 7),
    st.sampled_from([("aaaa", 0), ("bbbb", 1), ("cccc", 1)]),
    st.booleans(),
)


@settings(deadline=None)
@given(STATES | st.none(), STATES | st.none())
def test_merging_two_stores_does_not_depend_on_their_order(one: SessionState | None, other: SessionState | None) -> None:
    """Every server gets the same position, whichever store it reads first."""
    first, second = later(one, other), later(other, one)
    assert (first and first.cursor) == (second and second.cursor)


@settings(deadline=None)
@given(STATES, STATES)
def test_merging_two_stores_never_goes_back(one: SessionState, other: SessionState) -> None:
    """Within a run the further position wins, and its history is contiguous."""
    found = later(one, other)
    assert found is not None
    if one.epoch == other.epoch:
        assert found.seq == max(one.seq, other.seq)
        assert found.snapshot == max(one, other, key=lambda each: each.seq).snapshot
        assert len(found.updates) >= len(max(one, other, key=lambda each: each.seq).updates)
    else:
        assert found.started == max(one.started, other.started)
    assert_sound(found)


@settings(deadline=None)
@given(STATES, STATES)
def test_merging_leaves_both_states_as_they_were(one: SessionState, other: SessionState) -> None:
    """The stores keep the states that they returned."""
    before = [(each.seq, list(each.updates), dict(each.snapshot)) for each in (one, other)]
    later(one, other)
    assert before == [(each.seq, list(each.updates), dict(each.snapshot)) for each in (one, other)]


def test_histories_that_touch_are_joined() -> None:
    """One store has the beginning of the run, the other the end."""
    whole = make(9)
    beginning = state_of(make(4))
    ending = state_of(whole, 5)
    found = later(beginning, ending)
    assert found is not None
    assert seqs(found.updates) == list(range(1, 11))


def test_merging_keeps_what_one_store_alone_knows() -> None:
    """Only files have a time of writing and a result document; Redis may be at a further position."""
    ahead, behind = state_of(make(5)), state_of(make(3))
    behind.end, behind.written_s = End("success", "t", {}), 100.0
    found = later(ahead, behind)
    assert found is not None
    assert (found.seq, found.end, found.written_s) == (6, behind.end, 100.0)


# -- combining the known state with a fresh one


def left(step: int, written_s: float | None, minute: int = 0, **changes: object) -> SessionState:
    """Return the state of a robot that keeps no history."""
    at = (BEGAN + timedelta(minutes=minute, seconds=step)).isoformat()
    document = {
        "etapa_atual": step, "total_etapas": 15, "percentual": step / 15 * 100, "status": "executando",
        "mensagem": f"Tela {step} concluída", "timestamp_inicio": (BEGAN + timedelta(minutes=minute)).isoformat(),
        "timestamp_atualizacao": at, "dados_extra": {}, "erros": [], **changes,
    }  # fmt: skip
    return replace(from_progress("s1", document), written_s=written_s)


def test_a_program_that_only_looked_does_not_hide_the_robot() -> None:
    """The deployed class begins "a new run" for a program that only reads; the robot continues the old one."""
    known = advance(left(7, 10.0), left(0, 20.0, minute=5))
    assert (known.started, known.snapshot["etapa_atual"]) == ((BEGAN + timedelta(minutes=5)).isoformat(), 0)
    known = advance(known, left(8, 30.0))
    assert (known.started, known.snapshot["etapa_atual"]) == (BEGAN.isoformat(), 8)
    assert advance(known, left(0, 20.0, minute=5)) is known


def test_what_was_seen_of_a_run_stays_seen() -> None:
    """Step 0 after a caught exception, or "executando" after the end, takes nothing back; each counts as an update."""
    known = advance(left(10, 10.0), left(0, 11.0, timestamp_atualizacao=(BEGAN + timedelta(seconds=11)).isoformat()))
    assert (known.snapshot["etapa_atual"], round(known.snapshot["percentual"])) == (10, 67)
    assert known.updates[0].data["etapa"] == 10
    known = advance(known, left(15, 15.0, status="error", percentual=100))
    later_s = (BEGAN + timedelta(seconds=20)).isoformat()
    known = advance(known, left(15, 20.0, mensagem="Tela 15 falhou", timestamp_atualizacao=later_s))
    assert known.snapshot["final"]
    assert known.updates[0].final
    assert_sound(known)


@pytest.mark.parametrize("second", [5, 3], ids=["stands", "goes back"])
def test_a_change_that_the_robots_clock_does_not_tell_is_an_update(second: int) -> None:
    """The deployed add_error does not change the time, and clocks may be set back."""
    known, at = left(5, 10.0), (BEGAN + timedelta(seconds=second)).isoformat()
    fresh = left(5, 11.0, timestamp_atualizacao=at, erros=[{"erro": "Placa recusada"}])
    advanced = advance(known, fresh)
    assert advanced.snapshot["erros"] == [{"erro": "Placa recusada"}]
    assert advanced.seq == known.seq + 1
    assert advance(advanced, fresh) is advanced
    assert advance(advanced, known) is advanced


@pytest.mark.parametrize("written_s", [None, 11.0])
def test_what_is_read_again_is_nothing_new(written_s: float | None) -> None:
    """This holds although Redis may report the time of writing a millisecond later than before."""
    known = left(5, written_s and 10.0)
    assert advance(known, left(5, written_s)) is known


def test_of_runs_of_ours_the_later_one_stays_whatever_was_written_last() -> None:
    """After Redis was emptied an old file may be found."""
    known, old = state_of(make(3, minute=5)), replace(state_of(make(9, "bbbb")), written_s=99.0)
    assert advance(replace(known, written_s=10.0), old).epoch == "aaaa"
    assert advance(state_of(make(2)), state_of(make(3))).seq == 4
