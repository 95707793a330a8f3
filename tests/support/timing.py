"""Bounds on time, for tests on a machine on which other programs run as well.

A bound is never widened because the machine may be busy. Instead a test that exceeds one raises BoundExceeded and is run
again, fixtures included, up to twice (``--reruns`` and ``--only-rerun`` in setup.cfg). Any other failure is final:
whatever is lost, doubled or wrong must not happen even once.
"""


class BoundExceeded(AssertionError):
    """Something took longer than its bound; the test is run again."""


def within(took_s: float, bound_s: float) -> None:
    """Check that a duration does not exceed its bound; both are in seconds.

    Raises:
        BoundExceeded: it does.
    """
    # Written so that NaN fails.
    if not took_s <= bound_s:
        raise BoundExceeded(f"{took_s:.3f} s; {bound_s:g} s are allowed")


def fast_enough(kept: bool, found: str) -> None:
    """Check a bound that depends on the machine's speed but is not a duration: a rate, for example.

    Args:
        kept: whether the bound was kept.
        found: the message of the exception.

    Raises:
        BoundExceeded: *kept* is False.
    """
    if not kept:
        raise BoundExceeded(found)
