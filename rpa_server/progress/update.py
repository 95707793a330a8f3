"""One update of a run and the cursor that names it.

Pure. An update is kept as the bytes its writer made: what our own tracker published is relayed
untouched, so of those bytes no more is read than the cursor needs.
"""

import re
from typing import Any, NamedTuple

from .. import safejson
from ..errors import BadCursor

#: Updates of a run that are kept, in memory and in a session's history.
HISTORY = 500

# The tracker puts these keys first, in this order, so that no JSON parser is needed to route an update.
_OWN = re.compile(
    rb'\{"type":"progress_update","epoch":"([0-9A-Za-z]{1,64})","seq":([1-9][0-9]{0,15}),"final":(true|false),'
)
# As numbers, which are looked for faster than bytes are.
_LF, _CR, _BRACE = b"\n\r}"
_CURSOR = re.compile(r"([0-9A-Za-z]{1,64}):([0-9]{1,16})")


class Cursor(NamedTuple):
    """A position in a run: *seq* updates of *epoch* have been seen."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


#: Before the first update of whatever run is current.
START = Cursor("", 0)


def parse_cursor(text: str) -> Cursor:
    """Read ``<epoch>:<seq>`` or ``0``; raise BadCursor for anything else."""
    if text == "0":
        return START
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise BadCursor("The cursor is not one: hand back the last one received, or 0 for the beginning.")
    return Cursor(match[1], int(match[2]))


class Update:
    """One update: the JSON object as bytes, its cursor, and room for its frames.

    Attributes:
        raw: the JSON object.
        epoch, seq: the cursor; None and 0 where the writer doesn't number.
        final: the run has ended with or before this update.
        ws, plain_ws, sse, sse_chunk: the encoded frames, None until frames.py was asked for them.
    """

    __slots__ = ("_data", "epoch", "final", "plain_ws", "raw", "seq", "sse", "sse_chunk", "ws")

    def __init__(self, raw: bytes, epoch: str | None, seq: int, final: bool) -> None:
        self.raw = raw
        self.epoch = epoch
        self.seq = seq
        self.final = final
        self._data: dict[str, Any] | None = None
        self.ws: bytes | None = None
        self.plain_ws: bytes | None = None
        self.sse: bytes | None = None
        self.sse_chunk: bytes | None = None

    def __repr__(self) -> str:
        return f"<Update {self.epoch}:{self.seq}{' final' if self.final else ''}, {len(self.raw)} bytes>"

    def forget(self) -> None:
        """Drop what was made of the bytes: kept for a whole history it would be five times their size."""
        self._data = self.ws = self.plain_ws = self.sse = self.sse_chunk = None

    @property
    def cursor(self) -> Cursor | None:
        """The position behind this update, None where the writer doesn't number."""
        return None if self.epoch is None else Cursor(self.epoch, self.seq)

    @property
    def data(self) -> dict[str, Any]:
        """The update as an object, parsed at the first call."""
        if self._data is None:
            self._data = safejson.load_object(self.raw)
        return self._data


def own_update(raw: bytes) -> Update | None:
    """Read an update of our own tracker no further than its cursor; None where it is somebody else's."""
    match = _OWN.match(raw)
    if match is None or not is_whole(raw):
        return None
    epoch, seq, final = match.groups()
    return Update(raw, epoch.decode(), int(seq), final == b"true")


def beginning(epoch: str, seq: int) -> bytes:
    """Return how the bytes of this update begin where our own tracker made them and it does not end the run.

    Which one comes next is known of a run that is watched, and to compare takes less than own_update(), see _OWN.
    """
    return b'{"type":"progress_update","epoch":"%b","seq":%d,"final":false,' % (epoch.encode(), seq)


def is_whole(raw: bytes) -> bool:
    """Tell whether *raw*, which begins like an update, is one line of UTF-8 and ends like one.

    A text frame of anything else ends the connection in every browser.
    """
    if raw[-1] != _BRACE or _LF in raw or _CR in raw:
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def make_update(data: dict[str, Any]) -> Update:
    """Build an update from an object that state.describe made or that a foreign writer's schema passed."""
    return Update(safejson.dumps(data), data.get("epoch"), data.get("seq", 0), data.get("final", False))
