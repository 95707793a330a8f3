"""Which texts are valid session ids.

Pure. An id is checked once, where it comes in; the Redis keys, channels and file names built from it are not checked
again.
"""

import re

from ..errors import BadSessionId

SESSION_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def is_session_id(text: object) -> bool:
    """Tell whether *text* may be used in a key or a file name.

    1 to 128 characters of ``A-Z a-z 0-9 . _ -``, no leading dot or dash, no ``..``: every id seen in production is valid;
    no path, glob pattern or command-line option is.
    """
    return isinstance(text, str) and bool(SESSION_ID.fullmatch(text)) and ".." not in text


def check_session_id(text: str) -> str:
    """Return *text* if it is a valid id, or raise BadSessionId."""
    if not is_session_id(text):
        raise BadSessionId(
            "The session id is not valid: use 1 to 128 of A-Z a-z 0-9 . _ - without a leading dot or "
            "dash and without two dots in a row."
        )
    return text
