"""What we use of aiohttp without documentation: it exists, and behaves as it did in the versions below."""

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

#: The versions of aiohttp with which the tests of this module have passed. Run them with a new version before you add it.
CHECKED = ("3.14.3", "3.14.4", "3.14.5")
HANDSHAKE = (
    f"GET {NATIVE} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rpa.v1\r\n\r\n"
).encode()
PING = b"\x81\x8f\x00\x00\x00\x00" + b'{"type":"ping"}'


def test_this_version_of_aiohttp_was_checked() -> None:
    """A private API may change in any release, so a new one must be checked before it is trusted."""
    version = importlib.metadata.version("aiohttp")
    assert version in CHECKED, (
        f"http/takeover.py was checked with aiohttp {', '.join(CHECKED)}, not with {version}: "
        "see that the other tests in this module pass with it, then add it to CHECKED"
    )


def private_uses() -> Iterator[str]:
    """Yield where something of aiohttp's is used that has an underscore, or that its documentation does not name."""
    of_aiohttp = re.compile(
        r"\b(request|protocol|server|runner|handler|response|app)\._[a-z]\w*|_message_tail|_manager\b"
        r"|aiohttp\.http_exceptions|\b_?server\.connections\b|\brequest\.protocol\b"
    )
    for path in (ROOT / "rpa_server").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "aiohttp" in text:
            yield from (f"{path.relative_to(ROOT)}: {found[0]}" for found in of_aiohttp.finditer(text))


def test_private_api_is_used_in_one_module() -> None:
    """For a new aiohttp only takeover.py has to be checked."""
    assert {use.partition(": ")[0] for use in private_uses()} == {"rpa_server/http/takeover.py"}
    assert {use.partition(": ")[2] for use in private_uses()} == {
        "_manager", "_message_tail", "aiohttp.http_exceptions", "request.protocol", "server.connections",
    }  # fmt: skip
    assert Path(http.__path__[0], "takeover.py").is_file()


async def test_what_comes_with_the_handshake_is_read(serve: Serve) -> None:
    """A client may send before it is answered; complete and partial messages reach the stream, in order."""
    client = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(HANDSHAKE + PING + PING[:5])
    assert b" 101 " in await reader.readline()
    await reader.readuntil(b'{"type":"pong"}')
    writer.write(PING[5:])
    await asyncio.wait_for(reader.readuntil(b'{"type":"pong"}'), 5)
    writer.close()


async def test_aiohttp_forgets_the_connection(serve: Serve) -> None:
    """Neither a task nor a protocol of the request is left, and the stream is still served."""
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
    """aiohttp's timers don't end a connection that it no longer has."""
    client = await serve()
    runner: Any = client.server.runner
    runner.server._kwargs["keepalive_timeout"] = 0.05
    async with native(client) as stream:
        await receive(stream)
        await asyncio.sleep(0.2)
        await stream.send_json({"type": "ping"})
        assert await receive(stream) == {"type": "pong"}


async def test_every_new_connection_is_reported(aiohttp_client: Connect) -> None:
    """By the server of a request, with the object that its requests have, too, and that has a transport."""
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
    """An error of any other kind has none."""
    assert takeover.parse_failure(http_exceptions.BadStatusLine("GET / HTTP/9")) == "Bad status line 'GET / HTTP/9'"
    assert takeover.parse_failure(ValueError("x")) is None
    assert takeover.parse_failure(None) is None
