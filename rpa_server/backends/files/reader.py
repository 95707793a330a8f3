"""Reads the files of one session once, blocking, and tells whether what was found is the newest state.

Whether a broken file is just being written or broken for good shows in its age alone.
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

from ... import safejson
from ...errors import BadDocument, Unreadable
from ...progress.file_documents import from_files
from ...progress.session_state import SessionState, supersede
from . import json_files
from .json_files import Signature
from .names import KINDS, file_name, journal_name

#: A file that is unchanged for this many nanoseconds is not being written any more. A shorter time would not do, since
#: some file systems round times to whole seconds.
_SETTLED_NS = 10**9
#: The same for the history of a run whose updates are known: a robot may empty it and then take seconds to encode it.
_SETTLED_HISTORY_NS = 5 * 10**9
#: A file may change again without a new time within these nanoseconds: a tick of the kernel's clock; on file systems that
#: round times, two seconds.
_TICK_NS, _ROUNDED_NS = 20 * 10**6, 2 * 10**9
#: How often files that changed while they were read are read again at once.
_QUIET_TRIES = 3
_RUNNING, _ENDS = ("progress", "history"), ("result", "session")
_KINDS = (*KINDS, "journal")  # in the order of a signature


#: A session's files as they were read, by kind: a document's bytes, the journal's lines, None for a missing file, or why it
#: can't be read.
_Files = dict[str, bytes | list[bytes] | BadDocument | None]


class Read(NamedTuple):
    """The result of reading a session's files, valid as long as they have this signature.

    Attributes:
        signature: see json_files.signature(); () if the newest state was not found, so that no files ever match.
        state: the state in the files; if they are broken, the last good state. None if there is none.
        broken: why the files are broken for good, so that reading them again is useless until they change; else None.
        at_ns: when the reading began, nanoseconds since 1970.
    """

    signature: Signature
    state: SessionState | None
    broken: str | None = None
    at_ns: int = 0

    def holds(self, signature: Signature) -> bool:
        """Tell whether files of this signature have the content that was read."""
        return self.signature == signature and not any(
            file and self.at_ns - file[0] <= _tick(file[0]) for file in signature
        )


def _tick(changed_ns: int) -> int:
    return _TICK_NS if changed_ns % 10**9 else _ROUNDED_NS


class Reader:
    """Reads the sessions in one directory.

    Args:
        directory: holds the files; a missing one has no sessions.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, session_id: str, kept: Read | None, last_try: bool) -> Read:
        """Read the documents unless they are unchanged since *kept*, the last read.

        Raises:
            BadDocument: a document is broken, perhaps because it is just being written; a retry may find it complete.
        """
        at_ns = time.time_ns()
        signature = json_files.signature(self._directory, session_id)
        if kept is not None and kept.holds(signature):
            return kept
        before = kept.state if kept else None
        files, after = self._load(session_id), json_files.signature(self._directory, session_id)
        for _ in range(_QUIET_TRIES):
            if after == signature:
                break
            signature = after
            files, after = self._load(session_id), json_files.signature(self._directory, session_id)
        settled = _settled(after, at_ns, before)
        needless = set() if not last_try else {*_ENDS} if before else {*_KINDS}
        try:
            state, lacking = _state(session_id, files, settled, needless)
        except Unreadable:
            raise
        except BadDocument as error:
            if len(settled) < sum(map(bool, after)):
                raise
            return Read(after, before, str(error), at_ns)
        if state is not None:
            if before is not None and state.sparse and before.started == state.started:
                state = supersede(before, state)
            changed_ns = _changed_ns(signature, lacking) or _changed_ns(after, lacking)
            state = state.written_at(changed_ns / 1e9)
        return Read(after if after == signature and settled.issuperset(lacking) else (), state, None, at_ns)

    def _load(self, session_id: str) -> _Files:
        """Read all files of a session, but parse none: the less time that takes, the fewer change meanwhile."""
        files: _Files = {}
        for kind in _KINDS:
            try:
                if kind == "journal":
                    files[kind] = json_files.last_lines(self._directory / journal_name(session_id))
                else:
                    files[kind] = json_files.load(self._directory / file_name(kind, session_id))
            except BadDocument as error:
                files[kind] = error
        return files


def _state(session_id: str, files: _Files, settled: set[str], needless: set[str]) -> tuple[SessionState | None, set[str]]:
    """Build the state from the files; return it and the kinds of files that were left out.

    Args:
        settled: kinds of files to leave out if they are broken.
        needless: kinds of files to leave out if they are broken, or can't be read now; all others must be sound. For
            those that can't be read now, ``unreadable`` is among the kinds that are returned.

    Raises:
        BadDocument: a file of another kind can't be read, or the readable ones describe no run.
    """
    sound: dict[str, Any] = {}
    lacking: set[str] = set()
    failure = BadDocument("none of its files can be read")
    for kind in (*_ENDS, *_RUNNING, "journal"):
        try:
            sound[kind] = _parsed(files[kind])
        except BadDocument as error:
            unreadable = isinstance(error, Unreadable)
            if kind not in needless and (unreadable or kind not in settled):
                raise
            failure = error
            lacking |= {kind, "unreadable"} if unreadable else {kind}
    ends = {kind: sound.get(kind) for kind in _ENDS}
    state = from_files(session_id, sound.get("progress"), sound.get("history"), sound.get("journal", ()), **ends)
    if state is None and any(files[kind] not in (None, []) for kind in (*_RUNNING, "journal")):
        raise failure
    return state, lacking


def _parsed(file: bytes | list[bytes] | BadDocument | None) -> dict[str, Any] | list[bytes] | None:
    if isinstance(file, BadDocument):
        raise file
    return safejson.load_object(file) if isinstance(file, bytes) else file


def _settled(signature: Signature, at_ns: int, before: SessionState | None) -> set[str]:
    """Return the kinds of files that nobody is writing any more; *before*: the last good state, None if there is none."""
    longest = {"history": _SETTLED_HISTORY_NS} if before is not None and not before.sparse else {}
    pairs = zip(_KINDS, signature, strict=True)
    return {kind for kind, file in pairs if file and at_ns - file[0] > longest.get(kind, _SETTLED_NS)}


def _changed_ns(signature: Signature, lacking: set[str]) -> int:
    """Return when the last file was changed, 0 if there is none; kinds in *lacking* don't count."""
    pairs = zip(_KINDS, signature, strict=True)
    return max((file[0] for kind, file in pairs if file and kind not in lacking), default=0)
