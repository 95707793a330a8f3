"""BoundedConnection, on a real Redis and on peers that answer late, in pieces or with nonsense."""

import asyncio
import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import fakeredis
import pytest
import redis
import redis.asyncio

from rpa_server.backends.redis.connection import TIMEOUT_S, BoundedConnection, socket_of, transport_of
from tests.support.server import ROOT, RedisServer
from tests.support.timing import within

#: The versions of redis-py whose private attributes connection.py was checked with.
CHECKED = {"8.1.0"}
#: How many seconds later than its deadline a call may end on a busy machine.
SLACK_S = 0.25


@contextmanager
def slow_redis(pause_s: float) -> Iterator[int]:
    """Run a server that answers every command with OK, *pause_s* after it arrived; yield the server's port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                while data := accepted.recv(65536):
                    time.sleep(pause_s)
                    try:
                        accepted.sendall(b"+OK\r\n" * (b"\r\n" + data).count(b"\r\n*"))
                    except OSError:
                        return

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def opened(port: int) -> BoundedConnection:
    connection = BoundedConnection(redis.Redis(port=port, protocol=2).connection_pool)
    connection.open()
    return connection


def soon(seconds: float = TIMEOUT_S) -> float:
    return time.monotonic() + seconds


def test_replies_come_in_the_order_of_the_commands(redis_process: RedisServer) -> None:
    """ask_all() sends several commands in one round trip and returns their replies in the same order."""
    connection = opened(redis_process.port)
    assert connection.ask_all(soon(), [("SET", "a", "1"), ("GET", "a"), ("PING",)]) == [b"OK", b"1", b"PONG"]
    connection.close()


def test_a_refused_command_is_raised_and_the_connection_goes_on(redis_process: RedisServer) -> None:
    """After a refused command the call's other replies are still read, so that the next call gets its own reply."""
    connection = opened(redis_process.port)
    with pytest.raises(redis.ResponseError):
        connection.ask_all(soon(), [("SET", "a", "1"), ("XADD", "a", "1-0", "b", "c"), ("GET", "a")])
    assert connection.ask(soon(), "ECHO", "mine") == b"mine"
    connection.close()


def test_one_deadline_holds_for_all_trips() -> None:
    """One deadline of 0.5 s ends the third of several round trips that take 0.2 s each."""
    with slow_redis(0.2) as port:
        connection = opened(port)
        began = time.monotonic()
        deadline_s = soon()
        trips = 0
        with pytest.raises(redis.TimeoutError):
            while trips < 10:
                connection.ask(deadline_s, "PING")
                trips += 1
        assert trips == 2
        within(time.monotonic() - began, TIMEOUT_S + SLACK_S)


def test_a_late_reply_is_never_taken_for_another_ones() -> None:
    """After a timeout the connection is closed and the next call fails, so that it can't read the late reply."""
    with slow_redis(0.1) as port:
        connection = opened(port)
        with pytest.raises(redis.TimeoutError):
            connection.ask(soon(0.02), "GET", "a")
        with pytest.raises(redis.ConnectionError):
            connection.ask(soon(), "GET", "b")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n"])
def test_what_is_no_redis_any_more_is_a_lost_connection(answer: bytes) -> None:
    """If the peer sends nonsense, or closes after one of two replies, this call and the next raise ConnectionError."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                while (data := accepted.recv(65536)) and b"ASK" not in data:
                    accepted.sendall(b"+OK\r\n" * (b"\r\n" + data).count(b"\r\n*"))
                accepted.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        connection = opened(listener.getsockname()[1])
        with pytest.raises(redis.ConnectionError):
            connection.ask_all(soon(), [("ASK",), ("ASK",)])
        with pytest.raises(redis.ConnectionError):
            connection.ask(soon(), "GET", "b")


def test_a_reply_that_drips_ends_at_the_deadline() -> None:
    """A reply that arrives byte by byte, 50 ms apart, is given up at the deadline of 0.3 s."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted, contextlib.suppress(OSError):
                while (data := accepted.recv(65536)) and b"GET" not in data:
                    accepted.sendall(b"+OK\r\n" * (b"\r\n" + data).count(b"\r\n*"))
                for byte in b"$100\r\n" + b"x" * 100:
                    accepted.sendall(bytes((byte,)))
                    time.sleep(0.05)

        threading.Thread(target=serve, daemon=True).start()
        connection = opened(listener.getsockname()[1])
        began = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            connection.ask(soon(0.3), "GET", "a")
        took_s = time.monotonic() - began
        assert took_s > 0.25
        within(took_s, 0.3 + SLACK_S)


