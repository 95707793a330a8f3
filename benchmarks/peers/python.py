"""The peers in Python other than rpa-server: each is a module beside this one, run as a process of its own."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..load import Way
from ..publishers import Wire
from .base import Deployment, Options, Peer


class Module(Peer):
    """A server whose module is run with two arguments, a port and the URL of Redis.

    Args:
        name, title: see Peer.
        module: the module's name in this package.
        way: how viewers connect, over WebSocket or Socket.IO.
        wire: makes the connection on which updates are published, from the port of Redis.
    """

    def __init__(self, name: str, title: str, module: str, way: Way, wire: Callable[[int], Wire]) -> None:
        self.name = name
        self.title = title
        self.ways = {"ws": way}
        self._module = module
        self._wire = wire

    def argv(self, port: int, redis_url: str, directory: Path, options: Options) -> Sequence[str]:
        return (sys.executable, "-m", f"{__package__}.{self._module}", str(port), redis_url)

    def wire(self, deployment: Deployment) -> Wire:
        assert deployment.redis
        return self._wire(deployment.redis.port)
