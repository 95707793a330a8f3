"""The application in this process, and its clients over real connections."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import ClientWebSocketResponse, web
from aiohttp.test_utils import TestClient

from rpa_server import app
from rpa_server.backends.files import json_files
from rpa_server.config import Settings
from rpa_server.http.keys import HUB, STORE
from tests.support.sessions import SESSION, Robot

Client = TestClient[web.Request, web.Application]
Connect = Callable[[web.Application], Awaitable[Client]]
Serve = Callable[..., Awaitable[Client]]
NATIVE = f"/rpa/{SESSION}"
PLAIN = [f"/rpa/{SESSION}", f"/ws/rpa/{SESSION}", f"/session/{SESSION}"]
ESTIMATES = {"coberturas_detalhadas": [{"nome_cobertura": "Compreensiva", "valores": {"de": "1", "ate": "2"}}]}


def starter(aiohttp_client: Connect, data_dir: Path) -> Serve:
    """Return a function that starts the application in this process; without settings on files alone."""

    async def start(**settings: Any) -> Client:
        chosen: dict[str, Any] = {"redis_url": None, "data_dir": str(data_dir), **settings}
        return await aiohttp_client(app.build(Settings(**chosen)))

    return start


def stored(data_dir: Path, robot: Robot) -> Robot:
    """Write what the robot has done so far into files."""
    json_files.write_all(data_dir, SESSION, robot.run.documents())
    return robot


@contextlib.asynccontextmanager
async def native(client: Client, path: str = NATIVE, **query: str) -> AsyncIterator[ClientWebSocketResponse]:
    """Connect with the subprotocol."""
    async with client.ws_connect(path, protocols=["rpa.v1"], params=query) as stream:
        yield stream


@contextlib.asynccontextmanager
async def plain(client: Client, path: str = NATIVE) -> AsyncIterator[ClientWebSocketResponse]:
    """Connect as the plan's page does."""
    async with client.ws_connect(path) as stream:
        yield stream


async def receive(stream: ClientWebSocketResponse) -> dict[str, Any]:
    """Receive one message."""
    return dict(await stream.receive_json(timeout=30))


async def silent(stream: ClientWebSocketResponse) -> bool:
    """Tell whether nothing arrives for 50 ms."""
    with contextlib.suppress(TimeoutError):
        await stream.receive(timeout=0.05)
        return False
    return True


async def post(client: Client, **body: Any) -> dict[str, Any]:
    """Publish over HTTP."""
    async with client.post(f"/api/sessions/{SESSION}/events", json=body) as response:
        assert response.status == 201, await response.text()
        return dict(await response.json())


def hub_of(client: Client) -> Any:
    assert isinstance(client.app, web.Application)
    return client.app[HUB]


def store_of(client: Client) -> Any:
    assert isinstance(client.app, web.Application)
    return client.app[STORE]
