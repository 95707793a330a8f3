"""One update of a run, and the cursor that names its position.

Pure. An update is kept as bytes. The bytes that our tracker made are relayed unchanged; relaying parses only their
head, which has the cursor. Only of bytes with another head, as a tracker of another version may write it, all is parsed.

Invariant: the head of an update is defined once, in HEAD; both writing and parsing are derived from it.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import safejson
from ..errors import BadCursor, BadDocument
from .shapes import UpdateMessage

#: How many of a run's latest updates are kept in its history document; memory and the Redis stream may have a few more.
HISTORY = 500
#: The most bytes that an update may have, wherever it comes in: no writer of ours stores a larger one (limits.py), and no
#: reader takes one. Ten times the largest update of any recorded run.
MAX_UPDATE_BYTES = 256 * 1024

#: The first bytes of every update of our tracker, so that routing an update needs no JSON parser. New keys must follow
#: ``final``: with any other head an update costs a parser, and servers of version 1.0 take it for another writer's.
HEAD = '{"type":"progress_update","epoch":"%s","seq":%d,"final":%s,'
_HEAD_KEYS = ("type", "epoch", "seq", "final")
#: The keys that follow the head; append.lua reads them there.
_ORIGIN_KEYS = ("began", "writer")
_HEAD_BYTES = HEAD.encode()
_HEAD_FIELDS = ("([0-9A-Za-z]{1,64})", "([1-9][0-9]{0,15})", "(true|false)")
_HEAD_PATTERN = re.compile((re.escape(HEAD).replace("%d", "%s") % _HEAD_FIELDS).encode())
#: The types of the other required keys of an UpdateMessage: nobody's update but ours has all of them and the head's.
_TYPES: dict[str, tuple[type, ...]] = {
    "estado": (str,),
    "session_id": (str,),
    "evento": (str,),
    "etapa": (int, float),
    "total_etapas": (int,),
    "percentual": (int, float),
    "status": (str,),
    "mensagem": (str, type(None)),
    "timestamp": (str,),
    "dados_extra": (dict,),
}
_JSON_BOOL = {False: b"false", True: b"true"}

# Integers, because testing bytes for an integer with ``in`` is faster than for a bytes object.
_LF, _CR, _BRACE = b"\n\r}"
_CURSOR = re.compile(r"([0-9A-Za-z]{1,64}):([0-9]{1,16})")


class Cursor(NamedTuple):
    """A position in a run: the first *seq* updates of *epoch* have been seen."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


#: The position before the first update of the current run, whichever that is.
START = Cursor("", 0)


def parse_cursor(text: str) -> Cursor:
    """Parse ``<epoch>:<seq>`` or ``0``; raise BadCursor for anything else."""
    if text == "0":
        return START
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise BadCursor("The cursor is not one: hand back the last one received, or 0 for the beginning.")
    return Cursor(match[1], int(match[2]))


class Update:
    """One update: a JSON object as bytes, and its cursor.

    Attributes:
        raw: the JSON object.
        epoch, seq: the cursor; None and 0 if the writer doesn't number its updates.
        final: True if the run ended with this update or an earlier one.
    """

    __slots__ = ("epoch", "final", "raw", "seq")

    def __init__(self, raw: bytes, epoch: str | None, seq: int, final: bool) -> None:
        self.raw = raw
        self.epoch = epoch
        self.seq = seq
        self.final = final

    def __repr__(self) -> str:
        return f"<Update {self.epoch}:{self.seq}{' final' if self.final else ''}, {len(self.raw)} bytes>"

    @property
    def cursor(self) -> Cursor | None:
        """The position after this update, None if the writer doesn't number its updates."""
        return None if self.epoch is None else Cursor(self.epoch, self.seq)

    @property
    def data(self) -> dict[str, Any]:
        """The update as an object, parsed at each call: the objects of a whole history take five times its bytes.

        A numbered update should be a shapes.UpdateMessage, but nothing has checked that; any other one is a
        shapes.UnnumberedUpdate.

        Raises:
            BadDocument: the bytes begin like an update, but are not valid JSON.
        """
        return safejson.load_object(self.raw)


def head(epoch: str, seq: int, final: bool = False) -> bytes:
    """Return the first bytes of the update at this position.

    A watched session compares arriving messages with the head of the next update, which is cheaper than own_update().
    """
    return _HEAD_BYTES % (epoch.encode(), seq, _JSON_BOOL[final])


def heads(epoch: str) -> bytes:
    """Return the template of head() for a run's updates before its last one: ``heads(epoch) % seq``."""
    return (HEAD.replace("%d", "%%d") % (epoch, "false")).encode()


def own_update(raw: bytes) -> Update | None:
    """Parse an update of our tracker, only its head if that is HEAD; None for another writer's bytes.

    Also None if is_whole() is false. With another head all required keys of an UpdateMessage must be there, each of its
    type: another writer may well have an ``epoch`` or a ``seq`` of its own.
    """
    match = _HEAD_PATTERN.match(raw)
    if match is None:
        return _by_all_keys(raw) if b'"epoch"' in raw else None
    if not is_whole(raw):
        return None
    epoch, seq, final = match.groups()
    return Update(raw, epoch.decode(), int(seq), final == b"true")


def _by_all_keys(raw: bytes) -> Update | None:
    try:
        data = safejson.load_object(raw) if is_whole(raw) else {}
    except BadDocument:
        return None
    epoch, seq, final = data.get("epoch"), data.get("seq"), data.get("final")
    if data.get("type") != "progress_update" or type(epoch) is not str or type(seq) is not int or type(final) is not bool:
        return None
    if any(type(data.get(key, ...)) not in types for key, types in _TYPES.items()):
        return None
    if _HEAD_PATTERN.fullmatch(_HEAD_BYTES % (epoch.encode("utf-8", "replace"), seq, _JSON_BOOL[final])) is None:
        return None
    return Update(raw, epoch, seq, final)


def is_whole(raw: bytes) -> bool:
    """Tell whether *raw*, which begins like an update, is not too large, is one line of UTF-8 and ends like an object.

    A frame that is not UTF-8 makes every browser close the connection; a line break would split an event.
    """
    if len(raw) > MAX_UPDATE_BYTES or raw[-1] != _BRACE or _LF in raw or _CR in raw:
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def make_update(data: UpdateMessage | dict[str, Any]) -> Update:
    """Encode *data* as an update with the head in front.

    Args:
        data: what snapshot.describe() returned; its keys ``type``, ``epoch``, ``seq`` and ``final`` become the head,
            ``began`` and ``writer`` follow.
    """
    epoch, seq, final = data["epoch"], data["seq"], data["final"]
    given: Mapping[str, Any] = data
    rest = {key: given[key] for key in _ORIGIN_KEYS if key in given}
    rest.update((key, value) for key, value in given.items() if key not in _HEAD_KEYS)
    return Update(head(epoch, seq, final) + safejson.dumps(rest)[1:], epoch, seq, final)
