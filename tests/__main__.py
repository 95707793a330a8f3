"""Runs the whole suite as CI does.

    python -m tests                 everything
    python -m tests -k name ...     pytest with these arguments, without measuring coverage

First come the tests that can share the machine, in several processes of pytest-xdist (most of them wait most of the
time); they fail if coverage is below the limit in setup.cfg. Tests that measure how long something takes (marked
``serial``) follow, one at a time and without coverage, which would slow down what they measure.
"""

import contextlib
import os
import subprocess
import sys
import time

#: Processes of pytest-xdist, for a machine with two cores: more would delay the servers that each test starts.
PROCESSES = "4"
#: The nice value of the tests that measure times, so that other programs delay them less; only root may set it.
PRIORITY = -10


def main(arguments: list[str]) -> int:
    """Run pytest; return its first exit status that is not 0, or 0 if all tests passed."""
    if arguments:
        return _pytest(*arguments)
    began = time.monotonic()
    together = ["-m", "not serial", "-n", PROCESSES, "--cov"]
    alone = ["-m", "serial"]
    status = _pytest(*together)
    with contextlib.suppress(PermissionError):  # not root: they run with the usual priority
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    status = _pytest(*alone) or status
    print(f"{time.monotonic() - began:.0f} s in all")
    return status


def _pytest(*arguments: str) -> int:
    return subprocess.call([sys.executable, "-m", "pytest", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
