"""The known state of one session: its snapshot, its position, and how an update or a read changes them.

Pure: no clock, no socket. offer() takes a message by its first bytes alone, so anybody who can publish can make one pass
for the next update. It is found out when it can't be folded, or when the real one of its number arrives. Then the state
is in doubt, and the next read of the run replaces it.

Invariants: the position never goes back within a run that is not in doubt; the kept updates are contiguous and end at the
position; only adopt() and _append() change the position, and both renew what is derived from it (_next_head, _welcome).
"""

from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from ..errors import BadDocument
from ..progress.session_state import SessionState, advance, joined
from ..progress.snapshot import NO_AGES, damage_of, entry_of, reduce
from ..progress.update import HISTORY, START, Cursor, Update, heads, is_whole
from .wire.welcome import Welcome

#: For how many seconds joining clients share one Welcome; no longer, because its ages grow while nothing is written,
#: and its ``estado`` depends on the robot's silence.
FRESH_S = 0.5
#: A list of updates is cut down to HISTORY only when it reaches this length, so that cutting is rare.
_MOST = HISTORY + 64


#: How many of the last unnumbered steps are remembered, to recognise them in a snapshot.
_STEPS = 16


class Verdict(Enum):
    """How an update relates to the current position."""

    NEXT = "the next one: deliver it"
    UNNUMBERED = "of a writer that does not number: deliver it"
    SEEN = "known already: drop it"
    AHEAD = "of another run or behind a gap: read the store"
    DAMAGED = "the next one by its first bytes alone: drop it, read the store"


class Change(NamedTuple):
    """The effect of adopting a stored state.

    Attributes:
        missed: the updates that clients lack; None if that can't be determined, so that they must be reset.
    """

    missed: list[Update] | None


