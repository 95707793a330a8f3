"""The command line as processes: what users, systemd and scripts see of it."""

import contextlib
import functools
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
from click.testing import CliRunner

from rpa_server.assets import __version__
from rpa_server.cli.commands import cli
from tests.support.server import PATIENCE_S, ROOT, Server, free_port, get, running, wait_until
from tests.support.sessions import SESSION
from tests.support.timing import within

PROGRAM = (sys.executable, "-m", "rpa_server")
AIOHTTP = (sys.executable, "-m", "aiohttp.web", "rpa_server:create_app")


class Program:
    """A running program whose output lines are kept as they come."""

    def __init__(self, *arguments: str, cwd: Path, **environ: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("RPA_", "REDIS_"))}
        self.process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env={**clean, "PYTHONPATH": str(ROOT), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell makes background jobs ignore SIGINT, and their children inherit that; the tests need the default.
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        self.output: list[str] = []
        self.errors: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.output)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors)),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        with stream:
            for line in stream:
                lines.append(line)
                if lines is self.output:
                    self._lines.put(line)

    def line(self) -> str:
        """Return the next line of the output."""
        return self._lines.get(timeout=PATIENCE_S).strip()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, bound_s: float = PATIENCE_S) -> int:
        """Wait for the end, which may come no later than *bound_s*; return the status."""
        began = time.monotonic()
        status = self.process.wait(max(bound_s, PATIENCE_S))
        within(time.monotonic() - began, bound_s)
        for reader in self._readers:
            reader.join(5)
        return status

    def kill(self) -> None:
        if self.process.poll() is None:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
            self.process.kill()
        self.wait()

    @property
    def stderr(self) -> str:
        """The output on standard error."""
        return "".join(self.errors)


@contextlib.contextmanager
def program(*arguments: str, cwd: Path, **environ: str) -> Iterator[Program]:
    """Run a program; after the block it has ended."""
    started = Program(*arguments, cwd=cwd, **environ)
    try:
        yield started
    finally:
        started.kill()


def ended(*arguments: str, cwd: Path, **environ: str) -> tuple[int, str, str]:
    """Run a program to its end; return status, output and errors."""
    with program(*arguments, cwd=cwd, **environ) as started:
        status = started.wait()
    return status, "".join(started.output), started.stderr


def one_sentence(errors: str) -> str:
    """Check that *errors* is one sentence for users, beside lines of asyncio's debug log; return the sentence."""
    lines = [line for line in errors.splitlines() if not line.startswith("DEBUG:asyncio")]
    assert len(lines) == 1, errors
    assert "Traceback" not in errors
    assert lines[0].endswith((".", ")"))
    return lines[0]




def publish(base: str, session_id: str = SESSION, **body: Any) -> None:
    request = urllib.request.Request(
        f"{base}/api/sessions/{session_id}/events", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 201


# -- help, version, wrong calls


def test_the_version_is_reported() -> None:
    """``--version`` prints program and version."""
    assert CliRunner().invoke(cli, ["--version"]).output == f"rpa-server, version {__version__}\n"


def test_the_help_needs_nothing(tmp_path: Path) -> None:
    """``--help`` lists every command; it needs neither settings nor Redis and leaves no files."""
    status, output, errors = ended(*PROGRAM, "--help", cwd=tmp_path, RPA_CONFIG="/no", RPA_PORT="x")
    assert (status, errors) == (0, "")
    assert [word for word in ("serve", "demo", "replay", "watch") if word not in output] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "words"),
    [("serve", ["--host", "--port", "RPA_PORT"]), ("demo", ["--host", "--port", "--speed", "Redis"]),
     ("watch", ["SESSION", "--url", "status 0"]), ("replay", ["FILES", "--speed", "--session"])],
)  # fmt: skip
def test_every_command_explains_itself(command: str, words: list[str]) -> None:
    """``--help`` after a command says what the command does and which options it has."""
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0
    assert [word for word in words if word not in result.output] == []


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "--nonsense"], ["serve", "--port", "x"],
                                       ["serve", "--port", "70000"], ["demo", "--speed", "0"], ["watch"]])  # fmt: skip
def test_a_wrong_call_is_refused(arguments: list[str]) -> None:
    """An unknown command or option, an invalid value and a missing argument are errors with status 2."""
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "Error" in result.output


# -- serve, and python -m aiohttp.web


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_serve_prints_its_address_and_answers(tmp_path: Path, number: int) -> None:
    """``serve`` prints only the address at which it answers; a signal ends it with status 0 and no traceback."""
    with program(*PROGRAM, "serve", "--port", "0", cwd=tmp_path, RPA_REDIS_URL="none") as server:
        address = server.line()
        assert re.fullmatch(r"http://localhost:\d+/", address)
        assert get(address + "health/ready")[0] == 200
        assert "<html" in get(address)[1]
        server.signal(number)
        assert server.wait(5) == 0
    assert "Traceback" not in server.stderr
    assert server.output == [address + "\n"]


