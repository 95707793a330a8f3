"""What a table of figures has to state: the machine, its system, and the version of everything that is measured."""

import os
import platform
import re
import resource
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .peers.nchan import MODULE

_PACKAGES = ("rpa-server", "aiohttp", "redis", "hiredis", "uvloop", "websockets", "python-socketio")
#: By Debian package, a function that tells whether the part that is needed is installed.
_NEEDED = {
    "gcc": lambda: bool(shutil.which("cc") or shutil.which("gcc")),
    "libc6-dev": lambda: Path("/usr/include/stdio.h").exists(),
    "redis-server": lambda: bool(shutil.which("redis-server")),
    "nginx-light": lambda: bool(shutil.which("nginx")),
    "libnginx-mod-nchan": MODULE.exists,
}


def missing() -> list[str]:
    """Return the Debian packages that the benchmarks need and that are not installed."""
    return [package for package, there in _NEEDED.items() if not there()]


def facts() -> dict[str, str]:
    """Return the machine's facts and the versions, by name."""
    return {
        "cores": str(os.cpu_count()),
        "processor": _first(r"model name\s*:\s*(.+)", _read("/proc/cpuinfo")) or platform.machine(),
        "kernel": platform.release(),
        "descriptors": str(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        "redis-server": _first(r"v=(\S+)", _output("redis-server", "--version")),
        "nginx": _first(r"nginx/(\S+)", _output("nginx", "-v")),
        "nchan": _first(r"(?:\d+:)?(.+)", _output("dpkg-query", "-W", "-f=${Version}", "libnginx-mod-nchan")),
        **{name: _version(name) for name in _PACKAGES},
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _output(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout + done.stderr


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1].strip() if match else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
