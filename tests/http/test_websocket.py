"""WebSockets end to end: the native protocol and the plan's dialect, over real connections."""

import asyncio
import json
import logging
import socket
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType
from websockets.asyncio.client import connect as connect_strictly
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from rpa_server.delivery import audience, session
from rpa_server.tracker import ProgressTracker
from tests.support.application import (
    ESTIMATES,
    NATIVE,
    PLAIN,
    Client,
    Serve,
    hub_of,
    native,
    plain,
    post,
    receive,
    silent,
    store_of,
    stored,
)
from tests.support.server import EventWatcher, RedisServer, Server, SocketWatcher, running, until, watching
from tests.support.sessions import HTTP, SESSION, Robot
from tests.support.timing import within

# -- native: the first message


async def test_an_unknown_session_is_synced_with_nothing(serve: Serve) -> None:
    """A page of a session that nobody has written gets an empty sync, and then the run from its first update."""
    client = await serve(heartbeat_s=7.0)
    async with native(client) as stream:
        assert stream.protocol == "rpa.v1"
        assert await receive(stream) == {
            "type": "sync",
            "session_id": SESSION,
            "epoch": None,
            "seq": 0,
            "recovered": False,
            "snapshot": None,
            "idade_ms": None,
            "duracao_ms": None,
            "heartbeat_ms": 7000,
        }
        await post(client, etapa=1, mensagem="Tela 1")
        updates = [await receive(stream) for _ in range(2)]
        assert [update["seq"] for update in updates] == [1, 2]
        assert [update["evento"] for update in updates] == ["inicio", "progresso"]


async def test_a_known_session_is_synced_with_its_snapshot(serve: Serve, data_dir: Path) -> None:
    """A page that opens a stored session gets the whole snapshot in the sync, and nothing else."""
    stored(data_dir, Robot(steps=5))
    async with native(await serve()) as stream:
        message = await receive(stream)
        assert (message["epoch"], message["seq"], message["recovered"]) == ("aaaa", 5, False)
        snapshot = message["snapshot"]
        assert (snapshot["epoch"], snapshot["seq"]) == ("aaaa", 5)
        assert (snapshot["etapa_atual"], snapshot["mensagem"], snapshot["final"]) == (5, "Passo 5", False)
        assert await silent(stream)


@pytest.mark.parametrize(("after", "seqs"), [("aaaa:3", [4, 5]), ("aaaa:5", []), ("0", [1, 2, 3, 4, 5])])
async def test_a_cursor_is_continued(serve: Serve, data_dir: Path, after: str, seqs: list[int]) -> None:
    """A client with a cursor gets the updates after it, each once and in order, and then the live ones."""
    stored(data_dir, Robot(steps=5, writer=HTTP))
    client = await serve()
    async with native(client, after=after) as stream:
        message = await receive(stream)
        assert (message["recovered"], message["snapshot"]) == (True, None)
        assert (message["epoch"], message["seq"]) == ("aaaa", 5 - len(seqs))
        assert [(await receive(stream))["seq"] for _ in seqs] == seqs
        await post(client, etapa=6)
        assert (await receive(stream))["seq"] == 6


@pytest.mark.parametrize("after", ["bbbb:3", "aaaa:6", "aaaa:9999999999999999", "0:0"])
async def test_a_cursor_that_proves_nothing_gets_the_snapshot(serve: Serve, data_dir: Path, after: str) -> None:
    """For a cursor of another run, or beyond the last update, the sync has the snapshot, and ``recovered`` is false."""
    stored(data_dir, Robot(steps=5))
    async with native(await serve(), after=after) as stream:
        message = await receive(stream)
        assert (message["recovered"], message["seq"], message["snapshot"]["seq"]) == (False, 5, 5)
        assert await silent(stream)


@pytest.mark.parametrize(
    "after", ["", "x", "1", "aaaa", "aaaa:", ":5", "aaaa:-1", "aaaa:1.5", "aaaa:1 ", "á:1", "aaaa:1:1", "a" * 65 + ":1",
              "aaaa:" + "9" * 17, "00", "aaaa:1\n"]
)  # fmt: skip
async def test_a_cursor_that_is_none_is_refused(serve: Serve, after: str) -> None:
    """An invalid cursor is answered 400 ``bad_cursor`` instead of the handshake."""
    client = await serve()
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with native(client, after=after):
            pass
    assert caught.value.status == 400
    async with client.get(NATIVE, params={"after": after}) as response:
        body = await response.json()
    assert (body["type"], body["code"], body["temporary"]) == ("error", "bad_cursor", False)


# -- native: what the client may send


