"""The call of ``append.lua``, the one Redis script: its keys and arguments, and what its answer means.

Pure, except that the script is read once at import. The tracker (blocking) and the server (asyncio) both make this
call, so a run is stored in the same way whoever wrote it. No update is ever stored twice; after a timeout the tracker
therefore repeats the call, with the modes ``repeat`` and ``over``.
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

#: Redis refuses these commands if, and only if, it forbids scripts; if it allows them, the second one fails with
#: NOSCRIPT.
PROBES = (("EVAL", "return 1", 0), ("EVALSHA", "0" * 40, 0))
#: A message for the log and for /health/ready; the log adds what happens to the updates meanwhile.
FORBIDDEN = "Redis forbids scripts, so nothing can be written to it: allow EVAL and EVALSHA (ACL +eval +evalsha)"

_KEYS = {
    "progress": progress_key,
    "result": result_key,
    "session": session_key,
}


class Call(NamedTuple):
    """Keys and arguments of one call of the script."""

    keys: list[str]
    args: list[Any]


class Answer(NamedTuple):
    """What Redis has stored of the run after a call.

    Attributes:
        gap: True if nothing was written, because the mode of the call forbids it; see call().
        seq: ``seq`` of the last stored update of this run, 0 if there is none.
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
        documents: keyed by the KINDS of files/names.py. ``progress`` should always be among them; ``history`` is
            ignored, since in Redis the stream is the history.
        now_s: seconds since 1970, the score in the sorted set of sessions.
        mode: when to write, and when to refuse. ``repeat``: skip updates that are stored already; refuse if updates
            before the first one are missing. ``over``: like ``repeat``, but if such updates are missing, drop the
            stored ones and write. ``exact``: refuse unless the first update follows the last stored one: another
            writer may have used its number. ``new``: refuse if any update is stored, even of another run. A number:
            like ``repeat``, but refuse if an update after that number is stored, since another writer added it. Unless
            the call is refused, it drops the updates of another run.
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
    """Tell whether *error* means that Redis does not run scripts for this user."""
    text = str(error).lower()
    return "eval" in text and ("permission" in text or "unknown command" in text)


def answer(reply: Sequence[Any]) -> Answer:
    """Return what the script's reply means."""
    return Answer(reply[0] in (b"gap", "gap"), int(reply[1]))
