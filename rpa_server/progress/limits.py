"""Holds every update and every run to the one limit for their size, and cuts what is larger down to its scalars.

Pure. A robot that attaches a page's source or a screenshot goes on: its step, its texts and its short values are stored
and numbered like any other's, and a note under NOTE_KEY says that something is missing.

Invariants: no update of a Room is larger than MAX_UPDATE_BYTES; the snapshot that results from all of a run's updates stays
below twice that, however many there are; what is kept of their history stays below HISTORY_BYTES.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, cast

from .. import safejson
from .outcome import PLAN_KEYS
from .shapes import Entry, Estimates, Snapshot
from .snapshot import reduce, update_of
from .update import MAX_UPDATE_BYTES, Update

#: The most bytes of updates that are kept as a run's history, whatever their number.
HISTORY_BYTES = 16 * MAX_UPDATE_BYTES
#: The most bytes of a snapshot; one update of full size fits.
_SNAPSHOT_BYTES = MAX_UPDATE_BYTES + 8 * 1024
#: The key, in an object that was cut, of a text about that.
NOTE_KEY = "cortado"
NOTE = f"Passava de {MAX_UPDATE_BYTES} bytes; ficaram os valores simples."

#: What is left of an object that was cut: texts of so many characters, and in all so many bytes of JSON.
_LONGEST_VALUE = 200
_OBJECT_BYTES = 16 * 1024
#: What is left of the texts of an entry that was cut, in characters; POST takes no longer ones.
_LONGEST_TEXT = 2000
_TEXTS = ("status", "mensagem", "erro", "contexto")
_OBJECTS = ("dados_extra", "estimativas")


class Room:
    """Makes the updates of one run, and cuts an entry if its update or the resulting snapshot would be too large.

    Args:
        cut: how many entries were cut before.

    Attributes:
        cut: how many entries were cut.
    """

    def __init__(self, cut: int = 0) -> None:
        self.cut = cut
        self._most = _SNAPSHOT_BYTES  # at most so large is the snapshot; not measured yet
        self._kept: int | None = None  # bytes of the history, None while unknown

    def record(
        self, before: Snapshot, entry: Entry, epoch: str, seq: int, began: int | None = None
    ) -> tuple[Entry, Snapshot, Update]:
        """Fold *entry* into *before*, and describe that as an update; see snapshot.describe().

        Returns:
            *entry*, or what is left of it; the snapshot after it; the update.
        """
        after = reduce(before, entry)
        update = update_of(after, entry, epoch, seq, began)
        if len(update.raw) <= MAX_UPDATE_BYTES and self._fits(after, update):
            return entry, after, update
        self.cut += 1
        for plans_only in (False, True):
            entry = _cut(entry, plans_only)
            after = reduce(before, entry)
            update = update_of(after, entry, epoch, seq, began)
            if self._fits(after, update):
                break
        return entry, after, update

    def _fits(self, after: Snapshot, update: Update) -> bool:
        """Tell whether a snapshot is small enough; it is measured only once its updates could have made it too large."""
        self._most += len(update.raw)
        if self._most > _SNAPSHOT_BYTES:
            self._most = len(safejson.dumps(after))
        return self._most <= _SNAPSHOT_BYTES

    def keep(self, entries: deque[Entry], updates: deque[Update], entry: Entry, update: Update) -> None:
        """Append to a run's history, and drop the oldest of it beyond HISTORY_BYTES."""
        if self._kept is None:
            self._kept = sum(len(known.raw) for known in updates)
        if len(updates) == updates.maxlen:
            self._kept -= len(updates[0].raw)
        self._kept += len(update.raw)
        entries.append(entry)
        updates.append(update)
        while self._kept > HISTORY_BYTES:
            self._kept -= len(updates.popleft().raw)
            if len(entries) > len(updates):  # fewer if an update of a resumed run was none
                entries.popleft()


def _cut(entry: Entry, plans_only: bool) -> Entry:
    left = cast("dict[str, Any]", {**entry})
    for key in _TEXTS:
        if isinstance(text := left.get(key), str):
            left[key] = text[:_LONGEST_TEXT]
    if left.get("dados_extra"):
        left["dados_extra"] = scalars(left["dados_extra"], plans_only)
    if left.get("estimativas"):
        left["estimativas"] = cast("Estimates", scalars(left["estimativas"]))
    return cast("Entry", left)


def scalars(value: Mapping[str, Any], plans_only: bool = False) -> dict[str, Any]:
    """Return the short scalars of an object, and those of the plans in it, with a note.

    Args:
        plans_only: True to leave out all but the plans.
    """
    plans = {key: scalars(plan) for key in PLAN_KEYS if isinstance(plan := value.get(key), dict)}
    left: dict[str, Any] = {NOTE_KEY: NOTE, **plans}
    room = _OBJECT_BYTES
    for key, item in value.items():
        if isinstance(item, (dict, list, tuple, set, frozenset)) or key in left or len(key) > _LONGEST_VALUE:
            continue
        short = item[:_LONGEST_VALUE] if isinstance(item, str) else item
        room -= len(safejson.dumps({key: short}))
        if plans_only or room < 0:
            break
        left[key] = short
    return left


def fitting_message(message: dict[str, Any]) -> dict[str, Any]:
    """Return what is left of an unnumbered update that is larger than MAX_UPDATE_BYTES."""
    texts = {key: text[:_LONGEST_TEXT] for key in _TEXTS if isinstance(text := message.get(key), str)}
    objects = {key: scalars(item) for key in _OBJECTS if isinstance(item := message.get(key), dict)}
    return {**scalars(message), **texts, **objects}


def fitting(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot that another program wrote, cut if it is larger than MAX_UPDATE_BYTES."""
    errors: list[Any] = snapshot["erros"]
    texts = {key: text[:_LONGEST_TEXT] for key in _TEXTS if isinstance(text := snapshot.get(key), str)}
    left = {**snapshot, **texts, "dados_extra": scalars(snapshot["dados_extra"])}
    left["erros"] = [scalars(error) if isinstance(error, dict) else None for error in errors]
    return cast("Snapshot", left)
