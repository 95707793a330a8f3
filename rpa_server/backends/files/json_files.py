"""Reads and writes the JSON files of a session. Documents are written atomically: no reader ever sees half of one.

Blocking: the tracker calls these functions in the robot's process, the server in a thread. Deployed robots truncate and
rewrite their files, so readers must still expect empty and torn files.
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
from .names import KINDS, file_name, journal_name, lock_name, session_of_file

#: A larger document is not read; any recorded history of HISTORY updates is far smaller.
MAX_BYTES = 16 * 1024 * 1024
#: How many bytes at the end of a journal are read: enough for HISTORY updates of 2.1 kB each.
JOURNAL_BYTES = HISTORY * 2100
#: A temporary file older than this many seconds was abandoned: writing one takes milliseconds.
ABANDONED_S = 600.0
#: A random part of the names of temporary files, so that no other process or machine that shares the directory uses the
#: same names.
_WRITER = secrets.token_hex(4)
_numbers = itertools.count()
#: The name of the file that shows the file system's clock; no session's files have it.
_CLOCK = "clock"

#: Modification time in nanoseconds, size and inode of a file: it was not written as long as these stay the same.
Signature = tuple[int, int, int]


def signature(path: Path) -> Signature | None:
    """Return the signature of a file, None if there is none or it can't be examined."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def clock_ms(directory: Path) -> int:
    """Return the time by the clock of the file system, in milliseconds since 1970; raises OSError.

    Runs in files are ordered by this clock, since it is the same for every process that uses the directory.
    """
    path = f"{directory}{os.sep}.{_CLOCK}.{_WRITER}{os.getpid():x}{next(_numbers):x}.tmp"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        return os.fstat(descriptor).st_mtime_ns // 1_000_000
    finally:
        os.close(descriptor)
        os.unlink(path)  # noqa: PTH108 - see write()


def encode_history(head: dict[str, Any], entries: Iterable[bytes]) -> bytes:
    """Encode a history document, one line for each entry of ``historico``.

    Args:
        head: the document without ``historico``; must not be empty.
        entries: each already encoded, so that the caller needs to encode only those added since the last call.
    """
    return b'%b,\n  "historico": [\n    %b\n  ]\n}' % (safejson.dumps_lines(head)[:-1], b",\n    ".join(entries))


def write(path: str | Path, document: dict[str, Any] | bytes) -> None:
    """Replace the file at *path* in one step: a reader sees the old document or the new one.

    Args:
        document: an object, or an already encoded one.

    Raises:
        OSError: for example, the disk is full or read-only, or writing is not permitted.
    """
    directory, name = os.path.split(path)  # building a Path here would make write() 25 % slower
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
    """Create a file with *data*; ``open()`` would add system calls that take as long as the write itself."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def remove_abandoned(directory: Path) -> None:
    """Delete the temporary files of writers that were killed; never raises.

    FileWriter calls this before its first write and FileStore.changes() when it starts, so that no files pile up.
    """
    oldest_s = time.time() - ABANDONED_S
    with suppress(OSError):
        for path in directory.glob(".*.tmp"):
            target = path.name[1:].rsplit(".", 2)[0]
            with suppress(OSError):  # another process may delete the same files
                ours = target == _CLOCK or session_of_file(target) is not None
                if ours and path.stat().st_mtime < oldest_s:
                    path.unlink()


def _opener(name: str, flags: int) -> int:
    """Open a regular file for reading; refuse anything else, since reading a named pipe would wait for a writer."""
    descriptor = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", name)
    return descriptor


def read(path: Path) -> dict[str, Any] | None:
    """Read the document at *path*; None if there is no such file.

    Raises:
        BadDocument: the file is empty, torn, larger than MAX_BYTES, not a JSON object, or not readable.
    """
    try:
        with open(path, "rb", opener=_opener) as file:
            # Reads at most one byte more than the size just measured: a file that keeps growing can't fill the memory.
            data = b"" if (size := os.fstat(file.fileno()).st_size) > MAX_BYTES else file.read(size + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadDocument(f"{path.name} can't be read ({error.strerror}).") from None
    if max(size, len(data)) > MAX_BYTES:
        raise BadDocument(f"{path.name} is larger than {MAX_BYTES} bytes.")
    return safejson.load_object(data)


def write_all(directory: Path, session_id: str, documents: Mapping[str, dict[str, Any] | bytes]) -> None:
    """Write a session's documents, keyed by KINDS; raises OSError.

    The snapshot is written last: a reader that begins with it finds a history or journal at least as new.
    """
    for kind in sorted(documents, key=("history", "result", "session", "progress").index):
        path = f"{directory}{os.sep}{file_name(kind, session_id)}"
        try:
            write(path, documents[kind])
        except FileNotFoundError:  # no such directory: handling this rare case is cheaper than checking at every write
            directory.mkdir(parents=True, exist_ok=True)
            write(path, documents[kind])


def append_lines(path: str | Path, lines: Iterable[bytes]) -> None:
    """Append *lines*, or none of them if that fails; raises OSError.

    If a killed writer left half a line at the end, a line break is added to it, so that it spoils no new line.
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
    """Return the complete lines among the last JOURNAL_BYTES of the file, an empty list if there is no file.

    Raises:
        BadDocument: the file can't be read.
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
    """Delete every file of a session; raises OSError."""
    names = (*(file_name(kind, session_id) for kind in KINDS), journal_name(session_id), lock_name(session_id))
    for name in names:
        with suppress(FileNotFoundError):
            (directory / name).unlink()