async def test_a_ping_is_answered(serve: Serve) -> None:
    """``ping`` is answered ``pong``, which pages use to detect a dead connection."""
    async with native(await serve()) as stream:
        await receive(stream)
        await stream.send_str('{"type": "ping", "more": 1}')
        assert await receive(stream) == {"type": "pong"}


@pytest.mark.parametrize(
    "text", ["", "{", "x", "[]", "5", "null", '"ping"', "NaN", '{"a": NaN}', '{"type": "subscribe"}', "{}",
             '{"type": "progress_update", "etapa": 1}', '{"type": null}', '{"type": ["ping"]}', "[" * 30_000]
)  # fmt: skip
async def test_nonsense_is_answered_with_an_error_frame(serve: Serve, text: str) -> None:
    """A text message that is not a ping is answered ``bad_message``; the connection stays open."""
    async with native(await serve()) as stream:
        await receive(stream)
        await stream.send_str(text)
        answer = await receive(stream)
        assert (answer["type"], answer["code"], answer["temporary"]) == ("error", "bad_message", False)
        assert "Traceback" not in answer["message"]
        await stream.send_json({"type": "ping"})
        assert await receive(stream) == {"type": "pong"}


async def test_binary_is_answered_with_an_error_frame(serve: Serve) -> None:
    """A binary message is answered ``bad_message``; the connection stays open."""
    async with native(await serve()) as stream:
        await receive(stream)
        await stream.send_bytes(b"\x00\xff")
        assert (await receive(stream))["code"] == "bad_message"
        assert not stream.closed


async def test_what_one_client_sends_reaches_no_other(serve: Serve) -> None:
    """Whatever a client sends, in either dialect, no other client receives it: nobody can forge an update."""
    client = await serve()
    forged = {"etapa": 9, "mensagem": "falso"}
    async with native(client) as watcher, native(client) as sender, plain(client) as plain_sender:
        await receive(watcher)
        await receive(sender)
        for stream in (sender, plain_sender):
            await stream.send_json(forged)
            await stream.send_json({"type": "progress_update", **forged})
            await receive(stream)
        assert await silent(watcher)


async def test_an_oversized_frame_closes_with_1009(serve: Serve) -> None:
    """A message of more than 64 KiB ends the connection with 1009; a smaller one does not."""
    async with native(await serve()) as stream:
        await receive(stream)
        await stream.send_str("x" * 65_000)
        assert (await receive(stream))["code"] == "bad_message"
        await stream.send_str("x" * 70_000)
        assert (await stream.receive(timeout=30)).type in (WSMsgType.CLOSE, WSMsgType.CLOSING)
        assert stream.close_code == 1009


# -- the handshake


@pytest.mark.parametrize("path", PLAIN)
async def test_a_plain_get_is_asked_to_upgrade(serve: Serve, path: str) -> None:
    """A request without an upgrade is answered 426 with the protocol to upgrade to."""
    async with (await serve()).get(path) as response:
        assert response.status == 426
        assert response.headers["Upgrade"].lower() == "websocket"
        assert (await response.json())["code"] == "upgrade_required"


async def test_an_unknown_websocket_version_is_refused(serve: Serve) -> None:
    """A handshake with an unknown WebSocket version is answered with an error object."""
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "99", "Sec-WebSocket-Key": "x"}
    async with (await serve()).get(NATIVE, headers=headers) as response:
        assert response.status in (400, 426)
        assert (await response.json())["type"] == "error"


async def test_the_subprotocol_is_chosen_among_others(serve: Serve) -> None:
    """``rpa.v1`` is chosen wherever it is offered; other protocols alone lead to the plan's dialect."""
    client = await serve()
    async with client.ws_connect(NATIVE, protocols=["mqtt", "rpa.v1"]) as stream:
        assert stream.protocol == "rpa.v1"
        assert (await receive(stream))["type"] == "sync"
    async with client.ws_connect(NATIVE, protocols=["rpa.v2"]) as stream:
        assert stream.protocol is None
        assert await silent(stream)


async def test_compression_is_not_agreed_on(serve: Serve) -> None:
    """Every client gets the same bytes, so an offer of compression is declined."""
    async with (await serve()).ws_connect(NATIVE, protocols=["rpa.v1"], compress=15) as stream:
        assert not stream.compress
        assert (await receive(stream))["type"] == "sync"


async def test_a_full_server_says_so(serve: Serve) -> None:
    """Beyond ``max_connections`` a client gets an error frame and code 1013, until another client has left."""
    client = await serve(max_connections=1)
    async with native(client) as first:
        await receive(first)
        for connect in (native, plain):
            async with connect(client) as stream:
                message = await receive(stream)
                assert (message["type"], message["code"], message["temporary"]) == ("error", "full", True)
                await stream.receive(timeout=30)
                assert stream.close_code == 1013
    await until(lambda: hub_of(client).connections == 0)
    async with native(client) as again:
        assert (await receive(again))["type"] == "sync"


