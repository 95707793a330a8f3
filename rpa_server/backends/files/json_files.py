"""Reads and writes the JSON files of a session. Documents are written atomically: no reader ever sees half of one.

Blocking: the tracker calls these functions in the robot's process, the server in a thread. Deployed robots truncate and
rewrite their files, so readers must still expect empty and torn files. Links are not followed, neither to read nor to
write: whoever can make one in the directory could otherwise have other files served or changed. The directory itself may
be a link.
"""

import errno
import itertools
import os
import secrets
import stat
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ... import safejson
from ...errors import BadDocument, Unreadable
from ...progress.limits import HISTORY_BYTES
from ...progress.update import HISTORY
from ..base import TTL_S
from .names import KINDS, file_name, journal_name, lock_name, session_of_file, session_of_lock

#: What is read of one journal, at its end, and the most that is written in a history document, by leaving out old entries.
JOURNAL_BYTES = HISTORY_BYTES
#: A larger document is not read.
MAX_BYTES = 4 * HISTORY_BYTES
#: HISTORY updates of a usual size. A larger history is continued in a journal, since each update would rewrite it; and this
#: much of a journal is read first.
USUAL_BYTES = HISTORY * 2100
#: A temporary file older than this many seconds was abandoned: writing one takes milliseconds.
ABANDONED_S = 600.0
#: A random part of the names of temporary files, so that no other process or machine that shares the directory uses the
#: same names.
_WRITER = secrets.token_hex(4)
_numbers = itertools.count()
#: 0 on platforms without links, or where a link must be looked for before a file is opened.
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
#: Close at exec(), never wait for the other end of a pipe, and on Windows no translation of line ends.
_FLAGS = _NOFOLLOW | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
#: With these open() reports a link that must not be followed; which one depends on the system.
_LINK_ERRORS = (errno.ELOOP, errno.EMLINK)
#: With these the file itself is to blame; with any other, such as EMFILE or EIO, it may be sound.
_FILE_ERRORS = (*_LINK_ERRORS, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.ENXIO)

_CLOCK = "clock"  # name of the file that shows the file system's clock; no session's files have it
#: Modification time in ns, size and inode of a file: it was not written as long as these stay the same.
FileSignature = tuple[int, int, int]
#: That of each file of a session, see signature(); None for a missing file.
Signature = tuple[FileSignature | None, ...]


def signature(directory: Path, session_id: str) -> Signature:
    """Return what changes whenever one of a session's files does: KINDS in their order, then the journal."""
    names = (*(file_name(kind, session_id) for kind in KINDS), journal_name(session_id))
    return tuple(file_signature(f"{directory}{os.sep}{name}") for name in names)


def file_signature(path: str | Path) -> FileSignature | None:
    """Return the signature of one file, None if there is none or it can't be examined."""
    try:
        found = os.lstat(path)
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


def encode_history(head: dict[str, Any], entries: Sequence[bytes]) -> bytes:
    """Encode a history document, one line for each entry of ``historico``.

    Args:
        head: the document without ``historico``; must not be empty.
        entries: each already encoded, so that the caller needs to encode only those added since the last call. The oldest
            are left out if all of them would take more than HISTORY_BYTES.
    """
    size, first = 0, len(entries)
    for entry in reversed(entries):
        size += len(entry)
        if size > HISTORY_BYTES:
            break
        first -= 1
    lines = b",\n    ".join(itertools.islice(entries, first, None))
    return b'%b,\n  "historico": [\n    %b\n  ]\n}' % (safejson.dumps_lines(head)[:-1], lines)


def is_long(seq: int, entries: Collection[bytes]) -> bool:
    """Tell whether a run of *seq* updates, the latest with these *entries*, is continued in a journal."""
    return seq > min(HISTORY, len(entries)) or sum(map(len, entries)) > USUAL_BYTES


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
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def remove_abandoned(directory: Path) -> None:
    """Delete the temporary files of writers that were killed, and locks of sessions of earlier days; never raises.

    The server does this, see changes.py, and not the tracker: it takes as long as the directory is large.
    """
    now_s = time.time()
    with suppress(OSError), os.scandir(directory) as files:
        for file in files:
            longest_s = _longest_s(file.name)
            with suppress(OSError):  # another process may delete the same files
                if longest_s is not None and file.stat(follow_symlinks=False).st_mtime < now_s - longest_s:
                    os.unlink(file.path)  # noqa: PTH108 - building a Path takes longer


