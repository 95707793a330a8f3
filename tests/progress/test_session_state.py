"""SessionState: the updates after a cursor, merging the states of two stores, and advancing to a fresh read."""

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
    """Return the state in a store that has the run's last *kept* updates; None for all of them."""
    updates = list(made.updates)
    updates = updates if kept is None else updates[len(updates) - kept :]
    return SessionState(made.epoch, made.seq, made.snapshot, updates, began=made.began, stepped=made.stepped)


# -- cursors


@settings(deadline=None)
@given(st.integers(0, 8), st.integers(0, 9), st.sampled_from(["", "aaaa", "bbbb"]), st.integers(0, 12))
def test_since_is_exactly_the_missing_suffix_or_nothing(steps: int, kept: int, epoch: str, seq: int) -> None:
    """since() returns every update after the cursor, once and in order, or None if that can't be proved."""
    made = make(steps)
    found = state_of(made, min(kept, made.seq))
    cursor = START if epoch == "" else Cursor(epoch, seq)
    missing = list(range(cursor.seq + 1, found.seq + 1))
    known = set(seqs(found.updates) or [])
    provable = epoch in ("", "aaaa") and cursor.seq <= found.seq and known.issuperset(missing)
    assert seqs(found.since(cursor)) == (missing if provable else None)


def test_cursor_of_another_epoch_is_never_recovered() -> None:
    """since() returns None for a cursor of another run, since the numbers of two runs can't be compared."""
    found = state_of(make(5))
    assert [found.since(Cursor("bbbb", seq)) for seq in range(8)] == [None] * 8


def test_cursor_ahead_of_what_is_known_is_never_recovered() -> None:
    """since() returns None for a cursor ahead of the state: the store lost updates, or the client made it up."""
    found = state_of(make(5))
    assert found.since(Cursor("aaaa", 6)) == []
    assert found.since(Cursor("aaaa", 7)) is None


def test_cursor_before_what_is_kept_is_never_recovered() -> None:
    """since() returns None if an update after the cursor is not kept, so that no client misses one silently."""
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
    """later() gives the same position whichever of the two stores is read first."""
    first, second = later(one, other), later(other, one)
    assert (first and first.cursor) == (second and second.cursor)


@settings(deadline=None)
@given(STATES, STATES)
def test_merging_two_stores_never_goes_back(one: SessionState, other: SessionState) -> None:
    """Of two states of a run the further position wins, with a contiguous history; of two runs the later one."""
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
    """later() modifies neither of the two states that it is given."""
    before = [(each.seq, list(each.updates), dict(each.snapshot)) for each in (one, other)]
    later(one, other)
    assert before == [(each.seq, list(each.updates), dict(each.snapshot)) for each in (one, other)]


def test_histories_that_touch_are_joined() -> None:
    """If one store has the beginning of a run and the other the end, the merged state has the whole history."""
    whole = make(9)
    beginning = state_of(make(4))
    ending = state_of(whole, 5)
    found = later(beginning, ending)
    assert found is not None
    assert seqs(found.updates) == list(range(1, 11))


def test_merging_keeps_what_one_store_alone_knows() -> None:
    """The merged state keeps an end and a time of writing that only the state at the lower position has."""
    ahead, behind = state_of(make(5)), state_of(make(3))
    behind.end, behind.written_s = End("success", "t", {}), 100.0
    found = later(ahead, behind)
    assert found is not None
    assert (found.seq, found.end, found.written_s) == (6, behind.end, 100.0)


# -- combining the known state with a fresh one


def left(step: int, written_s: float | None, minute: int = 0, **changes: object) -> SessionState:
    """Return a state from a deployed robot's snapshot, *step* seconds into a run that began at minute *minute*."""
    at = (BEGAN + timedelta(minutes=minute, seconds=step)).isoformat()
    document = {
        "etapa_atual": step, "total_etapas": 15, "percentual": step / 15 * 100, "status": "executando",
        "mensagem": f"Tela {step} concluída", "timestamp_inicio": (BEGAN + timedelta(minutes=minute)).isoformat(),
        "timestamp_atualizacao": at, "dados_extra": {}, "erros": [], **changes,
    }  # fmt: skip
    return replace(from_progress("s1", document), written_s=written_s)


def test_a_program_that_only_looked_does_not_hide_the_robot() -> None:
    """When the robot writes again its run is current, though a program that only read the session began a newer one."""
    known = advance(left(7, 10.0), left(0, 20.0, minute=5))
    assert (known.started, known.snapshot["etapa_atual"]) == ((BEGAN + timedelta(minutes=5)).isoformat(), 0)
    known = advance(known, left(8, 30.0))
    assert (known.started, known.snapshot["etapa_atual"]) == (BEGAN.isoformat(), 8)
    assert advance(known, left(0, 20.0, minute=5)) is known


def test_what_was_seen_of_a_run_stays_seen() -> None:
    """Step 0 after a caught exception, or "executando" after the end, takes nothing back, in snapshot or update."""
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
    """A changed snapshot is an update even if its time stays, as after the deployed add_error, or goes back."""
    known, at = left(5, 10.0), (BEGAN + timedelta(seconds=second)).isoformat()
    fresh = left(5, 11.0, timestamp_atualizacao=at, erros=[{"erro": "Placa recusada"}])
    advanced = advance(known, fresh)
    assert advanced.snapshot["erros"] == [{"erro": "Placa recusada"}]
    assert advanced.seq == known.seq + 1
    assert advance(advanced, fresh) is advanced
    assert advance(advanced, known) is advanced


@pytest.mark.parametrize("written_s", [None, 11.0])
def test_what_is_read_again_is_nothing_new(written_s: float | None) -> None:
    """A snapshot with the same content is nothing new, even if the store now reports a later time of writing."""
    known = left(5, written_s and 10.0)
    assert advance(known, left(5, written_s)) is known


def test_of_runs_of_ours_the_later_one_stays_whatever_was_written_last() -> None:
    """Of two runs of our tracker the one that began later stays, even if the other's file was written later."""
    known, old = state_of(make(3, minute=5)), replace(state_of(make(9, "bbbb")), written_s=99.0)
    assert advance(replace(known, written_s=10.0), old).epoch == "aaaa"
    assert advance(state_of(make(2)), state_of(make(3))).seq == 4
