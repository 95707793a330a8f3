"""rpa-server, started in one of its two documented ways: ``python -m aiohttp.web`` or ``rpa-server serve``."""

import sys
from collections.abc import Sequence
from pathlib import Path

import redis

from rpa_server.backends.redis import append

from ..load import Way
from ..messages import session_id, stored
from ..publishers import RedisWire, Wire
from .base import Deployment, Peer

_CONNECTIONS = "100000"
_AT_ONCE = 200


class Ours(Peer):
    """rpa-server, as the given command starts it.

    Args:
        name, title: see Peer.
        arguments: Python's arguments, up to and including the option whose value is the host.
        port_option: the option whose value is the port.
        more: further options.
    """

    def __init__(self, name: str, title: str, arguments: Sequence[str], port_option: str, more: Sequence[str] = ()) -> None:
        self.name = name
        self.title = title
        self._arguments = arguments
        self._port_option = port_option
        self._more = more
        socket = Way("ws", "/rpa/bench-{}", "Sec-WebSocket-Protocol: rpa.v1\r\n")
        self.ways = {
            "ws": socket,
            "sse": Way("sse", "/events/bench-{}"),
            "state": socket,
            "poll": Way("poll", "/api/sessions/bench-{}"),
        }

    def argv(self, port: int, redis_url: str, directory: Path) -> Sequence[str]:
        return (sys.executable, *self._arguments, "127.0.0.1", self._port_option, str(port), *self._more)

    def environ(self, redis_url: str, directory: Path) -> dict[str, str]:
        return {
            "RPA_REDIS_URL": redis_url,
            "RPA_DATA_DIR": str(directory / "rpa_data"),
            "RPA_MAX_CONNECTIONS": _CONNECTIONS,
        }

    def wire(self, deployment: Deployment) -> Wire:
        assert deployment.redis
        return RedisWire(deployment.redis.port)

    def seed(self, deployment: Deployment, sessions: int, *, first: int = 0, updates: int = 1) -> None:
        """Store runs in Redis as the tracker would, so that the first published update follows without a gap."""
        assert deployment.redis
        with deployment.redis.client() as client:
            client.script_load(append.SCRIPT)
            for start in range(first, first + sessions, _AT_ONCE):
                _store(client, range(start, min(start + _AT_ONCE, first + sessions)), updates)


def _store(client: redis.Redis, numbers: range, updates: int) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for number in numbers:
            run = stored(session_id(number), updates)
            call = append.call(run, run.added())
            pipeline.evalsha(append.SHA, len(call.keys), *call.keys, *call.args)
        pipeline.execute()
