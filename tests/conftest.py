"""Fixtures that several test modules share, and the distribution of the tests among pytest-xdist's processes."""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from xdist.scheduler import LoadScopeScheduling

from rpa_server import config
from tests.support import examples, scripts
from tests.support.application import Connect, Serve, starter
from tests.support.server import RedisServer, Server, redis_server, running

examples.register()
# A runner that was started under nohup ignores it, and so would every program that it starts.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

_FAULTS = Path(__file__).parent / "faults"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-full", action="store_true", help="run the scenarios of faults at their full length")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fault scenarios first: they take longest."""
    items.sort(key=lambda item: _FAULTS not in item.path.parents)


def pytest_collection_finish() -> None:
    """Keep the collected tests out of garbage collection, which would pause what some tests measure for 0.3 s."""
    gc.collect()
    gc.freeze()


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process of pytest-xdist whole modules: the tests of a module share what its fixtures start.

    All fault scenarios together form only two groups. Each group takes two minutes, most of which it waits, so two
    processes run the scenarios while the others run all other modules.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        if not module.startswith("tests/faults/"):
            return module
        return "faults of Redis" if module.startswith("tests/faults/test_redis") else "faults of all else"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    return ByModule(config, log)


@pytest.fixture(autouse=True)
def own_working_directory() -> None:
    """Let relative data directories be those of the test's working directory, not of an earlier test's."""
    config.working_directory.cache_clear()


@pytest.fixture
def full(pytestconfig: pytest.Config) -> bool:
    """True if the fault scenarios run at their full length (``--faults-full``)."""
    return bool(pytestconfig.getoption("--faults-full"))


@pytest.fixture
def redis_process() -> Iterator[RedisServer]:
    """A redis-server for this test alone."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One redis-server for all tests of a pytest process that do not stop or break it."""
    with redis_server() as server:
        yield server


@pytest.fixture
def backend(shared_redis: RedisServer) -> RedisServer:
    """The shared redis-server, emptied before the test."""
    with shared_redis.client() as connected:
        connected.flushall()
    return shared_redis


@pytest.fixture
def client(backend: RedisServer) -> Iterator[redis.Redis]:
    """A blocking client of the shared Redis, which is emptied first; some modules define another ``client``."""
    with backend.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The path of ``web/node_modules``, after npm has installed everything in it."""
    own = tmp_path_factory.getbasetemp()
    return scripts.install((own if worker_id == "master" else own.parent) / "npm.lock")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A directory for JSON files that does not exist yet."""
    return tmp_path / "rpa_data"


@pytest.fixture
def serve(aiohttp_client: Connect, data_dir: Path) -> Serve:
    """A function that starts the application in this process; by default without Redis, on files in *data_dir*."""
    return starter(aiohttp_client, data_dir)


@pytest.fixture
def server(data_dir: Path) -> Iterator[Server]:
    """The server as a process, without Redis, on files in *data_dir*."""
    with running(Server(data_dir)) as process:
        yield process


@pytest.fixture
def redis_backed(data_dir: Path, redis_process: RedisServer) -> Iterator[Server]:
    """The server as a process, with a Redis of its own and files in *data_dir*."""
    with running(Server(data_dir, redis_process.url)) as process:
        yield process


@pytest.fixture
def robot_alone(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """Set the environment of a robot that has no Redis and writes its files to *data_dir*."""
    for name in ("SESSION_ID", "RPA_CONFIG", "REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RPA_REDIS_URL", "none")
    monkeypatch.setenv("RPA_DATA_DIR", str(data_dir))
