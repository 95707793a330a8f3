"""JSON as PHP's ``json_encode`` writes it, for the deployed answers.

Pure. There are two formats: answers are pretty-printed with unescaped letters, streams are compact and escaped.
"""

import json
import re
from typing import Any

from .. import safejson

_LINES = {"\u2028": "\\u2028", "\u2029": "\\u2029"}
_BREAKS = re.compile("[\u2028\u2029]")


def pretty(value: Any) -> bytes:
    """Encode as with JSON_PRETTY_PRINT | JSON_UNESCAPED_UNICODE: indented by four spaces, slashes as ``\\/``."""
    encoded = json.dumps(safejson.plain(value), ensure_ascii=False, indent=4)
    # JSON has slashes and line separators only inside strings, so all of them can be replaced in the encoded text.
    return _BREAKS.sub(lambda found: _LINES[found[0]], encoded.replace("/", "\\/")).encode("utf-8", "replace")


def compact(value: Any) -> bytes:
    """Encode as with no flag at all: no spaces, letters beyond ASCII escaped, slashes as ``\\/``."""
    encoded = json.dumps(safejson.plain(value), separators=(",", ":"))
    return encoded.replace("/", "\\/").encode()


def decoded(value: Any) -> Any:
    """Return a JSON value as PHP writes it after parsing it: an empty object becomes an empty list, 5.0 becomes 5."""
    if isinstance(value, dict):
        return {key: decoded(item) for key, item in value.items()} or []
    if isinstance(value, list):
        return [decoded(item) for item in value]
    return number(value) if isinstance(value, float) else value


def number(value: float) -> float:
    """Return a whole number as an integer, as PHP would write it, any other number unchanged."""
    return int(value) if float(value).is_integer() else value
