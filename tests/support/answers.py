"""Every moment of every recorded run, as a session's files, and the server's answer then."""

import copy
import functools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from rpa_server.legacy import php_json, progress_answer
from rpa_server.progress.documents import from_files
from rpa_server.progress.session_state import SessionState
from tests.support import deployed, recordings
from tests.support.deployed import Document

NOW = "2026-01-15 09:30:00"


class Case(NamedTuple):
    """A session's files at one moment, and what is true of the run.

    Attributes:
        whole: the complete history, of which the file is a prefix.
        stale_s: for how many seconds nothing was written.
    """

    name: str
    files: deployed.Files
    whole: Document | None = None
    stale_s: float = 0.0

    @property
    def entries(self) -> list[Document]:
        return list(self.files.get("history", {}).get("historico", []))

    @property
    def source(self) -> str:
        return next((kind for kind in ("history", "progress") if kind in self.files), "initial")

    @property
    def end(self) -> str | None:
        """The first status with which the robot ended the run; None before that."""
        if "history" in self.files:
            return next((entry["status"] for entry in self.entries if entry["etapa"] == "final"), None)
        progress = self.files.get("progress", {})
        if progress.get("status") in ("success", "error", "warning"):
            return str(progress["status"])
        finishing = any(error["contexto"] == "finalizacao" for error in progress.get("erros", []))
        return "error" if finishing else None

    @property
    def plans(self) -> list[Document]:
        extra = dict(self.files.get("progress", {}).get("dados_extra") or {})
        for entry in self.entries:
            if entry["etapa"] == "final":
                extra.update(entry["dados_extra"] or {})
        return [extra[key] for key in ("plano_recomendado", "plano_alternativo") if key in extra]

    @property
    def quote(self) -> bool:
        """The run has ended with a price, or well and without plans."""
        prices = [plan["valor"] for plan in self.plans]
        good = not prices or any(re.search("[1-9]", price) for price in prices)
        return self.end in ("success", "warning") and good

    @property
    def gave_up(self) -> bool:
        """The robot reported its failure, or ended without a quote."""
        texts = [entry["mensagem"] for entry in self.entries if not isinstance(entry["etapa"], str)]
        texts.append(self.files.get("progress", {}).get("mensagem") or "")
        words = ("falhou", "Erro:", "interrompido por erro")
        return (self.end is not None and not self.quote) or any(word in text for text in texts for word in words)


def states(case: Case) -> SessionState | None:
    """Read the case's files as the server does."""
    files: Any = copy.deepcopy(dict(case.files))
    state = from_files(
        "s1", files.get("progress"), files.get("history"), result=files.get("result"), session=files.get("session")
    )
    if state is not None:
        state.snapshot["session_id"] = "s1"
    return state


def ours(case: Case) -> Document:
    """Return the server's answer, decoded from its bytes."""
    answer: Document = json.loads(php_json.pretty(progress_answer.progress("s1", states(case), case.stale_s, NOW)))
    return answer


def _cut(name: str, files: deployed.Files) -> Iterator[Case]:
    """Yield a session after each entry of its history, and then without its history file."""
    history = files["history"]
    for part in recordings.prefixes(history):
        now: Document = {"history": part, "progress": recordings.progress_of(part, history)}
        result = recordings.result_of(part)
        if result is not None:
            now["result"] = {**files.get("result", result), "session_id": "s1"}
        number = len(part["historico"])
        yield Case(f"{name} {number}", now, history)
        yield Case(f"{name} {number} without its history", {k: v for k, v in now.items() if k != "history"}, history)


def _cases() -> dict[str, list[Case]]:
    found = {name: list(_cut(name, {"history": history})) for name, history in recordings.ALL.items()}
    for name, files in recordings.FILE_SETS.items():
        found[f"sample {name}"] = [*(_cut(name, files) if "history" in files else ()), Case(name, session_s1(files))]
    return found


def session_s1(files: deployed.Files) -> deployed.Files:
    return {kind: {**document, "session_id": "s1"} for kind, document in files.items()}


CASES = _cases()


@functools.cache
def answered() -> list[tuple[Case, Document]]:
    """Return every case with its answer."""
    return [(case, ours(case)) for cases in CASES.values() for case in cases]
