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

from rpa_server.delivery.websocket import RESTART
from rpa_server.delivery.wire.websocket import ws_close
from tests.support.server import PATIENCE_S, ROOT, CommandServer, Server, free_port, running, wait_until
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


@contextlib.contextmanager
def pages(port: int) -> Iterator[list[socket.socket]]:
    """Keep eight WebSockets open during the block; yield them after the handshake."""
    with contextlib.ExitStack() as stack:
        opened = []
        for number in range(8):
            page = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            page.sendall(
                f"GET /rpa/s{number} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Protocol: rpa.v1\r\n\r\n".encode()
            )
            assert page.recv(4096).startswith(b"HTTP/1.1 101")
            opened.append(page)
        yield opened


def dismissed(page: socket.socket) -> bool:
    """Read a WebSocket to its end; tell whether it ended with the close frame of a restart."""
    received = bytearray()
    while not received.endswith(ws_close(RESTART, "restart")):
        data = page.recv(65536)
        if not data:
            return False
        received += data
    return True


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


def test_b11_a_hangup_ends_all_in_order(workers: Workers) -> None:
    """On SIGHUP, which a closed terminal sends, streams and processes end as on SIGTERM."""
    pids = workers.pids()
    with pages(workers.port) as opened:
        workers.process.send_signal(signal.SIGHUP)
        workers.process.wait(PATIENCE_S)
        assert all(map(dismissed, opened))
    assert workers.process.returncode == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_b11_processes_end_with_their_supervisor(workers: Workers) -> None:
    """If the supervisor is killed, its processes end their streams in order, end, and leave the port free."""
    pids = workers.pids()
    with pages(workers.port) as opened:
        workers.process.kill()
        workers.process.wait(PATIENCE_S)
        assert all(map(dismissed, opened))
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 5)
    socket.create_server(("127.0.0.1", workers.port)).close()
    assert workers.log.read_text().count("The supervisor has ended") == PROCESSES


def test_b11_a_supervisor_killed_at_once_leaves_no_process(data_dir: Path) -> None:
    """Processes that are still starting when their supervisor is killed end, too, and never listen."""
    port = free_port()
    command = [sys.executable, "-m", "rpa_server", "serve", "--workers", "2", "--host", "127.0.0.1", "--port", str(port)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "RPA_REDIS_URL": "none", "RPA_DATA_DIR": str(data_dir)}
    with data_dir.with_name("killed.log").open("wb") as log:
        supervisor = psutil.Popen(command, env=environ, stdout=log, stderr=log)
        wait_until(lambda: len(supervisor.children()) == PROCESSES)
        children = supervisor.children()
        supervisor.kill()
        supervisor.wait(PATIENCE_S)
    wait_until(lambda: not any(child.is_running() for child in children))
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.parametrize("kind", [CommandServer, Server])
def test_b11_a_single_process_ends_in_order_on_a_hangup(data_dir: Path, kind: type[Server]) -> None:
    """On SIGHUP a server without workers ends as on SIGTERM, in both ways to start one."""
    server = kind(data_dir).start()
    with pages(server.port) as opened:
        os.kill(server.pid, signal.SIGHUP)
        assert all(map(dismissed, opened))
    assert server.wait() == 0


class Unhangable(CommandServer):
    def command(self) -> list[str]:
        return ["nohup", *super().command()]


def test_b11_under_nohup_a_hangup_is_nothing(data_dir: Path) -> None:
    """A server that was started with ``nohup`` serves on after a SIGHUP."""
    with running(Unhangable(data_dir)) as server, pages(server.port) as opened:
        os.kill(server.pid, signal.SIGHUP)
        opened[0].settimeout(0.5)
        with pytest.raises(TimeoutError):
            dismissed(opened[0])
        assert server.listens()


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
