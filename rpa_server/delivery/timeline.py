"""What is known of one session: its state, the position, and what an update or a read does to them.

Pure: no clock, no socket. Updates are parsed only to be folded or to name an unnumbered step.

Invariants: the position never goes back within a run; the updates that are kept are contiguous and end at the position;
whatever was derived from the position is dropped by _moved(), the only function that touches it.
"""

from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from ..errors import BadDocument
from ..progress.session_state import SessionState, advance
from ..progress.shapes import View
from ..progress.snapshot import entry_of, reduce
from ..progress.update import HISTORY, START, Cursor, Update, head, is_whole
from .wire.welcome import Welcome

#: How long a Welcome serves others, too: the robot's silence, which it tells of, grows while nothing is written.
FRESH_S = 0.5
#: A list of updates is cut to HISTORY when it has grown to this, so that cutting is rare.
_MOST = HISTORY + 64


class Verdict(Enum):
    """What an update is, seen from the position."""

    NEXT = "the next one: deliver it"
    UNNUMBERED = "of a writer that does not number: deliver it"
    SEEN = "known already: drop it"
    AHEAD = "of another run or behind a gap: read the store"


class Change(NamedTuple):
    """What a read brought.

    Attributes:
        missed: the updates that clients lack; None where that can't be proven, so that they must be reset.
    """

    missed: list[Update] | None


class Timeline:
    """The state of one session as far as this process knows it.

    Args:
        session_id: a checked session id.
        heartbeat_ms: goes into every Welcome.
    """

    __slots__ = (
        *("_damage", "_folded", "_heartbeat_ms", "_last_step", "_next_head", "_session_id", "_state"),
        *("_welcome", "_welcome_until_s"),
    )

    def __init__(self, session_id: str, heartbeat_ms: int) -> None:
        self._session_id = session_id
        self._heartbeat_ms = heartbeat_ms
        self._state: SessionState | None = None
        self._folded = 0  # the last update that the state's snapshot contains
        self._damage: Exception | None = None  # why an update could not be folded
        self._last_step: tuple[object, object] | None = None  # the last step that came without a number
        self._next_head: bytes | None = None  # how the update begins that must come next
        self._welcome: Welcome | None = None  # shared by clients that join now
        self._welcome_until_s = 0.0

    # -- what is known

    @property
    def state(self) -> SessionState | None:
        """The state with its snapshot folded up to the position, None while nothing is known."""
        self._fold()
        return self._state

    @property
    def cursor(self) -> Cursor | None:
        """The position, None while nothing is known."""
        return None if self._state is None else self._state.cursor

    @property
    def numbered(self) -> bool:
        """True where our tracker numbers the run, so that a gap in it would show."""
        return self._state is not None and self._state.own

    @property
    def final(self) -> bool:
        """True once the run has ended."""
        state = self._state
        if state is None:
            return False
        return bool(state.updates[-1].final if state.seq > self._folded else state.snapshot["final"])

    def take_damage(self) -> Exception | None:
        """Return, once, why an update that began like one of ours could not be folded: the store must be read again."""
        damage, self._damage = self._damage, None
        return damage

    def since(self, cursor: Cursor) -> list[Update] | None:
        """Return the updates behind *cursor*, each once, in order; None where that can't be proven."""
        return None if self._state is None else self._state.since(cursor)

    def view(self, wall_s: float) -> View | None:
        """Return the snapshot as pages get it at *wall_s* (seconds since 1970), None while nothing is known."""
        state = self.state
        return None if state is None else state.view(state.silence_s(wall_s))

    def welcome(self, cursor: Cursor | None, now_s: float, wall_s: float, shared: bool = False) -> Welcome:
        """Return a client's first message.

        Args:
            cursor: the client's own, where since() can tell what follows on it; else None, for the whole state.
            now_s: steady seconds.
            wall_s: seconds since 1970.
            shared: others are likely to ask for the same within FRESH_S.
        """
        state = self._state
        if cursor is not None and state is not None:
            at = Cursor(state.epoch, cursor.seq)  # a cursor may only say "from the beginning"
            return Welcome(self._session_id, self._heartbeat_ms, at, None, recovered=True)
        if self._welcome is not None and now_s <= self._welcome_until_s:
            return self._welcome
        made = Welcome(self._session_id, self._heartbeat_ms, self.cursor, self.view(wall_s))
        self._welcome, self._welcome_until_s = made if shared else None, now_s + FRESH_S
        return made

    # -- what changes it

    def offer(self, raw: bytes) -> Update | None:
        """Take a message off the wire if it is what nearly all are, the very next update; else None, for accept()."""
        state = self._state
        if self._next_head is None or state is None or not raw.startswith(self._next_head) or not is_whole(raw):
            return None
        update = Update(raw, state.epoch, state.seq + 1, False)
        self._append(state, update)
        return update

    def accept(self, update: Update) -> Verdict:
        """Take an update, and tell what it is."""
        state = self._state
        if update.epoch is None:
            self._last_step = _step(update)
            return Verdict.UNNUMBERED
        if state is None or update.epoch != state.epoch or update.seq > state.seq + 1:
            return Verdict.AHEAD
        if update.seq <= state.seq:
            return Verdict.SEEN
        self._append(state, update)
        return Verdict.NEXT

    def follows(self, update: Update) -> bool:
        """Tell whether *update* is the next one, without taking it."""
        state = self._state
        return state is not None and update.epoch == state.epoch and update.seq == state.seq + 1

    def adopt(self, fresh: SessionState | None) -> Change | None:
        """Take over what a store has, as far as it is further than what is known; None where it is not."""
        known = self._state
        if fresh is None or (known is not None and (fresh := advance(known, fresh)) is known):
            return None
        missed = fresh.since(START if known is None else known.cursor)
        if fresh.sparse and (known is None or known.epoch == fresh.epoch):
            # A robot that writes a snapshot may publish the same step, too; pages get it once.
            missed = [update for update in fresh.updates if _step(update) != self._last_step]
        self._state = replace(fresh, updates=fresh.updates[-HISTORY:])
        self._folded = fresh.seq
        self._moved(None)
        return Change(missed)

    def _append(self, state: SessionState, update: Update) -> None:
        state.seq = update.seq
        state.written_s = None  # just now
        state.updates.append(update)
        self._moved(head(state.epoch, state.seq + 1))
        if len(state.updates) >= _MOST:
            self._fold()  # before they are dropped
            del state.updates[:-HISTORY]

    def _moved(self, next_head: bytes | None) -> None:
        """Drop what was derived from the position before.

        Args:
            next_head: how the next update begins; None where it is worked out once an update has come, because most
                sessions that were read never get one.
        """
        self._next_head = next_head
        self._welcome = None

    def _fold(self) -> None:
        """Bring the snapshot up to the position: updates are folded when somebody asks, not as they come."""
        state = self._state
        if state is None or state.seq == self._folded:
            return
        pending, self._folded = state.updates[self._folded - state.seq :], state.seq
        try:
            for update in pending:
                state.snapshot = reduce(state.snapshot, entry_of(update.data))
        except (BadDocument, LookupError, TypeError, ValueError) as error:
            self._damage = error


def _step(update: Update) -> tuple[object, object]:
    """Name the step that an update tells of, where numbers can't."""
    data = update.data
    return data.get("etapa"), data.get("mensagem")


def keep(updates: list[Update], update: Update) -> None:
    """Append to a list that never holds many more than HISTORY; an empty list takes a tenth of an empty deque."""
    updates.append(update)
    if len(updates) >= _MOST:
        del updates[:-HISTORY]
