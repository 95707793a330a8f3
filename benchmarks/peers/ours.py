"""rpa-server, started in one of its two documented ways: ``python -m aiohttp.web`` or ``rpa-server serve``."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rpa_server import safejson
from rpa_server.backends.redis import append

from ..load import Way
from ..messages import EPOCH, TEXT, extend, session_id, stored
from ..publishers import RedisWire, Wire, command
from .base import Deployment, Options, Peer

_CONNECTIONS = "100000"
_POST = (
    b"POST /api/sessions/%b/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
)


class Ours(Peer):
    """rpa-server, as the given command starts it.

    Args:
        name, title: see Peer.
        arguments: Python's arguments, up to and including the option whose value is the host.
        port_option: the option whose value is the port.
        more: further options.
        on_files: run without Redis.
    """

    greets = 1

    def __init__(
        self,
        name: str,
        title: str,
        arguments: Sequence[str],
        port_option: str,
        more: Sequence[str] = (),
        *,
        on_files: bool = False,
    ) -> None:
        self.name = name
        self.title = title
        self.needs_redis = not on_files
        self._arguments = arguments
        self._port_option = port_option
        self._more = more
        socket = Way("ws", "/rpa/bench-{}", "Sec-WebSocket-Protocol: rpa.v1\r\n")
        events = Way("sse", "/events/bench-{}")
        self.ways = {
            "ws": socket,
            "sse": events,
            "state": socket,
            "state-sse": events,
            "poll": Way("poll", "/api/sessions/bench-{}"),
        }

    def argv(self, port: int, redis_url: str, directory: Path, options: Options) -> Sequence[str]:
        return (sys.executable, *self._arguments, "127.0.0.1", self._port_option, str(port), *self._more)

    def environ(self, redis_url: str, directory: Path, options: Options) -> dict[str, str]:
        return {
            "RPA_REDIS_URL": redis_url,
            "RPA_DATA_DIR": str(directory / "rpa_data"),
            "RPA_MAX_CONNECTIONS": _CONNECTIONS,
            "RPA_HEARTBEAT_S": str(options.heartbeat_s),
        }

    def wire(self, deployment: Deployment) -> Wire:
        assert deployment.redis
        return RedisWire(deployment.redis.port)

    def seed(self, deployment: Deployment, sessions: int, *, first: int = 0, updates: int = 1) -> None:
        """Store runs in Redis as the tracker would, so that the first published update follows without a gap."""
        with _script(deployment) as wire:
            data = _call(updates)
            for number in range(first, first + sessions):
                wire.send(_of(number, data), 1)

    def add(self, deployment: Deployment, sessions: int, *, updates: int) -> None:
        """Store and publish one more update of each of the first *sessions* sessions, which have *updates*."""
        with _script(deployment) as wire:
            data = _call(updates, 1)
            for number in range(sessions):
                wire.send(_of(number, data), 1)

    def seed_missed(self, deployment: Deployment, number: int, *, updates: int, missed: int) -> str:
        self.seed(deployment, 1, first=number, updates=updates)
        return f"after={EPOCH}:{updates - missed}"

    def publication(self, number: int) -> bytes:
        extra = {"tela": "selecao_tipo_veiculo", "tentativa": 1, "duracao_ms": 1840}
        body = safejson.dumps({"etapa": 5, "mensagem": TEXT, "dados_extra": extra})
        return _POST % (session_id(number).encode(), len(body), body)


@contextlib.contextmanager
def _script(deployment: Deployment) -> Iterator[Wire]:
    """Yield a connection to Redis for calls of the script; leaving the block waits until all have stored something."""
    assert deployment.redis
    with deployment.redis.client() as client:
        client.script_load(append.SCRIPT)
    with contextlib.closing(RedisWire(deployment.redis.port, b"ok\r\n")) as wire:
        yield wire
        wire.settle()


def _call(updates: int, more: int = 0) -> bytes:
    """Return the tracker's call that stores session 0: *updates* updates, or *more* updates behind those."""
    run = stored(session_id(0), updates)
    if more:
        run.base = run.seq
        extend(run, more)
    call = append.call(run, run.added())
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in (*call.keys, *call.args)]
    return command(b"EVALSHA", append.SHA.encode(), b"%d" % len(call.keys), *parts)


def _of(number: int, data: bytes) -> bytes:
    """Return *data* with another session's id, which is as long as that of session 0."""
    return data.replace(session_id(0).encode(), session_id(number).encode())
