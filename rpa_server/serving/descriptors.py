"""How many file descriptors this process may have, and how many of them are for connections."""

import resource
from pathlib import Path

#: Descriptors that are not for admitted connections: for files, Redis, and the responses to refused connections.
_RESERVED = 64
#: How many of these are for files and Redis alone.
_INTERNAL = 24


def descriptor_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one; return how many connections fit into it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, hard - _RESERVED)


def highest_descriptor() -> int:
    """Return the highest descriptor number that a connection may have; a connection above it must be dropped."""
    return max(_INTERNAL, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _INTERNAL)


def open_descriptors() -> int:
    """Return how many descriptors are open, or the limit if none is left for counting them."""
    try:
        return len(list(Path("/dev/fd").iterdir())) - 1  # reading the directory takes one descriptor
    except OSError:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
