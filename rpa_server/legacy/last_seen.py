"""LRU cache of the newest state of each session that is polled, and since when it has been the newest.

Takes the time as a parameter; knows neither stores nor sockets. It answers while no store does. It also measures a
robot's silence where the store can't tell when it last wrote: robots write local times without a zone, so another
machine's clock can't be compared with them.

Invariants: bounded; what is answered of a run never goes back; a session that was deleted is forgotten after SILENCE_S.
"""

from collections import OrderedDict
from typing import NamedTuple

from ..progress.outcome import SILENCE_S
from ..progress.session_state import SessionState, advance

#: Sessions that are remembered: more than the deployed system has in a day.
_KEPT = 256


class Seen(NamedTuple):
    """A state, and since when (seconds since 1970) it has been the newest."""

    state: SessionState
    since_s: float

    def silence_s(self, now_s: float) -> float:
        """Return how many seconds the robot has been silent."""
        return max(0.0, now_s - self.since_s)


class LastSeen:
    """The last seen states; the one that was asked for longest ago is dropped first.

    Args:
        kept: how many sessions are remembered.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._kept = kept

    def record(self, session_id: str, fresh: SessionState | None, now_s: float) -> Seen | None:
        """Record what a store answered; return the newest state that is known.

        Args:
            session_id: the session.
            fresh: None where no store knows the session, or none answered: then the state that was last seen is
                returned, if it is not older than SILENCE_S.
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
