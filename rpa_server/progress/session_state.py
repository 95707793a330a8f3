"""The state of a session at one position, and rules for which of two states is newer.

Runs of our writers are ordered by ``began``, the time of the store, see order.py. Times that robots wrote are compared
only with other times of the same robot, or of other systems' robots where nothing else tells their order.

Pure. documents.py builds a SessionState from what writers stored, stores return it, and the snapshots that pages get
are made from it.

Invariants: the position that later() returns does not depend on the order of its arguments; within a run the position
never goes back; ``updates`` has no gaps and ends at the position.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .. import safejson
from . import deployed, limits, moments
from .order import Claim, may_replace
from .outcome import PLAN_KEYS
from .shapes import Entry, Snapshot, View
from .snapshot import ESTIMATES_KEY, NO_AGES, Ages, update_of, view
from .update import MAX_UPDATE_BYTES, Cursor, Update

#: A JSON object of any shape, read-only; objects of a known shape are in shapes.py.
Document = Mapping[str, Any]

#: First letters of derived epochs. The epochs of our tracker are hexadecimal, so none of them begins with one of these.
_DERIVED = ("h", "s")
#: Two clocks that differ by no more seconds are taken for the same: a difference is measured over the network.
SAME_CLOCK_S = 2.0


@dataclass(slots=True)
class SessionState:
    """What is known of a session at one position.

    Attributes:
        epoch, seq: the position.
        snapshot: the state at that position.
        updates: the latest updates, contiguous, the last one at ``seq``; may be empty.
        sparse: True if a deployed robot left no history: each snapshot read is one update, and the ``seq`` of these
            updates has gaps.
        end: how the run ended, if that was read from a result or session document, else None.
        written_s: when the session was last written, seconds since 1970 by the store's clock; None if it can't tell.
        ahead_s: how many seconds the store's clock was ahead of this computer's when the state was read.
        began: when the run began, milliseconds since 1970 by the store's clock; None if that is not known.
        stepped: True once the run has reported a step, see order.Claim.
        writer: who wrote the last update, ``""`` if that is not known, see shapes.UpdateMessage.
        content: hash of the snapshot as it was read, 0 if not sparse. It shows a change that left ``seq`` unchanged.
    """

    epoch: str
    seq: int
    snapshot: Snapshot
    updates: list[Update] = field(default_factory=list)
    sparse: bool = False
    end: deployed.End | None = None
    written_s: float | None = None
    ahead_s: float = 0.0
    began: int | None = None
    stepped: bool = True
    writer: str = ""
    content: int = 0

    @property
    def cursor(self) -> Cursor:
        """The position, ``epoch`` and ``seq``, as a cursor."""
        return Cursor(self.epoch, self.seq)

    @property
    def started(self) -> str:
        """When the run began, ISO 8601 in the robot's local time."""
        return str(self.snapshot["timestamp_inicio"])

    def view(self, now_s: float | None = None) -> View:
        """Return the snapshot as pages get it at *now_s* (seconds since 1970, by this computer's clock).

        Without *now_s* the robot counts as not silent, and the view says nothing of how old it is.
        """
        ages = NO_AGES if now_s is None else self.ages(now_s)
        silence_s = 0.0 if now_s is None else self.silence_s(now_s)
        return view(self.snapshot, self.epoch, self.seq, silence_s, ages)

    def ages(self, now_s: float) -> Ages:
        """Return how long ago, at *now_s*, the robot last reported and its run began, both by the store's clock."""
        since_ms = round((now_s + self.ahead_s) * 1000)
        return Ages(
            None if self.written_s is None else round(self.silence_s(now_s) * 1000),
            None if self.began is None else max(0, since_ms - self.began),
        )

    def silence_s(self, now_s: float) -> float:
        """Return the seconds from the last write to *now_s* (seconds since 1970, by this computer's clock).

        It is 0 if the store can't tell.
        """
        return 0.0 if self.written_s is None else max(0.0, now_s + self.ahead_s - self.written_s)

    def written_at(self, written_s: float, ahead_s: float = 0.0) -> "SessionState":
        """Return the state with the time of its last write, from which ``began`` follows if nobody told it.

        Args:
            written_s, ahead_s: see the attributes.
        """
        began = self.began if self.began is not None else round((written_s - self._lasted_s()) * 1000)
        return replace(self, written_s=written_s, ahead_s=ahead_s, began=began)

    def _lasted_s(self) -> float:
        """Return how long the run lasted until its last change, by its robot's clock; 0 if that can't be told."""
        lasted = moments.passed(self.started, self.snapshot["timestamp_atualizacao"])
        return 0.0 if lasted is None else max(0.0, lasted.total_seconds())

    @property
    def claim(self) -> Claim:
        """What decides the run's place among other runs of the session, by this computer's clock."""
        ahead_ms = 0 if abs(self.ahead_s) < SAME_CLOCK_S else round(self.ahead_s * 1000)
        return Claim(self.epoch, (self.began or 0) - ahead_ms, self.stepped, self.snapshot["final"])

    @property
    def own(self) -> bool:
        """True if our tracker or server wrote the run; other runs have a derived epoch."""
        return not self.epoch.startswith(_DERIVED)

    def since(self, cursor: Cursor) -> list[Update] | None:
        """Return the updates after *cursor*, each once, in order.

        None if some of them are missing in ``updates``, or if *cursor* is of another run or ahead of the position.
        """
        if cursor.epoch not in ("", self.epoch) or cursor.seq > self.seq:
            return None
        missed = self.seq - cursor.seq
        if missed == 0 and cursor.epoch:
            return []
        if self.sparse or missed > len(self.updates):
            return None
        return self.updates[len(self.updates) - missed :]


