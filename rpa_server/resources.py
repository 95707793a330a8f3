"""Where the files that are not Python are: ``web`` and ``conf``.

Installed, they lie inside the package; in a checkout, beside it.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def directory(name: str) -> Path:
    """Return the directory *name* (``web`` or ``conf``)."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
