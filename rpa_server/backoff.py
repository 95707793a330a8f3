"""When to try again after failures. Pure: the caller passes in time and randomness."""


def delay(attempt: int, base_s: float, cap_s: float, random: float) -> float:
    """Return the seconds to wait before retry number *attempt* (1, 2, …).

    The delay doubles with each retry, is capped, then jittered over its upper half (50 to 100 %). The cap comes first,
    else most long delays would equal it.

    Args:
        attempt: 1 for the first retry, the one after the first failure.
        base_s: the first delay before jitter, in seconds.
        cap_s: the longest delay, in seconds.
        random: in [0, 1).
    """
    ceiling = min(cap_s, base_s * 2.0 ** min(attempt - 1, 30))
    return ceiling * (0.5 + random / 2)


class EvenJitter:
    """Low-discrepancy sequence (golden ratio): successive draws fill [0, 1) evenly.

    Even a few draws therefore lie well apart, which random ones might not.

    Args:
        start: in [0, 1); pass a random number, so that two processes draw different values.
    """

    _STEP = 0.6180339887498949  # 1 / golden ratio: each new value falls into the widest gap between the earlier ones

    def __init__(self, start: float) -> None:
        self._last = start

    def next(self) -> float:
        """Return the next number of the sequence, in [0, 1)."""
        self._last = (self._last + self._STEP) % 1.0
        return self._last


class Breaker:
    """Circuit breaker: after a failure no call is let through until a pause has passed; without a failure, all are.

    After the pause calls are let through until one of them fails, which begins a longer pause.

    Args:
        base_s, cap_s: the first and the longest pause before jitter, in seconds, see delay(); each failure doubles it.
    """

    def __init__(self, base_s: float, cap_s: float) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._failures = 0
        self._retry_at = 0.0

    @property
    def closed(self) -> bool:
        """True unless a call has failed since the last success."""
        return self._failures == 0

    def allows(self, now_s: float) -> bool:
        """Tell whether a call may be made at *now_s* (seconds of any steady clock)."""
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