def test_serve_takes_its_settings_from_file_environment_and_options(tmp_path: Path) -> None:
    """``RPA_CONFIG`` names a file, a variable overrides the file, an option overrides both."""
    in_file, in_environment = free_port(), str(free_port())
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"server": {"host": "127.0.0.1", "port": in_file}, "redis": None, "data_dir": "file"}))
    environ = {"RPA_CONFIG": str(file), "RPA_DATA_DIR": "elsewhere", "RPA_PORT": in_environment}
    with program(*PROGRAM, "serve", cwd=tmp_path, **environ) as server:
        address = server.line()
        assert address == f"http://127.0.0.1:{in_environment}/"
        assert json.loads(get(address + "health/ready")[1])["redis"] == "none"
        publish(address.rstrip("/"), etapa=1)
        assert (tmp_path / "elsewhere" / f"progress_{SESSION}.json").exists()
        with program(*PROGRAM, "serve", "--port", "0", cwd=tmp_path, **environ) as other:
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", second := other.line())
            assert second != address


def test_serve_listens_on_ipv6(tmp_path: Path) -> None:
    """The server listens on an IPv6 address, and prints it as a browser expects it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with program(*PROGRAM, "serve", "--host", "::1", "--port", "0", cwd=tmp_path, RPA_REDIS_URL="none") as server:
        address = server.line()
        assert address.startswith("http://[::1]:")
        assert get(address + "health/live")[0] == 200


def test_an_address_that_cannot_be_had_is_reported(tmp_path: Path) -> None:
    """If the port is taken or the host wrong, one sentence on standard error names it, and there is no output."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        taken = str(listener.getsockname()[1])
        runs = []
        for command, host, port, words in (
            ("serve", "127.0.0.1", taken, [taken, "--port"]),
            ("demo", "127.0.0.1", taken, [taken, "--port"]),
            ("serve", "203.0.113.1", "0", ["203.0.113.1"]),
            ("serve", "no-such-host.invalid", "0", ["no-such-host.invalid", "RPA_HOST"]),
        ):
            arguments = (*PROGRAM, command, "--host", host, "--port", port)
            started = stack.enter_context(program(*arguments, cwd=tmp_path, RPA_REDIS_URL="none"))
            runs.append((started, words))
        for run, words in runs:
            assert run.wait() not in (0, None)
            assert run.output == []
            sentence = one_sentence(run.stderr)
            assert [word for word in words if word not in sentence] == []


#: One wrong setting of each kind; test_config.py covers which values are wrong.
WRONG = [("RPA_PORT", "70000"), ("RPA_CONFIG", "{tmp}/broken.json"), ("RPA_DATA_DIR", "{tmp}/broken.json")]


@pytest.mark.parametrize("start", [(*PROGRAM, "serve", "--host", "127.0.0.1"), AIOHTTP], ids=["serve", "aiohttp.web"])
def test_a_wrong_setting_is_reported(tmp_path: Path, start: tuple[str, ...]) -> None:
    """A wrong setting ends the start with status 2 and one sentence on standard error that names the setting."""
    (tmp_path / "broken.json").write_text("{")
    with contextlib.ExitStack() as stack:
        runs = []
        for name, text in WRONG:
            value = text.replace("{tmp}", str(tmp_path))
            environ = {"RPA_REDIS_URL": "none", name: value}
            runs.append((name, value, stack.enter_context(program(*start, cwd=tmp_path, **environ))))
        for name, value, run in runs:
            assert run.wait() == 2, (value, run.stderr)
            assert run.output == []
            sentence = one_sentence(run.stderr)
            assert name in sentence or value in sentence, sentence
            assert sentence.startswith("rpa-server: ")


def test_an_unknown_option_of_aiohttp_web_is_reported(tmp_path: Path) -> None:
    """An option that ``python -m aiohttp.web`` does not know ends the start with status 2 and one sentence."""
    status, output, errors = ended(*AIOHTTP, "--nonsense", cwd=tmp_path)
    assert (status, output) == (2, "")
    assert "--nonsense" in one_sentence(errors)


# -- demo


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The directory that the demo uses for its temporary files."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    return directory


