"""Processes that are measured: started on a free port, looked at through the operating system, ended by their own id.

Knows nothing of what a process serves. CPU is user plus system time of the process and all its descendants, in
nanoseconds from the scheduler, not in ticks.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.server import free_port, wait_until

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CPU_CLOCK = 2
_START_S = 20.0


def family(pid: int) -> list[int]:
    """Return *pid* and its descendants that live now."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, _, rest = path.read_text().rpartition(")")
            children.setdefault(int(rest.split()[1]), []).append(int(path.parent.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, ()))
    return found


def cpu_us(pid: int) -> float:
    """Return the CPU that one process has used, in microseconds."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK) * 1e6


def resident(pid: int) -> int:
    """Return the bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


class Process:
    """A server as a process of its own.

    Args:
        argv: its command, which makes it listen on *port* of 127.0.0.1.
        environ: its whole environment.
        log: the file that takes what it prints.
    """

    def __init__(self, argv: Sequence[str], port: int, environ: Mapping[str, str], log: Path) -> None:
        self.port = port
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv, env=dict(environ), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            wait_until(self._listens, _START_S)
        except BaseException:
            self.stop()
            raise

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._process.args!r} ended: {self._log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    @property
    def pid(self) -> int:
        """The id of the process that was started; it may have children."""
        return self._process.pid

    def cpu_us(self) -> float:
        """Return the CPU that it and its descendants have used, in microseconds."""
        return sum(map(cpu_us, family(self.pid)))

    def resident(self) -> int:
        """Return how many bytes of it and its descendants are in memory."""
        return sum(map(resident, family(self.pid)))

    def stop(self) -> None:
        """End it and its descendants at once: nothing that is measured comes behind this."""
        for pid in family(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def running(argv: Sequence[str], port: int, environ: Mapping[str, str], log: Path) -> Iterator[Process]:
    """Run a server for the length of the block."""
    process = Process(argv, port, environ, log)
    try:
        yield process
    finally:
        process.stop()


__all__ = ["Process", "cpu_us", "family", "free_port", "resident", "running"]
