"""LRU cache of the newest state of each requested session, with the time since which that state has been the newest.

The caller passes the time; this module uses neither stores nor sockets. While no store answers, the cached state is
returned. The cache also measures a robot's silence if the store can't tell when the session was last written.

Of a run's history only a digest is kept, so that a page which asks every second makes us read only what is new; and the
answers that were made of it, until something changes.

Invariants: the size is bounded; the returned position of a run never goes back; a session that was deleted from the
stores is forgotten once its robot has been silent for SILENCE_S.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..progress.outcome import SILENCE_S, Estado
from ..progress.session_state import SessionState, advance
from ..progress.update import Cursor
from .digest import Digest
from .progress_answer import RunView, look

#: How many sessions are remembered: more than the deployed system has in a day.
_KEPT = 256


@dataclass(slots=True)
class Seen:
    """What is remembered of a session.

    Attributes:
        state: without updates.
        since_s: when it was written or, if the store can't tell, first seen (seconds since 1970).
        history: of the state's run, up to the state.
    """

    state: SessionState
    since_s: float
    history: Digest
    _answers: dict[str, tuple[Estado, bytes]] = field(default_factory=dict)

    def silence_s(self, now_s: float) -> float:
        """Return how many seconds the robot has been silent at *now_s* (seconds since 1970)."""
        return max(0.0, now_s - self.since_s)

    def run(self, now_s: float) -> RunView:
        """Return the run as answers show it at *now_s* (seconds since 1970)."""
        return look(self.state, self.silence_s(now_s), self.history)

    def answer(self, kind: str, run: RunView, make: Callable[[RunView], bytes]) -> bytes:
        """Return what *make* made of the run when it was last asked for, as long as that is the same.

        Args:
            kind: names the kind of answer.
            run: what run() returned.
        """
        kept = self._answers.get(kind)
        if kept is None or kept[0] != run.estado:
            kept = self._answers[kind] = (run.estado, make(run))
        return kept[1]


class LastSeen:
    """The last seen states of the sessions; the state of the least recently requested session is dropped first.

    Args:
        kept: how many sessions to remember.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._kept = kept

    def position(self, session_id: str) -> Cursor:
        """Return the run and the number of its last update that are known of a session; ``seq`` 0 if nothing is."""
        seen = self._seen.get(session_id)
        return Cursor("", 0) if seen is None else Cursor(seen.state.epoch, seen.history.seq)

    def record(self, session_id: str, fresh: SessionState | None, now_s: float) -> Seen | None:
        """Record a store's answer; return the newest known state, None if there is none.

        Args:
            session_id: the session.
            fresh: the store's state, with the updates that position() lacks; None if no store has the session or none
                answered. Then the last seen state is returned, if the robot has been silent for less than SILENCE_S.
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
        if fresh is None:
            return seen if recent else None
        if seen is None:
            return Seen(replace(fresh, updates=[]), _written_s(fresh, now_s), Digest.of(fresh))
        newest = advance(seen.state, fresh) if recent or seen.state.epoch == fresh.epoch else fresh
        since_s = _written_s(fresh if fresh.cursor == newest.cursor else newest, now_s)
        if newest.cursor == seen.state.cursor:
            seen.since_s = min(since_s, seen.since_s)
            if newest is seen.state:
                return seen
        return Seen(replace(newest, updates=[]), since_s, _continued(seen, newest, fresh))


def _continued(seen: Seen, newest: SessionState, fresh: SessionState) -> Digest:
    """Return the history up to *newest*: that of *seen* and what *fresh* adds to it, or else that of *fresh* alone."""
    known = seen.history
    if not newest.own or newest.epoch != seen.state.epoch:
        return Digest.of(fresh)
    added = fresh.since(Cursor(fresh.epoch, known.seq)) if known.seq else None
    if added is None:
        return Digest.of(fresh)
    for update in added:
        known.add(update)
    return known


def _written_s(state: SessionState, now_s: float) -> float:
    return now_s if state.written_s is None else min(state.written_s - state.ahead_s, now_s)