# -- the end of a run, and of the server


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time between the final update and the end of streams from 2 s to 0.5 s."""
    monkeypatch.setattr(session, "GRACE_S", 0.5)


@pytest.mark.usefixtures("short_grace")
async def test_a_finished_run_closes_with_4410_behind_everything(serve: Serve) -> None:
    """A native client gets the final update, and then close code 4410, which means not to reconnect."""
    client = await serve()
    await post(client, etapa=14)
    async with native(client) as stream:
        await receive(stream)
        await post(client, status_final="success", dados_finais={"plano_recomendado": {"valor": "R$ 1"}})
        update = await receive(stream)
        assert (update["final"], update["estado"], update["percentual"]) == (True, "sucesso", 100.0)
        assert update["resultado"] == {"plano_recomendado": {"valor": "R$ 1"}}
        await stream.receive(timeout=30)
        assert stream.close_code == 4410


@pytest.mark.usefixtures("short_grace")
async def test_who_comes_behind_the_end_is_closed_too(serve: Serve, data_dir: Path) -> None:
    """A client that opens a finished run gets its snapshot, and then close code 4410."""
    robot = Robot(steps=3)
    robot.finish()
    stored(data_dir, robot)
    async with native(await serve()) as stream:
        assert (await receive(stream))["snapshot"]["final"] is True
        await stream.receive(timeout=30)
        assert stream.close_code == 4410


async def close_frames(client: Client, headers: str = "Sec-WebSocket-Protocol: rpa.v1\r\n") -> bytes:
    """Connect, close the hub, never answer its close frame; return every byte that came after the handshake."""
    reader, writer = await raw(client, headers)
    await asyncio.sleep(0.05)
    await hub_of(client).close()
    data = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return data


async def raw(client: Client, headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a WebSocket on a plain socket and read the answer to the handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        f"GET {NATIVE} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n".encode()
    )
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101")
    return reader, writer


async def test_a_socket_is_answered_once_its_session_was_read(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake is answered only once the session was read, so that clients which reconnect wait for the store."""
    client = await serve()
    read = asyncio.Event()

    async def wait(session_id: str, after: int | None = None) -> None:
        await read.wait()

    monkeypatch.setattr(store_of(client), "read", wait)
    opening = asyncio.create_task(raw(client, ""))
    await until(lambda: hub_of(client).connections == 1)
    await asyncio.sleep(0.05)
    assert not opening.done()
    read.set()
    _, writer = await opening
    writer.close()


async def test_a_restart_closes_native_clients_with_1012(serve: Serve) -> None:
    """A server that stops closes native clients with 1012, in a way that a strict WebSocket library accepts."""
    client = await serve()
    address = f"ws://127.0.0.1:{client.port}{NATIVE}"
    async with connect_strictly(address, subprotocols=[Subprotocol("rpa.v1")]) as stream:
        await stream.recv()
        closing = asyncio.create_task(hub_of(client).close())
        with pytest.raises(ConnectionClosed) as caught:
            await stream.recv()
        await closing
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012


async def test_a_restart_sends_one_close_frame(serve: Serve) -> None:
    """A client that never answers gets exactly one close frame, nothing after it, and the end of the connection."""
    data = await close_frames(await serve())
    start = data.index(b"\x88")
    assert data[start + 2 : start + 4] == (1012).to_bytes(2, "big")
    assert len(data) == start + 2 + data[start + 1]


async def test_a_restart_drops_plain_clients_without_a_close_frame(serve: Serve) -> None:
    """A stopping server aborts the plan's page (1006), since after a close frame it would never reconnect."""
    client = await serve()
    async with plain(client) as stream:
        await until(lambda: hub_of(client).connections == 1)
        closing = asyncio.create_task(hub_of(client).close())
        message = await stream.receive(timeout=30)
        await closing
        assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        assert stream.close_code == 1006


