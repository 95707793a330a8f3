"""Which of a session's runs is the current one, and which may be written.

Pure. Runs are ordered by when they began, by the clock of the store that has them: robots' clocks differ by zones, and
by whatever else is wrong with them. A run that has only begun, since a program made a tracker to read a session or to
add an error, takes no other robot's place: it must report a step first, unless the other run has ended or is silent.

backends/redis/append.lua has the same rules; tests/backends/redis/test_order.py compares the two.
"""

from typing import NamedTuple

from .outcome import SILENCE_S


class Claim(NamedTuple):
    """What a run's place among the runs of its session depends on.

    Attributes:
        epoch: the run; decides between two runs that began in the same millisecond.
        began: when the run began, in milliseconds since 1970 by the store's clock; 0 if its writer did not tell.
        stepped: True once the run has reported a step.
        final: True once the run has ended.
    """

    epoch: str
    began: int
    stepped: bool
    final: bool

    def is_newer(self, other: "Claim") -> bool:
        """Tell whether this run began after *other*."""
        return (self.began, self.epoch) > (other.began, other.epoch)


def may_replace(challenger: Claim, current: Claim, silence_s: float) -> bool:
    """Tell whether a run that is being written takes the place of the current one.

    Args:
        challenger: as it was before the update that is to be written, except for ``stepped``.
        current: another run of the session.
        silence_s: seconds since *current* was last written.
    """
    if challenger.is_newer(current):
        return challenger.stepped or not current.stepped or current.final or silence_s >= SILENCE_S
    # The current run has only begun, while the robot of the earlier one goes on.
    return challenger.stepped and not challenger.final and not current.stepped
