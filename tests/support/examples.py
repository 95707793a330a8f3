"""Hypothesis profiles: ``ci`` is the default, ``--hypothesis-profile nightly`` tries twenty times as much, at random."""

from hypothesis import settings

#: How often a property is tried that does not say how often.
CI_EXAMPLES = 50
NIGHTLY_EXAMPLES = 1000
#: Hypothesis' own default, for which properties state their number.
_USUAL = 100


def register() -> None:
    """Register the profiles and load ``ci``, which tries the same examples every time."""
    settings.register_profile("ci", max_examples=CI_EXAMPLES, derandomize=True, deadline=None, print_blob=True)
    settings.register_profile("nightly", max_examples=NIGHTLY_EXAMPLES, deadline=None, print_blob=True)
    settings.load_profile("ci")


def examples(count: int) -> int:
    """Return a property's number of examples: half of *count* under ``ci``, ten times *count* under ``nightly``."""
    return count * settings().max_examples // _USUAL
