"""The viewers' side of a measurement: load.c, compiled and driven.

What it reports is passed on as it comes, see load.c.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .messages import FIRST

SOURCE = Path(__file__).with_name("load.c")
_ANSWER_S = 240.0


@dataclass(frozen=True)
class Way:
    """How a server is asked for a stream.

    Attributes:
        mode: ``ws``, ``sse``, ``sio`` (Socket.IO) or ``poll``.
        path: with ``{}`` where the session's number belongs.
        headers: more of them, each ended with CR LF.
    """

    mode: str
    path: str
    headers: str = ""


def build(directory: Path) -> Path:
    """Compile load.c into *directory* and return the program."""
    program = directory / "load"
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "there is no C compiler"
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(SOURCE)], check=True)
    return program


class Load:
    """Open connections to one server; a context manager.

    Args:
        program: from build().
        connections: how many, spread over *sessions* sessions from number *first* on.
        window: how many may be opening at once.
        rate: how many may begin to open in a second, 0 = no limit.
        sources: how many addresses 127.0.0.x they come from.
        state: wait for the first message of each.
        rest_ms: pause between two looks at the open connections: where rates alone count and the generator shares the
            server's cores, it reads more at once and costs less.

    Attributes:
        opened: what load.c said when all were open.
    """

    def __init__(
        self,
        program: Path,
        port: int,
        way: Way,
        *,
        connections: int,
        sessions: int = 1,
        first: int = 0,
        window: int = 32,
        rate: int = 0,
        sources: int = 8,
        state: bool = False,
        rest_ms: int = 0,
    ) -> None:
        options: dict[str, object] = {
            "port": port, "mode": way.mode, "path": way.path, "headers": way.headers, "connections": connections,
            "sessions": sessions, "first": first, "window": window, "rate": rate, "sources": sources, "next": FIRST,
            "rest": rest_ms,
        }  # fmt: skip
        argv = [str(program), *(f"--{name}={value}" for name, value in options.items())]
        self._process = _popen([*argv, "--state"] if state else argv)
        try:
            self.opened = self._read()
            if self.opened["failed"]:
                raise RuntimeError(f"{self.opened['failed']} of {connections} connections could not be opened")
        except BaseException:
            self.close()
            raise

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def report(self, expected: int = 0, *, quiet_s: float = 0.0, limit_s: float = _ANSWER_S) -> dict[str, Any]:
        """Wait for *expected* messages since the last report, or *quiet_s* without any, or *limit_s*; tell what came."""
        assert self._process.stdin
        self._process.stdin.write(f"{expected} {round(quiet_s * 1000)} {round(limit_s * 1000)}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Close all connections."""
        if self._process.stdin:
            self._process.stdin.close()
        if self._process.stdout:
            self._process.stdout.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _popen(argv: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