@contextlib.contextmanager
def port_8080_taken() -> Iterator[None]:
    """Make sure that some program listens on port 8080."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
        yield


def test_demo_shows_its_run_whatever_its_surroundings_are(tmp_path: Path, temporary: Path) -> None:
    """The demo plays its run to the end even if port 8080 is taken and the environment has wrong settings."""
    environ = {"RPA_REDIS_URL": "redis://127.0.0.1:1/0", "RPA_CONFIG": "/no", "REDIS_PORT": "x", "RPA_DATA_DIR": "else",
               "SESSION_ID": "other"}  # fmt: skip
    arguments = (*PROGRAM, "demo", "--speed", "1000")
    with port_8080_taken(), program(*arguments, cwd=tmp_path, TMPDIR=str(temporary), **environ) as demo:
        address = demo.line()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?session=demo", address)
        assert ":8080/" not in address
        base = address.partition("/?")[0]
        assert "<html" in get(address)[1]
        assert get(base + "/static/page.js")[0] == 200

        def snapshot() -> dict[str, Any]:
            with contextlib.suppress(urllib.error.HTTPError):
                return dict(json.loads(get(base + "/api/sessions/demo")[1])["snapshot"])
            return {}

        wait_until(lambda: snapshot().get("final"))
        shown = snapshot()
        assert shown["estado"] == "sucesso"
        assert shown["estimativas"]
        assert shown["resultado"]
        demo.signal(signal.SIGTERM)
        assert demo.wait(5) == 0
    assert list(temporary.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_demo_leaves_nothing(tmp_path: Path, temporary: Path, number: int) -> None:
    """A demo ended in the middle of its run leaves neither a process nor a file."""
    with program(*PROGRAM, "demo", "--port", "0", cwd=tmp_path, TMPDIR=str(temporary)) as demo:
        demo.line()
        robots = psutil.Process(demo.process.pid)
        wait_until(lambda: robots.children() and any(temporary.rglob("*.json")))
        children = robots.children(recursive=True)
        demo.signal(number)
        assert demo.wait(5) == 0
        wait_until(lambda: not any(child.is_running() for child in children), 2)
    assert list(temporary.iterdir()) == []
    assert "Traceback" not in demo.stderr


def test_demo_may_be_ended_at_any_time(tmp_path: Path, temporary: Path) -> None:
    """Demos that are ended 0 to 40 ms after they printed their address exit with status 0 and leave no file."""
    with contextlib.ExitStack() as stack:
        demos = [
            stack.enter_context(program(*PROGRAM, "demo", "--port", "0", cwd=tmp_path, TMPDIR=str(temporary)))
            for _ in range(3)
        ]
        for number, demo in enumerate(demos):
            demo.line()
            time.sleep(number * 0.02)
            demo.signal(signal.SIGTERM)
        for demo in demos:
            demo.wait(10)
    assert list(temporary.iterdir()) == []
    assert [demo.process.returncode for demo in demos] == [0, 0, 0]
    assert [demo.stderr for demo in demos if "Traceback" in demo.stderr] == []


# -- watch


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on files for all tests of ``watch``."""
    with running(Server(tmp_path_factory.mktemp("watch") / "rpa_data")) as process:
        yield process


def watching(shared: Server, session_id: str = SESSION) -> contextlib.AbstractContextManager[Program]:
    return program(*PROGRAM, "watch", session_id, "--url", shared.url, cwd=ROOT)


def connections(server: Server) -> int:
    return int(json.loads(get(server.url + "/status")[1])["connections"])


def test_watch_ends_with_the_run(shared: Server) -> None:
    """The exit status of ``watch`` says whether there is a quote; its last line is the run's ``estado``."""
    with watching(shared, "good") as good, watching(shared, "bad") as bad:
        wait_until(lambda: connections(shared) == 2)
        for session_id, end in (("good", "success"), ("bad", "error")):
            publish(shared.url, session_id, etapa=1)
            publish(shared.url, session_id, status_final=end)
        assert (good.wait(), bad.wait()) == (0, 1)
    assert (good.output[-1].strip(), bad.output[-1].strip()) == ("sucesso", "erro")
    assert [line for line in good.output + bad.output if "\x1b" in line] == []
    assert (good.stderr, bad.stderr) == ("", "")


def test_watch_is_ended_by_the_keyboard(shared: Server) -> None:
    """Ctrl-C ends ``watch`` with status 130 and without a traceback."""
    with watching(shared) as watcher:
        wait_until(lambda: connections(shared) == 1)
        watcher.signal(signal.SIGINT)
        assert watcher.wait(5) == 130
    assert "Traceback" not in watcher.stderr


def test_watch_refuses_a_bad_session_id(tmp_path: Path) -> None:
    """``watch`` refuses an invalid session id with status 2 and one sentence."""
    status, output, errors = ended(*PROGRAM, "watch", "../x", cwd=tmp_path)
    assert (status, output) == (2, "")
    one_sentence(errors)


@pytest.mark.parametrize("url", ["nonsense", "ftp://localhost", "http://", "http://:80", "http://localhost:99999",
                                 "http://localhost:0", "http://[::1", "http://localhost:x"])  # fmt: skip
def test_watch_refuses_an_address_that_is_none(url: str) -> None:
    """``watch`` ends with status 2, instead of retrying for ever, if ``--url`` can't be a server's address."""
    result = CliRunner().invoke(cli, ["watch", SESSION, "--url", url])
    assert result.exit_code == 2
    assert "--url" in result.output
