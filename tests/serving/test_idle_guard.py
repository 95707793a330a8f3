"""What happens before any request: connections beyond what the process has descriptors for."""

import asyncio
import socket

import aiohttp
import pytest

from rpa_server.delivery import tcp
from rpa_server.serving import idle_guard
from tests.support.application import Serve, hub_of, native, receive
from tests.support.server import until


async def test_who_would_take_the_last_descriptors_is_dropped(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those are for files and Redis; who is served already stays served, and when there is room new ones are."""
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


async def test_who_is_told_that_the_server_is_full_does_not_keep_his_connection(serve: Serve) -> None:
    """It would take the place of a client that can be served."""
    client = await serve(max_connections=1)
    async with native(client) as stream:
        await receive(stream)
        async with client.get("/events/s1") as response:
            assert response.status == 503
            assert response.headers["Connection"] == "close"


async def test_the_kernel_holds_little_of_what_a_client_does_not_take(serve: Serve) -> None:
    """A stalled client shows within moments instead of behind megabytes, and is given up after 10 s of silence."""
    client = await serve()
    async with native(client) as stream:
        await receive(stream)
        (watching,) = hub_of(client)._admitted
        raw = watching.transport.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == tcp.UNSENT
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == tcp.UNACKNOWLEDGED_MS


async def test_what_is_no_http_is_logged_now_and_then(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """One line without a traceback for a hundred of them, which any stranger can send."""
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
