"""One run as its writer sees it: numbering, status words, the documents that are stored.

Pure: the caller gives the time. The tracker holds a Run for as long as the robot works; the server makes
one from stored state for robots that publish over HTTP. No store, no socket, no clock in here.
"""

from collections import deque
from datetime import datetime
from typing import Any, Self

from .session_state import SessionState
from .snapshot import Entry, begin, describe, entry_of, is_number, reduce, status_of
from .update import HISTORY, Update, make_update

__all__ = ["HISTORY", "Run"]


class Run:
    """The updates of one run, numbered 1, 2, 3 … within *epoch*.

    Args:
        session_id: a checked session id.
        epoch: a word that no other run of the session has, ``[0-9A-Za-z]{1,64}``.
        started: the robot's local time.
        total: number of steps, at least 1.

    Attributes:
        seq: the last update's number.
        base: the number that the run was resumed at, 0 for a new one.
        snapshot: the current state, see state.begin.
        entries: the last HISTORY elements of ``historico``.
        updates: the last HISTORY updates.
        replaces: an earlier run of the session is known, and this one takes its place.
    """

    def __init__(self, session_id: str, epoch: str, started: datetime, total: int = 15) -> None:
        self.session_id = session_id
        self.epoch = epoch
        self.seq = self.base = 0
        self.snapshot = begin(session_id, started.isoformat(), max(total, 1))
        self.entries: deque[Entry] = deque(maxlen=HISTORY)
        self.updates: deque[Update] = deque(maxlen=HISTORY)
        self.replaces = False
        self.result: dict[str, Any] | None = None

    @classmethod
    def resume(cls, session_id: str, held: SessionState) -> Self:
        """Return a run that goes on counting where stored state is."""
        run = cls(session_id, held.epoch, datetime.min, held.snapshot["total_etapas"])
        run.seq = run.base = held.seq
        run.snapshot = dict(held.snapshot)
        run.updates.extend(held.updates)
        run.entries.extend(entry_of(update.data) for update in held.updates)
        ends = [entry for entry in run.entries if entry["etapa"] == "final"]
        if ends:
            run.result = run._result(ends[-1]["status"], ends[-1]["timestamp"], ends[-1]["dados_extra"])
        return run

    def start(self, now: datetime) -> Update:
        """Record that the tracker exists."""
        return self._record("inicio", now, "iniciando", "ProgressTracker inicializado")

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
            etapa: the step's number; what is no number leaves the step where it is.
            extra: merged into the snapshot's ``dados_extra``.
            estimates: as in estimates(), carried along.
        """
        number = etapa if is_number(etapa) else self._as_number(etapa)
        status = status_of(number, self.snapshot["total_etapas"])
        more = {"estimativas": estimates} if estimates else {}
        return self._record(number, now, status, mensagem, extra, **more)

    def estimates(self, estimates: dict[str, Any], now: datetime) -> Update:
        """Record the estimates of step 5: ``{"coberturas_detalhadas": [...], ...}``."""
        return self._record("estimativas", now, "completed", "Estimativas capturadas", estimates)

    def error(self, text: str, context: str, now: datetime) -> Update:
        """Record an error; it does not end the run."""
        return self._record("erro", now, "error", f"Erro: {text}", erro=text, contexto=context)

    def finish(
        self, status: str, now: datetime, data: dict[str, Any] | None = None, error: str | None = None
    ) -> list[Update]:
        """Record the end: ``success``, ``error`` or ``warning``; an error text is recorded first.

        A second end is recorded too, as the deployed robot makes one, but the first one's meaning stays.
        """
        updates = [self.error(error, "finalizacao", now)] if error else []
        updates.append(self._record("final", now, status, f"RPA {status}", data, erro=error))
        self.result = self._result(status, now.isoformat(), data)
        return updates

    def _result(self, status: str, time: str, data: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "status": status,
            "timestamp_fim": time,
            "dados_finais": data or {},
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

    def _record(
        self, etapa: Any, now: datetime, status: str, mensagem: str, extra: Any = None, **more: Any
    ) -> Update:
        entry: Entry = {
            "etapa": etapa,
            "timestamp": now.isoformat(),
            "status": status,
            "mensagem": mensagem,
            "dados_extra": extra,
            "erro": more.pop("erro", None),
            **more,
            "seq": self.seq + 1,
        }
        self.seq += 1
        self.entries.append(entry)
        self.snapshot = reduce(self.snapshot, entry)
        update = make_update(describe(self.snapshot, entry, self.epoch, self.seq))
        self.updates.append(update)
        return update

    def added(self) -> list[Update]:
        """Return the updates recorded since the run was resumed."""
        return [update for update in self.updates if update.seq > self.base]

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return what is stored, by naming.KINDS: the deployed shapes plus ``epoch`` and ``seq``.

        ``result`` and ``session`` are there once the run has ended.
        """
        history = {**self.history_head(), "historico": list(self.entries)}
        return {**self.brief_documents(), "history": history}

    def brief_documents(self) -> dict[str, dict[str, Any]]:
        """Return documents() without ``history``, whose size grows with the run."""
        mark = {"epoch": self.epoch, "seq": self.seq}
        documents: dict[str, dict[str, Any]] = {"progress": {**self.snapshot, **mark}}
        if self.result is not None:
            documents["result"] = {**self.result, **mark}
            documents["session"] = {
                "session_id": self.session_id,
                "timestamp_inicio": self.snapshot["timestamp_inicio"],
                "timestamp_fim": self.snapshot["timestamp_atualizacao"],
                "status": self.result["status"],
                "total_etapas": self.snapshot["total_etapas"],
                "etapas_executadas": self.snapshot["etapa_atual"],
                **mark,
            }
        return documents

    def history_head(self) -> dict[str, Any]:
        """Return the ``history`` document but for ``historico``."""
        return {
            "session_id": self.session_id,
            "timestamp_inicio": self.snapshot["timestamp_inicio"],
            "timestamp_fim": self.snapshot["timestamp_atualizacao"],
            "status_final": self.snapshot["status"],
            "total_etapas": self.snapshot["total_etapas"],
            "epoch": self.epoch,
            "seq": self.seq,
        }
