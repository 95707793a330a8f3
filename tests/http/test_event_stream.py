"""Server-sent events end to end, as read by a browser, by the plan's script and by an old proxy."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientResponse

from rpa_server.delivery import session
from tests.support.application import Client, Serve, hub_of, post, store_of, stored
from tests.support.server import until
from tests.support.sessions import HTTP, SESSION, Robot

EVENTS = f"/events/{SESSION}"
PLAIN = f"/rpa_progress_sse.php?session_id={SESSION}"


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time between the final update and the end of streams from 2 s to 0.5 s."""
    monkeypatch.setattr(session, "GRACE_S", 0.5)


class Event(NamedTuple):
    """What one block of the stream has: id, message, retry (each None if missing), and whether it has a comment."""

    id: str | None
    message: dict[str, Any] | None
    retry: int | None
    comment: bool


def parse(block: str) -> Event:
    """Parse one block of the stream as the HTML standard says; an unknown field fails the test."""
    fields: dict[str, str] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        assert name in ("", "id", "data", "retry"), line
        fields[name] = value.removeprefix(" ")
    message = json.loads(fields["data"]) if "data" in fields else None
    retry = int(fields["retry"]) if "retry" in fields else None
    return Event(fields.get("id"), message, retry, "" in fields)


class Stream:
    """An open event stream, read block by block."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def next(self) -> Event:
        """Read the next block, which may be only a comment; raises EOFError at the end."""
        async with asyncio.timeout(30):
            block = await self.response.content.readuntil(b"\n\n")
        if not block:
            raise EOFError
        return parse(block.decode().removesuffix("\n\n"))

    async def event(self) -> Event:
        """Read the next event that carries a message."""
        while (event := await self.next()).message is None:
            pass
        return event

    async def message(self) -> dict[str, Any]:
        message = (await self.event()).message
        assert message is not None
        return message

    async def rest(self) -> list[Event]:
        """Read all blocks up to the end of the stream."""
        found = []
        with contextlib.suppress(EOFError):
            while True:
                found.append(await self.next())
        return found


@contextlib.asynccontextmanager
async def listen(client: Client, address: str = EVENTS, last: str | None = None, **query: str) -> AsyncIterator[Stream]:
    """Open a stream as EventSource does."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last is not None else {})
    async with client.get(address, headers=headers, params=query or None) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)


# -- headers and events


@pytest.mark.parametrize("address", [EVENTS, PLAIN])
async def test_the_headers_keep_proxies_from_delaying_the_stream(serve: Serve, address: str) -> None:
    """The headers announce an event stream of unknown length that nothing may store, change or buffer."""
    async with listen(await serve(), address) as stream:
        headers = stream.response.headers
        assert headers["Content-Type"].partition(";")[0] == "text/event-stream"
        assert "no-store" in headers["Cache-Control"]
        assert "no-transform" in headers["Cache-Control"]
        assert headers["X-Accel-Buffering"] == "no"
        assert "Content-Encoding" not in headers
        assert "Content-Length" not in headers


async def test_the_pause_before_coming_back_is_jittered(serve: Serve) -> None:
    """``retry`` comes first, is 3 to 7.5 s, and differs from client to client."""
    client = await serve()
    pauses = []
    for _ in range(12):
        async with listen(client) as stream:
            first = await stream.next()
            assert first.retry is not None
            pauses.append(first.retry)
    assert all(3000 <= pause <= 7500 for pause in pauses)
    assert len(set(pauses)) > 1


async def test_the_sync_carries_the_position_of_its_snapshot(serve: Serve, data_dir: Path) -> None:
    """The first message is the sync; its id is the position, so that a broken connection resumes there."""
    stored(data_dir, Robot(steps=3))
    async with listen(await serve()) as stream:
        event = await stream.event()
        assert event.id == "aaaa:3"
        assert event.message is not None
        assert (event.message["type"], event.message["seq"], event.message["snapshot"]["seq"]) == ("sync", 3, 3)


async def test_updates_carry_their_position(serve: Serve) -> None:
    """The id of every update is its cursor."""
    client = await serve()
    async with listen(client) as stream:
        assert (await stream.message())["snapshot"] is None
        answer = await post(client, etapa=1)
        events = [await stream.event() for _ in range(2)]
        assert [event.id for event in events] == [f"{answer['epoch']}:{seq}" for seq in (1, 2)]


async def test_a_quiet_stream_has_a_heartbeat(serve: Serve) -> None:
    """A comment comes with every heartbeat, so that no proxy takes an idle connection for a dead one."""
    async with listen(await serve(heartbeat_s=0.1)) as stream:
        await stream.event()
        assert [(await stream.next()).comment for _ in range(3)] == [True, True, True]


