"""What is known of a session, and the further of two."""

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server import state, wirejson
from rpa_server.events import START, Cursor, Update, parse_cursor
from rpa_server.foreign import End
from rpa_server.run import Run
from rpa_server.standing import State, later

BEGAN = datetime(2026, 1, 15, 9, 30)


def make(steps: int, epoch: str = "aaaa", minute: int = 0) -> Run:
    """Return a run of ours with *steps* updates behind its first one."""
    made = Run("s1", epoch, BEGAN + timedelta(minutes=minute))
    made.start(BEGAN)
    for number in range(1, steps + 1):
        made.step(number % 15, f"Passo {number}", BEGAN + timedelta(seconds=number), {"passo": number})
    return made


def held(made: Run, kept: int | None = None) -> State:
    """Return what a store has of a run, with the last *kept* of its updates."""
    updates = list(made.updates)
    return State(made.epoch, made.seq, made.snapshot, updates if kept is None else updates[len(updates) - kept :])


def seqs(updates: list[Update] | None) -> list[int] | None:
    return None if updates is None else [update.seq for update in updates]


def assert_sound(found: State, marked: bool = False) -> None:
    """Check what every state promises; figures in a document with our mark are believed."""
    assert parse_cursor(str(found.cursor)) == found.cursor
    numbers = [update.seq for update in found.updates]
    assert numbers == list(range(found.seq - len(numbers) + 1, found.seq + 1))
    assert all(number > 0 for number in numbers)
    assert all(update.epoch == found.epoch for update in found.updates)
    view = found.view()
    assert wirejson.loads(wirejson.dumps(view)) is not None
    if not marked:
        assert 0 <= view["percentual"] <= (100 if view["final"] else 99)
        assert 0 <= view["etapa_atual"] <= view["total_etapas"]
    assert set(state.begin("s1", "", 15)) <= set(view)


# -- cursors


@settings(deadline=None)
@given(st.integers(0, 8), st.integers(0, 9), st.sampled_from(["", "aaaa", "bbbb"]), st.integers(0, 12))
def test_since_is_exactly_the_missing_suffix_or_nothing(steps: int, kept: int, epoch: str, seq: int) -> None:
    """Every update behind the cursor, each once, in order, or a plain no."""
    made = make(steps)
    found = held(made, min(kept, made.seq))
    cursor = START if epoch == "" else Cursor(epoch, seq)
    missing = list(range(cursor.seq + 1, found.seq + 1))
    known = set(seqs(found.updates) or [])
    provable = epoch in ("", "aaaa") and cursor.seq <= found.seq and known.issuperset(missing)
    assert seqs(found.since(cursor)) == (missing if provable else None)


def test_cursor_of_another_epoch_is_never_recovered() -> None:
    """Numbers of two runs have nothing to do with each other."""
    found = held(make(5))
    assert [found.since(Cursor("bbbb", seq)) for seq in range(8)] == [None] * 8


def test_cursor_ahead_of_what_is_known_is_never_recovered() -> None:
    """The store lost something, or the client made it up."""
    found = held(make(5))
    assert found.since(Cursor("aaaa", 6)) == []
    assert found.since(Cursor("aaaa", 7)) is None


def test_cursor_before_what_is_kept_is_never_recovered() -> None:
    """A hole is not passed over in silence."""
    found = held(make(5), 2)
    assert seqs(found.since(Cursor("aaaa", 4))) == [5, 6]
    assert found.since(Cursor("aaaa", 3)) is None
    assert found.since(START) is None


# -- two stores


def _state(steps: int, kept: int, run: tuple[str, int], sparse: bool) -> State:
    made = make(steps, *run)
    found = held(made, min(kept, made.seq))
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
def test_merging_two_stores_does_not_depend_on_their_order(one: State | None, other: State | None) -> None:
    """Every server comes to the same position, whichever store it asks first."""
    first, second = later(one, other), later(other, one)
    assert (first and first.cursor) == (second and second.cursor)


@settings(deadline=None)
@given(STATES, STATES)
def test_merging_two_stores_never_goes_back(one: State, other: State) -> None:
    """Within a run the further position wins, and its history is sound."""
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
def test_merging_leaves_both_states_as_they_were(one: State, other: State) -> None:
    """Stores keep what they answered."""
    before = [(each.seq, list(each.updates), dict(each.snapshot)) for each in (one, other)]
    later(one, other)
    assert before == [(each.seq, list(each.updates), dict(each.snapshot)) for each in (one, other)]


def test_histories_that_touch_are_joined() -> None:
    """Redis has the beginning, the files have the end."""
    whole = make(9)
    beginning = held(make(4))
    ending = held(whole, 5)
    found = later(beginning, ending)
    assert found is not None
    assert seqs(found.updates) == list(range(1, 11))


def test_merging_keeps_what_one_store_alone_knows() -> None:
    """The files know when they were written and how the run ended; Redis may be further."""
    ahead, behind = held(make(5)), held(make(3))
    behind.end, behind.written_s = End("success", "t", {}), 100.0
    found = later(ahead, behind)
    assert found is not None
    assert (found.seq, found.end, found.written_s) == (6, behind.end, 100.0)
