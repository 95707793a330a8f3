"""Fixtures that several test modules share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.server import RedisServer, Server, redis_server, running


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-full", action="store_true", help="run the scenarios of faults at their full length")


@pytest.fixture
def full(pytestconfig: pytest.Config) -> bool:
    """True where every scenario runs at its full length."""
    return bool(pytestconfig.getoption("--faults-full"))


@pytest.fixture
def redis_process() -> Iterator[RedisServer]:
    """A redis-server of this test's own."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def backend() -> Iterator[RedisServer]:
    """One redis-server for the tests of a module that don't break it."""
    with redis_server() as server:
        yield server


@pytest.fixture
def client(backend: RedisServer) -> Iterator[redis.Redis]:
    """A client of the module's Redis, which is empty; modules about HTTP have another one of this name."""
    with backend.client() as connected:
        connected.flushall()
        yield connected


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A directory for JSON files that does not exist yet."""
    return tmp_path / "rpa_data"


@pytest.fixture
def server(data_dir: Path) -> Iterator[Server]:
    """The server as a process, on files alone."""
    with running(Server(data_dir)) as process:
        yield process


@pytest.fixture
def redis_backed(data_dir: Path, redis_process: RedisServer) -> Iterator[Server]:
    """The server as a process, on Redis and files."""
    with running(Server(data_dir, redis_process.url)) as process:
        yield process


@pytest.fixture
def robot_alone(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """The environment of a robot without Redis whose files go to the test's directory."""
    for name in ("SESSION_ID", "RPA_CONFIG", "REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RPA_REDIS_URL", "none")
    monkeypatch.setenv("RPA_DATA_DIR", str(data_dir))