# -- resuming


@pytest.mark.parametrize("way", ["header", "parameter", "header before parameter"])
async def test_a_stream_is_resumed(serve: Serve, data_dir: Path, way: str) -> None:
    """A stream begins after the cursor in ``Last-Event-ID``, else in ``after``, which EventSource repeats unchanged."""
    stored(data_dir, Robot(steps=5))
    client = await serve()
    last = None if way == "parameter" else "aaaa:3"
    query = {"header": {}, "parameter": {"after": "aaaa:3"}, "header before parameter": {"after": "0"}}[way]
    async with listen(client, last=last, **query) as stream:
        sync = await stream.event()
        assert sync.message is not None
        assert (sync.message["recovered"], sync.message["snapshot"]) == (True, None)
        assert sync.id in (None, "aaaa:3")
        assert [(await stream.event()).id for _ in range(2)] == ["aaaa:4", "aaaa:5"]


async def test_after_0_is_the_whole_run(serve: Serve, data_dir: Path) -> None:
    """``after=0`` begins at the first update."""
    stored(data_dir, Robot(steps=3))
    async with listen(await serve(), after="0") as stream:
        assert (await stream.message())["recovered"] is True
        assert [(await stream.event()).id for _ in range(3)] == ["aaaa:1", "aaaa:2", "aaaa:3"]


@pytest.mark.parametrize("last", ["", "x", "bbbb:3", "aaaa:99", "5"])
async def test_an_odd_last_event_id_counts_as_unknown(serve: Serve, data_dir: Path, last: str) -> None:
    """For a ``Last-Event-ID`` that is no position of this run, perhaps another server's, the snapshot is sent."""
    stored(data_dir, Robot(steps=3))
    async with listen(await serve(), last=last) as stream:
        message = await stream.message()
        assert (message["recovered"], message["snapshot"]["seq"]) == (False, 3)


@pytest.mark.parametrize("address", [EVENTS + "?after=x", PLAIN + "&after=x"])
async def test_an_odd_parameter_is_refused(serve: Serve, address: str) -> None:
    """An invalid cursor in ``after`` is answered 400 ``bad_cursor``."""
    async with (await serve()).get(address) as response:
        assert response.status == 400
        assert (await response.json())["code"] == "bad_cursor"


# -- the end


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize("address", [EVENTS, PLAIN])
async def test_the_stream_ends_behind_the_final_update(serve: Serve, address: str) -> None:
    """The final update comes, and what the robot adds right after it; then the response ends."""
    client = await serve()
    await post(client, etapa=14)
    async with listen(client, address) as stream:
        await stream.event()
        await post(client, status_final="success")
        await post(client, etapa=15, mensagem="mais")
        events = [event for event in await stream.rest() if event.message]
    assert [event.id and event.id.partition(":")[2] for event in events] == ["3", "4"]


@pytest.mark.parametrize("address", [EVENTS, PLAIN])
async def test_the_reconnect_that_has_everything_is_answered_204(serve: Serve, data_dir: Path, address: str) -> None:
    """A client that has everything of an ended run gets 204, which makes EventSource stop reconnecting."""
    robot = Robot(steps=3)
    robot.finish()
    stored(data_dir, robot)
    client = await serve()
    for query in ({}, {"after": "0"}):
        async with client.get(address, params=query, headers={"Last-Event-ID": "aaaa:4"}) as response:
            assert response.status == 204
            assert await response.read() == b""


@pytest.mark.usefixtures("short_grace")
async def test_the_reconnect_that_lacks_something_gets_it(serve: Serve, data_dir: Path) -> None:
    """A client that lacks updates of an ended run gets them, and then the end of the response."""
    robot = Robot(steps=3)
    robot.finish()
    stored(data_dir, robot)
    async with listen(await serve(), last="aaaa:2") as stream:
        assert [event.id for event in await stream.rest() if event.message][1:] == ["aaaa:3", "aaaa:4"]


async def test_a_running_run_is_never_answered_204(serve: Serve, data_dir: Path) -> None:
    """A client that has everything of a run that goes on gets a stream, not 204."""
    stored(data_dir, Robot(steps=3))
    async with listen(await serve(), last="aaaa:3") as stream:
        assert (await stream.message())["recovered"] is True


async def test_a_restart_ends_the_response(serve: Serve) -> None:
    """A server that stops ends the response without another event; EventSource then reconnects."""
    client = await serve()
    async with listen(client) as stream:
        await stream.event()
        closing = asyncio.create_task(hub_of(client).close())
        assert await stream.rest() == []
        await closing


