"""JSON as it may travel: valid UTF-8, no NaN, no surprise from a robot's objects.

Pure. ``dumps`` never fails on what a robot hands in; ``loads`` never lets a stranger's bytes raise
anything but BadDocument.
"""

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from .errors import BadDocument

_MAX_DEPTH = 50
_MAX_ITEMS = 100_000
_MAX_INTEGER = 10**300  # what a float, and so every browser, can still hold


# Made once: json.dumps makes a new one at every call that is not all defaults.
_dense = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_lines = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n  ", ": ")).encode


def dumps(value: Any) -> bytes:
    """Encode *value* as UTF-8 JSON; never raises.

    What JSON can't hold is replaced, not refused, see plain().
    """
    return _encoded(_dense, value)


def dumps_lines(value: Any) -> bytes:
    """Encode *value* like dumps(), but every item on a line of its own: for who opens the file."""
    return _encoded(_lines, value)


def _encoded(encode: Callable[[Any], str], value: Any) -> bytes:
    try:
        text = encode(value)
    except Exception:  # whatever an object of a robot's does when it is looked at
        text = encode(plain(value))
    return text.encode("utf-8", "replace")


def plain(value: Any) -> Any:
    """Rebuild *value* out of what JSON knows.

    NaN, infinity and integers beyond 10**300 become null; sets and tuples lists; any other object its ``str()``; a key
    what JSON makes of it, else its ``str()``. Null stands where something contains itself, is nested deeper than 50
    levels, or comes behind 100,000 items.
    """
    return _Plainer().rebuild(value, ())


class _Plainer:
    def __init__(self) -> None:
        self._left = _MAX_ITEMS

    def rebuild(self, value: Any, within: tuple[int, ...]) -> Any:
        self._left -= 1
        if value is None or isinstance(value, (str, bool)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, int):
            return value if abs(value) < _MAX_INTEGER else None
        if not isinstance(value, (dict, list, tuple, set, frozenset)):
            return _text(value)
        if self._left <= 0 or len(within) >= _MAX_DEPTH or id(value) in within:
            return None
        within = (*within, id(value))
        try:
            if isinstance(value, dict):
                return {_key(key): self.rebuild(item, within) for key, item in value.items() if self._left > 0}
            return [self.rebuild(item, within) for item in value if self._left > 0]
        except Exception:  # a container of a robot's own making, or one that another thread changes
            return None


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return _text(key) or "?"


def _text(value: Any) -> str | None:
    try:
        return str(value)
    except Exception:  # a robot's object may do anything in __str__
        return None


def loads(data: bytes | str) -> Any:
    """Decode JSON, or raise BadDocument (not UTF-8, bad syntax, NaN, nested beyond the interpreter's depth)."""
    try:
        text = data if isinstance(data, str) else data.decode()
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadDocument(f"This is not valid JSON ({str(error)[:200] or type(error).__name__}).") from None


def load_object(data: bytes | str) -> dict[str, Any]:
    """Decode a JSON object, or raise BadDocument."""
    value = loads(data)
    if not isinstance(value, dict):
        raise BadDocument("This is JSON, but not an object.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
