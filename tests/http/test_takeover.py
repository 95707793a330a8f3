"""The undocumented parts of aiohttp that takeover.py uses: they exist and behave as in the versions below."""

import asyncio
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import http_exceptions, web

from rpa_server import http
from rpa_server.http import takeover
from rpa_server.http.keys import HUB
from tests.support.application import NATIVE, Connect, Serve, hub_of, native, receive
from tests.support.server import ROOT, until

#: The versions of aiohttp with which the tests of this module passed. Run them with a new one before you add it.
CHECKED = ("3.14.3", "3.14.4", "3.14.5")
HANDSHAKE = (
    f"GET {NATIVE} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rpa.v1\r\n\r\n"
).encode()
PING = b"\x81\x8f\x00\x00\x00\x00" + b'{"type":"ping"}'


def test_this_version_of_aiohttp_was_checked() -> None:
    """The installed aiohttp is in CHECKED: any release may change the private API that takeover.py uses."""
    version = importlib.metadata.version("aiohttp")
    assert version in CHECKED, (
        f"http/takeover.py was checked with aiohttp {', '.join(CHECKED)}, not with {version}: "
        "see that the other tests in this module pass with it, then add it to CHECKED"
    )


def private_uses() -> Iterator[str]:
    """Yield ``file: name`` for each private or undocumented name of aiohttp that the package uses."""
    of_aiohttp = re.compile(
        r"\b(request|protocol|server|runner|handler|response|app)\._[a-z]\w*|_message_tail|_manager\b"
        r"|aiohttp\.http_exceptions|\b_?server\.connections\b|\brequest\.protocol\b"
    )
    for path in (ROOT / "rpa_server").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "aiohttp" in text:
            yield from (f"{path.relative_to(ROOT)}: {found[0]}" for found in of_aiohttp.finditer(text))


def test_private_api_is_used_in_one_module() -> None:
    """Only takeover.py uses names that are private to aiohttp: a new release concerns this file alone."""
    assert {use.partition(": ")[0] for use in private_uses()} == {"rpa_server/http/takeover.py"}
    assert {use.partition(": ")[2] for use in private_uses()} == {
        "_manager", "_message_tail", "aiohttp.http_exceptions", "request.protocol", "server.connections",
    }  # fmt: skip
    assert Path(http.__path__[0], "takeover.py").is_file()


async def test_what_comes_with_the_handshake_is_read(serve: Serve) -> None:
    """Messages that a client sends along with its handshake, even an incomplete one, reach the stream in order."""
    client = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(HANDSHAKE + PING + PING[:5])
    assert b" 101 " in await reader.readline()
    await reader.readuntil(b'{"type":"pong"}')
    writer.write(PING[5:])
    await asyncio.wait_for(reader.readuntil(b'{"type":"pong"}'), 5)
    writer.close()


async def test_aiohttp_forgets_the_connection(serve: Serve) -> None:
    """After the takeover aiohttp has neither a task nor the connection any more, and the stream is still served."""
    client = await serve()
    before = len(asyncio.all_tasks())
    runner: Any = client.server.runner
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(HANDSHAKE)
    await reader.readuntil(b'"type":"sync"')
    await until(lambda: not runner.server.connections)
    await until(lambda: len(asyncio.all_tasks()) <= before)
    assert hub_of(client).connections == 1
    writer.write(PING)
    await asyncio.wait_for(reader.readuntil(b'{"type":"pong"}'), 5)
    writer.close()
    await until(lambda: hub_of(client).connections == 0)


async def test_a_connection_that_is_taken_over_outlives_the_keepalive(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiohttp's keepalive timeout does not end a connection that was taken over."""
    client = await serve()
    runner: Any = client.server.runner
    runner.server._kwargs["keepalive_timeout"] = 0.05
    async with native(client) as stream:
        await receive(stream)
        await asyncio.sleep(0.2)
        await stream.send_json({"type": "ping"})
        assert await receive(stream) == {"type": "pong"}


async def test_every_new_connection_is_reported(aiohttp_client: Connect) -> None:
    """on_connection() reports each new connection as the object that connections() and connection_of() return."""
    servers: list[object] = []
    connections: list[Any] = []
    reported: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        servers.append(takeover.server_of(request))
        connections.append(takeover.connection_of(request))
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handler)
    client = await aiohttp_client(app)
    await client.get("/")
    runner: Any = client.server.runner
    assert servers == [runner.server]
    takeover.on_connection(runner.server, reported.append)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    await until(lambda: reported)
    (protocol,) = reported
    assert protocol in takeover.connections(runner.server)
    assert protocol.transport.get_extra_info("peername") == writer.get_extra_info("sockname")
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 200 " in await reader.readline()
    assert connections[-1] is protocol
    writer.close()
    await until(lambda: protocol.transport is None)
    assert HUB not in app


def test_what_the_parser_refuses_has_a_reason() -> None:
    """parse_failure() returns the text of an error of aiohttp's HTTP parser, and None for any other error."""
    assert takeover.parse_failure(http_exceptions.BadStatusLine("GET / HTTP/9")) == "Bad status line 'GET / HTTP/9'"
    assert takeover.parse_failure(ValueError("x")) is None
    assert takeover.parse_failure(None) is None
