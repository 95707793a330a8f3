"""The robots of a measurement: they send messages on a raw socket, at a fixed rate or as fast as possible.

A Wire encodes messages and counts their answers; a Publisher numbers them and decides when they are sent. Messages are
pipelined, with at most about 1,000 unanswered; publishing is over when all are answered.
"""

import select
import socket
import time
from dataclasses import dataclass

from rpa_server.backends.redis.names import CHANNEL_PREFIX

from .messages import FIRST, message, session_id

_BATCH = 50
_ON_THE_WAY = 1000
_ANSWER_S = 60.0


class Wire:
    """A connection on which messages are published.

    Args:
        port: the port of 127.0.0.1 to connect to.
        mark: bytes that every answer contains exactly once; they are counted instead of parsing the answers.
    """

    def __init__(self, port: int, mark: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._mark = mark
        self._rest = b""
        self._open = 0

    def encode(self, name: bytes, raw: bytes) -> bytes:
        """Return the bytes that publish *raw* to the session *name*."""
        raise NotImplementedError

    def send(self, data: bytes, count: int) -> None:
        """Send *data*, which is *count* encoded messages, and read the answers that have come.

        Blocks while more than 1,000 messages are unanswered.

        Raises:
            TimeoutError: no answer came for 60 s.
            ConnectionError: the connection was closed.
        """
        self._socket.sendall(data)
        self._open += count
        while self._open and self._take(block=self._open > _ON_THE_WAY):
            pass

    def _take(self, *, block: bool) -> bool:
        # A time limit on the socket itself would make recv() wait in spite of MSG_DONTWAIT.
        if block and not select.select([self._socket], [], [], _ANSWER_S)[0]:
            raise TimeoutError(f"{self._open} messages were not answered")
        try:
            data = self._socket.recv(1 << 18, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionError("the publisher's connection was closed")
        data = self._rest + data
        self._open -= data.count(self._mark)
        # A mark that is split between two reads is counted with the second.
        kept = len(self._mark) - 1
        self._rest = data[len(data) - kept :] if kept else b""
        return True

    def settle(self) -> None:
        """Wait until every message is answered; raises what send() raises."""
        while self._open:
            self._take(block=True)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def command(*parts: bytes) -> bytes:
    """Return a command of Redis as the bytes that are sent."""
    return b"*%d\r\n%b" % (len(parts), b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))


class RedisWire(Wire):
    """``PUBLISH`` to the tracker's channel."""

    def __init__(self, port: int, mark: bytes = b"\n") -> None:
        super().__init__(port, mark)

    def encode(self, name: bytes, raw: bytes) -> bytes:
        return self.publish(CHANNEL_PREFIX.encode() + name, raw)

    def publish(self, channel: bytes, raw: bytes) -> bytes:
        """Return the ``PUBLISH`` command for *raw* on *channel*."""
        return command(b"PUBLISH", channel, raw)


class SocketIoWire(RedisWire):
    """``PUBLISH`` as python-socketio's Redis manager does it when a process without clients emits to a room."""

    def encode(self, name: bytes, raw: bytes) -> bytes:
        envelope = (
            b'{"method": "emit", "event": "progress_update", "data": [%b], "binary": false, "namespace": "/", '
            b'"room": "%b", "skip_sid": null, "callback": null, "host_id": "robot"}'
        )
        return self.publish(b"socketio", envelope % (raw, name))


def post(name: bytes, raw: bytes) -> bytes:
    """Return the HTTP request that publishes *raw* to the session *name* of nchan."""
    head = b"POST /pub/%b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (name, len(raw)) + raw


class HttpWire(Wire):
    """``POST`` to nchan, pipelined on one connection."""

    def __init__(self, port: int) -> None:
        super().__init__(port, b"HTTP/1.1 20")

    def encode(self, name: bytes, raw: bytes) -> bytes:
        return post(name, raw)


@dataclass(frozen=True)
class Published:
    """How much was published, and at what cost.

    Attributes:
        updates: number of messages.
        seconds: from just before the first message until the last answer.
        cpu_us: CPU time of this process meanwhile, in microseconds.
    """

    updates: int
    seconds: float
    cpu_us: float


class Publisher:
    """Numbers the messages of *sessions* sessions and sends one to each session in turn.

    Args:
        first: the number of the first session.
    """

    def __init__(self, wire: Wire, sessions: int, first: int = 0) -> None:
        self._wire = wire
        self._names = [session_id(first + number).encode() for number in range(sessions)]
        self._next = [FIRST] * sessions
        self._turn = 0

    def _message(self) -> bytes:
        turn = self._turn
        self._turn = (turn + 1) % len(self._names)
        name, number = self._names[turn], self._next[turn]
        self._next[turn] += 1
        return self._wire.encode(name, message(name, number, time.time_ns() // 1000))

    def steady(self, rate: float, updates: int) -> Published:
        """Send *updates* messages, *rate* a second; a message that is sent late does not delay those after it."""
        began, cpu = time.perf_counter(), time.process_time()
        for count in range(updates):
            ahead = began + count / rate - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            self._wire.send(self._message(), 1)
        return self._published(updates, began, cpu)

    def burst(self, updates: int) -> Published:
        """Send *updates* messages as fast as the wire takes them."""
        began, cpu = time.perf_counter(), time.process_time()
        for start in range(0, updates, _BATCH):
            size = min(_BATCH, updates - start)
            self._wire.send(b"".join(self._message() for _ in range(size)), size)
        return self._published(updates, began, cpu)

    def _published(self, updates: int, began: float, cpu: float) -> Published:
        self._wire.settle()
        return Published(updates, time.perf_counter() - began, (time.process_time() - cpu) * 1e6)
