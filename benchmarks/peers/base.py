"""The interface of all peers, and a peer's server while it runs, together with its Redis."""

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
    """A running server, with a Redis that serves nothing else.

    Attributes:
        redis: None for a server that needs none.
        redis_pid: 0 for a server that needs none.
    """

    server: Process
    redis: RedisServer | None
    redis_pid: int = 0

    def redis_us(self) -> float:
        """Return the CPU time that Redis has used, in microseconds; 0 without Redis."""
        return cpu_us(self.redis_pid) if self.redis_pid else 0.0


class Peer:
    """A server that is compared: how it is started, connected to and published to.

    Attributes:
        name: how ``--peers`` names it.
        title: display name, in tables and the plot's legend.
        needs_redis: whether it gets its updates from Redis.
        ways: how viewers connect: ``ws``, ``sse``, ``poll``, ``state`` (a WebSocket that begins with the state); a peer
            may have only some of them.
    """

    name: str
    title: str
    needs_redis = True
    ways: dict[str, Way]

    def argv(self, port: int, redis_url: str, directory: Path) -> Sequence[str]:
        """Return the command that starts the server on *port* of 127.0.0.1; its files go to *directory*."""
        raise NotImplementedError

    def environ(self, redis_url: str, directory: Path) -> dict[str, str]:
        """Return the environment variables that this server is configured with."""
        return {}

    def wire(self, deployment: Deployment) -> Wire:
        """Return a new connection on which updates are published to the server."""
        raise NotImplementedError

    def seed(self, deployment: Deployment, sessions: int, *, first: int = 0, updates: int = 1) -> None:
        """Store *sessions* sessions, from number *first* on, with *updates* updates each; by default, do nothing."""

    @contextlib.contextmanager
    def running(self, directory: Path) -> Iterator[Deployment]:
        """Run the server, and a Redis if it needs one, for the length of the block."""
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