async def test_sigterm_ends_a_busy_server_quickly(data_dir: Path) -> None:
    """With fifty WebSockets and fifty event streams open, the process ends within five seconds of a SIGTERM."""
    with running(Server(data_dir)) as server:
        sockets = [SocketWatcher(server.url, f"s{number % 5}") for number in range(50)]
        streams = [EventWatcher(server.url, f"s{number % 5}") for number in range(50)]
        async with watching(*sockets, *streams):
            await until(lambda: all(watcher.messages for watcher in (*sockets, *streams)))
            took_s = await asyncio.to_thread(server.stop)
            await until(lambda: all(watcher.close_code for watcher in sockets))
        within(took_s, 5)
        assert {watcher.close_code for watcher in sockets} == {1012}
        assert "Traceback" not in server.log.read_text()


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize("headers", ["", "Sec-WebSocket-Protocol: rpa.v1\r\n"], ids=["plain", "native"])
async def test_who_stays_behind_the_end_does_not_hold_up_a_restart(serve: Serve, data_dir: Path, headers: str) -> None:
    """A client that stays connected after its run has ended, and sends nothing, delays a restart by less than 5 s."""
    robot = Robot(steps=3)
    robot.finish()
    stored(data_dir, robot)
    client = await serve()
    reader, writer = await raw(client, headers)
    await asyncio.sleep(0.2)
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(20):
        await client.server.close()
    within(asyncio.get_running_loop().time() - began, 5)
    await asyncio.wait_for(reader.read(), 1)
    writer.close()


# -- clients that leave, or do not read


