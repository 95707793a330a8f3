"""Every name in Redis that is built from a session id: keys and channels.

Pure. The deployed system's names are kept. Session ids that are put into names are not checked here: they were checked
where they came in.
"""

import re

from ...progress.session_id import SESSION_ID, is_session_id

SESSIONS_KEY = "rpa:sessions"
PROBE_KEY = "rpa:probe"
CHANNEL_PREFIX = "rpa_progress:"
CHANNEL_PATTERN = CHANNEL_PREFIX + "*"
PROBE_CHANNEL_PREFIX = "rpa_probe:"
_CHANNEL = re.compile(f"{CHANNEL_PREFIX}({SESSION_ID.pattern})".encode())


def progress_key(session_id: str) -> str:
    """Return the key of the snapshot."""
    return f"rpa:progress:{session_id}"


def history_key(session_id: str) -> str:
    """Return the key of the stream of updates."""
    return f"rpa:history:{session_id}"


def result_key(session_id: str) -> str:
    """Return the key of the result document."""
    return f"rpa:result:{session_id}"


def session_key(session_id: str) -> str:
    """Return the key of the session document."""
    return f"rpa:session:{session_id}"


def channel(session_id: str) -> str:
    """Return the pub/sub channel of a session."""
    return CHANNEL_PREFIX + session_id


def session_of_channel(name: bytes) -> str | None:
    """Return the session id in a channel's name, None if the name is not ``rpa_progress:<session id>``."""
    match = _CHANNEL.fullmatch(name)
    return None if match is None or b".." in name else match[1].decode()


def keyspace_pattern(database: int) -> str:
    """Return the pattern of the channels on which Redis reports changes of the snapshots in *database*."""
    return f"__keyspace@{database}__:{progress_key('*')}"


def session_of_keyspace(name: bytes) -> str | None:
    """Return the session id in the name of a keyspace channel, None if the channel's key is no session's snapshot."""
    session_id = name.decode("ascii", "replace").partition(progress_key(""))[2]
    return session_id if is_session_id(session_id) else None
