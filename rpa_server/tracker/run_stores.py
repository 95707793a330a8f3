"""One run and the stores that it is written to: which of its updates each of them has, and by which clock it began.

The caller has the lock that guards the run.
"""

import time
from contextlib import suppress
from pathlib import Path

from ..backends.base import NotCurrent
from ..backends.files.writer import FileWriter
from ..backends.redis import writer
from ..progress.run import Run
from ..progress.session_state import SAME_CLOCK_S
from ..progress.update import HISTORY


class RunStores:
    """The stores of one tracker, and the run that they have a part of.

    Args:
        redis, files: the stores; None for one that is not used.

    Attributes:
        redis, files: as the arguments.
        run: the run, None before the first write.
        not_current: why no store took the updates of the last write, None if one did or failed to.
    """

    def __init__(self, redis: writer.RedisWriter | None, files: Path | None) -> None:
        self.redis = redis
        self.files = None if files is None else FileWriter(files)
        self.run: Run | None = None
        self.not_current: NotCurrent | None = None
        self._gone = 0  # updates that will never be stored
        self._clock_ms: float | None = None  # of the clock by which the run's beginning is known, when steady time was 0

    @property
    def any(self) -> bool:
        """True if there is any store."""
        return self.redis is not None or self.files is not None

    @property
    def waiting(self) -> bool:
        """True if no store took the updates because the run has to report a step first."""
        return self.not_current is not None and self.not_current.waiting

    @property
    def lost(self) -> int:
        """How many updates are stored nowhere now, while they should be."""
        return 0 if self.run is None or not self.any or self.waiting else self._gone + self.run.seq - self.kept()

    @property
    def pending(self) -> int:
        """How many updates Redis lacks and would take."""
        if self.run is None or self.redis is None or self.not_current is not None:
            return 0
        return max(0, self.run.seq - self.redis.stored)

    def kept(self) -> int:
        """Return the number up to which some store has the run."""
        return max(0 if store is None else store.stored for store in (self.redis, self.files))

    def count_gone(self, kept: int) -> None:
        """Count the updates that the run itself had dropped before a store took the others.

        Args:
            kept: what kept() returned before.
        """
        if self.run is not None and self.kept() > kept:
            self._gone += max(0, self.run.seq - HISTORY - kept)

    def clock_ms(self, ask_redis: bool) -> int:
        """Return the time in milliseconds since 1970 by the clock of the store in use; a new run begins by this clock.

        Args:
            ask_redis: whether Redis is in use.
        """
        steady_ms = time.monotonic() * 1000
        now_ms = self.redis.clock_ms() if self.redis is not None and ask_redis else None
        if now_ms is None and self.files is not None:
            with suppress(OSError):
                now_ms = self.files.clock_ms()
        now_ms = round(time.time() * 1000) if now_ms is None else now_ms
        self._clock_ms = now_ms - steady_ms
        return now_ms

    def follow_redis_clock(self) -> None:
        """Tell the run's beginning by Redis' clock, if Redis has nothing of the run yet and the clocks differ."""
        now_ms = None if self.redis is None or self.redis.stored else self.redis.clock_ms()
        if now_ms is None or self._clock_ms is None or self.run is None:
            return
        difference_ms = round(now_ms - time.monotonic() * 1000 - self._clock_ms)
        if abs(difference_ms) > SAME_CLOCK_S * 1000:
            self._clock_ms += difference_ms
            self.run.rebase(self.run.began + difference_ms)
