"""The viewers of a measurement: compiles load.c and drives it.

load.c's reports are returned unchanged; their fields are in its report_opened() and report().
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
    """How a viewer asks a server for a session.

    Attributes:
        mode: ``ws``, ``sse``, ``sio`` (Socket.IO) or ``poll``.
        path: the request's path, with ``{}`` for the session's number (six digits).
        headers: further request headers, each ended with CR LF.
    """

    mode: str
    path: str
    headers: str = ""


def build(directory: Path) -> Path:
    """Compile load.c into *directory* and return the path of the program."""
    program = directory / "load"
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "there is no C compiler"
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(SOURCE)], check=True)
    return program


class Load:
    """Viewers that are connected to one server; a context manager that closes them.

    Args:
        program: the path that build() returned.
        port: the server's port on 127.0.0.1.
        connections: number of viewers, spread over *sessions* sessions from number *first* on.
        window: how many may be opening at once.
        rate: how many may begin to open in a second, 0 = no limit.
        sources: number of client addresses, from 127.0.0.1 on, that the connections are spread over.
        messages: how many messages must arrive before a connection counts as open; 0: the handshake is enough.
        rest_ms: pause before each round of reads once all are open, in ms. It adds to delays, but the load generator
            reads more at once and leaves more CPU to a server on the same cores: for measurements of the rate alone.

    Attributes:
        opened: what load.c reported when all connections were open.

    Raises:
        RuntimeError: a connection could not be opened.
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
        messages: int = 0,
        rest_ms: int = 0,
    ) -> None:
        options: dict[str, object] = {
            "port": port, "mode": way.mode, "path": way.path, "headers": way.headers, "connections": connections,
            "sessions": sessions, "first": first, "window": window, "rate": rate, "sources": sources, "next": FIRST,
            "rest": rest_ms, "messages": messages,
        }  # fmt: skip
        argv = [str(program), *(f"--{name}={value}" for name, value in options.items())]
        self._process = _popen(argv)
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
        """Return what load.c has counted since the last report; of polls, since this call.

        It reports as soon as *expected* different messages are there, none came for *quiet_s*, or *limit_s* has passed;
        0 leaves a condition out.
        """
        assert self._process.stdin
        self._process.stdin.write(f"{expected} {round(quiet_s * 1000)} {round(limit_s * 1000)}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Close all connections and end load.c."""
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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _popen(argv: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
