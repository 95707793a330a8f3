"""Several processes on one port: connections distributed, figures summed, dead processes restarted, all stopped."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.server import PATIENCE_S, ROOT, free_port, wait_until
from tests.support.timing import within

PROCESSES = 2
STREAMS = 40


class Workers:
    """A running ``rpa-server serve --workers 2`` without Redis: a supervisor and two server processes."""

    def __init__(self, data_dir: Path) -> None:
        self.port = free_port()
        self.log = data_dir.with_name("workers.log")
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "RPA_REDIS_URL": "none", "RPA_DATA_DIR": str(data_dir)}
        command = [sys.executable, "-m", "rpa_server", "serve", "--workers", str(PROCESSES)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)], env=environ, stdout=log, stderr=log
            )
        try:
            wait_until(lambda: len(self.pids()) == PROCESSES and self.answering() == PROCESSES)
        except BaseException:
            self.stop()
            raise

    def pids(self) -> list[int]:
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # the process has just ended
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child.pid)
        return found

    def answering(self) -> int:
        """Return how many server processes listen on the port."""
        count = 0
        for pid in self.pids():
            with contextlib.suppress(psutil.NoSuchProcess):  # the process has just ended
                for connection in psutil.Process(pid).net_connections("tcp"):
                    count += connection.status == "LISTEN" and connection.laddr.port == self.port
        return count

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=30) as answer:
            body: dict[str, Any] = json.load(answer)
        return body

    def stop(self) -> float:
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        return time.monotonic() - began


@pytest.fixture
def workers(data_dir: Path) -> Iterator[Workers]:
    made = Workers(data_dir)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.stop()


@contextlib.contextmanager
def streams(port: int) -> Iterator[list[socket.socket]]:
    """Keep STREAMS event streams open during the block; yield their sockets."""
    with contextlib.ExitStack() as stack:
        opened = []
        for number in range(STREAMS):
            stream = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            stream.sendall(f"GET /events/s{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert stream.recv(4096).startswith(b"HTTP/1.1 200")
            opened.append(stream)
        yield opened


def connections_of(pid: int, port: int) -> int:
    """Return how many established connections to the port a process has."""
    connections = psutil.Process(pid).net_connections("tcp")
    return sum(each.status == "ESTABLISHED" and each.laddr.port == port for each in connections)


def test_connections_are_distributed_and_counted_together(workers: Workers) -> None:
    """Every process gets some connections; ``/status`` and ``/metrics`` of any process have the sum of all."""
    with streams(workers.port):
        shares = [connections_of(pid, workers.port) for pid in workers.pids()]
        assert sum(shares) >= STREAMS
        assert min(shares) > 0
        assert [workers.status()["connections"] for _ in range(6)] == [STREAMS] * 6
        with urllib.request.urlopen(f"http://127.0.0.1:{workers.port}/metrics", timeout=5) as answer:
            assert f"rpa_connections {STREAMS}.0" in answer.read().decode()


def test_a_process_that_dies_is_started_again(workers: Workers) -> None:
    """A killed process is replaced, and the other one keeps running."""
    first, second = workers.pids()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: first not in workers.pids())
    wait_until(lambda: len(workers.pids()) == PROCESSES and workers.answering() == PROCESSES)
    assert second in workers.pids()
    wait_until(lambda: workers.status()["connections"] == 0)
    assert "it is started again" in workers.log.read_text()


def test_a_signal_ends_all_in_order(workers: Workers) -> None:
    """On SIGTERM streams and processes end within 5 s, the exit status is 0, and no process is left."""
    pids = workers.pids()
    with streams(workers.port) as opened:
        took_s = workers.stop()
        assert all(stream.recv(65536) is not None for stream in opened)
    assert workers.process.returncode == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    within(took_s, 5)


def test_a_taken_port_is_an_error(data_dir: Path) -> None:
    """A port in use is an error: if another program shared it, that program would answer half of the pages."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        made = subprocess.run(
            [sys.executable, "-m", "rpa_server", "serve", "--workers", "2", "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "RPA_REDIS_URL": "none", "RPA_DATA_DIR": str(data_dir)},
            capture_output=True,
            check=False,
            timeout=60,
        )
    assert made.returncode != 0
    assert b"is taken by another program" in made.stderr
