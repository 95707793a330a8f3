"""Reads and writes the JSON files of a session; what is written here no reader ever sees half of.

Blocking: the tracker calls it in the robot's process, the server in a thread. The deployed writers truncate and rewrite
their files, so that reading has to expect empty and torn ones all the same.
"""

import errno
import itertools
import os
import secrets
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ... import safejson
from ...errors import BadDocument
from ...progress.update import HISTORY
from .names import KINDS, file_name, journal_name, session_of_file

#: Far more than any recorded history of HISTORY updates takes.
MAX_BYTES = 16 * 1024 * 1024
#: How much of the end of a journal is read: enough for HISTORY updates of 2.1 kB.
JOURNAL_BYTES = HISTORY * 2100
#: The writer of a temporary file of this age is dead: writing one takes milliseconds.
ABANDONED_S = 600.0
#: Part of the names of temporary files, so that no other process or machine that shares the directory uses the same.
_WRITER = secrets.token_hex(4)
_numbers = itertools.count()


def encode_history(head: dict[str, Any], entries: Iterable[bytes]) -> bytes:
    """Encode a history document, one line for each entry of ``historico``.

    Args:
        head: the document without ``historico``; not empty.
        entries: encoded already, since all but the newest are the same as at the last call.
    """
    return b'%b,\n  "historico": [\n    %b\n  ]\n}' % (safejson.dumps_lines(head)[:-1], b",\n    ".join(entries))


def write(path: str | Path, document: dict[str, Any] | bytes) -> None:
    """Replace the file at *path* in one step: a reader sees the old document or the new one.

    Args:
        document: an object, or one that is encoded already.

    Raises:
        OSError: the disk is full, read-only, forbidden ...
    """
    directory, name = os.path.split(path)  # a Path would make this function a quarter slower
    temporary = os.path.join(directory, f".{name}.{_WRITER}{os.getpid():x}{next(_numbers):x}.tmp")  # noqa: PTH118
    data = document if isinstance(document, bytes) else safejson.dumps_lines(document)
    try:
        _create(temporary, data)
        os.replace(temporary, path)  # noqa: PTH105
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _create(path: str, data: bytes) -> None:
    """Make a file of *data*. ``open()`` would make further system calls that take as long as the writing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def remove_abandoned(directory: Path) -> None:
    """Delete the temporary files of writers that were killed; never raises.

    Every writer and watcher of a directory calls it once at its start, so that they don't pile up.
    """
    oldest_s = time.time() - ABANDONED_S
    with suppress(OSError):
        for path in directory.glob(".*.tmp"):
            target = path.name[1:].rsplit(".", 2)[0]
            with suppress(OSError):  # another process may delete the same ones
                if session_of_file(target) is not None and path.stat().st_mtime < oldest_s:
                    path.unlink()


def _opener(name: str, flags: int) -> int:
    """Open a regular file for reading. A named pipe is refused: reading it would wait for a writer."""
    descriptor = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", name)
    return descriptor


def read(path: Path) -> dict[str, Any] | None:
    """Read the document at *path*; None where there is none.

    Raises:
        BadDocument: empty, torn, larger than MAX_BYTES, not a JSON object, not readable.
    """
    try:
        with open(path, "rb", opener=_opener) as file:
            # At most one byte beyond the size of now, so that a file that grows meanwhile can't fill the memory.
            data = b"" if (size := os.fstat(file.fileno()).st_size) > MAX_BYTES else file.read(size + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadDocument(f"{path.name} can't be read ({error.strerror}).") from None
    if max(size, len(data)) > MAX_BYTES:
        raise BadDocument(f"{path.name} is larger than {MAX_BYTES} bytes.")
    return safejson.load_object(data)


def write_all(directory: Path, session_id: str, documents: Mapping[str, dict[str, Any] | bytes]) -> None:
    """Write the documents of a session, by KINDS, the history before the snapshot: readers look at the latter first."""
    for kind in sorted(documents, key=("history", "result", "session", "progress").index):
        path = f"{directory}{os.sep}{file_name(kind, session_id)}"
        try:
            write(path, documents[kind])
        except FileNotFoundError:  # rarer than checking at every write is worth
            directory.mkdir(parents=True, exist_ok=True)
            write(path, documents[kind])


def append_lines(path: str | Path, lines: Iterable[bytes]) -> None:
    """Append *lines*, all or none of them; raises OSError.

    A half line at the end, left by a writer that was killed, is ended first, so that it spoils none of them.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
        left = memoryview((b"" if whole else b"\n") + b"".join(line + b"\n" for line in lines))
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def last_lines(path: Path) -> list[bytes]:
    """Return the whole lines among the last JOURNAL_BYTES of the file, none where there is no file.

    Raises:
        BadDocument: it can't be read.
    """
    try:
        with open(path, "rb", opener=_opener) as file:
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - JOURNAL_BYTES))
            lines = file.read(JOURNAL_BYTES).split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadDocument(f"{path.name} can't be read ({error.strerror}).") from None
    return lines[1 if start else 0 : -1]


def remove_all(directory: Path, session_id: str) -> None:
    """Delete every file of a session."""
    for name in (*(file_name(kind, session_id) for kind in KINDS), journal_name(session_id)):
        with suppress(FileNotFoundError):
            (directory / name).unlink()
