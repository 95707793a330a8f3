"""LiveLine, the line that ``watch`` and ``replay`` show, on a terminal and without one."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from rpa_server.cli.live_line import LiveLine, printable
from tests.support.server import ROOT

_COMMAND = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(columns: int, *arguments: str, cwd: Path, **environ: str) -> tuple[int, str]:
    """Run Python with *arguments* on a terminal of *columns* columns; return the status and everything written."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RPA_", "REDIS_", "COLUMNS"))}
    process = subprocess.Popen(
        (sys.executable, *arguments),
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "RPA_REDIS_URL": "none", **environ},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # EIO: the other end was closed
        while data := os.read(ours, 65536):
            written += data
    os.close(ours)
    return process.wait(30), written.decode()


def texts(written: str) -> list[str]:
    """Return the successive contents of the live line, without the terminal commands."""
    return [text for part in _COMMAND.sub("", written).split("\r") if (text := part.strip())]


PROGRAM = """
import time
from rpa_server.cli.live_line import LiveLine
with LiveLine("aguardando") as shown:
    for number in range(1, 5):
        shown.show(f"{number}/4 [bold]\\n\\x1b[2J " + "longa " * 100, number * 25.0, "executando")
        time.sleep(0.15)
    shown.end("R$2.914,35")
"""


@pytest.mark.parametrize("columns", [20, 40, 80, 300])
def test_a_terminal_shows_one_line_whatever_the_text(tmp_path: Path, columns: int) -> None:
    """The live line is rewritten and never wraps; the cursor moves to the next line once, at the end."""
    status, written = on_a_terminal(columns, "-c", PROGRAM, cwd=tmp_path)
    assert (status, written.count("\n")) == (0, 1)
    assert "\x1b[2J" not in written
    assert "\x1b[?25h" in written  # the escape sequence that shows the cursor again
    assert max(map(len, texts(written))) <= columns
    assert "100 %" in texts(written)[-1]


def test_a_terminal_shows_label_percent_and_text(tmp_path: Path) -> None:
    """The robot's text is cut to the terminal's width and not interpreted; the final text stays at the end."""
    shown = texts(on_a_terminal(80, "-c", PROGRAM, cwd=tmp_path)[1])
    assert shown[0].startswith("aguardando")
    # Not each update is drawn: rich draws ten times a second, or less often on a busy machine.
    drawn = [text for text in shown if "executando" in text and "longa" in text]
    assert drawn
    for text in drawn:
        number = int(re.search(r"(\d)/4", text)[1])  # type: ignore[index]
        assert f"{number * 25} %" in text
        assert f"{number}/4 [bold]  [2J longa" in text
    assert all(text.endswith("…") for text in shown if "longa" in text)
    assert shown[-1].endswith("R$2.914,35")


def test_without_a_terminal_labels_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal each new label and the final text are printed as lines, without terminal commands."""
    with LiveLine("aguardando") as shown:
        for number in range(4):
            shown.show(f"{number}/4 texto", number * 25.0, "executando")
        shown.show("sem conexão")
        shown.end("não\x1b[2J há")
    assert capsys.readouterr().out.splitlines() == ["aguardando", "executando", "não [2J há"]


def test_a_dead_program_leaves_the_cursor_visible(tmp_path: Path) -> None:
    """If an exception leaves the block, the cursor is made visible again."""
    program = "from rpa_server.cli.live_line import LiveLine\nwith LiveLine('x') as shown:\n    raise KeyboardInterrupt"
    assert "\x1b[?25h" in on_a_terminal(80, "-c", program, cwd=tmp_path)[1]


def test_replay_is_one_line_of_a_terminal(tmp_path: Path) -> None:
    """``replay`` shows the session and the percentage on one line of the terminal."""
    arguments = ("-m", "rpa_server", "replay", "--speed", "1000", str(ROOT / "rpa_server" / "cli" / "demo_history.json"))
    status, written = on_a_terminal(80, *arguments, cwd=tmp_path)
    assert (status, written.count("\n")) == (0, 1)
    assert texts(written)[-1].startswith("demo")
    assert "100 %" in texts(written)[-1]


def test_what_a_terminal_would_obey_is_blank() -> None:
    """printable() replaces escape characters, line ends and direction marks by blanks; accented letters stay."""
    assert printable("ção\x1b[2J\r\n\x07\u202e…") == "ção [2J    …"
