"""Fixtures that several test modules share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import RedisServer, Server, redis_server, running


@pytest.fixture
def redis_process() -> Iterator[RedisServer]:
    """A redis-server of this test's own."""
    with redis_server() as server:
        yield server


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