async def test_who_leaves_is_forgotten(serve: Serve) -> None:
    """A client that closes, disconnects, or sends a ping and disconnects is unregistered within a second."""
    client = await serve()
    for end in ("close", "drop", "speak and drop"):
        reader, writer = await raw(client, "Sec-WebSocket-Protocol: rpa.v1\r\n")
        await reader.read(1)
        assert hub_of(client).connections == 1
        if end == "close":
            writer.write(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
        elif end == "speak and drop":
            writer.write(b"\x81\x8f\x00\x00\x00\x00" + b'{"type":"ping"}')
        writer.transport.abort() if "drop" in end else writer.close()
        await until(lambda: hub_of(client).connections == 0, 1)


async def test_who_leaves_in_mid_sentence_is_no_error(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """A client that sends a thousand pings and leaves without reading the answers causes no warning in the log."""
    client = await serve()
    for _ in range(10):
        _, writer = await raw(client, "Sec-WebSocket-Protocol: rpa.v1\r\n")
        writer.write((b"\x81\x8f\x00\x00\x00\x00" + b'{"type":"ping"}') * 1000)
        await asyncio.sleep(0)
        writer.transport.abort()
    await until(lambda: hub_of(client).connections == 0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_silent_client_is_dropped(serve: Serve) -> None:
    """A client that does not answer the heartbeat's ping frames is dropped."""
    client = await serve(heartbeat_s=0.1)
    reader, writer = await raw(client, "Sec-WebSocket-Protocol: rpa.v1\r\n")
    data = await asyncio.wait_for(reader.read(), 30)
    assert b"\x89" in data
    await until(lambda: hub_of(client).connections == 0)
    writer.close()


async def test_a_stalled_client_is_dropped_and_the_others_are_served(
    serve: Serve, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that accepts no data for STALL_S is aborted; meanwhile another client gets every update."""
    monkeypatch.setattr(audience, "STALL_S", 0.3)
    robot = stored(data_dir, Robot(steps=1))
    client = await serve()
    stalled = socket.create_connection(("127.0.0.1", client.port))
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.sendall(
        f"GET {NATIVE} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rpa.v1\r\n\r\n".encode()
    )
    async with native(client) as stream:
        await receive(stream)
        await until(lambda: hub_of(client).connections == 2)
        for _ in range(100):
            hub_of(client).publish(SESSION, robot.step("x" * 100_000))
            await receive(stream)
        await until(lambda: hub_of(client).counters.aborted == 1)
        await until(lambda: hub_of(client).connections == 1)
    stalled.close()


async def test_a_slow_client_gets_everything_in_order(serve: Serve, data_dir: Path) -> None:
    """A client that stops reading for a while continues where it was, with no update lost or repeated."""
    robot = stored(data_dir, Robot(steps=1))
    client = await serve()
    reader, writer = await raw(client, "Sec-WebSocket-Protocol: rpa.v1\r\n")
    await until(lambda: hub_of(client).connections == 1)
    await asyncio.sleep(0.05)
    for _ in range(200):
        hub_of(client).publish(SESSION, robot.step("x" * 50_000))
    seqs: list[int] = []
    async with asyncio.timeout(10):
        while len(seqs) < 200:
            head = await reader.readexactly(2)
            size = int.from_bytes(await reader.readexactly(2), "big") if head[1] == 126 else head[1]
            message = json.loads(await reader.readexactly(size))
            if message["type"] == "progress_update":
                seqs.append(message["seq"])
    assert seqs == list(range(2, 202))
    assert hub_of(client).counters.resets == 0
    writer.close()


# -- the plan's dialect


@pytest.mark.parametrize("path", PLAIN)
async def test_the_plain_dialect_begins_with_the_stored_state(serve: Serve, data_dir: Path, path: str) -> None:
    """Without the subprotocol the stored state comes first, as an update and without a sync; then updates follow."""
    stored(data_dir, Robot(steps=5, writer=HTTP))
    client = await serve()
    async with plain(client, path) as stream:
        assert stream.protocol is None
        first = await receive(stream)
        assert (first["type"], first["etapa"], first["mensagem"]) == ("progress_update", 5, "Passo 5")
        await post(client, etapa=6, mensagem="Tela 6")
        update = await receive(stream)
        assert (update["type"], update["etapa"], update["mensagem"]) == ("progress_update", 6, "Tela 6")


@pytest.mark.parametrize("path", PLAIN)
async def test_the_plain_dialect_says_nothing_of_an_unknown_session(serve: Serve, path: str) -> None:
    """Without the subprotocol nothing comes for an unknown session before its first update."""
    client = await serve()
    async with plain(client, path) as stream:
        assert await silent(stream)
        await post(client, etapa=1)
        assert (await receive(stream))["evento"] == "inicio"


@pytest.mark.parametrize("path", PLAIN)
async def test_the_plain_dialect_sends_estimates_twice(serve: Serve, path: str) -> None:
    """Without the subprotocol each update with estimates is followed by a frame of these alone, which adds ``nome``."""
    client = await serve()
    await post(client, etapa=4)
    async with plain(client, path) as stream:
        await receive(stream)
        await post(client, etapa=5, estimativas=ESTIMATES)
        messages = [await receive(stream) for _ in range(4)]
        assert [message["type"] for message in messages] == ["progress_update", "estimativas"] * 2
        for message in messages[1::2]:
            (item,) = message["estimativas"]["coberturas_detalhadas"]
            assert (item["nome"], item["nome_cobertura"]) == ("Compreensiva", "Compreensiva")
    async with plain(client, path) as late:
        assert [(await receive(late))["type"] for _ in range(2)] == ["progress_update", "estimativas"]


@pytest.mark.parametrize("path", PLAIN)
async def test_the_plain_dialect_echoes_to_the_sender_alone(serve: Serve, path: str) -> None:
    """Without the subprotocol an object without ``type`` is returned to its sender unchanged, and to nobody else."""
    client = await serve()
    async with plain(client, path) as sender, plain(client, path) as other:
        await sender.send_str('{"etapa": 1,  "mensagem": "olá"}')
        assert (await sender.receive(timeout=30)).data == '{"etapa": 1,  "mensagem": "olá"}'
        await sender.send_json({"type": "ping"})
        assert await receive(sender) == {"type": "pong"}
        for nonsense in ("{", "[]", '{"type": "progress_update"}'):
            await sender.send_str(nonsense)
            assert (await receive(sender))["code"] == "bad_message"
        assert await silent(other)


@pytest.mark.usefixtures("short_grace")
async def test_the_plain_dialect_stays_open_behind_the_end(serve: Serve) -> None:
    """Without the subprotocol the socket stays open after the end, so that the page gets what the robot adds later."""
    client = await serve()
    await post(client, etapa=14)
    async with plain(client) as stream:
        await receive(stream)
        await post(client, status_final="success")
        assert (await receive(stream))["final"] is True
        await asyncio.sleep(0.2)
        await post(client, etapa=15, mensagem="mais")
        assert (await receive(stream))["mensagem"] == "mais"


# -- with Redis


async def test_a_robot_on_redis_is_followed_live(serve: Serve, redis_process: RedisServer) -> None:
    """Updates of a tracker reach both dialects through Redis, and so does another writer's unnumbered message."""
    client = await serve(redis_url=redis_process.url)
    async with native(client) as modern, plain(client) as old:
        await receive(modern)
        with redis_process.client() as connection:
            tracker = await asyncio.to_thread(
                lambda: ProgressTracker(session_id=SESSION, redis_client=connection, usar_arquivo=False)
            )
            await asyncio.to_thread(tracker.update_progress, 1, "Tela 1")
            for stream in (modern, old):
                updates = [await receive(stream) for _ in range(2)]
                assert [update["seq"] for update in updates] == [1, 2]
            bare = {"etapa": 2, "mensagem": "Tela 2", "timestamp": "x", "dados_extra": {}}
            await asyncio.to_thread(connection.publish, f"rpa_progress:{SESSION}", json.dumps(bare))
        for stream in (modern, old):
            assert await receive(stream) == {"type": "progress_update", **bare}
