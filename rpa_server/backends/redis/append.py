"""The one Redis script: append updates to a run, in order, once.

Pure: the script's text, the call's keys and arguments, and what its answer means. The tracker (blocking) and
the server (asyncio) both call it, so a run looks the same whoever wrote it. The call is idempotent: after a
timeout it is simply repeated. Keys live a day behind the last update, give or take ten: what keeps them alive and the
list of sessions short is not done at every one.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from ... import safejson
from ...progress.update import Update
from .names import SESSIONS_KEY, channel, history_key, progress_key, result_key, session_key

TTL_S = 86_400
MAX_UPDATES = 500

Mode = Literal["repeat", "exact", "new", "over"]

SCRIPT = """
-- KEYS: stream, sessions, documents ...
-- ARGV: epoch, seq of the first update, mode, ttl, stream length, now, session, channel, documents ...,
--       updates ...
local epoch, first, documents = ARGV[1], tonumber(ARGV[2]), #KEYS - 2
local count = #ARGV - 8 - documents
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local same = newest and newest[2][2] == epoch
local held = same and tonumber(string.match(newest[1], '^%d+')) or 0
local gap = first > held + 1
if gap and ARGV[3] ~= 'over' or ARGV[3] == 'exact' and first ~= held + 1 then return {'gap', held} end
if ARGV[3] == 'new' and newest then return {'gap', held} end
if held > (tonumber(ARGV[3]) or held) then return {'gap', held} end
if first + count - 1 <= held then return {'ok', held} end
if newest and (gap or not same) then redis.call('DEL', KEYS[1]) end
for i = 1, documents do redis.call('SET', KEYS[2 + i], ARGV[8 + i], 'EX', ARGV[4]) end
for seq = math.max(first, held + 1), first + count - 1 do
  local update = ARGV[8 + documents + seq - first + 1]
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], string.format('%d-0', seq), 'epoch', epoch, 'data', update)
  redis.call('PUBLISH', ARGV[8], update)
end
redis.call('ZADD', KEYS[2], ARGV[6], ARGV[7])
if gap or count > 1 or held % 10 == 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', tonumber(ARGV[6]) - tonumber(ARGV[4]))
  redis.call('EXPIRE', KEYS[2], ARGV[4])
end
return {'ok', first + count - 1}
"""

SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

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
    """What Redis holds of the run now.

    Attributes:
        gap: nothing was written, since the first update given does not follow on *held*.
        held: the last ``seq`` that is stored, 0 for none.
    """

    gap: bool
    held: int


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
        documents: by naming.KINDS, ``progress`` always; ``history`` is left out, the stream is it.
        now_s: seconds since 1970, for the list of sessions.
        mode: what to do where Redis holds something else than the update before the first one: ``repeat`` skips
            what is held already, ``exact`` refuses that (somebody else numbered it), ``new`` refuses any other run,
            ``over`` writes even where Redis lacks what came before, dropping what it holds. A number is ``repeat`` up to
            that update, and refuses where one behind it is held: somebody else numbered it.
    """
    kinds = [kind for kind in _KEYS if kind in documents]
    keys = [history_key(session_id), SESSIONS_KEY, *(_KEYS[kind](session_id) for kind in kinds)]
    first = updates[0]
    args: list[Any] = [
        first.epoch,
        first.seq,
        mode,
        TTL_S,
        MAX_UPDATES,
        repr(now_s),
        session_id,
        channel(session_id),
        *(safejson.dumps(documents[kind]) for kind in kinds),
        *(update.raw for update in updates),
    ]
    return Call(keys, args)


class Plan(NamedTuple):
    """What the script would do, for a Redis that forbids scripts.

    Attributes:
        answer: what it would answer.
        commands: what it would run, to be sent in one MULTI while the stream is watched; empty for nothing.
    """

    answer: Answer
    commands: list[tuple[Any, ...]]


def plan(made: Call, newest: Sequence[Any]) -> Plan:
    """Decide as the script does.

    Args:
        newest: what ``XREVRANGE stream + - COUNT 1`` answered.
    """
    epoch, first, mode, ttl, length, now, session_id, where = made.args[:8]
    documents = len(made.keys) - 2
    payloads = made.args[8 + documents :]
    same = bool(newest) and newest[0][1].get(b"epoch") == str(epoch).encode()
    held = int(newest[0][0].split(b"-")[0]) if same else 0
    gap = first > held + 1
    beyond = isinstance(mode, int) and held > mode
    if beyond or (gap and mode != "over") or (mode == "exact" and first != held + 1) or (mode == "new" and newest):
        return Plan(Answer(True, held), [])
    last = first + len(payloads) - 1
    if last <= held:
        return Plan(Answer(False, held), [])
    stream = made.keys[0]
    commands: list[tuple[Any, ...]] = [("DEL", stream)] if newest and (gap or not same) else []
    commands += [
        ("SET", key, document, "EX", ttl) for key, document in zip(made.keys[2:], made.args[8:], strict=False)
    ]
    for seq in range(max(first, held + 1), last + 1):
        update = payloads[seq - first]
        commands.append(("XADD", stream, "MAXLEN", "~", length, f"{seq}-0", "epoch", epoch, "data", update))
        commands.append(("PUBLISH", where, update))
    commands.append(("ZADD", made.keys[1], now, session_id))
    if gap or len(payloads) > 1 or held % 10 == 0:
        commands += [
            ("EXPIRE", stream, ttl),
            ("ZREMRANGEBYSCORE", made.keys[1], "-inf", float(now) - ttl),
            ("EXPIRE", made.keys[1], ttl),
        ]
    return Plan(Answer(False, last), commands)


def forbids_scripts(error: Exception) -> bool:
    """Tell whether *error* is a Redis that does not run scripts for this user."""
    text = str(error).lower()
    return "eval" in text and ("permission" in text or "unknown command" in text)


def answer(reply: Sequence[Any]) -> Answer:
    """Read the script's reply."""
    return Answer(reply[0] in (b"gap", "gap"), int(reply[1]))