def _longest_s(name: str) -> float | None:
    """Return how many seconds a file of this name may be there; None for any that belongs to a session for good."""
    if name.startswith(".") and name.endswith(".tmp"):
        target = name[1:].rsplit(".", 2)[0]
        return ABANDONED_S if target == _CLOCK or session_of_file(target) else None
    return TTL_S if session_of_lock(name) else None


def check_writable(directory: Path) -> None:
    """Write a small file and delete it; raises OSError if the directory does not take it."""
    path = directory / f".{file_name('progress', 'check')}.{_WRITER}{os.getpid():x}{next(_numbers):x}.tmp"
    try:
        _create(str(path), b"x")
    finally:
        path.unlink(missing_ok=True)


def _open(name: str | Path, flags: int) -> int:
    """Open a regular file; anything else raises OSError, since a pipe, for example, would wait for its other end."""
    if not _NOFOLLOW and os.path.islink(name):  # noqa: PTH114 - *name* is mostly a str
        raise OSError(errno.ELOOP, "it is a link", name)
    try:
        descriptor = os.open(name, flags | _FLAGS, 0o666)
    except OSError as error:
        if error.errno in _LINK_ERRORS:
            raise OSError(error.errno, "it is a link, and links are not followed", name) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", name)
    return descriptor


def _unreadable(path: Path, error: OSError) -> BadDocument:
    kind = BadDocument if error.errno in _FILE_ERRORS else Unreadable
    return kind(f"{path.name} can't be read ({error.strerror}).")


def read(path: Path) -> dict[str, Any] | None:
    """Read the document at *path*; None if there is no such file.

    Raises:
        BadDocument: the file is empty, torn, larger than MAX_BYTES, not a JSON object, or no regular file.
        Unreadable: it can't be read now; it may be sound.
    """
    data = load(path)
    return None if data is None else safejson.load_object(data)


def load(path: Path) -> bytes | None:
    """Return the bytes of the file at *path*, None if there is no such file; see read() for what it raises."""
    try:
        with open(path, "rb", opener=_open) as file:
            # Reads at most one byte more than the size just measured: a file that keeps growing can't fill the memory.
            data = b"" if (size := os.fstat(file.fileno()).st_size) > MAX_BYTES else file.read(size + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    if max(size, len(data)) > MAX_BYTES:
        raise BadDocument(f"{path.name} is larger than {MAX_BYTES} bytes.")
    return data


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

    If a killed writer left half a line at the end, a line break is added to it, so that it spoils no new line. A link is
    replaced by a file, as write() does.
    """
    descriptor = _open_journal(path)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        whole = size == 0 or _last_byte(descriptor, size) == b"\n"
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


def _open_journal(path: str | Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    try:
        return _open(path, flags)
    except OSError as error:
        if error.errno not in _LINK_ERRORS:
            raise
        os.unlink(path)  # noqa: PTH108 - *path* may be a str
        return _open(path, flags | os.O_EXCL)


def _last_byte(descriptor: int, size: int) -> bytes:
    """Return the last byte of a file of *size* bytes; Windows has no os.pread()."""
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1)


def last_lines(path: Path) -> list[bytes]:
    """Return the complete lines at the end of the file, an empty list if there is no file.

    Read are USUAL_BYTES; if these have fewer than HISTORY lines, JOURNAL_BYTES.

    Raises:
        BadDocument: the file can't be read.
    """
    try:
        with open(path, "rb", opener=_open) as file:
            size = file.seek(0, os.SEEK_END)
            for most in (min(USUAL_BYTES, JOURNAL_BYTES), JOURNAL_BYTES):
                start = file.seek(max(0, size - most))
                lines = file.read(most).split(b"\n")[1 if start else 0 : -1]
                if start == 0 or len(lines) >= HISTORY:
                    break
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, error) from None
    return lines


def remove_all(directory: Path, session_id: str) -> None:
    """Delete every file of a session; raises OSError."""
    names = (*(file_name(kind, session_id) for kind in KINDS), journal_name(session_id), lock_name(session_id))
    for name in names:
        with suppress(FileNotFoundError):
            (directory / name).unlink()