def derived_epoch(kind: str, session_id: str, started: str) -> str:
    """Make the epoch of a run whose writer gives none; every server derives the same one.

    Args:
        kind: one of _DERIVED: ``h`` for a run with a history, ``s`` for a run that has only a snapshot.
        session_id: the session.
        started: when the run began, as its robot wrote it; empty if it wrote no such time.
    """
    digest = hashlib.blake2b(f"{session_id}\0{started}".encode("utf-8", "replace"), digest_size=8)
    return kind + digest.hexdigest()


def sparse_state(
    epoch: str, seq: int, snapshot: Snapshot, end: deployed.End | None, content: int | None = None
) -> SessionState:
    """Build the state of a run without a history: its snapshot is its only update.

    Args:
        epoch, seq: the position.
        snapshot: as deployed.conclude() has left it, with ``estado`` and ``final``; cut if it is too large.
        end: see SessionState.
        content: see SessionState; None to hash *snapshot*.
    """
    encoded = safejson.dumps(snapshot) if content is None else b""
    if len(encoded) > MAX_UPDATE_BYTES:
        snapshot = limits.fitting(snapshot)
    extra = snapshot["dados_extra"]
    entry: Entry = {
        "etapa": "final" if snapshot["final"] else snapshot["etapa_atual"],
        "timestamp": str(snapshot["timestamp_atualizacao"]),
        "status": str(snapshot["status"]),
        "mensagem": snapshot["mensagem"],
        "estimativas": extra.get(ESTIMATES_KEY),
        "dados_extra": {key: extra[key] for key in PLAN_KEYS if key in extra} if snapshot["final"] else None,
    }
    update = update_of(snapshot, entry, epoch, seq)
    content = hash(encoded) if content is None else content
    return SessionState(epoch, seq, snapshot, [update], sparse=True, end=end, content=content)


def advance(known: SessionState, fresh: SessionState) -> SessionState:
    """Return the state of a session after *fresh* was read; *known* itself if *fresh* brings nothing new.

    Of two states written by a deployed robot, the one written later wins, even if its run began earlier: the deployed
    tracker class writes a new beginning for any program that only reads the session, while the robot goes on with the
    old run. What deployed.keep_seen() copies does not go back within a run.
    """
    if known.epoch != fresh.epoch and (known.own or fresh.own):
        return fresh if fresh.claim.is_newer(known.claim) else known
    if known.own or (known.epoch == fresh.epoch and not fresh.sparse):
        return _kept(known, later(known, fresh))
    if not _written_later(known, fresh):
        return known
    return supersede(known, fresh)


def supersede(known: SessionState, fresh: SessionState) -> SessionState:
    """Return the state after *fresh*, which a deployed robot wrote later than *known*; *known* if nothing changed."""
    if fresh.epoch == known.epoch and fresh.seq <= known.seq and fresh.content == known.content:
        return known
    if not fresh.sparse or fresh.started != known.started:
        return fresh
    snapshot = fresh.snapshot.copy()
    deployed.keep_seen(known.snapshot, snapshot)
    seq = max(fresh.seq, known.seq + 1) if fresh.epoch == known.epoch else fresh.seq
    state = sparse_state(fresh.epoch, seq, snapshot, fresh.end, fresh.content)
    return replace(state, written_s=fresh.written_s, ahead_s=fresh.ahead_s, began=fresh.began)


def _kept(known: SessionState, newest: SessionState | None) -> SessionState:
    return known if newest is None or newest.cursor == known.cursor else newest


def _written_later(known: SessionState, fresh: SessionState) -> bool:
    if known.written_s is not None and fresh.written_s is not None and known.written_s != fresh.written_s:
        return fresh.written_s > known.written_s
    return fresh.seq > known.seq if fresh.epoch == known.epoch else moments.is_before(known.started, fresh.started)


def later(one: SessionState | None, other: SessionState | None) -> SessionState | None:
    """Merge the states of two stores, each None if its store lacks the session.

    Within a run the further position wins. Of two runs the one that began later wins, unless it has only begun, see
    order.may_replace().
    """
    if one is None or other is None:
        return one or other
    if one.epoch != other.epoch:
        if not one.own and not other.own:
            return max(one, other, key=_foreign_order)
        earlier, newer = (one, other) if other.claim.is_newer(one.claim) else (other, one)
        return newer if may_replace(newer.claim, earlier.claim, _apart_s(earlier, newer)) else earlier
    ahead, behind = (one, other) if one.seq >= other.seq else (other, one)
    last = one if _apart_s(other, one) > 0 or other.written_s is None else other
    merged = replace(ahead, end=ahead.end or behind.end, written_s=last.written_s, ahead_s=last.ahead_s)
    if len(ahead.updates) >= ahead.seq - behind.seq and behind.updates:
        merged.updates = joined(behind, ahead)
    return merged


def _foreign_order(state: SessionState) -> tuple[float, bool, int, str]:
    return moments.rank(state.started), not state.sparse, state.seq, state.epoch


def _apart_s(earlier: SessionState, newer: SessionState) -> float:
    """Return how many seconds after *earlier* the state *newer* was written, 0 if a store can't tell."""
    if earlier.written_s is None or newer.written_s is None:
        return 0.0
    return (newer.written_s - newer.ahead_s) - (earlier.written_s - earlier.ahead_s)


def joined(behind: SessionState, ahead: SessionState) -> list[Update]:
    """Return the longest contiguous history that two overlapping or adjacent ones form together."""
    new = ahead.updates[len(ahead.updates) - (ahead.seq - behind.seq) :] if ahead.seq > behind.seq else []
    joined = behind.updates + new
    return joined if len(joined) > len(ahead.updates) else ahead.updates
