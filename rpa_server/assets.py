"""What this release is: its version, and where its files are that are not Python, ``web`` and ``conf``.

Installed, they lie inside the package; in a checkout, beside it. Imports nothing else of ours: setup.cfg reads the version
from here.
"""

from pathlib import Path

__version__ = "1.0.0"

_PACKAGE = Path(__file__).resolve().parent


def directory(name: str) -> Path:
    """Return the directory *name* (``web`` or ``conf``)."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
