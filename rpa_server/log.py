"""Sets up logging for the command line, and limits how often a message is logged."""

import logging
import sys

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def configure(level: str = "INFO") -> None:
    """Log to standard error, one line per record: time, level, module, message."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


class RateLimit:
    """Rate limiter for one log message; reports how many were suppressed.

    Args:
        period_s: the least number of seconds between two messages.
    """

    def __init__(self, period_s: float = 30.0) -> None:
        self._period_s = period_s
        self._next_s = float("-inf")
        self._suppressed = 0

    def allow(self, now_s: float) -> int | None:
        """Decide whether to log the message now.

        Returns:
            How many messages were suppressed since the last logged one; None if this one must be suppressed, too.
        """
        if now_s < self._next_s:
            self._suppressed += 1
            return None
        suppressed, self._suppressed = self._suppressed, 0
        self._next_s = now_s + self._period_s
        return suppressed
