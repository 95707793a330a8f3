"""JSON as PHP's ``json_encode`` writes it, since that is what the deployed answers were made with.

Pure. Two flavours were in use: pretty-printed with readable letters for answers, plain for streams.
"""

import json
import re
from typing import Any

from .. import safejson

_LINES = {"\u2028": "\\u2028", "\u2029": "\\u2029"}
_BREAKS = re.compile("[\u2028\u2029]")


def pretty(value: Any) -> bytes:
    """Encode as with JSON_PRETTY_PRINT | JSON_UNESCAPED_UNICODE: four spaces, ``\\/``."""
    encoded = json.dumps(safejson.plain(value), ensure_ascii=False, indent=4)
    # Outside of strings JSON has neither a slash nor a line separator.
    return _BREAKS.sub(lambda found: _LINES[found[0]], encoded.replace("/", "\\/")).encode("utf-8", "replace")


def compact(value: Any) -> bytes:
    """Encode as without any flag: no spaces, every other letter than ASCII escaped, ``\\/``."""
    encoded = json.dumps(safejson.plain(value), separators=(",", ":"))
    return encoded.replace("/", "\\/").encode()


def decoded(value: Any) -> Any:
    """Return what PHP has of a JSON value that it read: an empty object is an empty list to it, 5.0 is 5."""
    if isinstance(value, dict):
        return {key: decoded(item) for key, item in value.items()} or []
    if isinstance(value, list):
        return [decoded(item) for item in value]
    return number(value) if isinstance(value, float) else value


def number(value: float) -> float:
    """Return a whole number as an integer, which is how PHP writes it."""
    return int(value) if float(value).is_integer() else value
