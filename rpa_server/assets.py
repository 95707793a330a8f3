"""The version, and where the files are that are not Python: ``web`` and ``conf``.

They are inside the package where it is installed, beside it in a checkout. Imports nothing else of ours, since setup.cfg
reads the version from here.
"""

from pathlib import Path

__version__ = "1.0.0"

_PACKAGE = Path(__file__).resolve().parent


def directory(name: str) -> Path:
    """Return the directory *name* (``web`` or ``conf``)."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
