"""Writes a session's files as the deployed robot does: it truncates each file and writes it anew.

Imports nothing of rpa_server. ``python -m tests.support.inplace DIRECTORY SESSION LENGTH_S KIND`` plays a run of 60
entries in LENGTH_S seconds and meanwhile rewrites every file every 2 ms; KIND is ``history``, or ``snapshot`` for a
robot that keeps no history. Prints how often it wrote the files.
"""

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support import recordings

Document = dict[str, Any]

EVERY_S = 0.002
ENTRIES = 60
#: How many characters are written between two flushes: a reader may find a file that ends after any of these pieces.
_PIECE = 4096


def encode(document: Document) -> str:
    """Encode a document with the robot's indentation."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def write(path: Path, text: str) -> None:
    """Truncate the file, then write *text* piece by piece."""
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(text), _PIECE):
            file.write(text[start : start + _PIECE])
            file.flush()


def play(session_id: str) -> Iterator[dict[str, Document]]:
    """Yield the robot's files by kind, in the order of writing, after each entry of a run that begins now."""
    started = datetime.now()
    entries: list[Document] = []
    for index in range(ENTRIES):
        entries.append(_entry(index))
        history = {
            "session_id": session_id,
            "timestamp_inicio": started.isoformat(timespec="microseconds"),
            "timestamp_fim": entries[-1]["timestamp"],
            "status_final": entries[-1]["status"],
            "total_etapas": 15,
            "historico": entries,
        }
        documents = {"progress": recordings.progress_of(history), "history": history}
        result = recordings.result_of(history)
        if result is not None:
            documents["result"] = result
            documents["session"] = {
                "session_id": session_id,
                "timestamp_inicio": history["timestamp_inicio"],
                "timestamp_fim": history["timestamp_fim"],
                "status": "success",
                "total_etapas": 15,
                "etapas_executadas": 15,
            }
        yield documents


def _entry(index: int) -> Document:
    step = min(index * 16 // (ENTRIES - 1), 15)
    word: float | str = {0: "inicio", 22: "estimativas", ENTRIES - 1: "final"}.get(index, step)
    status = {"inicio": "iniciando", "estimativas": "completed", "final": "success"}.get(str(word))
    now = datetime.now().isoformat(timespec="microseconds")
    extra = {"estimativas": recordings.estimates(now), "final": recordings.plans()}.get(str(word))
    return {
        "etapa": word,
        "timestamp": now,
        "status": status or ("iniciando" if step == 0 else "executando" if step < 15 else "concluido"),
        "mensagem": f"Passo {index}",
        "dados_extra": extra,
        "erro": None,
    }


def hammer(directory: Path, session_id: str, length_s: float, keeps_history: bool) -> int:
    """Play a run that takes *length_s* and rewrite its files every 2 ms; return how often they were written."""
    directory.mkdir(parents=True, exist_ok=True)
    written, due = 0, time.monotonic()
    for documents in play(session_id):
        texts = {kind: encode(document) for kind, document in documents.items() if keeps_history or kind != "history"}
        changed = str(documents["progress"]["timestamp_atualizacao"])
        next_entry = due + length_s / ENTRIES
        while due < next_entry:
            for kind, text in texts.items():
                moves = kind == "progress" and "result" not in texts
                now = datetime.now().isoformat(timespec="microseconds") if moves else changed
                write(directory / f"{kind}_{session_id}.json", text.replace(changed, now))
            written += 1
            due = max(due + EVERY_S, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
    return written


def main(directory: str, session_id: str, length_s: str, kind: str) -> None:
    """Run hammer() with the arguments of the command line; print what it returns."""
    sys.stdout.write(str(hammer(Path(directory), session_id, float(length_s), kind == "history")))


if __name__ == "__main__":
    main(*sys.argv[1:])
