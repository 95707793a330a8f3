"""What all peers share: a running server with what it needs, and the interface that measurements use."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.server import ROOT, RedisServer, redis_server

from ..load import Way
from ..processes import Process, cpu_us, free_port, running
from ..publishers import Wire


@dataclass
class Deployment:
    """A running server, alone with what it needs.

    Attributes:
        redis: None for a server that needs none.
    """

    server: Process
    redis: RedisServer | None
    redis_pid: int = 0

    def redis_us(self) -> float:
        """Return the CPU that Redis has used, in microseconds."""
        return cpu_us(self.redis_pid) if self.redis_pid else 0.0


class Peer:
    """One make of server.

    Attributes:
        name: a word, for the command line.
        title: for the tables.
        needs_redis: it gets its updates from Redis.
        ways: how it is asked, by ``ws``, ``sse``, ``poll`` and ``state`` (a stream that begins with the state).
    """

    name: str
    title: str
    needs_redis = True
    ways: dict[str, Way]

    def argv(self, port: int, redis_url: str, directory: Path) -> Sequence[str]:
        """Return the command that starts it; its files go to *directory*."""
        raise NotImplementedError

    def environ(self, redis_url: str, directory: Path) -> dict[str, str]:
        """Return variables of its own."""
        return {}

    def wire(self, deployment: Deployment) -> Wire:
        """Return a new connection that takes updates."""
        raise NotImplementedError

    def seed(self, deployment: Deployment, sessions: int, *, first: int = 0, updates: int = 1) -> None:
        """Give the server *sessions* sessions with *updates* updates each, where it stores any."""

    @contextlib.contextmanager
    def running(self, directory: Path) -> Iterator[Deployment]:
        """Run the server, and its own Redis, for the length of the block."""
        with contextlib.ExitStack() as stack:
            redis = stack.enter_context(redis_server()) if self.needs_redis else None
            url = "none" if redis is None else redis.url
            port = free_port()
            environ = {key: value for key, value in os.environ.items() if not key.startswith(("RPA_", "REDIS_"))}
            environ |= {"PYTHONPATH": str(ROOT), **self.environ(url, directory)}
            argv = self.argv(port, url, directory)
            server = stack.enter_context(running(argv, port, environ, directory / f"{self.name}-{port}.log"))
            deployment = Deployment(server, redis)
            if redis is not None:
                with redis.client() as client:
                    deployment.redis_pid = client.info("server")["process_id"]
            yield deployment
