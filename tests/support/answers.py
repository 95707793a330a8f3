"""Every recorded run after each of its entries: the session's files at that moment, and the server's answer."""

import copy
import functools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from rpa_server.legacy import php_json, progress_answer
from rpa_server.legacy.digest import Digest
from rpa_server.legacy.progress_answer import RunView
from rpa_server.progress.file_documents import from_files
from rpa_server.progress.session_state import SessionState
from tests.support import deployed, recordings
from tests.support.deployed import Document

NOW = "2026-01-15 09:30:00"


class Case(NamedTuple):
    """A session's files at one moment; the properties say what an answer about this run should reflect.

    Attributes:
        name: for failure messages.
        files: the documents by kind.
        whole: the complete history, of which the history file is a prefix; None if that is not known.
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
        """The status with which the robot ended the run, the first one if it did so twice; None before the end."""
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
        """True if the run ended with ``success`` or ``warning`` and, where it has plans, at least one price."""
        prices = [plan["valor"] for plan in self.plans]
        good = not prices or any(re.search("[1-9]", price) for price in prices)
        return self.end in ("success", "warning") and good

    @property
    def gave_up(self) -> bool:
        """True if the robot ended the run without a quote, or one of its texts reports a failure."""
        texts = [entry["mensagem"] for entry in self.entries if not isinstance(entry["etapa"], str)]
        texts.append(self.files.get("progress", {}).get("mensagem") or "")
        words = ("falhou", "Erro:", "interrompido por erro")
        return (self.end is not None and not self.quote) or any(word in text for text in texts for word in words)


def states(case: Case) -> SessionState | None:
    """Read the case's files as the server does, as those of session ``s1``."""
    files: Any = copy.deepcopy(dict(case.files))
    state = from_files(
        "s1", files.get("progress"), files.get("history"), result=files.get("result"), session=files.get("session")
    )
    if state is not None:
        state.snapshot["session_id"] = "s1"
    return state


def run_of(state: SessionState, silence_s: float = 0.0) -> RunView:
    """Return the run of a state as answers show it after a silence of *silence_s* seconds."""
    return progress_answer.look(state, silence_s, Digest.of(state))


def ours(case: Case) -> Document:
    """Return the server's answer to ``/api/rpa/progress/s1``, decoded from its bytes."""
    state = states(case)
    run = None if state is None else run_of(state, case.stale_s)
    answer: Document = json.loads(php_json.pretty(progress_answer.progress("s1", run, NOW)))
    return answer


def _cut(name: str, files: deployed.Files) -> Iterator[Case]:
    """Yield two cases for each entry of a history: the files right after it, and these without the history file."""
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
    """Return every case with its answer; computed once."""
    return [(case, ours(case)) for cases in CASES.values() for case in cases]
