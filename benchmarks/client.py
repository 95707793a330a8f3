"""A client that sends one HTTP request at a time, for measurements of the server's CPU per request.

It waits for each answer, so a request never shares the server's work with another one.
"""

import re
import socket
from typing import NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER_S = 30.0


class Answer(NamedTuple):
    """The status and the body of an answer."""

    status: int
    body: bytes


class Client:
    """A connection that stays open between requests.

    Args:
        port: the server's port on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _ANSWER_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, request: bytes) -> Answer:
        """Send *request* and return its answer, whose length must be in its head.

        Raises:
            OSError: the server closed the connection, or did not answer within 30 s.
        """
        self._socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        length = _LENGTH.search(data, 0, end)
        size = end + 4 + (int(length[1]) if length else 0)
        while len(data) < size:
            data += self._more()
        return Answer(int(data[9:12]), data[end + 4 : size])

    def _more(self) -> bytes:
        data = self._socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
