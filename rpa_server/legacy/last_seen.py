"""LRU cache of the newest state of each requested session, with the time since which that state has been the newest.

The caller passes the time; this module uses neither stores nor sockets. While no store answers, the cached state is
returned. The cache also measures a robot's silence if the store can't tell when the session was last written: robots
write local times without a zone, so their times can't be compared with another machine's clock.

Invariants: the size is bounded; the returned position of a run never goes back; a session that was deleted from the
stores is forgotten once its robot has been silent for SILENCE_S.
"""

from collections import OrderedDict
from typing import NamedTuple

from ..progress.outcome import SILENCE_S
from ..progress.session_state import SessionState, advance

#: How many sessions are remembered: more than the deployed system has in a day.
_KEPT = 256


class Seen(NamedTuple):
    """A state, and when it was written or, if the store can't tell, first seen (seconds since 1970)."""

    state: SessionState
    since_s: float

    def silence_s(self, now_s: float) -> float:
        """Return how many seconds the robot has been silent at *now_s* (seconds since 1970)."""
        return max(0.0, now_s - self.since_s)


class LastSeen:
    """The last seen states of the sessions; the state of the least recently requested session is dropped first.

    Args:
        kept: how many sessions to remember.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._kept = kept

    def record(self, session_id: str, fresh: SessionState | None, now_s: float) -> Seen | None:
        """Record a store's answer; return the newest known state, None if there is none.

        Args:
            session_id: the session.
            fresh: the store's state; None if no store has the session or none answered. Then the last seen state is
                returned, if the robot has been silent for less than SILENCE_S.
            now_s: seconds since 1970.
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


def _written_s(state: SessionState, now_s: float) -> float:
    return now_s if state.written_s is None else min(state.written_s, now_s)
