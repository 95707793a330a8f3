"""Bounds on time, as tests state them on a machine that others use, too.

A bound is never widened for a busy machine. Instead a test that misses one is run again, from its fixtures on, and the
best of three runs counts (``--reruns`` and ``--only-rerun`` in setup.cfg). That is for bounds on time alone, for which
TooSlow is raised: whatever is lost, doubled or wrong fails the first time.
"""


class TooSlow(AssertionError):
    """Something took longer than it may."""


def within(took_s: float, bound_s: float) -> None:
    """Check that something took no longer than it may, in seconds.

    Raises:
        TooSlow: it did.
    """
    # Written so that NaN fails.
    if not took_s <= bound_s:
        raise TooSlow(f"{took_s:.3f} s; {bound_s:g} s are allowed")


def fast_enough(kept: bool, found: str) -> None:
    """Check what depends on how much of the machine the test got, in other terms than seconds.

    Raises:
        TooSlow: with *found*, where *kept* is false.
    """
    if not kept:
        raise TooSlow(found)
