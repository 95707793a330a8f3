"""Opens the port: the listening sockets of one address, or one sentence saying why they can't be opened."""

import errno
import socket
from typing import Any

from ..errors import ConfigError


class CannotListen(Exception):
    """The address can't be listened on; the message says why."""


class PortTaken(CannotListen):
    """Another program listens on the port."""


def bind(host: str, port: int, share: bool = False, listen: bool = True) -> list[socket.socket]:
    """Open the listening sockets, one per address of *host*.

    Args:
        host: name or address.
        port: 0 for any free port, the same on every address.
        share: let other processes listen on the port, too (SO_REUSEPORT).
        listen: if False the port is only reserved, so that no other program takes it; processes may share it.

    Raises:
        ConfigError: *host* can't be resolved.
        PortTaken: another program listens on the port.
        CannotListen: the port can't be opened for another reason.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"The address {host} can't be used ({error.strerror}); RPA_HOST names it.") from None
    sockets: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            bound = _open(family, address[:2], share, listen)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"Port {port} on {host} is taken by another program (a robot serves its status on 8080); "
                    "choose another one with --port or RPA_PORT."
                ) from None
            if error.errno == errno.EADDRNOTAVAIL and sockets:
                continue  # "localhost" resolves to ::1 even on machines without IPv6
            raise CannotListen(f"Can't listen on {host} port {port} ({error.strerror}).") from None
        sockets.append(bound)
        port = bound.getsockname()[1]
    return sockets


def _open(family: int, address: Any, share: bool, listen: bool) -> socket.socket:
    if listen:
        return socket.create_server(address, family=family, reuse_port=share, backlog=1024)
    reserved = socket.socket(family)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        reserved.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    reserved.bind(address)
    return reserved
