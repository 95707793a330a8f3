"""The servers that are compared, each with one process that serves (``rpa-2``: two), raised limits, else defaults.

A Peer supplies the command that starts its server, the requests by which viewers connect, and the connection on which
robots publish. It measures nothing.
"""

from ..load import Way
from ..publishers import RedisWire, SocketIoWire
from .base import Deployment, Options, Peer
from .nchan import Nchan
from .ours import Ours
from .python import Module

__all__ = ["PEERS", "Deployment", "Nchan", "Options", "Ours", "Peer"]

_PLAIN = Way("ws", "/rpa/bench-{}")
_SOCKET_IO = Way("sio", "/socket.io/?EIO=4&transport=websocket&session=bench-{}")
_SERVE = ("-m", "rpa_server", "serve", "--host")

#: The peers by name.
PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Nchan("nchan", "nchan on nginx"),
        Module("plan", "the plan, on websockets", "plan_server", _PLAIN, RedisWire),
        Module("socketio", "python-socketio, Redis manager", "socketio_server", _SOCKET_IO, SocketIoWire),
        Module("aiohttp", "aiohttp, send_str in a loop", "aiohttp_server", _PLAIN, RedisWire),
        Module("relay", "uvloop, a bare relay", "relay_server", _PLAIN, RedisWire),
        Ours("rpa", "rpa-server, python -m aiohttp.web", ("-m", "aiohttp.web", "rpa_server:create_app", "-H"), "-P"),
        Ours("rpa-uvloop", "rpa-server serve, uvloop", _SERVE, "--port"),
        Ours("rpa-1", "rpa-server serve --workers 1", _SERVE, "--port", ("--workers", "1")),
        Ours("rpa-2", "rpa-server serve --workers 2", _SERVE, "--port", ("--workers", "2")),
        Ours("rpa-files", "rpa-server serve, files", _SERVE, "--port", on_files=True),
    )
}
