"""What is known of a session at one position, and which of two such standings is the further one.

Pure. Stores answer with it, and everything that is sent to pages is made from it; how it is read from what writers
left behind is said in documents.py.

Invariants: merging depends on no order and never goes back; a history has no holes and ends at the position.
"""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from .. import safejson
from . import deployed
from .outcome import PLAN_KEYS
from .snapshot import ESTIMATES_KEY, Snapshot, describe, view
from .update import Cursor, Update, make_update

Document = dict[str, Any]

#: First letters of derived epochs; ours are hexadecimal.
_DERIVED = ("h", "s")


@dataclass(slots=True)
class SessionState:
    """What is known of a session at one position.

    Attributes:
        epoch, seq: the position.
        snapshot: see state.begin; no cursor in it.
        updates: the updates that led here, contiguous, the last one at ``seq``; may be empty.
        sparse: the writer keeps no history and its ``seq`` leaves holes, so the next snapshot is the next update.
        end: what the robot's own documents of the end say, None where there are none.
        written_s: when it was last written, seconds since 1970, None where the store can't tell.
        content: of a sparse state: a number for what was read, which tells a change that the robot's clock does not.
    """

    epoch: str
    seq: int
    snapshot: Snapshot
    updates: list[Update] = field(default_factory=list)
    sparse: bool = False
    end: deployed.End | None = None
    written_s: float | None = None
    content: int = 0

    @property
    def cursor(self) -> Cursor:
        """The position as a cursor."""
        return Cursor(self.epoch, self.seq)

    @property
    def started(self) -> str:
        """When the run began, ISO 8601 in the robot's local time: the later of two runs is the current one."""
        return str(self.snapshot["timestamp_inicio"])

    def view(self, silence_s: float = 0.0) -> Document:
        """Return the snapshot as pages get it; *silence_s*: how long the robot has said nothing."""
        return view(self.snapshot, self.epoch, self.seq, silence_s)

    def silence_s(self, now_s: float) -> float:
        """Return for how long nothing was written at *now_s* (seconds since 1970), 0 where the store can't tell."""
        return 0.0 if self.written_s is None else max(0.0, now_s - self.written_s)

    @property
    def own(self) -> bool:
        """True where our tracker wrote it; the cursor of any other writer is derived."""
        return not self.epoch.startswith(_DERIVED)

    def since(self, cursor: Cursor) -> list[Update] | None:
        """Return the updates behind *cursor*, each once, in order; None where that can't be proven."""
        if cursor.epoch not in ("", self.epoch) or cursor.seq > self.seq:
            return None
        missed = self.seq - cursor.seq
        if missed == 0 and cursor.epoch:
            return []
        if self.sparse or missed > len(self.updates):
            return None
        return self.updates[len(self.updates) - missed :]


def derived_epoch(kind: str, session_id: str, started: str) -> str:
    """Make the epoch of a run whose writer gives none: the same on every server."""
    digest = hashlib.blake2b(f"{session_id}\0{started}".encode("utf-8", "replace"), digest_size=8)
    return kind + digest.hexdigest()


def sparse(epoch: str, seq: int, snapshot: Snapshot, end: deployed.End | None, content: int | None = None) -> SessionState:
    """Build the state of a robot that keeps no history: its snapshot is its only update.

    Args:
        snapshot: concluded.
        content: see SessionState; None where *snapshot* is what was read.
    """
    extra = snapshot["dados_extra"]
    entry = {
        "etapa": "final" if snapshot["final"] else snapshot["etapa_atual"],
        "timestamp": str(snapshot["timestamp_atualizacao"]),
        "status": str(snapshot["status"]),
        "mensagem": snapshot["mensagem"],
        "estimativas": extra.get(ESTIMATES_KEY),
        "dados_extra": {key: extra[key] for key in PLAN_KEYS if key in extra} if snapshot["final"] else None,
    }
    update = make_update(describe(snapshot, entry, epoch, seq))
    content = hash(safejson.dumps(snapshot)) if content is None else content
    return SessionState(epoch, seq, snapshot, [update], sparse=True, end=end, content=content)


def advance(known: SessionState, fresh: SessionState) -> SessionState:
    """Return what is known of a session once *fresh* was read of it; *known* itself where that says nothing new.

    Where both are a foreign robot's, what was written last is true, whatever its own clock says: a program that only
    wanted to read has begun "a new run", and the robot goes on with the old one. Of one run nothing that was seen goes
    back, see foreign.follow.
    """
    if known.own or fresh.own or (known.epoch == fresh.epoch and not fresh.sparse):
        return _kept(known, later(known, fresh))
    if not _written_later(known, fresh):
        return known
    return succeed(known, fresh)


def succeed(known: SessionState, fresh: SessionState) -> SessionState:
    """Return what is known once *fresh*, of a foreign robot, has taken the place of *known*."""
    if fresh.epoch == known.epoch and fresh.seq <= known.seq and fresh.content == known.content:
        return known
    if not fresh.sparse or fresh.started != known.started:
        return fresh
    snapshot = dict(fresh.snapshot)
    deployed.follow(known.snapshot, snapshot)
    seq = max(fresh.seq, known.seq + 1) if fresh.epoch == known.epoch else fresh.seq
    return replace(sparse(fresh.epoch, seq, snapshot, fresh.end, fresh.content), written_s=fresh.written_s)


def _kept(known: SessionState, newest: SessionState | None) -> SessionState:
    return known if newest is None or newest.cursor == known.cursor else newest


def _written_later(known: SessionState, fresh: SessionState) -> bool:
    if known.written_s is not None and fresh.written_s is not None and known.written_s != fresh.written_s:
        return fresh.written_s > known.written_s
    return fresh.seq > known.seq if fresh.epoch == known.epoch else fresh.started > known.started


def later(one: SessionState | None, other: SessionState | None) -> SessionState | None:
    """Merge what two stores hold: of one run the position that is further, of two runs the later one."""
    if one is None or other is None:
        return one or other
    if one.epoch != other.epoch:
        return max(one, other, key=lambda held: (held.started, not held.sparse, held.seq, held.epoch))
    ahead, behind = (one, other) if one.seq >= other.seq else (other, one)
    written_s = max((held.written_s for held in (one, other) if held.written_s is not None), default=None)
    merged = replace(ahead, end=ahead.end or behind.end, written_s=written_s)
    if len(ahead.updates) >= ahead.seq - behind.seq and behind.updates:
        merged.updates = _joined(behind, ahead)
    return merged


def _joined(behind: SessionState, ahead: SessionState) -> list[Update]:
    """Return the longest contiguous history of two that overlap or touch."""
    new = ahead.updates[len(ahead.updates) - (ahead.seq - behind.seq) :] if ahead.seq > behind.seq else []
    joined = behind.updates + new
    return joined if len(joined) > len(ahead.updates) else ahead.updates
