"""What this process has seen of sessions that are asked for again and again, and since when nothing new.

Takes the time as a parameter; knows neither stores nor sockets. It stands in while no store answers, and tells how
long a robot has been silent where the store can't: robots write local times without a zone, so a clock on
another machine says nothing.

Invariants: bounded; what is answered of a run never goes back; what was deleted is forgotten once it is old.
"""

from collections import OrderedDict
from typing import NamedTuple

from ..progress.outcome import SILENCE_S
from ..progress.session_state import SessionState, advance

_KEPT = 256


class Seen(NamedTuple):
    """A state, and since when (seconds since 1970) it has been the newest."""

    state: SessionState
    since_s: float

    def silence_s(self, now_s: float) -> float:
        """Return for how long the robot has said nothing."""
        return max(0.0, now_s - self.since_s)


class LastSeen:
    """The last seen states, the longest unasked dropped first."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._kept = kept

    def record(self, session_id: str, fresh: SessionState | None, now_s: float) -> Seen | None:
        """Note what a store answered; return the newest that is known.

        Args:
            fresh: None where no store knows the session, or none could be asked; what was seen within the last
                SILENCE_S stands in.
        """
        seen = self._newest(self._seen.get(session_id), fresh, now_s)
        if seen is None:
            self._seen.pop(session_id, None)
            return None
        self._seen[session_id] = seen
        self._seen.move_to_end(session_id)
        while len(self._seen) > self._kept:
            self._seen.popitem(last=False)
        return seen

    @staticmethod
    def _newest(seen: Seen | None, fresh: SessionState | None, now_s: float) -> Seen | None:
        recent = seen is not None and seen.silence_s(now_s) < SILENCE_S
        if fresh is None or seen is None:
            return (seen if recent else None) if fresh is None else Seen(fresh, _written_s(fresh, now_s))
        newest = advance(seen.state, fresh) if recent or seen.state.epoch == fresh.epoch else fresh
        since_s = _written_s(fresh if fresh.cursor == newest.cursor else newest, now_s)
        return Seen(newest, min(since_s, seen.since_s) if newest.cursor == seen.state.cursor else since_s)


def _written_s(held: SessionState, now_s: float) -> float:
    return now_s if held.written_s is None else min(held.written_s, now_s)

