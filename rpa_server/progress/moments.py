"""Reads and compares the times that robots write, in whatever form.

Pure. The known forms are ISO 8601 with ``T`` or a blank, with or without a fraction, with ``Z``, with an offset or
without a zone; and the seconds, milliseconds or microseconds since 1970, as a number or in digits. A time without a zone
is the robot's local time: it is compared with other such times, since one robot wrote them all. With a time that has a
zone it can't be compared, unless the two are further apart than zones are.
"""

from datetime import UTC, datetime, timedelta

#: What a number of seconds since 1970 must lie between to be the time of a run: the years 2000 and 2100.
_SINCE_S, _UNTIL_S = 946_684_800, 4_102_444_800
#: In which units such a number may be, as fractions of a second.
_UNITS = (1, 1000, 1_000_000)
#: A local time is ahead of UTC by no more than this (Kiribati), and behind it by less.
_WIDEST = timedelta(hours=14)
#: Offsets are multiples of this; a clock's two readings for one time differ from such a multiple by no more than that.
_OFFSET_STEP, _READING = timedelta(minutes=15), timedelta(seconds=5)


def read(value: object) -> datetime | None:
    """Return the time that *value* means, without a zone if it has none; None if it is not a time in a known form."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _since_1970(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        number = float(text)
    except ValueError:
        return _iso(text)
    return _since_1970(number) or _iso(text)


def _since_1970(number: float) -> datetime | None:
    for unit in _UNITS:
        if _SINCE_S * unit <= number < _UNTIL_S * unit:
            return datetime.fromtimestamp(number / unit, UTC)
    return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace(" ", "T", 1).replace(" ", ""))  # some write a blank before the offset
    except ValueError:
        return None


def text(value: object) -> str:
    """Return a time as ISO 8601 text, in UTC if it was a number; text that can't be read as it is."""
    moment = read(value)
    return str(value) if moment is None else moment.isoformat()


def passed(since: object, until: object) -> timedelta | None:
    """Return the time from *since* to *until*, None if one can't be read or only one of them has a zone."""
    first, last = read(since), read(until)
    if first is None or last is None or (first.tzinfo is None) != (last.tzinfo is None):
        return None
    return last - first


def is_before(one: object, other: object) -> bool:
    """Tell whether *one* is certainly before *other*: False if that can't be told."""
    first, last = read(one), read(other)
    if first is None or last is None:
        return False
    if (first.tzinfo is None) == (last.tzinfo is None):
        return first < last
    return _as_utc(first) + _WIDEST < _as_utc(last)


def rank(value: object) -> float:
    """Return a number by which times are sorted, those that can't be read first; local times count as UTC."""
    moment = read(value)
    return 0.0 if moment is None else _as_utc(moment).timestamp()


def local(moment: datetime, reading: object) -> datetime:
    """Return *moment*, which has a zone, in the robot's local time; as it is if *reading* does not show the zone.

    Args:
        reading: what the robot's local clock showed at *moment*, in any form; None if it did not write that.
    """
    shown = read(reading)
    if shown is None:
        return moment
    if shown.tzinfo is not None:
        return moment.astimezone(shown.tzinfo).replace(tzinfo=None)
    ahead = shown.replace(tzinfo=UTC) - moment
    offset = round(ahead / _OFFSET_STEP) * _OFFSET_STEP
    if abs(ahead - offset) > _READING or abs(offset) > _WIDEST:
        return moment  # the reading is of another moment
    return (moment.astimezone(UTC) + offset).replace(tzinfo=None)


def _as_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
