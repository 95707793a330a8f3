"""The files that pages of other sites load: which address is which file, its bytes, its hash.

Knows nothing of requests. An address with a version names one content for ever: the running version's, or nothing.
Every file is read once in the life of the process, so that a page and its snippet can't disagree about it.
"""

import base64
import functools
import gzip
import hashlib
import re
from dataclasses import dataclass

from . import resources
from .version import __version__

_NAME = re.compile(r"(?P<stem>rpa-progress|rpa-client)(?:-(?P<version>\d[\w.+-]*?))?\.(?P<kind>js|css|json)")
_TYPES = {"js": "text/javascript", "css": "text/css", "json": "application/json"}


@dataclass(frozen=True)
class Embedded:
    """One file.

    Attributes:
        body: its bytes.
        packed: the same through gzip.
        integrity: for the attribute of that name (Subresource Integrity), SHA-384 of the body.
        tag: a short name of the content.
        content_type: media type without parameters.
    """

    body: bytes
    packed: bytes
    integrity: str
    tag: str
    content_type: str


@functools.cache
def read(file: str) -> Embedded | None:
    """Return the file ``web/dist/<file>``, None where there is none."""
    path = resources.directory("web") / "dist" / file
    if not path.is_file():
        return None
    body = path.read_bytes()
    digest = hashlib.sha384(body).digest()
    integrity = f"sha384-{base64.b64encode(digest).decode()}"
    # No time in it: every server packs alike, and the tag tells the packed one too.
    return Embedded(body, gzip.compress(body, 9, mtime=0), integrity, digest.hex()[:16], _TYPES[path.suffix[1:]])


def find(name: str) -> tuple[Embedded, bool] | None:
    """Find what the last part of an address names.

    Args:
        name: such as ``rpa-progress.js`` or, with the version, ``rpa-progress-1.0.0.js``.

    Returns:
        The file, and whether the address names this content for ever; None where it names no file of this version.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["version"] not in (None, __version__):
        return None
    file = read(f"{match['stem']}.{match['kind']}")
    return None if file is None else (file, match["version"] is not None)


def versioned(stem: str) -> str:
    """Return the path of the script *stem* that names this version's content for ever."""
    return f"/static/{stem}-{__version__}.js"
