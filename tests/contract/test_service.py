"""conf/rpa-server.service, checked by systemd-analyze where that is installed, and against the program."""

import configparser
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from rpa_server.serving.descriptors import _RESERVED
from tests.support.server import ROOT, Server, wait_until
from tests.support.timing import within

UNIT = ROOT / "conf" / "rpa-server.service"
ANALYZE = shutil.which("systemd-analyze")


class Parser(configparser.ConfigParser):
    """A ConfigParser that keeps the case of keys."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.fixture(scope="module")
def unit() -> Parser:
    """The unit's sections."""
    parser = Parser(interpolation=None, strict=True)
    parser.read(UNIT)
    return parser


@pytest.mark.skipif(ANALYZE is None, reason="no systemd on this machine")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """systemd-analyze verifies the unit without a warning and rates its exposure at 2.0 of 10 at most."""
    installed = tmp_path / "rpa-server.service"
    installed.write_text(UNIT.read_text().replace("/opt/rpa-server/bin/rpa-server", "/bin/true"))
    done = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", str(installed)], check=False, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rated = subprocess.run(
        [str(ANALYZE), "security", "--offline=yes", "--no-pager", "--threshold=20", str(installed)],
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert rated.returncode == 0, rated.stdout[-300:]


def test_it_starts_the_command_line(unit: Parser) -> None:
    """The unit starts ``rpa-server serve``, the command in the README, by an absolute path."""
    assert re.fullmatch(r"/\S+/bin/rpa-server serve", unit["Service"]["ExecStart"])


def test_redis_is_not_required(unit: Parser) -> None:
    """The unit does not require redis.service: the server goes on with files when Redis stops."""
    for key in ("Requires", "BindsTo", "PartOf", "Requisite"):
        assert "redis" not in unit["Unit"].get(key, "")


def test_there_are_descriptors_for_the_default_number_of_viewers(unit: Parser) -> None:
    """LimitNOFILE covers the default RPA_MAX_CONNECTIONS and the descriptors that the server reserves."""
    assert int(unit["Service"]["LimitNOFILE"]) >= 1000 + _RESERVED


def test_systemd_waits_longer_than_a_shutdown_takes(unit: Parser, data_dir: Path) -> None:
    """KillSignal ends the server with status 0 in less than half of TimeoutStopSec."""
    server = Server(data_dir)
    command = [sys.executable, "-m", "rpa_server", "serve", "--host", "127.0.0.1", "--port", str(server.port)]
    with subprocess.Popen(command, env=server.environ, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: _answers(server.url))
        began = time.monotonic()
        process.send_signal(getattr(signal, unit["Service"]["KillSignal"]))
        assert process.wait(10) == 0
    within(time.monotonic() - began, int(unit["Service"]["TimeoutStopSec"]) / 2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/live", timeout=30) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_a_wrong_setting_is_not_tried_again(unit: Parser, data_dir: Path) -> None:
    """RestartPreventExitStatus is the status of a wrong setting; after any other end systemd restarts the server."""
    server = Server(data_dir)
    done = subprocess.run(
        [sys.executable, "-m", "rpa_server", "serve"],
        env={**server.environ, "RPA_PORT": "many"}, cwd=ROOT, check=False, capture_output=True, timeout=20,
    )  # fmt: skip
    assert done.returncode == int(unit["Service"]["RestartPreventExitStatus"])
    assert unit["Service"]["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
