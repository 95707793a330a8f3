"""Hypothesis profiles: ``ci`` is the default, ``--hypothesis-profile nightly`` looks ten times as far, at random."""

from hypothesis import settings

#: What a property that says nothing of its own is tried with.
CI_EXAMPLES = 60
NIGHTLY_EXAMPLES = 600


def register() -> None:
    """Register the profiles and load ``ci``, which tries the same examples every time."""
    settings.register_profile("ci", max_examples=CI_EXAMPLES, derandomize=True, deadline=None, print_blob=True)
    settings.register_profile("nightly", max_examples=NIGHTLY_EXAMPLES, deadline=None, print_blob=True)
    settings.load_profile("ci")


def examples(count: int) -> int:
    """Return a property's own number of examples: *count* under ``ci``, the same multiple of that under another profile."""
    return count * settings().max_examples // CI_EXAMPLES
