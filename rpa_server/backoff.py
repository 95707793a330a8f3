"""When to try again after failures. Pure: the caller passes in time and randomness."""


def delay(attempt: int, base_s: float, cap_s: float, random: float) -> float:
    """Return the seconds to wait before attempt number *attempt* (1, 2, …).

    Exponential from *base_s*, capped, then jittered over its upper half. The cap comes first, else all waiting clients
    end up on the cap together.

    Args:
        random: in [0, 1).
    """
    ceiling = min(cap_s, base_s * 2.0 ** min(attempt - 1, 30))
    return ceiling * (0.5 + random / 2)


class EvenJitter:
    """Low-discrepancy sequence (golden ratio): successive draws fill [0, 1) evenly.

    A few clients therefore never clump, as they might with random draws.

    Args:
        start: in [0, 1); pass a random number, so that two processes draw different values.
    """

    _STEP = 0.6180339887498949  # by the golden ratio modulo 1, each new value falls into the widest gap left

    def __init__(self, start: float) -> None:
        self._last = start

    def next(self) -> float:
        """Return the next number."""
        self._last = (self._last + self._STEP) % 1.0
        return self._last


class Breaker:
    """Circuit breaker: while a peer fails, one call per pause is let through; while it answers, all are.

    Args:
        base_s, cap_s: the first and the longest pause, in seconds; the pause doubles at each failure.
    """

    def __init__(self, base_s: float, cap_s: float) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._failures = 0
        self._retry_at = 0.0

    @property
    def closed(self) -> bool:
        """True while the peer answers."""
        return self._failures == 0

    def allows(self, now_s: float) -> bool:
        """Tell whether a call may be made at *now_s* (any steady clock)."""
        return self.closed or now_s >= self._retry_at

    def succeeded(self) -> None:
        """Record a success: all calls are let through again."""
        self._failures = 0

    def failed(self, now_s: float, random: float) -> None:
        """Record a failure at *now_s* and begin the next pause.

        Args:
            random: in [0, 1).
        """
        self._failures += 1
        self._retry_at = now_s + delay(self._failures, self._base_s, self._cap_s, random)
