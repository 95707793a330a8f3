"""What pages of other origins may do, over real HTTP."""

from typing import Any

import pytest
from aiohttp import WSServerHandshakeError
from multidict import CIMultiDictProxy

from tests.support.application import Client, Serve

GOOD, EVIL = "https://www.good.com", "https://evil.com"
LIST = ("https://good.com", "https://*.good.com")
SOCKETS = ["/rpa/a", "/ws/rpa/a", "/session/a"]
STREAMS = ["/events/a", "/rpa_progress_sse.php?session_id=a"]
NATIVE = [*STREAMS, "/api/sessions/a"]
DEPLOYED = [
    "/api/rpa/progress/a", "/rpa/progress/a", "/progress/a", "/api/rpa/health", "/api/rpa/metrics", "/api/rpa/start",
    "/get_progress.php?session=a", "/get_progress.php", "/progress_sse.php?session_id=a", "/progress_sse.php",
]  # fmt: skip
SHARED = [*NATIVE, *DEPLOYED]
CLOSED = ["/", "/static/page.js", "/api/sessions", "/health/live", "/health/ready", "/metrics", "/status", "/nothing"]
STEP = {"etapa": 1, "mensagem": "Tela 1"}


async def publish(client: Client, session_id: str, *bodies: dict[str, Any]) -> None:
    """Publish updates, which must be accepted."""
    for body in bodies:
        async with client.post(f"/api/sessions/{session_id}/events", json=body) as response:
            assert response.status == 201


async def error_of(response: Any, status: int) -> str:
    """Check an error answer and return its code."""
    assert response.status == status
    body = await response.json()
    assert body["type"] == "error"
    return str(body["code"])


async def answered(client: Client, method: str, path: str, origin: str | None = None) -> CIMultiDictProxy[str]:
    """Return the headers of a response, without waiting for the end of its body."""
    async with client.request(method, path, headers={} if origin is None else {"Origin": origin}) as response:
        return response.headers


def own(client: Client, port: int | None = None) -> str:
    """Return the origin of the server's own pages, or of a page on another port."""
    return f"http://{client.host}:{port or client.port}"


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize(
    "origin",
    [EVIL, "null", "https://good.com.evil", "https://xgood.com", "https://good.com:8443", "https://GOOD.com", ""],
)
async def test_a_page_of_another_site_is_refused_before_the_upgrade(serve: Serve, path: str, origin: str) -> None:
    """A WebSocket handshake of an origin that is not allowed gets 403 as JSON, in either dialect, even with cookies."""
    client = await serve(allowed_origins=LIST)
    for protocols in ((), ("rpa.v1",)):
        with pytest.raises(WSServerHandshakeError) as caught:
            await client.ws_connect(path, protocols=protocols, origin=origin, headers={"Cookie": "id=1"})
        assert caught.value.status == 403
    headers = {"Origin": origin, "Upgrade": "websocket", "Connection": "Upgrade"}
    assert await error_of(await client.get(path, headers=headers), 403) == "forbidden"


@pytest.mark.parametrize("path", SOCKETS)
async def test_allowed_pages_own_pages_and_programs_connect(serve: Serve, path: str) -> None:
    """Pages of allowed origins and of the server's own host, and programs (without an Origin), may open a WebSocket."""
    client = await serve(allowed_origins=LIST)
    for origin in (GOOD, "https://good.com", own(client), None):
        async with client.ws_connect(path, origin=origin) as socket:
            await socket.send_str('{"type":"ping"}')
            assert await socket.receive_json(timeout=30) == {"type": "pong"}


async def test_without_a_list_every_page_connects(serve: Serve) -> None:
    """Without ``RPA_ALLOWED_ORIGINS`` pages of every origin may open a WebSocket."""
    client = await serve()
    for origin in (EVIL, "null"):
        async with client.ws_connect("/rpa/a", origin=origin):
            pass


async def test_with_an_empty_list_own_pages_alone_connect(serve: Serve) -> None:
    """If no other origin is allowed (``none``), only pages of the server's own host and port may open a WebSocket."""
    client = await serve(allowed_origins=())
    async with client.ws_connect("/rpa/a", origin=own(client)):
        pass
    with pytest.raises(WSServerHandshakeError):
        await client.ws_connect("/rpa/a", origin=own(client, 1))


