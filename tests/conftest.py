"""Fixtures that several test modules share, and how the tests are dealt out to processes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from xdist.scheduler import LoadScopeScheduling

from tests.support import examples, scripts
from tests.support.application import Connect, Serve, starter
from tests.support.server import RedisServer, Server, redis_server, running

examples.register()

_FAULTS = Path(__file__).parent / "faults"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-full", action="store_true", help="run the scenarios of faults at their full length")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the fault scenarios come first: they take longest."""
    items.sort(key=lambda item: _FAULTS not in item.path.parents)


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process of pytest-xdist whole modules, whose tests share what the module's fixtures start.

    The fault scenarios are two groups, each of which takes two minutes, waiting most of the time: so two processes work on
    them, and the others on the rest.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        if not module.startswith("tests/faults/"):
            return module
        return "faults of Redis" if module.startswith("tests/faults/test_redis") else "faults of all else"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    return ByModule(config, log)


@pytest.fixture
def full(pytestconfig: pytest.Config) -> bool:
    """True if every scenario runs at its full length."""
    return bool(pytestconfig.getoption("--faults-full"))


@pytest.fixture
def redis_process() -> Iterator[RedisServer]:
    """A redis-server for this test alone."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One redis-server for all tests of a process that don't break it."""
    with redis_server() as server:
        yield server


@pytest.fixture
def backend(shared_redis: RedisServer) -> RedisServer:
    """The shared redis-server, empty."""
    with shared_redis.client() as connected:
        connected.flushall()
    return shared_redis


@pytest.fixture
def client(backend: RedisServer) -> Iterator[redis.Redis]:
    """A client of the shared Redis; modules about HTTP have another one of this name."""
    with backend.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """What npm installs: the directory."""
    own = tmp_path_factory.getbasetemp()
    return scripts.install((own if worker_id == "master" else own.parent) / "npm.lock")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A directory for JSON files that does not exist yet."""
    return tmp_path / "rpa_data"


@pytest.fixture
def serve(aiohttp_client: Connect, data_dir: Path) -> Serve:
    """Starts the application in this process, without settings on files alone."""
    return starter(aiohttp_client, data_dir)


@pytest.fixture
def server(data_dir: Path) -> Iterator[Server]:
    """The server as a process, with files alone."""
    with running(Server(data_dir)) as process:
        yield process


@pytest.fixture
def redis_backed(data_dir: Path, redis_process: RedisServer) -> Iterator[Server]:
    """The server as a process, with Redis and files."""
    with running(Server(data_dir, redis_process.url)) as process:
        yield process


@pytest.fixture
def robot_alone(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """The environment of a robot without Redis whose files go to the test's directory."""
    for name in ("SESSION_ID", "RPA_CONFIG", "REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RPA_REDIS_URL", "none")
    monkeypatch.setenv("RPA_DATA_DIR", str(data_dir))
