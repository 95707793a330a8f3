"""Runs the tools that ``web/`` needs: Node, npm, and the packages that npm installs."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.support.server import ROOT

WEB = ROOT / "web"


def run(*command: str, cwd: Path = WEB) -> str:
    """Run a program, for 170 s at most, and return what it printed to standard output.

    Raises:
        AssertionError: the program isn't installed, or its exit status is not 0; the message has the end of its output.
    """
    program = shutil.which(command[0])
    assert program, f"{command[0]} is not installed"
    done = subprocess.run([program, *command[1:]], cwd=cwd, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def install(lock: Path) -> Path:
    """Install what ``web/package-lock.json`` lists, unless it is installed already; return ``web/node_modules``.

    Args:
        lock: a file that all processes of one test run lock while they install, since npm empties the directory first.
    """
    modules = WEB / "node_modules"
    mark = modules / ".installed"
    wanted = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not mark.is_file() or mark.read_text() != wanted:
            run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
            mark.write_text(wanted)
    return modules
