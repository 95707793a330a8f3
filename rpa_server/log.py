"""Logging set-up of the command line, and a brake for lines that would repeat."""

import logging
import sys

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def configure(level: str = "INFO") -> None:
    """Log to standard error, one line a record: time, level, module, message."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


class RateLimit:
    """Lets a repeating message through once a period, and then with the number of those held back.

    Args:
        period_s: at least this many seconds between two.
    """

    def __init__(self, period_s: float = 30.0) -> None:
        self._period_s = period_s
        self._next_s = float("-inf")
        self._held = 0

    def allow(self, now_s: float) -> int | None:
        """Return how many were held back since the last that passed, None to hold this one back too."""
        if now_s < self._next_s:
            self._held += 1
            return None
        held, self._held = self._held, 0
        self._next_s = now_s + self._period_s
        return held
