"""JSON that every parser accepts: valid UTF-8, no NaN, whatever objects a robot passes in.

Pure. ``dumps`` never raises, whatever it is given; ``loads`` raises nothing but BadDocument, whatever bytes it gets.
"""

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from .errors import BadDocument

_MAX_DEPTH = 50
_MAX_ITEMS = 100_000
_MAX_INTEGER = 10**300  # JavaScript reads numbers as floats, the largest is 1.8e308


# json.dumps with any option set makes a new encoder at every call; these two are made once.
_dense = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_lines = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n  ", ": ")).encode


def dumps(value: Any) -> bytes:
    """Encode *value* as UTF-8 JSON; never raises.

    Values that JSON can't express are replaced, see plain().
    """
    return _encoded(_dense, value)


def dumps_lines(value: Any) -> bytes:
    """Encode *value* like dumps(), but with a line break after each item, for people who open the files."""
    return _encoded(_lines, value)


def _encoded(encode: Callable[[Any], str], value: Any) -> bytes:
    try:
        text = encode(value)
    except Exception:  # not only TypeError: iterating a robot's own dict or str class may raise anything
        text = encode(plain(value))
    return text.encode("utf-8", "replace")


def plain(value: Any) -> Any:
    """Copy *value*, using only dicts, lists, texts, numbers, booleans and None.

    NaN, infinity and integers beyond 10**300 become None; sets and tuples become lists; any other object its ``str()``.
    Keys become the text that JSON has for them, else their ``str()``. A container becomes None inside itself, below 50
    other levels, or if it can't be iterated; after 100,000 items the rest is left out.
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
        except Exception:  # a robot's own container class may raise anything; another thread may be changing a dict
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
    """Decode JSON, or raise BadDocument (not UTF-8, bad syntax, NaN, nested too deeply for Python)."""
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
