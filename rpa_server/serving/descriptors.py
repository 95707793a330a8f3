"""How many file descriptors this process may have, and how many of them connections may use."""

import resource
from pathlib import Path

#: Descriptors kept for files, Redis, and saying no.
_RESERVED = 64
#: How many of them are for files and Redis: no connection gets one.
_OURS = 24


def descriptor_limit() -> int:
    """Raise the limit of open descriptors as far as allowed; return how many connections that leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, hard - _RESERVED)


def highest_descriptor() -> int:
    """Return the highest descriptor that a connection may have."""
    return max(_OURS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OURS)


def open_descriptors() -> int:
    """Return how many descriptors this process has open; the limit where not even looking is possible any more."""
    try:
        return len(list(Path("/dev/fd").iterdir())) - 1  # one is the look itself
    except OSError:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
