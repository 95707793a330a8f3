"""Delays, the circuit breaker and the jitter; the tests pass times and random numbers to them."""

from hypothesis import given
from hypothesis import strategies as st

from rpa_server.backoff import Breaker, EvenJitter, delay

RANDOM = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10_000), RANDOM)
def test_a_delay_lies_in_the_upper_half_below_its_ceiling(attempt: int, random: float) -> None:
    """A delay is between half its ceiling and the ceiling, which doubles at each attempt up to the cap."""
    ceiling = min(60.0, 0.5 * 2.0 ** min(attempt - 1, 100))
    assert ceiling / 2 <= delay(attempt, 0.5, 60.0, random) <= ceiling


@given(st.integers(1, 100), RANDOM)
def test_a_later_attempt_never_waits_less_for_the_same_luck(attempt: int, random: float) -> None:
    """With the same random number the delay of a later attempt is never shorter."""
    assert delay(attempt, 0.5, 60.0, random) <= delay(attempt + 1, 0.5, 60.0, random)


def test_clients_at_the_cap_are_still_spread() -> None:
    """The jitter is applied after the cap, so the clients that wait longest do not return together."""
    waits = {delay(50, 0.5, 10.0, number / 100) for number in range(100)}
    assert len(waits) == 100
    assert min(waits) == 5.0
    assert max(waits) < 10.0


def test_a_new_breaker_lets_calls_through() -> None:
    """A breaker is closed and lets every call through until the first failure."""
    breaker = Breaker(0.5, 5.0)
    assert breaker.closed
    assert breaker.allows(0.0)


def test_a_failing_peer_is_left_alone_until_the_pause_is_over() -> None:
    """After a failure the breaker lets no call through until the pause is over."""
    breaker = Breaker(base_s=1.0, cap_s=8.0)
    breaker.failed(100.0, 0.0)
    assert not breaker.closed
    assert not breaker.allows(100.4)
    assert breaker.allows(100.5)


def test_pauses_grow_to_the_cap() -> None:
    """Each failure doubles the pause until the cap, here with the least jitter, which halves every pause."""
    breaker = Breaker(base_s=1.0, cap_s=8.0)
    now_s, pauses = 0.0, []
    for _ in range(10):
        breaker.failed(now_s, 0.0)
        pause = next(tenths / 10 for tenths in range(1, 100) if breaker.allows(now_s + tenths / 10))
        pauses.append(pause)
        now_s += pause
    assert pauses == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]


def test_an_answer_closes_the_breaker_and_forgets_the_failures() -> None:
    """After a success every call is let through, and the next failure leads to the first pause again."""
    breaker = Breaker(base_s=1.0, cap_s=8.0)
    for _ in range(5):
        breaker.failed(0.0, 0.0)
    breaker.succeeded()
    assert breaker.closed
    assert breaker.allows(0.0)
    breaker.failed(0.0, 0.0)
    assert breaker.allows(0.5)


@given(RANDOM, st.integers(1, 2000), st.floats(0, 0.8))
def test_draws_are_spread_evenly(start: float, count: int, edge: float) -> None:
    """However few numbers are drawn, any fifth of the range gets a fifth of them, give or take three."""
    jitter = EvenJitter(start)
    drawn = [jitter.next() for _ in range(count)]
    assert all(0 <= lot < 1 for lot in drawn)
    within = sum(edge <= lot < edge + 0.2 for lot in drawn)
    assert abs(within - count / 5) <= 3
