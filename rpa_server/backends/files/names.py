"""Every file name that is built from a session id.

Pure. The deployed system's names are kept. Session ids that are put into names are not checked here: they were checked
where they came in.
"""

import re

from ...progress.session_id import is_session_id

KINDS = ("progress", "history", "result", "session")
#: The kinds of files that are watched and listed, see session_of_file(). The session file is not: a robot that ends a run
#: writes the result file, too.
WATCHED = ("progress", "history", "updates", "result")
_FILE = re.compile(rf"({'|'.join(KINDS)})_(.+)\.json|(updates)_(.+)\.jsonl")


def file_name(kind: str, session_id: str) -> str:
    """Return the name of the JSON file of *kind*, one of KINDS."""
    return f"{kind}_{session_id}.json"


def journal_name(session_id: str) -> str:
    """Return the name of the journal: raw updates, one per line, written once a run has more than HISTORY updates."""
    return f"updates_{session_id}.jsonl"


def lock_name(session_id: str) -> str:
    """Return the name of the file that writers of the session lock."""
    return f".{session_id}.lock"


def session_of_lock(name: str) -> str | None:
    """Return the session id in the name of a lock, None for any other name."""
    session_id = name.removeprefix(".").removesuffix(".lock")
    return session_id if name == lock_name(session_id) and is_session_id(session_id) else None


def session_of_file(name: str) -> tuple[str, str] | None:
    """Return ``(kind, session_id)`` of a file name (a journal's kind is ``updates``), None for any other name."""
    match = _FILE.fullmatch(name)
    if match is None:
        return None
    kind, session_id = match[1] or match[3], match[2] or match[4]
    return (kind, session_id) if is_session_id(session_id) else None
