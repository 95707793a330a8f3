"""How many file descriptors this process may have, and how many of them connections may use."""

import resource
from pathlib import Path

#: Descriptors beyond those of admitted connections: for files, Redis, and the answers to connections that are refused.
_RESERVED = 64
#: How many of them are for files and Redis alone.
_INTERNAL = 24


def descriptor_limit() -> int:
    """Raise the limit of open descriptors as far as allowed; return how many connections that leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, hard - _RESERVED)


def highest_descriptor() -> int:
    """Return the highest descriptor that a connection may have."""
    return max(_INTERNAL, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _INTERNAL)


def open_descriptors() -> int:
    """Return how many descriptors this process has open, or the limit where none is left to list them with."""
    try:
        return len(list(Path("/dev/fd").iterdir())) - 1  # reading the directory takes one
    except OSError:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
