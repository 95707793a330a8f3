"""JSON as it may travel: valid UTF-8, no NaN, no surprise from a robot's objects.

Pure. ``dumps`` never fails on what a robot hands in; ``loads`` never lets a stranger's bytes raise
anything but BadDocument.
"""

import json
import math
from typing import Any, NoReturn

from .errors import BadDocument

_MAX_DEPTH = 50


def dumps(value: Any, *, indent: int | None = None) -> bytes:
    """Encode *value* as UTF-8 JSON.

    What JSON can't hold is replaced, not refused: NaN and infinity by null, objects by ``str()``,
    keys by their ``str()``, what is nested deeper than 50 levels (or in itself) by null.
    """
    separators = (",", ":") if indent is None else None
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, default=_plain, separators=separators, indent=indent
        )
    except (ValueError, TypeError, RecursionError):
        text = json.dumps(_plain(value), ensure_ascii=False, separators=separators, indent=indent)
    return text.encode("utf-8", "replace")


def loads(data: bytes | str) -> Any:
    """Decode JSON, or raise BadDocument (bad UTF-8, syntax, NaN, nesting beyond the interpreter's)."""
    try:
        return json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadDocument(f"This is not valid JSON ({error or type(error).__name__}).") from None


def load_object(data: bytes | str) -> dict[str, Any]:
    """Decode a JSON object, or raise BadDocument."""
    value = loads(data)
    if not isinstance(value, dict):
        raise BadDocument("This is JSON, but not an object.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _plain(value: Any, depth: int = 0) -> Any:
    """Rebuild *value* out of what JSON knows."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if depth >= _MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    return _text(value)


def _text(value: Any) -> str | None:
    try:
        return str(value)
    except Exception:  # a robot's object may do anything in __str__
        return None
