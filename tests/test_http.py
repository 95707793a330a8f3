"""Every route, over real HTTP: what it answers, and what it answers to nonsense."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from rpa_server import app as application
from rpa_server import keys
from rpa_server.config import Settings
from rpa_server.documents import State
from rpa_server.naming import file_name

from .support import RedisServer, until

Client = TestClient[web.Request, web.Application]
Connect = Callable[[web.Application], Awaitable[Client]]
STEP = {"etapa": 1, "mensagem": "Tela 1"}
ESTIMATES = {"coberturas_detalhadas": [{"nome_cobertura": "X", "valores": {"de": "R$ 1,00", "ate": "R$ 2,00"}}]}

BAD_IDS = ["..%2Fx", "%2e%2e%2fx", "%00", "a" * 10_000, "*", "a%3Fb", "%5Ba%5D", ".x", "-x", "a..b", "%C3%A9", "a%20b"]


@pytest.fixture
async def client(aiohttp_client: Connect, data_dir: Path) -> Client:
    """The application in this process, on files alone."""
    return await aiohttp_client(application.build(Settings(redis_url=None, data_dir=str(data_dir), heartbeat_s=0.2)))


async def publish(client: Client, session_id: str, *bodies: dict[str, Any]) -> dict[str, Any]:
    """Publish updates over HTTP; return the last answer."""
    answer: dict[str, Any] = {}
    for body in bodies:
        response = await client.post(f"/api/sessions/{session_id}/events", json=body)
        assert response.status == 201, await response.text()
        answer = await response.json()
    return answer


async def error_of(response: Any, status: int) -> str:
    """Check that the answer is an error object with *status*; return its code."""
    assert response.status == status
    assert response.headers["Content-Type"].startswith("application/json")
    body = await response.json()
    assert set(body) == {"type", "code", "message", "temporary"}
    assert body["type"] == "error"
    assert "Traceback" not in body["message"]
    return str(body["code"])


@pytest.mark.parametrize("bad", BAD_IDS, ids=lambda text: text[:12])
@pytest.mark.parametrize("address", ["/rpa/{}", "/events/{}", "/api/sessions/{}", "/ws/rpa/{}", "/session/{}"])
async def test_a_bad_session_id_is_refused_at_the_edge(client: Client, data_dir: Path, address: str, bad: str) -> None:
    """A bad id is a 400 in JSON and never becomes a file."""
    from yarl import URL

    response = await client.get(URL(address.format(bad), encoded=True))
    assert await error_of(response, 400) == "bad_session_id"
    assert [path for path in data_dir.parent.rglob("*") if "x" in path.name] == []


async def test_a_bad_session_id_never_becomes_a_key(
    aiohttp_client: Connect, data_dir: Path, redis_process: RedisServer
) -> None:
    """With Redis, no command names a bad id."""
    app = application.build(Settings(redis_url=redis_process.url, data_dir=str(data_dir)))
    client = await aiohttp_client(app)
    with redis_process.client() as redis, redis.monitor() as monitor:
        for bad in ("*", "..x", "-x"):
            assert (await client.get(f"/api/sessions/{bad}")).status == 400
            assert (await client.post(f"/api/sessions/{bad}/events", json=STEP)).status == 400
        assert (await client.get("/api/sessions/good")).status == 404
        seen = ""
        while "rpa:progress:good" not in seen:
            seen = str((await asyncio.to_thread(monitor.next_command))["command"])
            assert not any(f":{bad}" in seen for bad in ("*", "..x", "-x"))


async def test_what_is_not_there_is_told_in_json(client: Client) -> None:
    """404, 405 with Allow, 426: an error object each."""
    assert await error_of(await client.get("/nothing"), 404) == "not_found"
    response = await client.post("/rpa/abc")
    assert await error_of(response, 405) == "method_not_allowed"
    assert "GET" in response.headers["Allow"]
    assert await error_of(await client.get("/rpa/abc"), 426) == "upgrade_required"
    assert await error_of(await client.get("/api/sessions/unknown"), 404) == "session_not_found"
    assert await error_of(await client.get("/static/"), 404) == "not_found"
    assert await error_of(await client.get("/api/sessions/a?after=zzz"), 400) == "bad_cursor"
    assert await error_of(await client.get("/api/sessions/a?wait=soon"), 400) == "bad_request"
    assert await error_of(await client.get("/api/sessions", headers={"X-Forwarded-For": "10.0.0.1"}), 403) == "forbidden"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_request"),
        (b"[]", 400, "bad_request"),
        (b'{"etapa": NaN}', 400, "bad_request"),
        (b"[" * 20_000, 400, "bad_request"),
        (b'{"etapa": "x"}', 400, "bad_request"),
        (b'{"mensagem": "x"}', 400, "bad_request"),
        (b'{"etapa": 1, "erro": "x"}', 400, "bad_request"),
        (b'{"etapa": 1, "other": 1}', 400, "bad_request"),
        (b" " * 70_000, 413, "too_large"),
    ],
    ids=range(9),
)
async def test_a_bad_body_is_refused(client: Client, body: bytes, status: int, code: str) -> None:
    """What can't be an update is told why, in JSON."""
    headers = {"Content-Type": "application/json"}
    assert await error_of(await client.post("/api/sessions/a/events", data=body, headers=headers), status) == code


