"""Every form of time that robots write, read and compared."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpa_server.progress import moments

BRASILIA = timezone(timedelta(hours=-3))
LOCAL = datetime(2025, 10, 9, 19, 19, 39)
NO_TIMES: list[object] = ["ontem", "", "12", 12, 0, -1.0, True, None, [], 10**400, float("nan"), float("inf")]
MOMENT = datetime(2025, 10, 9, 22, 19, 39, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2025-10-09T19:19:39", LOCAL),
        ("2025-10-09 19:19:39", LOCAL),
        (" 2025-10-09 19:19:39 ", LOCAL),
        ("2025-10-09T19:19:39.5", LOCAL + timedelta(seconds=0.5)),
        ("2025-10-09 19:19:39.123456", LOCAL + timedelta(microseconds=123456)),
        ("2025-10-09T22:19:39Z", MOMENT),
        ("2025-10-09T19:19:39-03:00", MOMENT),
        ("2025-10-09 19:19:39.000-0300", MOMENT),
        ("2025-10-09 19:19:39 -03:00", MOMENT),
        ("2025-10-10T00:19:39+02:00", MOMENT),
        (1760048379, MOMENT),
        (1760048379.25, MOMENT + timedelta(seconds=0.25)),
        (1760048379000, MOMENT),
        (1760048379000000, MOMENT),
        ("1760048379", MOMENT),
        ("1760048379.25", MOMENT + timedelta(seconds=0.25)),
        ("1760048379250", MOMENT + timedelta(seconds=0.25)),
        *[(value, None) for value in NO_TIMES],
    ],
)
def test_a10_every_form_of_time_is_read(value: object, moment: datetime | None) -> None:
    """A time is read whatever its form, with its zone if it has one; what is no time of a run is None."""
    found = moments.read(value)
    assert found == moment
    assert (found is None or found.tzinfo is None) == (moment is None or moment.tzinfo is None)


@pytest.mark.parametrize(
    ("since", "until", "seconds"),
    [
        ("2025-10-09T19:19:39.000001", "2025-10-09 19:19:40.000001", 1),
        ("2025-10-09T19:19:39-03:00", "2025-10-09T22:19:40Z", 1),
        ("2025-10-09T22:19:39Z", 1760048380, 1),
        ("2025-10-09T19:19:39", 1760048380, None),
        ("ontem", "2025-10-09T19:19:39", None),
    ],
)
def test_a10_times_of_one_clock_are_compared_in_any_form(since: object, until: object, seconds: float | None) -> None:
    """passed() is the time between two moments; None if one can't be read or if only one has a zone."""
    passed = moments.passed(since, until)
    assert (None if passed is None else passed.total_seconds()) == seconds
    assert moments.is_before(since, until) is (seconds is not None)
    assert not moments.is_before(until, since)


def test_a10_a_local_time_is_before_another_zones_only_if_it_is_in_every_zone() -> None:
    """A time without a zone and one with a zone are ordered only if they are over 14 hours apart."""
    assert not moments.is_before("2025-10-09T19:19:39", "2025-10-10T09:19:38Z")
    assert moments.is_before("2025-10-09T19:19:39", "2025-10-10T09:19:40Z")
    assert not moments.is_before("2025-10-09T19:19:39Z", "2025-10-10T09:19:38")
    assert moments.is_before("2025-10-09T19:19:39Z", "2025-10-10T09:19:40")


@given(st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1)), st.integers(-48, 56))
def test_a11_a_clocks_reading_shows_its_zone(moment: datetime, quarters: int) -> None:
    """local() finds every offset of whole quarters of an hour from what the robot's clock showed."""
    reading = moment + timedelta(minutes=15 * quarters, microseconds=400)
    found = moments.local(moment.replace(tzinfo=UTC), reading.isoformat(" "))
    assert found == moment + timedelta(minutes=15 * quarters)


@pytest.mark.parametrize("reading", [None, "ontem", "2025-10-09T19:10:00", "2025-10-12T22:19:39"])
def test_a11_a_reading_of_another_moment_shows_no_zone(reading: str | None) -> None:
    """Without a reading of that very moment, a moment keeps the zone that it has."""
    assert moments.local(MOMENT, reading) is MOMENT


def test_a11_a_reading_with_its_zone_gives_the_local_time() -> None:
    """A reading that names its zone is believed."""
    assert moments.local(MOMENT, MOMENT.astimezone(BRASILIA).isoformat()) == LOCAL


def test_a10_times_are_sorted_as_times() -> None:
    """rank() sorts by time, whatever the form, and what can't be read comes first."""
    ordered: list[object] = ["", "2025-10-09 19:19:38", "2025-10-09T19:19:39", "2025-10-09T19:19:39.5", 1760048379]
    shuffled = [ordered[at] for at in (3, 0, 4, 2, 1)]
    assert sorted(shuffled, key=moments.rank) == ordered
    assert moments.text(1760048379) == "2025-10-09T22:19:39+00:00"
    assert moments.text("ontem") == "ontem"
