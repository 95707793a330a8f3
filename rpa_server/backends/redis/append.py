"""The call of ``append.lua``, the one Redis script: its keys and arguments, and what its answer means.

Pure, except that the script is read once at import. The tracker (blocking) and the server (asyncio) both make this
call, so a run is stored in the same way whoever wrote it. No update is ever stored twice; after a timeout the tracker
therefore repeats the call.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ... import safejson
from ...progress.outcome import SILENCE_S
from ...progress.run import Run
from ...progress.update import HISTORY, Update
from ..base import TTL_S
from .names import SESSIONS_KEY, channel, history_key, progress_key, result_key, session_key

Mode = Literal["append", "new", "over"]

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
    """Keys and arguments of one call of the script, and its session."""

    session_id: str
    keys: list[str]
    args: list[Any]


class Answer(NamedTuple):
    """What a call has done; nothing was written unless ``kind`` is ``ok``.

    Attributes:
        kind: ``ok``; ``gap``: the mode forbids writing, see call(); ``taken``: another writer of the run has used the
            numbers; ``superseded``: a newer run is the current one; ``waiting``: an earlier run is, as long as this one
            has not reported a step.
        seq: ``seq`` of the last stored update of this run, 0 if there is none.
        taken: the first number of the call's updates that another writer has used, 0 if none is.
        epoch: the run that is the current one instead, ``""`` if this one is.
    """

    kind: str
    seq: int = 0
    taken: int = 0
    epoch: str = ""


def call(run: Run, updates: Sequence[Update], mode: Mode = "append") -> Call:
    """Build the call that appends *updates* of *run* and stores its documents.

    Args:
        updates: contiguous, at least one.
        mode: whether to write if updates before the first one are not stored. ``append``: no. ``over``: yes, and drop
            the stored ones. ``new``: as ``append``, and only if nothing is stored of this run, and another one is the
            one that it ``follows``, has ended or is silent. Updates that are stored already are skipped. Unless the
            call is refused, it drops the updates of another run.
    """
    documents = run.brief_documents()
    kinds = [kind for kind in _KEYS if kind in documents]
    keys = [history_key(run.session_id), SESSIONS_KEY, *(_KEYS[kind](run.session_id) for kind in kinds)]
    claim = run.claim(updates[0].seq)
    args: list[Any] = [
        claim.epoch,
        claim.began,
        int(claim.stepped),
        int(claim.final),
        updates[0].seq,
        mode,
        run.follows,
        TTL_S,
        HISTORY,
        round(SILENCE_S),
        run.session_id,
        channel(run.session_id),
        *(safejson.dumps(documents[kind]) for kind in kinds),
        *(update.raw for update in updates),
    ]
    return Call(run.session_id, keys, args)


def forbids_scripts(error: BaseException) -> bool:
    """Tell whether *error* means that Redis does not run scripts for this user."""
    text = str(error).lower()
    return "eval" in text and ("permission" in text or "unknown command" in text)


def answer(reply: Sequence[Any]) -> Answer:
    """Return what the script's reply means."""
    kind, *rest = (part.decode() if isinstance(part, bytes) else part for part in reply)
    if kind in ("superseded", "waiting"):
        return Answer(kind, epoch=str(rest[0]))
    seq, taken = (*map(int, rest), 0)[:2]
    return Answer(str(kind), seq, taken)
