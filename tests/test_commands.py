"""The command line, as its users start it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .support import ROOT, RedisServer, Server, free_port, running, wait_until


def command(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    """Start ``rpa-server`` with *arguments*."""
    return subprocess.Popen(
        [sys.executable, "-m", "rpa_server", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "RPA_REDIS_URL": "none", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run ``rpa-server`` to its end; return status, output and errors."""
    process = command(*arguments, **environ)
    output, errors = process.communicate(timeout=30)
    return process.returncode, output, errors


def test_version_and_help() -> None:
    """--version and --help answer."""
    assert result("--version")[1].startswith("rpa-server, version 1.")
    for name in ("serve", "demo", "replay", "watch"):
        assert name in result("--help")[1]
        assert result(name, "--help")[0] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("RPA_PORT", "x"), ("RPA_MAX_CONNECTIONS", "0"), ("RPA_REDIS_URL", "http://x"), ("RPA_CONFIG", "/no")],
)
def test_a_wrong_setting_ends_start_up_with_one_sentence(name: str, value: str) -> None:
    """Exit status 2 and one line that names the setting, for both ways of starting."""
    status, output, errors = result("serve", **{name: value})
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert name in errors
    process = subprocess.run(
        [sys.executable, "-m", "aiohttp.web", "rpa_server:create_app"],
        env={**os.environ, "PYTHONPATH": str(ROOT), name: value},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert process.returncode == 2
    told = [line for line in process.stderr.splitlines() if not line.startswith("DEBUG")]
    assert len(told) == 1
    assert name in told[0]


def test_serve_prints_its_address_and_ends_on_sigterm(tmp_path: Path) -> None:
    """serve answers where it says, and is gone at once when told."""
    process = command("serve", "--port", "0", RPA_DATA_DIR=str(tmp_path / "d"))
    assert process.stdout
    address = process.stdout.readline().strip()
    port = int(address.rsplit(":", 1)[1].strip("/"))
    with socket.create_connection(("localhost", port), 5):
        pass
    status, _, errors = result("serve", "--port", str(port), RPA_DATA_DIR=str(tmp_path / "e"))
    assert status == 1
    assert f"Port {port} on localhost is taken" in errors
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert time.monotonic() - began < 5


def test_demo_finds_a_free_port_and_leaves_nothing(tmp_path: Path) -> None:
    """With 8080 taken demo takes another port; a signal ends it, its robot and its directory."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass  # somebody else has it: as good
        process = command("demo", TMPDIR=str(tmp_path))
        assert process.stdout
        address = process.stdout.readline().strip()
    assert ":8080" not in address
    assert address.endswith("/?session=demo")
    wait_until(lambda: list(tmp_path.glob("rpa-server-demo-*/progress_demo.json")))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert list(tmp_path.glob("rpa-server-demo-*")) == []


def test_watch_follows_a_run_to_its_end(data_dir: Path) -> None:
    """watch survives a restart of the server and tells how the run ended by its status."""
    server = Server(data_dir)
    with running(server):
        watching = command("watch", "run", "--url", server.url)
        playing = command(
            *("replay", str(ROOT / "rpa_server" / "demo_history.json"), "--session", "run", "--speed", "12"),
            RPA_DATA_DIR=str(data_dir),
        )
        wait_until((data_dir / "progress_run.json").exists)
        server.stop()
        server.start()
        output, errors = watching.communicate(timeout=30)
        playing.communicate(timeout=30)
    assert (watching.returncode, errors) == (0, "")
    assert output.rstrip().endswith("sucesso")
    assert playing.returncode == 0


def test_watch_and_replay_refuse_bad_ids() -> None:
    """A bad session id is one sentence, exit status 2."""
    for arguments in (("watch", "../x"), ("replay", "x.json", "--session", "*")):
        status, _, errors = result(*arguments)
        assert (status, errors.count("\n")) == (2, 1)


def test_the_server_warns_of_eviction(data_dir: Path) -> None:
    """A Redis that may drop live sessions is told of at start."""
    redis = RedisServer().start("--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru")
    try:
        with running(Server(data_dir, redis.url)) as server:
            wait_until(lambda: "evicts any key" in server.log.read_text())
    finally:
        redis.kill()


def test_a_refusing_redis_makes_the_server_not_ready(data_dir: Path) -> None:
    """A password that is wrong is a 503 with the reason, and few lines in the log."""
    import json
    import urllib.error
    import urllib.request

    redis = RedisServer(free_port())
    process = subprocess.Popen(
        ["redis-server", "--port", str(redis.port), "--requirepass", "secret", "--save", ""], stdout=subprocess.DEVNULL
    )
    try:
        with running(Server(data_dir, f"redis://:wrong@127.0.0.1:{redis.port}/0")) as server:

            def refused() -> bool:
                try:
                    urllib.request.urlopen(server.url + "/health/ready").close()
                except urllib.error.HTTPError as error:
                    with error:
                        return bool(json.load(error)["redis"] == "refused")
                return False

            wait_until(refused, 5)
            lines = [line for line in server.log.read_text().splitlines() if line.startswith("WARNING")]
            assert len(lines) <= 3
    finally:
        process.kill()
        process.wait()
