"""Builds one run for its writer: numbers the updates, chooses their status words, makes the documents to store.

Pure: the caller passes the time. The tracker keeps a Run for as long as the robot works. The server resumes a Run from
the stored state for each update that a robot publishes over HTTP, and to copy a run from files to Redis.
"""

from collections import deque
from datetime import datetime
from typing import Any, Self, cast

from .limits import Room
from .order import Claim
from .session_state import SessionState
from .shapes import (
    Entry,
    Estimates,
    HistoryHead,
    Snapshot,
    StoredProgress,
    StoredResult,
    StoredSession,
)
from .snapshot import begin, entries_of, is_number, status_of
from .update import HISTORY, Update, make_update


class Run:
    """The updates of one run, numbered 1, 2, 3 … within *epoch*.

    Args:
        session_id: a checked session id.
        epoch: identifies the run among all runs of the session, ``[0-9A-Za-z]{1,64}``.
        started: when the run began, in the robot's local time.
        total: number of steps; a number below 1 is taken as 1.
        began: when the run began, in milliseconds since 1970 by the clock of the store.
        writer: identifies whoever records updates, ``[0-9a-z]{1,16}``; ``""`` for nobody in particular.

    Attributes:
        began, writer: as the arguments; change ``began`` with rebase().
        seq: the last update's number, 0 before the first one.
        base: ``seq`` at which the run was resumed, 0 for a new one.
        snapshot: the current state; each update replaces the object and never modifies it.
        stepped: True once a step was recorded.
        entries: the last HISTORY elements of ``historico``.
        updates: the last HISTORY updates, at most HISTORY_BYTES of them.
        follows: epoch of the run that this new one was decided to replace, ``""`` for none; see Store.append().
        version: changes when updates that were recorded already get another number or another ``began``.
        result: the result document without ``epoch`` and ``seq``, None before the end.
    """

    def __init__(
        self, session_id: str, epoch: str, started: datetime, total: int = 15, began: int = 0, writer: str = ""
    ) -> None:
        self.session_id = session_id
        self.epoch = epoch
        self.began = began
        self.writer = writer
        self.follows = ""
        self.version = 0
        self._room = Room()
        self._clear(begin(session_id, started.isoformat(), max(total, 1)))

    def _clear(self, snapshot: Snapshot) -> None:
        self.seq = self.base = 0
        self._room = Room(self._room.cut)
        self.snapshot = snapshot
        self.stepped = False
        self.entries: deque[Entry] = deque(maxlen=HISTORY)
        self.updates: deque[Update] = deque(maxlen=HISTORY)
        self.result: StoredResult | None = None
        self._ended = 0  # number of the update that ended the run, 0 before

    @classmethod
    def resume(cls, session_id: str, state: SessionState, writer: str = "") -> Self:
        """Return a run that continues the numbering of *state*, which is not modified."""
        run = cls(session_id, state.epoch, datetime.min, 1, state.began or 0, writer)
        run._follow(state)
        return run

    def _follow(self, state: SessionState) -> None:
        """Continue after *state*, and take over its ``began``, which other writers and readers know already."""
        self.began = state.began or self.began
        self._clear(state.snapshot.copy())
        self.seq = self.base = state.seq
        self.stepped = state.stepped
        self.updates.extend(state.updates)
        self.entries.extend(entries_of(state.updates))
        ends = [entry for entry in self.entries if entry["etapa"] == "final"]
        if ends:
            self.result = self._result(ends[-1])
        if self.snapshot["final"]:
            self._ended = next((entry["seq"] for entry in ends), state.seq)

    def rejoin(self, state: SessionState, first: int) -> None:
        """Continue after *state*, which other writers have advanced: number what they don't have of this run anew.

        Args:
            state: the stored state of this run, with its updates.
            first: number of the first update of this run that may not be stored; those before it are stored.
        """
        known = set(map(_identity, entries_of(state.updates)))
        lacking = [entry for entry in self.entries if entry["seq"] >= first and _identity(entry) not in known]
        self._follow(state)
        self.version += 1
        for entry in lacking:
            self._record({**entry})

    def absorb(self, state: SessionState) -> None:
        """Append what other writers have stored of this run elsewhere, and this object lacks.

        Args:
            state: that stored state, with its updates.
        """
        known = set(map(_identity, self.entries))
        oldest = self.entries[0]["seq"] if self.entries else 1  # what came before is known, but not kept
        for entry in entries_of(state.updates):
            if entry["seq"] >= oldest and _identity(entry) not in known:
                self._record(entry)

    def rebase(self, began: int) -> None:
        """Change ``began``, in the recorded updates, too: the run moves to a store whose clock differs."""
        self.began = began
        self.version += 1
        self.updates = deque((_with_began(update, began) for update in self.updates), maxlen=HISTORY)

    def claim(self, first: int) -> Claim:
        """Return what decides whether the updates from number *first* on may be written, see order.may_replace()."""
        return Claim(self.epoch, self.began, self.stepped, 0 < self._ended < first)

    def start(self, now: datetime) -> Update:
        """Record the beginning of the run, as an ``inicio`` entry."""
        return self._record(self._entry("inicio", now, "iniciando", "ProgressTracker inicializado"))

    def step(
        self,
        etapa: Any,
        mensagem: str,
        now: datetime,
        extra: dict[str, Any] | None = None,
        estimates: dict[str, Any] | None = None,
    ) -> Update:
        """Record a step.

        Args:
            etapa: the step's number, or a text with a number; with any other value the run stays at its current step.
            mensagem: the robot's text.
            now: the robot's local time.
            extra: merged into the snapshot's ``dados_extra``.
            estimates: see shapes.Estimates; stored with the step.
        """
        number = etapa if is_number(etapa) else self._as_number(etapa)
        status = status_of(number, self.snapshot["total_etapas"])
        entry = self._entry(number, now, status, mensagem, extra)
        if estimates:
            entry["estimativas"] = cast("Estimates", estimates)
        return self._record(entry)

    def estimates(self, estimates: dict[str, Any], now: datetime) -> Update:
        """Record the estimates of step 5, see shapes.Estimates; their content is not checked."""
        return self._record(self._entry("estimativas", now, "completed", "Estimativas capturadas", estimates))

    def error(self, text: str, context: str, now: datetime) -> Update:
        """Record an error; it does not end the run."""
        entry = self._entry("erro", now, "error", f"Erro: {text}", error=text)
        entry["contexto"] = context
        return self._record(entry)

    def finish(
        self, status: str, now: datetime, data: dict[str, Any] | None = None, error: str | None = None
    ) -> list[Update]:
        """Record the end; return its updates.

        A second end, which the deployed robot reports, is recorded too, but ``estado`` stays that of the first one.

        Args:
            status: the robot's word for the end: ``success``, ``warning``, ``error`` … Any word is recorded; unknown
                ones mean a failure, see outcome.outcome().
            now: the robot's local time.
            data: the plans, see shapes.Result, and any other final data of the robot.
            error: if given, recorded as an update of its own before the end.
        """
        updates = [self.error(error, "finalizacao", now)] if error else []
        updates.append(self._record(self._entry("final", now, status, f"RPA {status}", data, error)))
        return updates

    def _result(self, entry: Entry) -> StoredResult:
        return {
            "status": entry["status"],
            "timestamp_fim": entry["timestamp"],
            "dados_finais": entry.get("dados_extra") or {},
            "session_id": self.session_id,
        }

    def _as_number(self, etapa: Any) -> float:
        try:
            number = float(etapa)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if not is_number(number):
            number = float(self.snapshot["etapa_atual"])
        return int(number) if number.is_integer() else number

    def _entry(
        self,
        etapa: float | str,
        now: datetime,
        status: str,
        mensagem: str,
        extra: dict[str, Any] | None = None,
        error: str | None = None,
    ) -> Entry:
        entry: Entry = {
            "etapa": etapa,
            "timestamp": now.isoformat(),
            "status": status,
            "mensagem": mensagem,
            "dados_extra": extra,
            "erro": error,
        }
        if self.writer:
            entry["writer"] = self.writer
        return entry

    def _record(self, entry: Entry) -> Update:
        self.seq += 1
        entry["seq"] = self.seq
        entry, self.snapshot, update = self._room.record(self.snapshot, entry, self.epoch, self.seq, self.began)
        self._room.keep(self.entries, self.updates, entry, update)
        self.stepped = self.stepped or is_number(entry["etapa"])
        if entry["etapa"] == "final":
            self.result = self._result(entry)
            self._ended = self._ended or self.seq
        return update

    @property
    def cut(self) -> int:
        """How many updates were too large and were cut to their scalars, see limits.py."""
        return self._room.cut

    def added(self) -> list[Update]:
        """Return the updates recorded since the run was resumed, at most the last HISTORY ones."""
        return [update for update in self.updates if update.seq > self.base]

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return the documents to store: ``progress``, ``history``, and for an ended run ``result`` and ``session``.

        Their shapes are StoredProgress, StoredHistory, StoredResult and StoredSession in shapes.py.
        """
        history = {**self.history_head(), "historico": list(self.entries)}
        return {**self.brief_documents(), "history": history}

    def brief_documents(self) -> dict[str, dict[str, Any]]:
        """Return documents() without ``history``, which grows with the run."""
        progress: StoredProgress = {
            **self.snapshot,
            "epoch": self.epoch,
            "seq": self.seq,
            "began": self.began,
            "stepped": self.stepped,
            "writer": (self.entries[-1].get("writer") if self.entries else None) or self.writer,
        }
        documents: dict[str, Any] = {"progress": progress}
        if self.result is not None:
            result: StoredResult = {**self.result, "epoch": self.epoch, "seq": self.seq}
            session: StoredSession = {
                "session_id": self.session_id,
                "timestamp_inicio": self.snapshot["timestamp_inicio"],
                "timestamp_fim": self.snapshot["timestamp_atualizacao"],
                "status": self.result["status"],
                "total_etapas": self.snapshot["total_etapas"],
                "etapas_executadas": self.snapshot["etapa_atual"],
                "epoch": self.epoch,
                "seq": self.seq,
            }
            documents |= {"result": result, "session": session}
        return documents

    def history_head(self) -> dict[str, Any]:
        """Return the ``history`` document without its entries."""
        head: HistoryHead = {
            "session_id": self.session_id,
            "timestamp_inicio": self.snapshot["timestamp_inicio"],
            "timestamp_fim": self.snapshot["timestamp_atualizacao"],
            "status_final": self.snapshot["status"],
            "total_etapas": self.snapshot["total_etapas"],
            "epoch": self.epoch,
            "seq": self.seq,
            "began": self.began,
        }
        return {**head}


def _identity(entry: Entry) -> tuple[object, ...]:
    """Return what identifies an entry whatever its number: no writer makes two alike in one microsecond."""
    return entry.get("writer"), entry["timestamp"], entry["etapa"], entry["mensagem"]


def _with_began(update: Update, began: int) -> Update:
    return make_update({**update.data, "began": began})