@pytest.mark.parametrize("path", SHARED)
async def test_everyone_may_read_by_default(serve: Serve, path: str) -> None:
    """By default every origin is answered the same ``*``, so that caches need no ``Vary``."""
    client = await serve()
    await publish(client, "a", STEP)
    for origin in (GOOD, "null"):
        headers = await answered(client, "GET", path, origin)
        assert headers.getall("Access-Control-Allow-Origin") == ["*"]
        assert headers["Access-Control-Expose-Headers"] == "ETag, Retry-After"
        assert "Vary" not in headers
        assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize("path", SHARED)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_a_list_is_answered_with_the_origin_itself(serve: Serve, path: str, method: str) -> None:
    """The CORS header repeats an allowed origin, others get none; ``Vary`` keeps caches from mixing the answers."""
    client = await serve(allowed_origins=LIST)
    await publish(client, "a", STEP)
    headers = await answered(client, method, path, GOOD)
    assert headers.getall("Access-Control-Allow-Origin") == [GOOD]
    assert headers.getall("Vary") == ["Origin"]
    for other in (EVIL, "null", "*", "https://good.com.evil"):
        headers = await answered(client, method, path, other)
        assert "Access-Control-Allow-Origin" not in headers
        assert headers.getall("Vary") == ["Origin"]
        assert "Access-Control-Allow-Credentials" not in headers
    assert "Access-Control-Allow-Origin" not in await answered(client, method, path)


async def test_errors_and_304_can_be_read_too(serve: Serve) -> None:
    """Errors and 304 have CORS headers, too: a page must be able to tell an unknown session from a broken network."""
    client = await serve(max_connections=1)
    await publish(client, "a", STEP)
    tag = (await answered(client, "GET", "/api/sessions/a", GOOD))["ETag"]
    async with client.ws_connect("/rpa/a"):
        for path, status in (("/api/sessions/b", 404), ("/api/sessions/-", 400), ("/events/a", 503)):
            async with client.get(path, headers={"Origin": GOOD}) as response:
                assert response.status == status
                assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
    async with client.get("/api/sessions/a", headers={"Origin": GOOD, "If-None-Match": tag}) as response:
        assert response.status == 304
        assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]


@pytest.mark.parametrize("path", NATIVE)
async def test_a_preflight_opens_reading(serve: Serve, path: str) -> None:
    """A preflight is answered 204 with the methods, the headers that pages send, and how long to cache that."""
    client = await serve(allowed_origins=LIST)
    asked = {"Origin": GOOD, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "if-none-match"}
    async with client.options(path, headers=asked) as response:
        assert response.status == 204
        assert await response.read() == b""
        headers = response.headers
    assert headers["Access-Control-Allow-Origin"] == GOOD
    assert headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    allowed = {name.strip() for name in headers["Access-Control-Allow-Headers"].split(",")}
    assert {"If-None-Match", "Last-Event-ID", "Content-Type", "Authorization"} <= allowed
    assert int(headers["Access-Control-Max-Age"]) >= 600


async def test_a_preflight_opens_no_stream(serve: Serve) -> None:
    """A preflight for a stream is answered even if the server is full, since it takes up no connection."""
    client = await serve(max_connections=1)
    async with client.ws_connect("/rpa/a"), client.options("/events/a", headers={"Origin": GOOD}) as response:
        assert response.status == 204


@pytest.mark.parametrize("path", CLOSED)
async def test_nothing_else_is_shared(serve: Serve, path: str) -> None:
    """Other routes have no CORS headers; with them any site could read the session list through a local browser."""
    client = await serve()
    assert "Access-Control-Allow-Origin" not in await answered(client, "GET", path, GOOD)
    async with client.options(path, headers={"Origin": GOOD}) as response:
        assert response.status in (404, 405)
        assert not any(name.startswith("Access-Control") for name in response.headers)


async def test_pages_of_other_sites_never_publish(serve: Serve) -> None:
    """Pages of other sites can't publish: a preflight gets 405, a POST 403; pages of the server's own host can."""
    client = await serve(allowed_origins=("*",))
    path = "/api/sessions/a/events"
    async with client.options(path, headers={"Origin": GOOD, "Access-Control-Request-Method": "POST"}) as response:
        assert response.status == 405
        assert not any(name.startswith("Access-Control") for name in response.headers)
    for origin in (GOOD, "null", ""):
        response = await client.post(path, json=STEP, headers={"Origin": origin})
        assert await error_of(response, 403) == "forbidden"
        assert "Access-Control-Allow-Origin" not in response.headers
    assert (await client.get("/api/sessions/a")).status == 404
    assert (await client.post(path, json=STEP, headers={"Origin": own(client)})).status == 201
