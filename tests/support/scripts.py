"""The tools of ``web/``: Node, and what npm installs beside it."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.support.server import ROOT

WEB = ROOT / "web"


def run(*command: str, cwd: Path = WEB) -> str:
    """Run a program and return what it printed; a failure carries its output.

    Raises:
        AssertionError: it isn't installed, or its status is not 0.
    """
    program = shutil.which(command[0])
    assert program, f"{command[0]} is not installed"
    done = subprocess.run([program, *command[1:]], cwd=cwd, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def install(lock: Path) -> Path:
    """Install what the lock file of npm says, unless that was done; return the directory.

    Args:
        lock: a file that all processes of one test run share, since npm empties the directory before it fills it.
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
