"""The call of ``append.lua``, the one Redis script: its keys and arguments, and what its answer means.

Pure but for reading the script once at import. The tracker (blocking) and the server (asyncio) both make this call, so a
run looks the same whoever wrote it. The call is idempotent: after a timeout it is simply repeated.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ... import safejson
from ...progress.update import HISTORY, Update
from ..base import TTL_S
from .names import SESSIONS_KEY, channel, history_key, progress_key, result_key, session_key

Mode = Literal["repeat", "exact", "new", "over"]

SCRIPT = Path(__file__).with_name("append.lua").read_text(encoding="utf-8")
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

#: Commands that a Redis refuses exactly where it forbids scripts. The second is answered NOSCRIPT where it does not.
PROBES = (("EVAL", "return 1", 0), ("EVALSHA", "0" * 40, 0))
#: For logs and readiness; the beginning of a sentence.
FORBIDDEN = "Redis forbids scripts, so nothing can be written to it: allow EVAL and EVALSHA (ACL +eval +evalsha)"

_KEYS = {
    "progress": progress_key,
    "result": result_key,
    "session": session_key,
}


class Call(NamedTuple):
    """Keys and arguments of one call."""

    keys: list[str]
    args: list[Any]


class Answer(NamedTuple):
    """What Redis has of the run after a call.

    Attributes:
        gap: nothing was written, since the first update does not follow on *seq*.
        seq: the last ``seq`` that is stored of this run, 0 for none.
    """

    gap: bool
    seq: int


def call(
    session_id: str,
    updates: Sequence[Update],
    documents: dict[str, dict[str, Any]],
    now_s: float,
    mode: Mode | int = "repeat",
) -> Call:
    """Build the call that appends *updates* and stores *documents*.

    Args:
        updates: contiguous, of one epoch, at least one.
        documents: by the KINDS of files/names.py, ``progress`` always; ``history`` is left out, the stream is it.
        now_s: seconds since 1970, for the list of sessions.
        mode: what to do where Redis has something else than the update before the first one: ``repeat`` skips what is
            stored already, ``exact`` refuses that (somebody else numbered it), ``new`` refuses any other run, ``over``
            writes even where Redis lacks what came before, dropping what it has. A number is ``repeat`` up to that
            update, and refuses where a later one is stored: somebody else numbered it.
    """
    kinds = [kind for kind in _KEYS if kind in documents]
    keys = [history_key(session_id), SESSIONS_KEY, *(_KEYS[kind](session_id) for kind in kinds)]
    first = updates[0]
    args: list[Any] = [
        first.epoch,
        first.seq,
        mode,
        TTL_S,
        HISTORY,
        repr(now_s),
        session_id,
        channel(session_id),
        *(safejson.dumps(documents[kind]) for kind in kinds),
        *(update.raw for update in updates),
    ]
    return Call(keys, args)


def forbids_scripts(error: BaseException) -> bool:
    """Tell whether *error* is a Redis that does not run scripts for this user."""
    text = str(error).lower()
    return "eval" in text and ("permission" in text or "unknown command" in text)


def answer(reply: Sequence[Any]) -> Answer:
    """Read the script's reply."""
    return Answer(reply[0] in (b"gap", "gap"), int(reply[1]))