async def test_a_restart_while_the_store_is_slow_ends_everything(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream whose session is still being read delays neither the end of other streams nor that of the server."""
    client = await serve()
    hub = hub_of(client)
    async with listen(client, "/events/other") as stream:
        await stream.event()

        async def read(session_id: str, after: int | None = None) -> None:
            await asyncio.sleep(3)

        monkeypatch.setattr(store_of(client), "read", read)
        waiting = asyncio.create_task(client.get(EVENTS))
        await until(lambda: hub.connections == 2)
        async with asyncio.timeout(2.5):
            await hub.close()
            assert await stream.rest() == []
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


# -- other clients


async def raw(client: Client, request: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request over a plain socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request.encode())
    return reader, writer


@pytest.mark.usefixtures("short_grace")
async def test_an_http_1_0_client_gets_the_stream_unchunked(serve: Serve) -> None:
    """An HTTP/1.0 client, an old proxy for one, gets the stream without chunks; its connection is closed at the end."""
    client = await serve()
    await post(client, etapa=14)
    reader, writer = await raw(client, f"GET {EVENTS} HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "transfer-encoding" not in head
        first = (await reader.readuntil(b"\n\n")).decode()
        await post(client, status_final="success")
        blocks = (first + (await reader.read()).decode()).split("\n\n")
    writer.close()
    assert blocks.pop() == ""
    events = [parse(block) for block in blocks]
    assert events[0].retry is not None
    assert [event.message and event.message["type"] for event in events[1:]] == ["sync", "progress_update"]


@pytest.mark.usefixtures("short_grace")
async def test_the_end_of_the_connection_is_the_end_of_the_stream(serve: Serve) -> None:
    """The response has neither a length nor chunks: it ends when the server closes the connection."""
    client = await serve(heartbeat_s=0.1)
    await post(client, etapa=14)
    reader, writer = await raw(client, f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "connection: close" in head
        assert "transfer-encoding" not in head
        assert "content-length" not in head
        await asyncio.sleep(0.15)
        await post(client, etapa=15)
        await post(client, status_final="success")
        body = await reader.read()
    writer.close()
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == ""
    events = [parse(block) for block in blocks]
    assert any(event.comment for event in events)
    assert [event.message["type"] for event in events if event.message] == ["sync"] + ["progress_update"] * 2


@pytest.mark.parametrize("address", [EVENTS, PLAIN])
async def test_a_head_request_has_no_body(serve: Serve, address: str) -> None:
    """A HEAD request is answered at once, without an event, and leaves no connection registered."""
    client = await serve()
    await post(client, etapa=1)
    reader, writer = await raw(client, f"HEAD {address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(2):
        _, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert body == b""
    await until(lambda: hub_of(client).connections == 0)


async def test_the_plans_script_gets_updates_alone(serve: Serve, data_dir: Path) -> None:
    """``/rpa_progress_sse.php`` sends the stored state as an update and then the updates, without a sync."""
    stored(data_dir, Robot(steps=3, writer=HTTP))
    client = await serve()
    for address in (PLAIN, f"/rpa_progress_sse.php?session={SESSION}"):
        async with listen(client, address) as stream:
            first = await stream.event()
            assert first.id == "aaaa:3"
            assert first.message is not None
            assert (first.message["type"], first.message["etapa"]) == ("progress_update", 3)
    async with listen(client, PLAIN) as stream:
        await stream.event()
        await post(client, etapa=4)
        assert (await stream.message())["etapa"] == 4


@pytest.mark.parametrize("query", ["", "?session_id=", "?session_id=../x", "?session_id=%00", "?sid=x"])
async def test_the_plans_script_must_name_a_session(serve: Serve, query: str) -> None:
    """Without a valid session id ``/rpa_progress_sse.php`` answers 400 ``bad_session_id``."""
    async with (await serve()).get("/rpa_progress_sse.php" + query) as response:
        assert response.status == 400
        assert (await response.json())["code"] == "bad_session_id"


async def test_a_full_server_says_so(serve: Serve) -> None:
    """Beyond ``max_connections`` a stream is answered 503 ``full`` with a Retry-After."""
    client = await serve(max_connections=1)
    async with listen(client) as stream:
        await stream.event()
        async with client.get(EVENTS) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            body = await response.json()
            assert (body["code"], body["temporary"]) == ("full", True)


async def test_who_leaves_is_forgotten(serve: Serve) -> None:
    """Clients that close or reset their connections are unregistered within a second, and so are their sessions."""
    client = await serve()
    for abort in (False, True):
        writers = []
        for number in range(10):
            reader, writer = await raw(client, f"GET /events/s{number} HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writers.append(writer)
        await until(lambda: hub_of(client).connections == 10)
        for writer in writers:
            writer.transport.abort() if abort else writer.close()
        await until(lambda: hub_of(client).connections == 0, 1)
    assert hub_of(client).watched() == []