class Timeline:
    """The newest state of one session that this process has read or received.

    Args:
        session_id: a checked session id.
        heartbeat_ms: included in every Welcome.
    """

    __slots__ = (
        *("_damage", "_doubtful", "_folded", "_heads", "_heartbeat_ms", "_next_head", "_session_id"),
        *("_state", "_steps", "_welcome", "_welcome_until_s"),
    )

    def __init__(self, session_id: str, heartbeat_ms: int) -> None:
        self._session_id = session_id
        self._heartbeat_ms = heartbeat_ms
        self._state: SessionState | None = None
        self._folded = 0  # ``seq`` of the last update folded into the snapshot
        self._damage: BadDocument | None = None  # why something that passed for an update is none
        self._doubtful = False  # an update that was taken is none of the run's: until adopt() replaced the state
        self._steps: tuple[tuple[object, object], ...] = ()  # of the last unnumbered updates, see _step()
        self._heads = b""  # template of the heads of this run's updates, see update.heads()
        self._next_head: bytes | None = None  # first bytes of the next update; None after a read, until accept() took one
        self._welcome: Welcome | None = None  # shared by clients that join before _welcome_until_s
        self._welcome_until_s = 0.0

    # -- reading the state

    @property
    def state(self) -> SessionState | None:
        """The state, with the snapshot folded up to the position; None while nothing is known."""
        self._fold()
        return self._state

    @property
    def cursor(self) -> Cursor | None:
        """The current position, None while nothing is known."""
        return None if self._state is None else self._state.cursor

    @property
    def numbered(self) -> bool:
        """True if our tracker or server numbers the run, so that a missing update would show as a gap."""
        return self._state is not None and self._state.own

    @property
    def final(self) -> bool:
        """True once the run has ended."""
        state = self._state
        if state is None:
            return False
        return bool(state.updates[-1].final if state.seq > self._folded else state.snapshot["final"])

    def take_damage(self) -> BadDocument | None:
        """Return, once, why something that passed for an update is none: the caller must re-read the store; else None."""
        damage, self._damage = self._damage, None
        return damage

    def since(self, cursor: Cursor) -> list[Update] | None:
        """Return the updates after *cursor*, each once, in order; None if that can't be determined."""
        return None if self._state is None else self._state.since(cursor)

    def lacks(self, cursor: Cursor) -> bool:
        """Tell whether the updates after *cursor* are missing here, but may be stored."""
        state = self._state
        if state is None or state.sparse or cursor.epoch not in ("", state.epoch):
            return False
        return 0 < state.seq - cursor.seq <= _MOST and state.since(cursor) is None

    def shared_welcome(self, now_s: float) -> Welcome | None:
        """Return the Welcome that clients share at *now_s* (steady seconds), None if a new one must be made."""
        return self._welcome if now_s <= self._welcome_until_s else None

    def welcome(self, cursor: Cursor | None, now_s: float, wall_s: float, shared: bool = False) -> Welcome:
        """Return the content of a client's first message.

        Args:
            cursor: the client's own, if since() returned what follows it; None for the whole state.
            now_s: steady seconds.
            wall_s: seconds since 1970.
            shared: True to keep the result for the other clients that join within FRESH_S.
        """
        state = self._state
        if cursor is not None and state is not None:
            at = Cursor(state.epoch, cursor.seq)  # a cursor without an epoch means "from the beginning"
            return Welcome(self._session_id, self._heartbeat_ms, at, None, state.ages(wall_s), recovered=True)
        if (known := self.shared_welcome(now_s)) is not None:
            return known
        state = self.state
        view = None if state is None else state.view(wall_s)
        ages = NO_AGES if state is None else state.ages(wall_s)
        made = Welcome(self._session_id, self._heartbeat_ms, self.cursor, view, ages)
        self._welcome, self._welcome_until_s = made if shared else None, now_s + FRESH_S
        return made

    # -- changing the state

    def offer(self, raw: bytes, wall_s: float) -> Update | None:
        """Fast path: accept a raw message if it is exactly the next update; None leaves it to accept().

        Args:
            wall_s: when it arrived, seconds since 1970.
        """
        state = self._state
        if self._next_head is None or state is None or not raw.startswith(self._next_head) or not is_whole(raw):
            return None
        update = Update(raw, state.epoch, state.seq + 1, False)
        self._append(state, update, wall_s)
        return update

    def accept(self, update: Update, wall_s: float) -> Verdict:
        """Accept an update if it is the next one, and return how it relates to the position; *wall_s* as in offer()."""
        state = self._state
        if update.epoch is None:
            self._steps = (*self._steps[1 - _STEPS :], _step(update))
            return Verdict.UNNUMBERED
        if state is None or update.epoch != state.epoch or update.seq > state.seq + 1:
            return Verdict.AHEAD
        if update.seq <= state.seq:
            self._compare(state, update)
            return Verdict.SEEN
        if (damage := damage_of(update)) is not None:
            self._damage = damage
            return Verdict.DAMAGED
        self._append(state, update, wall_s)
        return Verdict.NEXT

    def follows(self, update: Update) -> bool:
        """Tell whether *update* is the next one, without accepting it."""
        state = self._state
        return state is not None and update.epoch == state.epoch and update.seq == state.seq + 1

    def adopt(self, fresh: SessionState | None) -> Change | None:
        """Adopt a stored state if it is ahead of what is known, or that is in doubt; return None if neither is true."""
        self._fold()  # shows whether the state is in doubt
        known = self._state
        replaced = self._doubtful and known is not None and fresh is not None and fresh.epoch == known.epoch
        if fresh is not None and known is not None and not replaced:
            self._extend(known, fresh)
            fresh = advance(known, fresh)
        if fresh is None or fresh is known:
            return None
        missed = None if replaced else fresh.since(START if known is None else known.cursor)
        if fresh.sparse and (known is None or known.epoch == fresh.epoch):
            # A robot that writes snapshots may publish the same steps as well, and go on while its snapshot is read;
            # pages get each step once.
            missed = [update for update in fresh.updates if _step(update) not in self._steps]
        self._state = replace(fresh, updates=fresh.updates[-HISTORY:])
        self._folded = fresh.seq
        self._doubtful = False
        self._next_head = None
        self._welcome = None
        return Change(missed)

    @staticmethod
    def _extend(known: SessionState, fresh: SessionState) -> None:
        """Keep the updates of a stored state that is not ahead, if they reach further back than those kept here."""
        if fresh.epoch == known.epoch and fresh.seq <= known.seq and len(known.updates) >= known.seq - fresh.seq:
            known.updates = joined(fresh, known)

    def _append(self, state: SessionState, update: Update, wall_s: float) -> None:
        state.seq = update.seq
        state.written_s = wall_s + state.ahead_s  # it was written a moment before it arrived
        state.updates.append(update)
        if self._next_head is None:  # made only now: most sessions that are read never get an update
            self._heads = heads(state.epoch)
        self._next_head = self._heads % (update.seq + 1)
        self._welcome = None
        if len(state.updates) >= _MOST:
            self._fold()  # before the oldest updates are dropped
            del state.updates[:-HISTORY]

    def _fold(self) -> None:
        """Fold the updates since the last fold into the snapshot; called when that is needed, not for each update."""
        state = self._state
        if state is None or state.seq == self._folded:
            return
        pending, self._folded = state.updates[self._folded - state.seq :], state.seq
        for update in pending:
            try:
                state.snapshot = reduce(state.snapshot, entry_of(update.data))
            except BadDocument as error:
                self._doubt(error)

    def _compare(self, state: SessionState, update: Update) -> None:
        """Doubt the state if it has another update than *update* under its number."""
        kept = state.updates[update.seq - state.seq - 1 :][:1] if state.seq - update.seq < len(state.updates) else ()
        if any(known.raw != update.raw for known in kept):
            self._doubt(BadDocument(f"There are two updates {update.cursor}."))

    def _doubt(self, reason: BadDocument) -> None:
        self._damage, self._doubtful = reason, True


def _step(update: Update) -> tuple[object, object]:
    """Return ``etapa`` and text of an update, which identify the step of an unnumbered one."""
    data = update.data
    return data.get("etapa"), data.get("mensagem")


def keep(updates: list[Update], update: Update) -> None:
    """Append *update* and keep the length near HISTORY; a list, since an empty deque takes ten times the memory."""
    updates.append(update)
    if len(updates) >= _MOST:
        del updates[:-HISTORY]
