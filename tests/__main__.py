"""Runs the whole suite as CI does.

    python -m tests                 everything
    python -m tests -k name ...     pytest with these arguments, without the gate on coverage

What can share the machine runs first, in several processes of pytest-xdist (many tests wait most of the time), with the
gate on coverage. What measures how long something takes (marked ``serial``) runs behind it, alone and without coverage,
which would slow down what is measured.
"""

import contextlib
import os
import subprocess
import sys
import time

#: On two cores, of which each test's servers need some, too.
PROCESSES = "4"
#: Of the tests that measure times, where the system permits it: other programs are not what they measure.
PRIORITY = -10


def main(arguments: list[str]) -> int:
    """Run pytest; return the first status that is not 0."""
    if arguments:
        return _pytest(*arguments)
    began = time.monotonic()
    together = ["-m", "not serial", "-n", PROCESSES, "--cov"]
    alone = ["-m", "serial"]
    status = _pytest(*together)
    with contextlib.suppress(PermissionError):  # root may; others measure with whatever runs beside them
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    status = _pytest(*alone) or status
    print(f"{time.monotonic() - began:.0f} s in all")
    return status


def _pytest(*arguments: str) -> int:
    return subprocess.call([sys.executable, "-m", "pytest", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
