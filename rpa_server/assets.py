"""The version, and where the non-Python files are: the directories ``web`` and ``conf``.

An installed package contains the two directories; in a checkout they are beside the package. This module imports no
other one of the package, since setup.cfg reads the version from here before the dependencies are installed.
"""

from pathlib import Path

__version__ = "1.0.0"

_PACKAGE = Path(__file__).resolve().parent


def directory(name: str) -> Path:
    """Return the directory *name* (``web`` or ``conf``)."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
