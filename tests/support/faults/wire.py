"""Functions for clients on raw sockets, which can stop reading, vanish in the handshake, or keep every byte."""

import asyncio
import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_TEXT, _CLOSE = 1, 8


def upgrade(path: str, protocol: str | None = "rpa.v1") -> bytes:
    """Return the request that opens a WebSocket; *protocol* is its subprotocol, None for none."""
    offer = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    ).encode()


def get(path: str) -> bytes:
    """Return a GET request, for an event stream for example."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


async def connect(port: int, receive_buffer: int | None = None) -> socket.socket:
    """Return a non-blocking socket that is connected to *port* on 127.0.0.1.

    Args:
        receive_buffer: how many bytes the kernel buffers while the client does not read; None for its default.
    """
    made = socket.socket()
    made.setblocking(False)
    try:
        if receive_buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    except BaseException:
        made.close()
        raise
    return made


def vanish(connection: socket.socket) -> None:
    """Close a connection so that the kernel sends a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


async def until_gone(connection: socket.socket, timeout_s: float = 20.0) -> bytes:
    """Read until the server ends or resets the connection; return all bytes; TimeoutError after *timeout_s*."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    async with asyncio.timeout(timeout_s):
        try:
            while part := await loop.sock_recv(connection, 65536):
                data += part
        except ConnectionResetError:
            pass
    return bytes(data)


def close_codes(data: bytes) -> list[int]:
    """Return the code of each close frame in *data*: all that a server sent on a WebSocket, handshake included."""
    return [int.from_bytes(payload[:2], "big") for opcode, payload in frames(data) if opcode == _CLOSE]


def texts(data: bytes) -> list[Any]:
    """Return the JSON of each text frame in *data*: all that a server sent on a WebSocket, handshake included."""
    return [json.loads(payload) for opcode, payload in frames(data) if opcode == _TEXT]


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield opcode and payload of each frame in *data*, after the response to the handshake."""
    data = data.partition(b"\r\n\r\n")[2]
    while len(data) >= 2:
        length, head = data[1] & 127, 2
        if length >= 126:
            head += 2 if length == 126 else 8
            length = int.from_bytes(data[2:head], "big")
        yield data[0] & 15, data[head : head + length]
        data = data[head + length :]
