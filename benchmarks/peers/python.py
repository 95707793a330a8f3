"""The servers of other makes in Python: each is a module beside this one, run as a process of its own."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..load import Way
from ..publishers import Wire
from .base import Deployment, Peer


class Module(Peer):
    """A server that is started with a port and the address of Redis.

    Args:
        name, title: see Peer.
        module: its name beside this one.
        way: how it is asked for a WebSocket.
        wire: makes the connection on which updates are published to Redis, for a port.
    """

    def __init__(self, name: str, title: str, module: str, way: Way, wire: Callable[[int], Wire]) -> None:
        self.name = name
        self.title = title
        self.ways = {"ws": way}
        self._module = module
        self._wire = wire

    def argv(self, port: int, redis_url: str, directory: Path) -> Sequence[str]:
        return (sys.executable, "-m", f"{__package__}.{self._module}", str(port), redis_url)

    def wire(self, deployment: Deployment) -> Wire:
        assert deployment.redis
        return self._wire(deployment.redis.port)
