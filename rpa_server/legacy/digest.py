"""What the deployed answers tell of a run's history, kept up to date update by update.

Pure. Reading 500 stored updates takes longer than the rest of an answer, and a page asks every second or two.
"""

from collections import deque
from collections.abc import Iterable

from ..progress.session_state import SessionState
from ..progress.shapes import Entry
from ..progress.snapshot import EVENTS, entries_of, is_number
from ..progress.update import Update

#: How many of the latest entries answers have.
SHOWN = 10


class Digest:
    """The history of one run, as far as answers show it.

    Attributes:
        seq: number of the last update that was added.
        count: how many entries there are.
        step: the furthest step, None without any.
        text: the last text, leaving out ``erro`` entries and everything after the end.
        errors: the entries that report an error.
        estimates: the first ``estimativas`` entry, None without any.
        final: the last ``final`` entry, None without any.
        latest: the last SHOWN entries.
    """

    def __init__(self, updates: Iterable[Update] = ()) -> None:
        self.seq = 0
        self.count = 0
        self.step: int | None = None
        self.text: str | None = ""
        self.errors: list[Entry] = []
        self.estimates: Entry | None = None
        self.final: Entry | None = None
        self.latest: deque[Entry] = deque(maxlen=SHOWN)
        for update in updates:
            self.add(update)

    @classmethod
    def of(cls, state: SessionState) -> "Digest":
        """Digest the updates that *state* has; a run without a history has no entries."""
        return cls(() if state.sparse else state.updates)

    def add(self, update: Update) -> None:
        """Add an update; one that only begins like our tracker's counts for nothing."""
        self.seq = update.seq
        entry = next(iter(entries_of([update])), None)
        if entry is None or not (is_number(entry["etapa"]) or entry["etapa"] in EVENTS):
            return
        self.count += 1
        self.latest.append(entry)
        etapa = entry["etapa"]
        if is_number(etapa):
            self.step = max(0, int(etapa), self.step or 0)
        if etapa != "erro" and self.final is None:
            self.text = entry["mensagem"]
        if entry.get("erro"):
            self.errors.append(entry)
        if etapa == "estimativas" and self.estimates is None:
            self.estimates = entry
        if etapa == "final":
            self.final = entry

