"""The listener answers a handshake exactly as the handlers behind aiohttp do, or passes the connection to aiohttp."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from rpa_server.app import build
from rpa_server.config import Settings
from rpa_server.errors import Forbidden
from rpa_server.http import params
from rpa_server.http.admission import Admitted, Request, Rules, admit
from rpa_server.http.keys import HUB, STORE
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.snapshot import NO_AGES
from rpa_server.serving import idle_guard, listener
from rpa_server.serving.keys import IDLE_GUARD
from rpa_server.serving.listener import Listener, serve
from tests.support.application import stored
from tests.support.handshakes import CHROMIUM
from tests.support.server import free_port, until
from tests.support.sessions import SESSION, Robot
from tests.support.timing import within

KNOWN = CHROMIUM.replace(b"/rpa/s1?after=abc:5", f"/rpa/{SESSION}".encode())
#: A header whose name has an underscore, which the listener does not parse, so the request goes to aiohttp.
SLOWLY = b"X_Odd: 1\r\n\r\n"


class ListeningSite:
    """A server in this process whose connections come to a Listener first.

    Attributes:
        app: its application.
        port: the port that it listens on.
    """

    def __init__(self, app: web.Application, runner: web.AppRunner, port: int) -> None:
        self.app = app
        self.port = port
        self._runner = runner

    @property
    def requests(self) -> int:
        """The number of requests that aiohttp has handled."""
        assert self._runner.server is not None
        return self._runner.server.requests_count

    async def ask(self, request: bytes, *, rest: bytes = b"", size: int = 8192) -> bytes:
        """Send *request* and, 20 ms later, *rest* if there is one; return what comes until 150 ms bring nothing."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            if rest:
                await asyncio.sleep(0.02)
                writer.write(rest)
            answer = await asyncio.wait_for(reader.read(size), 30)
            with contextlib.suppress(TimeoutError):
                while piece := await asyncio.wait_for(reader.read(size), 0.15):
                    answer += piece
            return answer
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def listening(data_dir: Path, **settings: object) -> AsyncIterator[ListeningSite]:
    """Run a server with a listener, without Redis; *settings* are those of Settings."""
    chosen = Settings(**{"redis_url": None, "data_dir": str(data_dir), "heartbeat_s": 3600.0, **settings})  # type: ignore[arg-type]
    app = build(chosen)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    server = await asyncio.get_running_loop().create_server(Listener(app, runner.server), "127.0.0.1", 0)
    try:
        yield ListeningSite(app, runner, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    "changed",
    [
        (b"", b""),
        (b"Sec-WebSocket-Protocol: rpa.v1\r\n", b""),
        (b" HTTP/1.1", b"?after=0 HTTP/1.1"),
        (b" HTTP/1.1", b"?after=other:5 HTTP/1.1"),
        (b" HTTP/1.1", b"?after=nonsense HTTP/1.1"),
        (b"Version: 13", b"Version: 8"),
        (b"Origin: https://www.example.com", b"Origin: https://evil.example"),
        (b"Origin: https://www.example.com", b"Origin: http://rpa.example.com"),
        (b"Origin: https://www.example.com\r\n", b""),
        (SESSION.encode(), b"nobody"),
        (f"/rpa/{SESSION}".encode(), f"/session/{SESSION}".encode()),
        (f"/rpa/{SESSION}".encode(), b"/rpa/progress"),
        (f"/rpa/{SESSION}".encode(), b"/rpa/.."),
        (f"/rpa/{SESSION}".encode(), b"/status/"),
    ],
)
async def test_the_answer_is_the_one_that_aiohttp_would_give(
    data_dir: Path, changed: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener answers a request with the same bytes as aiohttp's handlers, except for the ``Date`` header."""
    monkeypatch.setattr(SessionState, "ages", lambda state, now_s: NO_AGES)  # they grow from answer to answer
    stored(data_dir, Robot(steps=3))
    async with listening(data_dir, allowed_origins=("https://www.example.com",)) as here:
        request = KNOWN.replace(*changed)
        seen = here.requests
        quick = await here.ask(request)
        usual = await here.ask(request[:-2] + SLOWLY)
        assert here.requests > seen
        assert quick
        assert _undated(quick) == _undated(usual)


@pytest.mark.parametrize("query", [b"", b"?after=aaaa:1"])
async def test_admission_is_asked_the_same_by_both(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, query: bytes
) -> None:
    """Listener and handlers pass the same request to admit(), the client's address included."""
    asked: list[Request] = []

    def record(request: Request, rules: Rules) -> Admitted:
        peer = request.peer()  # asked now: later the peer has disconnected
        asked.append(request._replace(peer=lambda: peer))
        return admit(request, rules)

    for module in (listener, params):
        monkeypatch.setattr(module, "admit", record)
    async with listening(data_dir) as here:
        request = KNOWN.replace(b" HTTP/1.1", query + b" HTTP/1.1")
        await here.ask(request)
        await here.ask(request[:-2] + SLOWLY)
    quick, usual = asked
    assert quick.headers == {name.lower(): value for name, value in usual.headers.items() if name != "X_Odd"}
    assert [dict(each.query) for each in asked] == [{"after": "aaaa:1"} if query else {}] * 2
    assert [each.peer() for each in asked] == ["127.0.0.1"] * 2
    assert quick._replace(headers={}, query={}, peer=str) == usual._replace(headers={}, query={}, peer=str)


async def test_whatever_is_refused_behind_the_handshake_closes_with_its_own_code(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal after the handshake is sent as a frame and as a close code, both those of the error."""

    def refuse(request: Request, rules: Rules) -> Admitted:
        return admit(request, rules)._replace(refusal=Forbidden("Not for you."))

    for module in (listener, params):
        monkeypatch.setattr(module, "admit", refuse)
    async with listening(data_dir) as here:
        answer = await here.ask(KNOWN)
        assert b" 101 " in answer
        assert b'"code":"forbidden"' in answer
        assert answer.endswith((1008).to_bytes(2, "big") + b"forbidden")


def _undated(answer: bytes) -> list[bytes]:
    return [line for line in answer.split(b"\r\n") if not line.startswith(b"Date:")]


async def test_a_usual_handshake_costs_no_request(data_dir: Path) -> None:
    """A common handshake is answered without aiohttp, whether the session is in memory or has to be read."""
    stored(data_dir, Robot(steps=3))
    async with listening(data_dir) as here:
        for name in (SESSION, "unread", SESSION):
            assert b'"type":"sync"' in await here.ask(KNOWN.replace(SESSION.encode(), name.encode()))
        assert here.requests == 0


async def test_what_comes_while_the_session_is_read_is_not_missed(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store is read, a published update is not lost, and a page that leaves is forgotten."""
    robot = stored(data_dir, Robot(steps=3))
    async with listening(data_dir) as here:
        hub = here.app[HUB]
        store, go = here.app[STORE], asyncio.Event()
        read = store.read

        async def slowly(session_id: str, after: int | None = None) -> SessionState | None:
            state = await read(session_id, after)
            await go.wait()
            return state

        monkeypatch.setattr(store, "read", slowly)
        asked = asyncio.create_task(here.ask(KNOWN))
        _, leaving = await asyncio.open_connection("127.0.0.1", here.port)
        leaving.write(KNOWN)
        await until(lambda: hub.connections == 2)
        hub.publish(SESSION, robot.step())
        leaving.transport.abort()
        await asyncio.sleep(0.05)
        go.set()
        assert b'"seq":4,"recovered":false' in await asked  # the sync includes the update published meanwhile
        await until(lambda: hub.connections == 0)
        assert not any(hub.heartbeat._groups)


async def test_a_request_in_two_pieces_arrives_whole(data_dir: Path) -> None:
    """A request that the listener can't parse at once goes to aiohttp from its first byte on."""
    async with listening(data_dir) as here:
        for cut in (1, 10, len(KNOWN) // 2, len(KNOWN) - 1):
            assert (await here.ask(KNOWN[:cut], rest=KNOWN[cut:])).startswith(b"HTTP/1.1 101 ")


async def test_viewers_beyond_the_limit_get_an_error(data_dir: Path) -> None:
    """A handshake beyond ``max_connections`` is answered with the error ``full`` in a frame."""
    stored(data_dir, Robot(steps=3))
    async with listening(data_dir, max_connections=1) as here:
        _, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(KNOWN)
        await until(lambda: here.app[HUB].connections == 1)
        assert b'"code":"full"' in await here.ask(KNOWN)
        writer.close()
        await until(lambda: here.app[HUB].connections == 0)


async def test_a_viewer_that_leaves_is_forgotten(data_dir: Path) -> None:
    """Once all viewers have left, no client, heartbeat or connection of theirs is left."""
    stored(data_dir, Robot(steps=3))
    async with listening(data_dir) as here:
        hub = here.app[HUB]
        session = hub.session(SESSION)
        for _ in range(5):
            assert await here.ask(KNOWN)
        await until(lambda: hub.connections == 0)
        assert not session.clients()
        assert not any(hub.heartbeat._groups)
        assert not here.app[IDLE_GUARD]._arrivals


async def test_who_says_nothing_is_dropped(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that sends nothing, or half a request, is dropped after the time limit for a header."""
    monkeypatch.setattr(idle_guard, "HEADER_S", 0.3)
    monkeypatch.setattr(idle_guard, "_CHECK_S", 0.05)
    async with listening(data_dir) as here:
        # Only from the first request on does the guard cover aiohttp's connections, too.
        await here.ask(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        for words in (b"", b"GET /rpa/x HTTP/1.1\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            began = time.monotonic()
            if words:
                await asyncio.sleep(0.15)
                writer.write(words)
            assert await reader.read() == b""
            took_s = time.monotonic() - began
            assert took_s > 0.2
            within(took_s, 0.6)
            writer.close()


async def test_a_handshake_that_waits_at_the_end_gets_no_frame(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On shutdown a connection whose handshake is not answered yet is closed without a frame: the 101 must be first."""
    async with listening(data_dir) as here:
        hub = here.app[HUB]
        go = asyncio.Event()

        async def never(session_id: str, after: int | None = None) -> SessionState | None:
            await go.wait()
            return None

        monkeypatch.setattr(here.app[STORE], "read", never)
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(KNOWN)
        await until(lambda: hub.connections == 1)
        await hub.close()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_sigterm_ends_it_in_order(data_dir: Path) -> None:
    """On SIGTERM streams get their close frame, silent connections are closed, and serve() returns."""
    stored(data_dir, Robot(steps=3))
    app = build(Settings(redis_url=None, data_dir=str(data_dir)))
    port = free_port()
    serving = asyncio.create_task(serve(app, [socket.create_server(("127.0.0.1", port))]))
    await until(lambda: bool(app.frozen))
    _, silent = await asyncio.open_connection("127.0.0.1", port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(KNOWN)
    assert b" 101 " in await reader.readline()
    signal.raise_signal(signal.SIGTERM)
    await asyncio.wait_for(serving, 30)
    assert b"\x03\xf4restart" in await reader.read()  # close code 1012
    writer.close()
    silent.close()
