"""The interface of all peers, and a peer's server while it runs, together with its Redis."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.server import ROOT, RedisServer, redis_server

from ..load import Way
from ..processes import Process, cpu_us, free_port
from ..publishers import Wire


@dataclass(frozen=True)
class Options:
    """What a measurement changes of a server's defaults.

    Attributes:
        heartbeat_s: seconds between two pings of a connection, for servers that send any.
        messages: how many stored messages there must be room for, besides those of 1,000 sessions.
    """

    heartbeat_s: float = 15.0
    messages: int = 0


class Deployment:
    """A server, with a Redis that serves nothing else.

    Args:
        launch: starts a process of the server; it always listens on the same port.
        redis: None for a server that needs none.
    """

    def __init__(self, launch: Callable[[], Process], redis: RedisServer | None) -> None:
        self._launch = launch
        self._server: Process | None = None
        self._redis_pid = 0
        self.redis = redis
        if redis is not None:
            with redis.client() as client:
                self._redis_pid = client.info("server")["process_id"]

    @property
    def server(self) -> Process:
        """The process that start() has started last."""
        assert self._server is not None, "the server was not started"
        return self._server

    def start(self) -> Process:
        """Start the server, again if it runs; return the new process."""
        self.stop()
        self._server = self._launch()
        return self._server

    def stop(self) -> None:
        """End the server if it runs."""
        if self._server is not None:
            self._server.stop()

    def redis_us(self) -> float:
        """Return the CPU time that Redis has used, in microseconds; 0 without Redis."""
        return cpu_us(self._redis_pid) if self._redis_pid else 0.0


class Peer:
    """A server that is compared: how it is started, connected to and published to.

    Attributes:
        name: how ``--peers`` names it.
        title: display name, in tables and the plot's legend.
        needs_redis: whether it gets its updates from Redis.
        ways: how viewers connect: ``ws``, ``sse``, ``poll``, ``state`` and ``state-sse`` (a stream that begins with the
            state); a peer may have only some of them.
        greets: number of messages that a viewer which comes back gets besides those that it missed.
    """

    name: str
    title: str
    needs_redis = True
    ways: dict[str, Way]
    greets = 0

    def argv(self, port: int, redis_url: str, directory: Path, options: Options) -> Sequence[str]:
        """Return the command that starts the server on *port* of 127.0.0.1; its files go to *directory*."""
        raise NotImplementedError

    def environ(self, redis_url: str, directory: Path, options: Options) -> dict[str, str]:
        """Return the environment variables that this server is configured with."""
        return {}

    def wire(self, deployment: Deployment) -> Wire:
        """Return a new connection on which updates are published to the server."""
        raise NotImplementedError

    def seed(self, deployment: Deployment, sessions: int, *, first: int = 0, updates: int = 1) -> None:
        """Store *sessions* sessions, from number *first* on, with *updates* updates each; by default, do nothing."""

    def seed_missed(self, deployment: Deployment, number: int, *, updates: int, missed: int) -> str:
        """Store one session; return the query with which a viewer comes back that has missed its last *missed* updates."""
        raise NotImplementedError

    def publication(self, number: int) -> bytes:
        """Return the HTTP request that publishes an update to session *number*."""
        raise NotImplementedError

    @contextlib.contextmanager
    def running(self, directory: Path, options: Options | None = None, *, started: bool = True) -> Iterator[Deployment]:
        """Run the server, and a Redis if it needs one, for the length of the block.

        Args:
            started: False to leave it to the caller to start the server.
        """
        options = options or Options()
        with contextlib.ExitStack() as stack:
            redis = stack.enter_context(redis_server()) if self.needs_redis else None
            url = "none" if redis is None else redis.url
            port = free_port()
            environ = {key: value for key, value in os.environ.items() if not key.startswith(("RPA_", "REDIS_"))}
            environ |= {"PYTHONPATH": str(ROOT), **self.environ(url, directory, options)}
            argv = self.argv(port, url, directory, options)
            launch = partial(Process, argv, port, environ, directory / f"{self.name}-{port}.log")
            deployment = Deployment(launch, redis)
            stack.callback(deployment.stop)
            if started:
                deployment.start()
            yield deployment
