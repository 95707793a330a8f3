"""Every name that is built from a session id: Redis keys, channels, file names.

The one place that knows what a session id may look like; everything behind it trusts the id.
The names are those of the deployed system.
"""

import re

from .errors import BadSessionId

SESSIONS_KEY = "rpa:sessions"
CHANNEL_PREFIX = "rpa_progress:"
CHANNEL_PATTERN = CHANNEL_PREFIX + "*"
PROBE_CHANNEL_PREFIX = "rpa_probe:"
KINDS = ("progress", "history", "result", "session")

_SESSION_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_CHANNEL = re.compile(f"{CHANNEL_PREFIX}({_SESSION_ID.pattern})".encode())
_FILE = re.compile(rf"({'|'.join(KINDS)})_(.+)\.json|(updates)_(.+)\.jsonl")


def is_session_id(text: object) -> bool:
    """Tell whether *text* may be used in a key or a file name.

    1 to 128 characters of ``A-Z a-z 0-9 . _ -``, no leading dot or dash, no ``..``: every id seen in
    production fits, no path, glob or option does.
    """
    return isinstance(text, str) and bool(_SESSION_ID.fullmatch(text)) and ".." not in text


def check_session_id(text: str) -> str:
    """Return *text*, or raise BadSessionId."""
    if not is_session_id(text):
        raise BadSessionId(
            "The session id is not valid: use 1 to 128 of A-Z a-z 0-9 . _ - without a leading dot or "
            "dash and without two dots in a row."
        )
    return text


def progress_key(session_id: str) -> str:
    """Name the key of the snapshot."""
    return f"rpa:progress:{session_id}"


def history_key(session_id: str) -> str:
    """Name the key of the stream of updates."""
    return f"rpa:history:{session_id}"


def result_key(session_id: str) -> str:
    """Name the key of the result document."""
    return f"rpa:result:{session_id}"


def session_key(session_id: str) -> str:
    """Name the key of the session document."""
    return f"rpa:session:{session_id}"


def channel(session_id: str) -> str:
    """Name the pub/sub channel of a session."""
    return CHANNEL_PREFIX + session_id


def session_of_channel(name: bytes) -> str | None:
    """Return the session a channel belongs to, None where it is no session's."""
    match = _CHANNEL.fullmatch(name)
    return None if match is None or b".." in name else match[1].decode()


def keyspace_pattern(database: int) -> str:
    """Name the channels on which Redis tells that a snapshot was written."""
    return f"__keyspace@{database}__:{progress_key('*')}"


def session_of_keyspace(name: bytes) -> str | None:
    """Return the session whose snapshot a keyspace channel is of, None where it is no session's."""
    session_id = name.decode("ascii", "replace").partition(progress_key(""))[2]
    return session_id if is_session_id(session_id) else None


def file_name(kind: str, session_id: str) -> str:
    """Name the JSON file of one of KINDS."""
    return f"{kind}_{session_id}.json"


def journal_name(session_id: str) -> str:
    """Name the file of raw updates, one a line, that a run keeps once it outgrows its history document."""
    return f"updates_{session_id}.jsonl"


def session_of_file(name: str) -> tuple[str, str] | None:
    """Return ``(kind, session_id)`` of a file name, None for any other file."""
    match = _FILE.fullmatch(name)
    if match is None:
        return None
    kind, session_id = match[1] or match[3], match[2] or match[4]
    return (kind, session_id) if is_session_id(session_id) else None
