"""Hypothesis profiles: ``ci`` is the default and tries the same examples every time.

``--hypothesis-profile nightly`` tries twenty times as many, and other ones each time.
"""

from hypothesis import settings

#: How many examples each profile tries of a property that states no number of its own.
CI_EXAMPLES = 50
NIGHTLY_EXAMPLES = 1000
#: Hypothesis's own default; a property that calls examples(300) asks for three times the usual number.
_USUAL = 100


def register() -> None:
    """Register both profiles and load ``ci``."""
    settings.register_profile("ci", max_examples=CI_EXAMPLES, derandomize=True, deadline=None, print_blob=True)
    settings.register_profile("nightly", max_examples=NIGHTLY_EXAMPLES, deadline=None, print_blob=True)
    settings.load_profile("ci")


def examples(count: int) -> int:
    """Return how many examples to try of a property: *count* / 2 under ``ci``, 10 * *count* under ``nightly``."""
    return count * settings().max_examples // _USUAL
