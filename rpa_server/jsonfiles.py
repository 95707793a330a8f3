"""The JSON files of a session, written so that no reader ever sees half of one.

Blocking; the tracker calls it in the robot's process, the server in a thread. The deployed writers truncate in
place, so reading expects empty and torn files all the same.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import naming, wirejson
from .errors import BadDocument

#: More than ten times the largest file a robot was seen to write.
MAX_BYTES = 16 * 1024 * 1024


def write(path: Path, document: dict[str, Any]) -> None:
    """Replace the file at *path* in one step: a reader sees the old document or the new one.

    Raises:
        OSError: the disk is full, read-only, forbidden ...
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(wirejson.dumps(document, indent=2))
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def read(path: Path) -> dict[str, Any] | None:
    """Read the document at *path*; None where there is none.

    Raises:
        BadDocument: empty, torn, larger than MAX_BYTES, not a JSON object, not readable.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadDocument(f"{path.name} can't be read ({error.strerror}).") from None
    if len(data) > MAX_BYTES:
        raise BadDocument(f"{path.name} is larger than {MAX_BYTES} bytes.")
    return wirejson.load_object(data)


def write_all(directory: Path, session_id: str, documents: dict[str, dict[str, Any]]) -> None:
    """Write the documents of a session, by naming.KINDS, the history before the snapshot."""
    directory.mkdir(parents=True, exist_ok=True)
    for kind in sorted(documents, key=("history", "result", "session", "progress").index):
        write(directory / naming.file_name(kind, session_id), documents[kind])


def remove_all(directory: Path, session_id: str) -> None:
    """Delete every file of a session."""
    for kind in naming.KINDS:
        with suppress(FileNotFoundError):
            (directory / naming.file_name(kind, session_id)).unlink()
