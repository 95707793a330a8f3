"""Turns a recorded ``history_<sid>.json`` into the calls that its robot made on its tracker.

Pure. The document is not trusted: it may be torn, or written by another program or by a robot with other shapes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from .. import safejson
from ..errors import BadDocument
from ..progress import schemas
from ..progress.shapes import Entry


class Reporter(Protocol):
    """The methods of ProgressTracker that a recording calls."""

    def update_progress(self, etapa: float, mensagem: str, dados_extra: dict[str, Any] | None) -> None: ...

    def update_progress_with_estimativas(
        self,
        etapa: float,
        mensagem: str,
        dados_extra: dict[str, Any] | None,
        estimativas: dict[str, Any] | None,
    ) -> None: ...

    def add_estimativas(self, estimativas: dict[str, Any]) -> None: ...

    def add_error(self, erro: str, contexto: str) -> None: ...

    def finalizar(self, status_final: str, dados_finais: dict[str, Any] | None, erro_final: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a robot.

    Attributes:
        at_s: when the call was made, in seconds since the run began.
        text: what the visitor reads when the call is made.
        report: function that makes the same call on a tracker.
    """

    at_s: float
    text: str
    report: Callable[[Reporter], None]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded run.

    Attributes:
        session_id: as recorded, not checked; None if it is missing or not a text.
        total: number of steps.
        steps: the robot's calls, in order; empty if the recording has no entry but ``inicio``.
    """

    session_id: str | None
    total: int
    steps: list[Step]


def parse(data: bytes) -> Recording:
    """Read a history document, or raise BadDocument."""
    document = schemas.history(safejson.load_object(data))
    entries: list[Entry] = document["historico"]
    if not entries:
        raise BadDocument("It is a history, but an empty one.")
    session_id = document.get("session_id")
    began = _time(entries[0]["timestamp"])
    steps = [
        Step((_time(entry["timestamp"]) - began).total_seconds(), str(entry["mensagem"]), report)
        for entry, report in _calls(entries)
    ]
    return Recording(session_id if isinstance(session_id, str) else None, document["total_etapas"], steps)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise BadDocument(f"{text[:40]!r} is not a time.") from None


def _calls(entries: list[Entry]) -> Iterator[tuple[Entry, Callable[[Reporter], None]]]:
    """Yield each call with the entry from which it is rebuilt, one of the two entries if the call wrote two."""
    skip = False
    for entry, following in zip(entries, [*entries[1:], None], strict=True):
        if skip or entry["etapa"] == "inicio":
            skip = False
            continue
        # Two calls write two entries each: finalizar(erro_final=...) an error and the end, which has the error's text,
        # too; update_progress_with_estimativas a step, which has the estimates, too, and the estimates.
        skip = following is not None and following["etapa"] == "estimativas" and "estimativas" in entry
        if not _made_by_finalizar(entry, following):
            yield entry, _call(entry)


def _made_by_finalizar(entry: Entry, following: Entry | None) -> bool:
    return (
        entry["etapa"] == "erro"
        and entry["erro"] is not None
        and following is not None
        and following["etapa"] == "final"
        and following["erro"] == entry["erro"]
    )


def _call(entry: Entry) -> Callable[[Reporter], None]:
    etapa: Any = entry["etapa"]
    text = entry["mensagem"] or ""
    extra = entry["dados_extra"] if isinstance(entry["dados_extra"], dict) else None
    if etapa == "estimativas":
        return lambda tracker: tracker.add_estimativas(extra or {})
    if etapa == "erro":
        return lambda tracker: tracker.add_error(entry["erro"] or text, entry.get("contexto") or "")
    if etapa == "final":
        return lambda tracker: tracker.finalizar(entry["status"], extra, entry["erro"])
    if "estimativas" in entry:
        estimates: Any = entry["estimativas"]
        return lambda tracker: tracker.update_progress_with_estimativas(etapa, text, extra, estimates)
    return lambda tracker: tracker.update_progress(etapa, text, extra)