async def test_a_body_that_is_not_json_is_415(client: Client) -> None:
    """The content type has to be JSON."""
    assert await error_of(await client.post("/api/sessions/a/events", data=b"x"), 415) == "unsupported_media_type"


async def test_a_handler_that_fails_answers_in_json(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake of ours is a 500 object; its cause is in the log alone."""
    client.app[keys.HUB].session = None  # type: ignore[method-assign,assignment]
    assert await error_of(await client.get("/api/sessions/a"), 500) == "internal"
    assert "TypeError" in caplog.text


async def test_published_updates_are_numbered_and_polled(client: Client) -> None:
    """Steps, estimates, errors and the end count on; the poll hands out what is new, once."""
    first = await publish(client, "a", STEP)
    assert first["seq"] == 2
    await publish(client, "a", {"etapa": 5, "mensagem": "Tela 5", "estimativas": ESTIMATES}, {"erro": "x", "contexto": "y"})
    last = await publish(client, "a", {"status_final": "success", "dados_finais": {"plano_recomendado": {"valor": "R$1"}}})
    response = await client.get("/api/sessions/a", params={"after": f"{first['epoch']}:{first['seq']}"})
    answer = await response.json()
    assert answer["recovered"] is True
    assert [update["seq"] for update in answer["updates"]] == list(range(3, last["seq"] + 1))
    assert [update["evento"] for update in answer["updates"]] == ["progresso", "estimativas", "erro", "final"]
    assert answer["snapshot"]["estimativas"] == ESTIMATES
    assert answer["snapshot"]["resultado"] == {"plano_recomendado": {"valor": "R$1"}}
    again = await client.get("/api/sessions/a", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status == 304
    listed = await (await client.get("/api/sessions")).json()
    assert [brief["session_id"] for brief in listed["sessions"]] == ["a"]
    assert "dados_extra" not in listed["sessions"][0]


async def test_the_list_waits_no_longer_than_it_is_asked_to(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever takes long to be read is missing and counted; nobody else waits for it either."""
    for session_id in ("a", "b", "slow"):
        await publish(client, session_id, STEP)
    assert isinstance(client.app, web.Application)
    store = client.app[keys.STORE]
    read = store.read

    async def slowly(session_id: str) -> State | None:
        await asyncio.sleep(0.2 if session_id == "slow" else 0)
        return await read(session_id)

    monkeypatch.setattr(store, "read", slowly)
    for query, names, unread in (("", {"a", "b"}, 1), ("?wait=5", {"a", "b", "slow"}, 0)):
        listed = await (await client.get(f"/api/sessions{query}")).json()
        assert ({brief["session_id"] for brief in listed["sessions"]}, listed["unread"]) == (names, unread)


async def test_a_step_zero_behind_the_end_begins_a_new_run(client: Client) -> None:
    """A finished session can be run again: new epoch, numbers from the start."""
    old = await publish(client, "a", STEP, {"status_final": "error", "erro_final": "Cotação manual necessária"})
    poll = await (await client.get("/api/sessions/a")).json()
    assert poll["snapshot"]["estado"] == "cotacao_manual"
    new = await publish(client, "a", {"etapa": 0, "mensagem": "de novo"})
    assert new["epoch"] != old["epoch"]
    assert new["seq"] == 2
    foreign = await (await client.get("/api/sessions/a", params={"after": f"{old['epoch']}:3"})).json()
    assert foreign["recovered"] is False


@pytest.mark.parametrize("backed", [False, True], ids=["files", "redis"])
async def test_concurrent_publishers_never_collide(
    aiohttp_client: Connect, data_dir: Path, redis_process: RedisServer, backed: bool
) -> None:
    """Twenty at once get twenty numbers in a row."""
    url = redis_process.url if backed else None
    client = await aiohttp_client(application.build(Settings(redis_url=url, data_dir=str(data_dir))))
    await publish(client, "a", STEP)
    answers = await asyncio.gather(*(publish(client, "a", {"etapa": n}) for n in range(1, 21)))
    assert sorted(answer["seq"] for answer in answers) == list(range(3, 23))


async def test_a_waiting_poll_wakes_at_once(client: Client) -> None:
    """wait holds the answer back until there is something, for a session that nobody knows, too."""
    waiting = asyncio.create_task(client.get("/api/sessions/later?wait=5"))
    await until(lambda: client.app[keys.HUB].connections == 1)
    await publish(client, "later", STEP)
    async with asyncio.timeout(2):
        response = await waiting
    assert response.status == 200
    cursor = (await response.json())["seq"]
    assert cursor >= 1
    timed_out = await client.get("/api/sessions/never?wait=0.05")
    assert timed_out.status == 404


async def test_native_socket_resumes_and_answers(client: Client) -> None:
    """sync, ping, nonsense, resume from the start, an unknown cursor, the end with 4410."""
    await publish(client, "a", STEP)
    socket = await client.ws_connect("/rpa/a", protocols=["rpa.v1"])
    sync = await socket.receive_json()
    assert (sync["type"], sync["recovered"], sync["seq"], sync["heartbeat_ms"]) == ("sync", False, 2, 200)
    await socket.send_str('{"type": "ping"}')
    assert await socket.receive_json() == {"type": "pong"}
    for nonsense in ("{", "[]", '{"type": "x"}', '{"etapa": 1}'):
        await socket.send_str(nonsense)
        assert (await socket.receive_json())["code"] == "bad_message"
    await socket.send_bytes(b"x")
    assert (await socket.receive_json())["code"] == "bad_message"
    await publish(client, "a", {"status_final": "success"})
    assert (await socket.receive_json())["final"] is True
    closing = await socket.receive(timeout=5)
    assert closing.data == 4410
    whole = await client.ws_connect("/rpa/a?after=0", protocols=["rpa.v1"])
    messages = [await whole.receive_json() for _ in range(4)]
    assert [message["seq"] for message in messages] == [0, 1, 2, 3]
    assert messages[0]["recovered"] is True
    future = await client.ws_connect(f"/rpa/a?after={sync['epoch']}:99", protocols=["rpa.v1"])
    assert (await future.receive_json())["recovered"] is False
    refused = await client.get("/rpa/a?after=!", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert await error_of(refused, 400) == "bad_cursor"
    for opened in (whole, future):
        await opened.close()


async def test_an_oversized_message_closes_the_socket(client: Client) -> None:
    """A client that sends too much is closed with 1009."""
    socket = await client.ws_connect("/rpa/a", protocols=["rpa.v1"])
    await socket.receive_json()
    await socket.send_str("x" * 70_000)
    assert (await socket.receive(timeout=5)).data == 1009


async def test_plain_sockets_echo_to_the_sender_alone(client: Client) -> None:
    """Without the subprotocol: the stored state as an update, names filled in, echo for the sender."""
    await publish(client, "a", {"etapa": 5, "mensagem": "Tela 5", "estimativas": ESTIMATES})
    one = await client.ws_connect("/ws/rpa/a")
    other = await client.ws_connect("/session/a")
    for socket in (one, other):
        snapshot, estimates = await socket.receive_json(), await socket.receive_json()
        assert (snapshot["type"], snapshot["etapa"]) == ("progress_update", 5)
        assert estimates["type"] == "estimativas"
        assert estimates["estimativas"]["coberturas_detalhadas"][0]["nome"] == "X"
    await one.send_str('{"etapa": 9}')
    assert await one.receive_json() == {"etapa": 9}
    await one.send_str('{"type": "ping"}')
    assert await one.receive_json() == {"type": "pong"}
    with pytest.raises(TimeoutError):
        await other.receive_json(timeout=0.05)


async def test_a_full_server_says_so(aiohttp_client: Connect, data_dir: Path) -> None:
    """Beyond the limit: 1013 with the reason in a frame, 503 with Retry-After on HTTP; others are served on."""
    settings = Settings(redis_url=None, data_dir=str(data_dir), max_connections=1)
    client = await aiohttp_client(application.build(settings))
    first = await client.ws_connect("/rpa/a", protocols=["rpa.v1"])
    second = await client.ws_connect("/rpa/a", protocols=["rpa.v1"])
    assert (await second.receive_json())["code"] == "full"
    assert (await second.receive(timeout=5)).data == 1013
    response = await client.get("/events/a")
    assert await error_of(response, 503) == "full"
    assert response.headers["Retry-After"]
    assert (await first.receive_json())["type"] == "sync"


async def test_event_streams_resume_and_end(client: Client) -> None:
    """Headers, ids, heartbeat, the end behind the final update, 204 for who has everything."""
    await publish(client, "a", STEP)
    hub = client.app[keys.HUB]
    response = await client.get("/events/a")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert "no-store" in response.headers["Cache-Control"]
    lines: list[bytes] = []
    while not any(line.startswith(b":") for line in lines):
        lines.append(await response.content.readline())
    assert lines[0].startswith(b"retry: ")
    await publish(client, "a", {"status_final": "success"})
    rest = await asyncio.wait_for(response.content.read(), 5)
    cursor = rest.rpartition(b"id: ")[2].split(b"\n")[0].decode()
    assert cursor.endswith(":3")
    done = await client.get("/events/a", headers={"Last-Event-ID": cursor})
    assert done.status == 204
    odd = await client.get("/events/a", headers={"Last-Event-ID": "of another server"})
    assert odd.status == 200
    odd.close()
    plain = await client.get("/rpa_progress_sse.php?session_id=a")
    text = b""
    while b"data: " not in text:
        text = await plain.content.readline()
    assert json.loads(text[6:])["etapa"] == 15
    plain.close()
    await until(lambda: hub.connections == 0, 2.0)


async def test_an_old_proxy_gets_no_chunks(client: Client) -> None:
    """HTTP/1.0 knows no chunked coding: the events come as they are."""
    await publish(client, "a", STEP)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"GET /events/a HTTP/1.0\r\nHost: x\r\n\r\n")
    text = await asyncio.wait_for(reader.readuntil(b'"type":"sync"'), 5)
    assert b"chunked" not in text
    assert b"\nid: " in text
    writer.close()
    await writer.wait_closed()


async def test_operators_get_their_figures(client: Client) -> None:
    """Alive, ready, metrics and status."""
    assert (await client.get("/health/live")).status == 200
    assert (await (await client.get("/health/ready")).json())["redis"] == "none"
    assert "rpa_connections 0.0" in await (await client.get("/metrics")).text()
    assert (await (await client.get("/status")).json())["connections"] == 0


@pytest.mark.parametrize("kind", ["progress", "history"])
async def test_broken_files_are_not_found_rather_than_failed(client: Client, data_dir: Path, kind: str) -> None:
    """A file that is none is as if it were not there; a good one beside it is enough."""
    data_dir.mkdir(exist_ok=True)
    for number, content in enumerate([b"", b"{", b"[]", b"\xff", b'{"historico": 3}', b"null"]):
        (data_dir / file_name(kind, f"b{number}")).write_bytes(content)
        assert (await client.get(f"/api/sessions/b{number}")).status in (200, 404)


async def test_the_page_is_served_under_a_strict_policy(client: Client) -> None:
    """The page comes with its policy; its files come as what they are."""
    page = await client.get("/")
    assert page.status == 200
    assert "trusted-types 'none'" in page.headers["Content-Security-Policy"]
    assert (await client.get("/static/page.js")).content_type in ("text/javascript", "application/javascript")