def test_a_passed_deadline_sends_nothing(redis_process: RedisServer) -> None:
    """After its deadline a command is not sent at all, so Redis can't have executed it."""
    connection = opened(redis_process.port)
    with pytest.raises(redis.TimeoutError):
        connection.ask(time.monotonic() - 1, "SET", "a", "1")
    assert connection.ask(soon(), "GET", "a") is None
    connection.close()


def test_asking_never_connects(redis_process: RedisServer) -> None:
    """ask() never connects, since resolving a host may take longer than a robot may wait; only open() does."""
    connection = BoundedConnection(redis.Redis(port=redis_process.port).connection_pool)
    with pytest.raises(redis.ConnectionError):
        connection.ask(soon(), "PING")
    connection.open()
    with redis_process.client() as other:
        other.client_kill_filter(_type="normal")
    with pytest.raises((redis.RedisError, OSError)):
        connection.ask(soon(), "PING")
    connection.open()
    assert connection.ask(soon(), "PING") == b"PONG"
    connection.close()


def test_a_forked_robot_does_not_use_its_parents_socket(redis_process: RedisServer) -> None:
    """A forked child must open a socket of its own: on a shared one each would read the other's replies."""
    connection = opened(redis_process.port)
    child = os.fork()
    if child == 0:
        try:
            connection.ask(soon(), "PING")
        except redis.ConnectionError:
            connection.open()
            os._exit(0 if connection.ask(soon(), "ECHO", "child") == b"child" else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert connection.ask(soon(), "ECHO", "parent") == b"parent"
    connection.close()


def test_b12_a_pool_without_a_connection_left_is_enough(redis_process: RedisServer) -> None:
    """A robot's client may be limited to one connection and use it: ours is not one of the pool's."""
    with redis.Redis(port=redis_process.port, max_connections=1) as client:
        used = client.connection_pool.get_connection()
        connection = BoundedConnection(client.connection_pool)
        connection.open()
        assert connection.ask(soon(), "PING") == b"PONG"
        connection.close()
        client.connection_pool.release(used)


# -- private attributes of redis-py


def test_this_redis_py_was_checked() -> None:
    """The installed redis-py is in CHECKED: another release may rename the private attributes that we use."""
    assert redis.__version__ in CHECKED, (
        f"redis-py {redis.__version__} is not among {sorted(CHECKED)}: "
        "run this file's tests with it, read its changes to _sock and _writer, then add it to CHECKED"
    )


def test_the_socket_is_the_one_that_leads_to_redis(redis_process: RedisServer) -> None:
    """socket_of() returns a blocking client's socket; None before it connects, and for fakeredis, which has none."""
    with redis.Redis(port=redis_process.port) as client:
        connection = client.connection_pool.make_connection()
        assert socket_of(connection) is None
        connection.connect()
        found = socket_of(connection)
        assert found is not None
        assert found.getpeername() == ("127.0.0.1", redis_process.port)
        connection.disconnect()
    made = fakeredis.FakeRedis().connection_pool.make_connection()
    made.connect()
    assert socket_of(made) is None


async def test_the_transport_can_be_given_another_protocol(redis_process: RedisServer) -> None:
    """Bytes written to an asyncio client's transport reach Redis; replies reach the protocol set on the transport."""
    answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    class Reader(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            answered.set_result(data)

    async with redis.asyncio.Redis(port=redis_process.port, protocol=2) as client:
        connection = client.connection_pool.make_connection()
        await connection.connect()
        transport = transport_of(connection)
        transport.set_protocol(Reader())
        transport.write(b"PING\r\n")
        async with asyncio.timeout(5):
            assert await answered == b"+PONG\r\n"
        transport.abort()
        await connection.disconnect(nowait=True)


def test_no_other_module_uses_a_private_attribute_of_redis_py() -> None:
    """In backends/redis only connection.py uses redis-py's private attributes: a new release concerns it alone."""
    private = re.compile(r"\b(?:_?connection|_?client|_?pool|connection_pool|source|redis|pipeline)\._\w+")
    folder = ROOT / "rpa_server" / "backends" / "redis"
    users = {path.name for path in folder.glob("*.py") if private.search(path.read_text(encoding="utf-8"))}
    assert users == {"connection.py"}
