"""Bounds on time, as tests state them on a machine that others use, too.

A bound is never widened for a busy machine. Instead a test that misses one is run again, from its fixtures on, and the
best of three runs counts (``--reruns`` and ``--only-rerun`` in setup.cfg). That is for bounds on time alone, for which
these functions raise TooSlow: whatever is lost, doubled or wrong fails the first time.
"""


class TooSlow(AssertionError):
    """Something took longer than it may."""


def within(bound_s: float, took_s: float, what: str = "it") -> None:
    """Check that something took no longer than it may.

    Raises:
        TooSlow: it did.
    """
    # Written so that NaN fails.
    if not took_s <= bound_s:
        raise TooSlow(f"{what} took {took_s:.3f} s, which may be {bound_s:g} s at most")


def fast_enough(kept: bool, what: str) -> None:
    """Check what depends on how much of the machine the test got, in other terms than seconds.

    Raises:
        TooSlow: it isn't so.
    """
    if not kept:
        raise TooSlow(what)
