"""Limits on connections, on what the kernel buffers for them, and on log lines about malformed requests."""

import asyncio
import socket

import aiohttp
import pytest

from rpa_server.delivery import tcp
from rpa_server.serving import idle_guard
from tests.support.application import Serve, hub_of, native, receive
from tests.support.server import until


async def test_who_would_take_the_last_descriptors_is_dropped(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """New connections are dropped while only descriptors for files and Redis are left; open streams stay."""
    highest = 0
    monkeypatch.setattr(idle_guard, "highest_descriptor", lambda: highest)
    client = await serve()
    async with native(client) as stream:
        await receive(stream)
        async with aiohttp.ClientSession() as other:
            with pytest.raises(aiohttp.ClientConnectionError):
                await other.get(f"http://127.0.0.1:{client.port}/health/live")
            highest = 1000
            async with other.get(f"http://127.0.0.1:{client.port}/status") as response:
                assert (await response.json())["connections_dropped"] >= 1
        await stream.send_json({"type": "ping"})
        assert await receive(stream) == {"type": "pong"}


async def test_a_refused_client_does_not_keep_its_connection(serve: Serve) -> None:
    """A full server closes the connection after its 503: kept alive, it would use a descriptor others need."""
    client = await serve(max_connections=1)
    async with native(client) as stream:
        await receive(stream)
        async with client.get("/events/s1") as response:
            assert response.status == 503
            assert response.headers["Connection"] == "close"


async def test_the_kernel_buffers_little_for_a_client_that_does_not_read(serve: Serve) -> None:
    """The kernel keeps at most 128 KiB unsent for a client, and drops one that acknowledges nothing for 10 s."""
    client = await serve()
    async with native(client) as stream:
        await receive(stream)
        (watching,) = hub_of(client)._clients
        raw = watching.transport.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == tcp.UNSENT
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == tcp.UNACKNOWLEDGED_MS


async def test_what_is_no_http_is_logged_now_and_then(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """A hundred malformed requests make one line in the log, without a traceback."""
    client = await serve()
    for _ in range(100):
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"GET / HTTP/9.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        writer.close()
    await until(lambda: "is no HTTP" in caplog.text)
    await asyncio.sleep(0.1)
    assert len(caplog.records) == 1
    assert "Traceback" not in caplog.text
