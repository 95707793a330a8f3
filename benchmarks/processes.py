"""Server processes that are measured: their start, the CPU and memory that the kernel counts for them, their end.

Independent of what a process serves. CPU is user plus system time of the process and of its running descendants, from
the scheduler's clocks: these count nanoseconds, /proc only ticks of 10 ms.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.server import free_port

_PAGE = os.sysconf("SC_PAGE_SIZE")
#: CPUCLOCK_SCHED of Linux: cpu_us() makes the id of a process's CPU clock as clock_getcpuclockid() does.
_CPU_CLOCK = 2
_START_S = 20.0
_STOP_S = 10.0
_LOOK_S = 0.001


def family(pid: int) -> list[int]:
    """Return *pid* and the ids of its descendants that are running now."""
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
    """Return the CPU time that one process has used, in microseconds."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK) * 1e6


def resident(pid: int) -> int:
    """Return the resident memory of one process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


class Process:
    """A server as a process of its own; the constructor waits until it listens.

    Args:
        argv: its command, which makes it listen on *port* of 127.0.0.1.
        environ: its whole environment.
        log: the file to which its output is appended.

    Attributes:
        began_s: ``time.perf_counter()`` just before it was started.
        listens_s: seconds from then until it accepted a connection, to about a millisecond.
    """

    def __init__(self, argv: Sequence[str], port: int, environ: Mapping[str, str], log: Path) -> None:
        self.port = port
        self._log = log
        with log.open("ab") as output:
            self.began_s = time.perf_counter()
            self._process = subprocess.Popen(
                argv, env=dict(environ), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            self.listens_s = self._listening_s()
        except BaseException:
            self.stop()
            raise

    def _listening_s(self) -> float:
        while not self._listens():
            if time.perf_counter() > self.began_s + _START_S:
                raise TimeoutError(f"{self._process.args!r} does not listen on port {self.port}")
            time.sleep(_LOOK_S)
        return time.perf_counter() - self.began_s

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._process.args!r} ended: {self._log.read_text()[-2000:]}")
        return self._accepts()

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    @property
    def pid(self) -> int:
        """The id of the process that was started; its workers have other ids."""
        return self._process.pid

    def cpu_us(self) -> float:
        """Return the CPU time that the server and its running descendants have used, in microseconds."""
        return sum(map(cpu_us, family(self.pid)))

    def resident(self) -> int:
        """Return the resident memory of the server and its descendants, in bytes; shared pages count for each."""
        return sum(map(resident, family(self.pid)))

    def stop(self) -> None:
        """Kill the server and its descendants with SIGKILL: no measurement needs a clean shutdown.

        May be called repeatedly. When it returns nothing listens on the port, so that a server which is started next
        on it is not taken for listening while a worker of this one still is.
        """
        if self._process.returncode is not None:  # by now its id may be another process's
            return
        for pid in family(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        until_s = time.perf_counter() + _STOP_S
        while self._accepts() and time.perf_counter() < until_s:
            time.sleep(_LOOK_S)


__all__ = ["Process", "cpu_us", "family", "free_port", "resident"]
