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
    """Return a function that starts the application in this process and returns a client of it.

    Its keyword arguments are those of Settings; by default there is no Redis, and files are in *data_dir*.
    """

    async def start(**settings: Any) -> Client:
        chosen: dict[str, Any] = {"redis_url": None, "data_dir": str(data_dir), **settings}
        return await aiohttp_client(app.build(Settings(**chosen)))

    return start


def stored(data_dir: Path, robot: Robot) -> Robot:
    """Write the robot's run so far into files in *data_dir*; return the robot."""
    json_files.write_all(data_dir, SESSION, robot.run.documents())
    return robot


@contextlib.asynccontextmanager
async def native(client: Client, path: str = NATIVE, **query: str) -> AsyncIterator[ClientWebSocketResponse]:
    """Open a WebSocket with the subprotocol ``rpa.v1``; *query* is the address's, ``after`` for example."""
    async with client.ws_connect(path, protocols=["rpa.v1"], params=query) as stream:
        yield stream


@contextlib.asynccontextmanager
async def plain(client: Client, path: str = NATIVE) -> AsyncIterator[ClientWebSocketResponse]:
    """Open a WebSocket without a subprotocol, as the plan's page does."""
    async with client.ws_connect(path) as stream:
        yield stream


async def receive(stream: ClientWebSocketResponse) -> dict[str, Any]:
    """Return the next message, which must arrive within 30 s."""
    return dict(await stream.receive_json(timeout=30))


async def silent(stream: ClientWebSocketResponse) -> bool:
    """Tell whether nothing arrives for 50 ms."""
    with contextlib.suppress(TimeoutError):
        await stream.receive(timeout=0.05)
        return False
    return True


async def post(client: Client, **body: Any) -> dict[str, Any]:
    """Publish an update over HTTP; return the body of the answer."""
    async with client.post(f"/api/sessions/{SESSION}/events", json=body) as response:
        assert response.status == 201, await response.text()
        return dict(await response.json())


def hub_of(client: Client) -> Any:
    assert isinstance(client.app, web.Application)
    return client.app[HUB]


def store_of(client: Client) -> Any:
    assert isinstance(client.app, web.Application)
    return client.app[STORE]
