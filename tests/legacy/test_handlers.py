"""The deployed addresses over real HTTP."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rpa_server.backends.files import json_files
from rpa_server.backends.files.names import file_name
from rpa_server.errors import Forbidden, StorageUnavailable
from rpa_server.http import params
from rpa_server.http.admission import Admitted, Request, Rules
from rpa_server.http.keys import STORE, SUBSCRIBER
from rpa_server.progress.outcome import SILENCE_AFTER_FAILURE_S, SILENCE_S
from tests.support import deployed, pages, recordings
from tests.support.application import Client, Connect, Serve, post, starter
from tests.support.recordings import Document
from tests.support.server import RedisServer, until
from tests.support.sessions import SESSION, Robot

PREFIXES = ["/api/rpa/progress/", "/rpa/progress/", "/progress/"]
FULL = ["/get_progress.php", "/get_progress_completo.php", "/get_progress_fixed.php"]


def put(directory: Path, kind: str, session_id: str, document: Document | str) -> Path:
    """Write the file directly, without a temporary file, as the deployed robot does."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / file_name(kind, session_id)
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


async def body_of(response: Any) -> Document:
    """Check the headers and the layout that all answers share; return the parsed body."""
    assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    text = (await response.read()).decode()
    assert text.startswith('{\n    "success": ')
    body: Document = json.loads(text)
    return body


async def get(client: Client, path: str, status: int = 200, **more: Any) -> Document:
    response = await client.get(path, **more)
    assert response.status == status
    return await body_of(response)


# -- progress


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("slash", ["", "/", "//"])
async def test_progress_is_served_with_and_without_its_prefix(
    serve: Serve, data_dir: Path, prefix: str, slash: str
) -> None:
    """The answer is the same under ``/api/rpa``, ``/rpa`` and no prefix, whatever slashes follow the id."""
    client = await serve()
    put(data_dir, "history", "s1", {**recordings.ALL["success"], "session_id": "s1"})
    body = await get(client, f"{prefix}s1{slash}")
    assert body["session_id"] == "s1"
    assert pages.production(body) == ("success", ("R$ 3.210,98", "R$ 2.109,87"))


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_an_unknown_session_is_waiting(serve: Serve, prefix: str) -> None:
    """An unknown session gets the deployed answer with 200, since several pages stop for good on a 404."""
    body = await get(await serve(), f"{prefix}nobody")
    theirs = deployed.progress("nobody", {}, body["timestamp"])
    assert {key: body[key] for key in ("success", "session_id", "timestamp")} == {
        key: theirs[key] for key in ("success", "session_id", "timestamp")
    }
    assert {key: body["progress"][key] for key in theirs["progress"]} == theirs["progress"]


@pytest.mark.parametrize("bad", ["a%2Fb", "a/b", "..%2Fx", ".x", "-x", "a..b", "%C3%A9", "a%20b", "a%0A", "*", "a" * 200])
async def test_a_bad_id_is_refused_in_the_deployed_words(serve: Serve, bad: str) -> None:
    """An invalid id gets 200 with the deployed text, under both names by which pages look for it."""
    body = await get(await serve(), f"/api/rpa/progress/{bad}")
    assert (body["success"], body["code"]) == (False, 400)
    assert body["error"] == body["message"] == "Session ID inválido"
    assert list(body)[:4] == ["success", "error", "code", "timestamp"]


@pytest.mark.parametrize("path", [f"{PREFIXES[0]}s1?", f"{FULL[0]}?session=s1&"])
@pytest.mark.parametrize("query", ["after=x", "wait=x", "after=&wait=-1"])
async def test_parameters_of_the_native_addresses_mean_nothing(
    serve: Serve, data_dir: Path, path: str, query: str
) -> None:
    """``after`` and ``wait``, which only native addresses use, are ignored, even with values invalid there."""
    client = await serve()
    put(data_dir, "history", "s1", {**recordings.ALL["success"], "session_id": "s1"})
    assert (await get(client, path + query))["success"] is True


async def test_whatever_admission_refuses_is_said_in_the_deployed_shape(
    serve: Serve, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What admission refuses gets 200 in the deployed shape, on the event stream 403, and the session is not read."""
    client = await serve()
    assert isinstance(client.app, web.Application)

    def refuse(request: Request, rules: Rules) -> Admitted:
        raise Forbidden("Not for you.")

    async def fail(session_id: str, after: int | None = None) -> None:
        pytest.fail("the session was read")

    monkeypatch.setattr(params, "admit", refuse)
    monkeypatch.setattr(client.app[STORE], "read", fail)
    body = await get(client, "/api/rpa/progress/s1")
    assert (body["success"], body["code"], body["error"], body["message"]) == (False, 403, "Not for you.", "Not for you.")
    body = await get(client, "/get_progress.php?session=s1")
    assert (body["success"], body["error"]) == (False, "Not for you.")
    response = await client.get("/progress_sse.php?session_id=s1")
    assert (response.status, (await response.json())["code"]) == (403, "forbidden")


async def test_an_id_with_dots_is_served(serve: Serve, data_dir: Path) -> None:
    """An id with dots, made by one generation of the start page, is served, though the deployed address refuses it."""
    name = "rpa_v6.9.0_20251009_101010_ab12cd34"
    client = await serve()
    put(data_dir, "history", name, recordings.ALL["stuck"])
    assert (await get(client, f"/api/rpa/progress/{name}"))["progress"]["status"] == "iniciando"


async def test_the_bytes_are_laid_out_as_php_does(serve: Serve, data_dir: Path) -> None:
    """The answer's JSON is indented by four spaces, with unescaped letters and escaped slashes."""
    client = await serve()
    history = recordings.prefixes(recordings.ALL["success"])[6]
    history["historico"][-1]["mensagem"] = "Cotação 1/2"
    put(data_dir, "history", "s1", history)
    text = await (await client.get("/api/rpa/progress/s1")).text()
    assert '\n        "mensagem": "Cotação 1\\/2",\n' in text


async def test_a_torn_file_is_waited_out(serve: Serve, data_dir: Path) -> None:
    """While a file is torn the answer stays the same, or "waiting"; the deployed reader would report a failure."""
    client = await serve()
    whole = json.dumps(recordings.ALL["success"])
    put(data_dir, "history", "s1", whole)
    before = await get(client, "/api/rpa/progress/s1")
    for torn in ("", whole[: len(whole) // 2]):
        put(data_dir, "history", "s1", torn)
        body = await get(client, "/api/rpa/progress/s1")
        assert body["success"] is True
        assert body["progress"] == before["progress"]
    put(data_dir, "history", "s2", "")
    assert (await get(client, "/api/rpa/progress/s2"))["progress"]["status"] == "waiting"


async def test_a_store_that_does_not_answer_is_waited_out(
    serve: Serve, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no store answers, the answer is that of the last seen state, or "waiting" if none was seen."""
    client = await serve()
    put(data_dir, "history", "s1", recordings.prefixes(recordings.ALL["success"])[20])
    before = await get(client, "/api/rpa/progress/s1")

    async def fail(session_id: str, after: int | None = None) -> None:
        raise StorageUnavailable("The test's store is down.")

    assert isinstance(client.app, web.Application)
    monkeypatch.setattr(client.app[STORE], "read", fail)
    assert (await get(client, "/api/rpa/progress/s1"))["progress"] == before["progress"]
    assert (await get(client, "/api/rpa/progress/s2"))["progress"]["status"] == "waiting"


async def test_a_run_that_nobody_writes_any_more_is_reported_as_such(serve: Serve, data_dir: Path) -> None:
    """A run whose file was last written over SILENCE_S ago is answered as ``error``, until its robot writes again."""
    client = await serve()
    parts = recordings.prefixes(recordings.ALL["success"])
    path = put(data_dir, "history", "s1", parts[20])
    assert (await get(client, "/api/rpa/progress/s1"))["progress"]["status"] == "executando"
    long_ago = time.time() - SILENCE_S - 1
    os.utime(path, (long_ago, long_ago))
    body = await get(client, "/api/rpa/progress/s1")
    assert (body["progress"]["status"], body["mensagem"]) == ("error", "Sem notícias do robô há mais de 15 minutos")
    put(data_dir, "history", "s1", parts[21])
    assert (await get(client, "/api/rpa/progress/s1"))["progress"]["status"] == "executando"


async def test_a_robot_of_ours_in_redis_is_answered_the_same_way(
    aiohttp_client: Connect, data_dir: Path, redis_process: RedisServer
) -> None:
    """A run published over HTTP and stored in Redis is answered like one that a robot wrote into files."""
    client = await starter(aiohttp_client, data_dir)(redis_url=redis_process.url)
    await post(client, etapa=5, mensagem="Tela 5 concluída", estimativas={"coberturas_detalhadas": []})
    body = await get(client, f"/api/rpa/progress/{SESSION}")
    assert (body["progress"]["etapa_atual"], body["progress"]["status"]) == (5, "executando")
    assert body["progress"]["estimativas"]["capturadas"] is True
    await post(client, status_final="success", dados_finais=recordings.plans())
    body = await get(client, f"/api/rpa/progress/{SESSION}")
    assert pages.modal_v6(body) == ("success", ("R$ 3.210,98", "R$ 2.109,87"))


# -- the older readers


@pytest.mark.parametrize("path", FULL)
async def test_the_older_readers_answer_for_the_session_that_was_asked_for(
    serve: Serve, data_dir: Path, path: str
) -> None:
    """The older readers answer for the given session, not for the newest file as the deployed get_progress.php does."""
    client = await serve()
    put(data_dir, "history", "aaaa", recordings.ALL["success"])
    put(data_dir, "history", "zzzz", recordings.ALL["manual"])
    response = await client.get(path, params={"session": "aaaa", "mode": "both", "history_limit": "50"})
    body = await body_of(response)
    assert (body["data"]["session_id"], body["data"]["status"]) == ("aaaa", "success")
    assert response.headers["Cache-Control"] == "no-cache, must-revalidate"
    assert (await get(client, path, params={"session": "mmmm"}))["data"]["status"] == "waiting"
    assert (await get(client, path, params={"session": "../x"}))["success"] is False


@pytest.mark.parametrize(("path", "status"), list(zip(FULL, [200, 400, 400], strict=True)))
async def test_the_older_readers_ask_for_a_session_as_they_did(serve: Serve, path: str, status: int) -> None:
    """Without a session, get_progress.php answers with 200 and the other two with 400, as the deployed ones do."""
    body = await get(await serve(), path, status)
    assert body["message"] == body["error"] == "Session ID obrigatório"


# -- other addresses and methods


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("POST", "/api/rpa/start", "Endpoint não encontrado"),
        ("POST", "/rpa/start", "Endpoint não encontrado"),
        ("POST", "/api/rpa/cleanup", "Endpoint não encontrado"),
        ("DELETE", "/api/rpa/stop/s1", "Endpoint não encontrado"),
        ("GET", "/api/rpa/sessions", "Endpoint não encontrado"),
        ("GET", "/rpa/sessions", "Endpoint não encontrado"),
        ("GET", "/api/rpa/status/s1", "Endpoint não encontrado"),
        ("GET", "/api/rpa/monitor/s1", "Endpoint não encontrado"),
        ("GET", "/api/rpa/logs/s1?limit=100", "Endpoint não encontrado"),
        ("GET", "/api/rpa/progress", "Endpoint não encontrado"),
        ("GET", "/progress", "Endpoint não encontrado"),
        ("GET", "/progress/", "Endpoint não encontrado"),
        ("GET", "/api/rpa/", "Endpoint não encontrado"),
        ("GET", "/api/rpa", "Endpoint não encontrado"),
        ("GET", "/api/rpa/health/x", "Endpoint não encontrado"),
        ("PUT", "/api/rpa/progress/s1", "Método não permitido"),
        ("PATCH", "/api/rpa/x", "Método não permitido"),
    ],
)
async def test_what_is_not_served_is_refused_in_the_deployed_words(
    serve: Serve, data_dir: Path, method: str, path: str, error: str
) -> None:
    """An address or method that is not served gets 200 with the deployed text, and its body is not stored."""
    client = await serve()
    put(data_dir, "history", "s1", recordings.ALL["success"])
    data = b'{"cpf":"11144477735"}' if method == "POST" else None
    response = await client.request(method, path, data=data)
    assert response.status == 200
    body = await body_of(response)
    assert (body["success"], body["error"]) == (False, error)
    assert sorted(each.name for each in data_dir.iterdir()) == ["history_s1.json"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [*(f"{path}?session=s1" for path in FULL), "/progress_sse.php?session_id=s1"])
async def test_the_older_addresses_are_read_and_nothing_else(serve: Serve, path: str, method: str) -> None:
    """On the older addresses POST, PUT, PATCH and DELETE get 405 and the allowed methods, but no data of a session."""
    client = await serve()
    response = await client.request(method, path)
    assert (response.status, (await response.json())["code"]) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", ["/api/rpa/progress/s1", "/rpa/start", "/progress/s1", *FULL, "/progress_sse.php"])
async def test_a_preflight_is_answered_as_the_deployed_server_does(serve: Serve, path: str) -> None:
    """A preflight gets 200, no body, the deployed headers and one ``Access-Control-Allow-Origin``."""
    headers = {"Origin": "https://www.example.com", "Access-Control-Request-Method": "GET"}
    response = await (await serve()).options(path, headers=headers)
    assert response.status == 200
    assert await response.read() == b""
    assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
    assert response.headers["Access-Control-Allow-Headers"] == "Content-Type, Authorization"
    assert response.headers["Access-Control-Allow-Methods"] == "GET, POST, PUT, DELETE, OPTIONS"


async def test_the_native_addresses_are_where_they_were(serve: Serve, data_dir: Path) -> None:
    """Native addresses still work; a session named like a deployed address, ``health``, is reached by ``/ws/rpa``."""
    client = await serve()
    json_files.write_all(data_dir, "health", Robot(steps=2).run.documents())
    for path in ("/ws/rpa/health", f"/rpa/{SESSION}"):
        async with client.ws_connect(path, protocols=["rpa.v1"]) as stream:
            assert (await stream.receive_json(timeout=30))["type"] == "sync"
    assert (await client.get("/metrics")).headers["Content-Type"].startswith("text/plain")
    assert (await (await client.get("/health/live")).json()) == {"status": "ok"}


# -- health and metrics


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *_texts(item))]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize("prefix", ["/api/rpa", "/rpa", ""])
async def test_health_and_metrics_are_true_and_name_nobody(serve: Serve, data_dir: Path, prefix: str) -> None:
    """Health and metrics have the deployed keys and measured values, and contain no session id."""
    client = await serve()
    for name in ("success", "hiccup", "manual", "stuck"):
        put(data_dir, "history", name, recordings.ALL[name])
    health = (await get(client, f"{prefix}/health/"))["health"]
    checks = health["checks"]
    assert (health["status"], list(health)) == ("healthy", ["status", "timestamp", "checks"])
    assert list(checks) == ["sessions", "data", "scripts", "logs", "python_processes", "disk_space", "memory", "redis"]
    assert checks["data"] == {"status": "ok", "path": str(data_dir), "writable": True}
    assert checks["python_processes"] == {"status": "ok", "count": 1, "processes": []}
    assert list(checks["disk_space"]) == ["status", "free_bytes", "total_bytes", "used_percent"]
    assert int(checks["memory"]["total_kb"]) > int(checks["memory"]["available_kb"]) > 0
    metrics = (await get(client, f"{prefix or '/rpa'}/metrics"))["metrics"]
    assert list(metrics) == ["timestamp", "sessions", "performance"]
    assert metrics["sessions"] == {"total": 4, "by_status": {"completed": 2, "failed": 1, "running": 1}}
    assert metrics["performance"] == {"sessions_24h": 4, "completed_24h": 2, "success_rate": 50}
    assert not {"success", "hiccup", "manual", "stuck"} & set(_texts(health) + _texts(metrics))


async def test_without_sessions_the_figures_are_empty_lists(serve: Serve) -> None:
    """Without sessions ``by_status`` and ``performance`` are ``[]``, as PHP writes an empty array."""
    metrics = (await get(await serve(), "/api/rpa/metrics"))["metrics"]
    assert metrics["sessions"] == {"total": 0, "by_status": []}
    assert metrics["performance"] == []


async def test_a_directory_that_is_gone_is_unhealthy(serve: Serve, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The health is ``unhealthy`` if the server may not write to the data directory."""
    client = await serve()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    health = (await get(client, "/api/rpa/health"))["health"]
    assert health["status"] == "unhealthy"
    assert health["checks"]["data"]["status"] == "error"


async def test_a_redis_that_is_away_degrades(aiohttp_client: Connect, data_dir: Path, redis_process: RedisServer) -> None:
    """While Redis is down the health is ``degraded``, and its check of Redis says ``warning``."""
    client = await starter(aiohttp_client, data_dir)(redis_url=redis_process.url)
    assert (await get(client, "/api/rpa/health"))["health"]["status"] == "healthy"
    redis_process.kill()
    assert isinstance(client.app, web.Application)
    subscriber = client.app[SUBSCRIBER]
    assert subscriber is not None
    await until(lambda: not subscriber.active.is_set())
    health = (await get(client, "/api/rpa/health"))["health"]
    assert (health["status"], health["checks"]["redis"]) == ("degraded", {"status": "warning"})


# -- the event stream


async def messages(response: aiohttp.ClientResponse) -> list[Document]:
    """Read a stream to its end; return its messages."""
    async with asyncio.timeout(10):
        text = (await response.read()).decode()
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: ")]


async def test_the_event_stream_starts_nothing(serve: Serve, data_dir: Path) -> None:
    """The stream follows a run from before its beginning to its end, starts no robot and writes no file."""
    client = await serve(heartbeat_s=0.2)
    data_dir.mkdir(parents=True, exist_ok=True)
    response = await client.get("/progress_sse.php", params={"session_id": "s1"})
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
    assert response.headers["X-Accel-Buffering"] == "no"
    assert list(data_dir.iterdir()) == []
    for part in recordings.prefixes(recordings.ALL["hiccup"])[::4]:
        put(data_dir, "history", "s1", part)
        await asyncio.sleep(0.05)
    put(data_dir, "history", "s1", recordings.ALL["hiccup"])
    received = await messages(response)
    assert [message["status"] for message in received][:2] == ["starting", "started"]
    assert received[-1]["status"] == "completed"
    verdicts = [pages.tracker(message) for message in received]
    assert [verdict.verdict for verdict in verdicts] == ["waits"] * (len(received) - 1) + ["success"]
    assert verdicts[-1].prices == ("R$ 3.210,98", "R$ 2.109,87")
    assert sorted(each.name for each in data_dir.iterdir()) == ["history_s1.json"]


async def test_a_page_that_comes_back_behind_the_end_is_sent_away(serve: Serve, data_dir: Path) -> None:
    """A browser that reconnects after the end sends the last message's id and gets 204, which stops it."""
    client = await serve()
    put(data_dir, "history", "s1", recordings.ALL["success"])
    response = await client.get("/progress_sse.php", params={"session_id": "s1"})
    text = (await response.read()).decode()
    ids = [line.removeprefix("id: ") for line in text.split("\n") if line.startswith("id: ")]
    assert len(ids) == 1
    again = await client.get("/progress_sse.php", params={"session_id": "s1"}, headers={"Last-Event-ID": ids[0]})
    assert again.status == 204
    assert again.headers.getall("Access-Control-Allow-Origin") == ["*"]


async def test_a_run_that_nobody_writes_any_more_ends_its_stream(serve: Serve, data_dir: Path) -> None:
    """A stream opened when the robot has been silent for over SILENCE_S ends at once with ``timeout``."""
    client = await serve()
    path = put(data_dir, "history", "s1", recordings.prefixes(recordings.ALL["success"])[20])
    long_ago = time.time() - SILENCE_S - 1
    os.utime(path, (long_ago, long_ago))
    received = await messages(await client.get("/progress_sse.php", params={"session_id": "s1"}))
    assert [message["status"] for message in received] == ["starting", "started", "timeout"]


@pytest.mark.parametrize("query", ["", "?session_id=", "?session_id=../x"])
async def test_a_stream_of_no_session_is_an_error_and_ends(serve: Serve, query: str) -> None:
    """Without a valid id the stream is one ``error``; the deployed script makes up an id and starts a robot."""
    received = await messages(await (await serve()).get(f"/progress_sse.php{query}"))
    assert [message["status"] for message in received] == ["error"]


# -- personal data of the visitor's form


async def test_no_answer_holds_anything_of_the_form(serve: Serve, data_dir: Path) -> None:
    """No answer contains form data that a robot attached to a step, put into a text, or wrote into its result."""
    client = await serve()
    form = {"cpf": "111.444.777-35", "nome": "Maria de Teste", "telefone": "(11) 98765-4321", "email": "maria@example.com"}
    robot_says = "Erro: CPF 111.444.777-35 de maria@example.com recusado"
    history: Document = json.loads(json.dumps(recordings.ALL["success"]))
    for entry in history["historico"]:
        if not isinstance(entry["etapa"], str):
            entry["dados_extra"] = {"dados": form, **form}
        elif entry["dados_extra"]:
            entry["dados_extra"]["parametros_entrada"] = form
    history["historico"][20]["mensagem"] = robot_says
    history["historico"].insert(21, {**history["historico"][20], "etapa": "erro", "erro": robot_says})
    put(data_dir, "history", "s1", history)
    put(data_dir, "result", "s1", {**(recordings.result_of(history) or {}), "parametros_entrada": form, "dados": form})
    put(data_dir, "progress", "s2", {**recordings.progress_of(history), "mensagem": robot_says, "dados_extra": {
        **recordings.progress_of(history)["dados_extra"], **form}})  # fmt: skip
    for length in (22, 23, len(history["historico"])):
        put(data_dir, "history", "s3", {**history, "historico": history["historico"][:length]})
        for session_id in ("s1", "s2", "s3"):
            paths = [f"{prefix}{session_id}" for prefix in PREFIXES] + [f"{path}?session={session_id}" for path in FULL]
            texts = [await (await client.get(path)).text() for path in (*paths, "/api/rpa/health", "/api/rpa/metrics")]
            if length == len(history["historico"]) and session_id != "s2":
                response = await client.get(f"/progress_sse.php?session_id={session_id}")
                texts.append((await response.read()).decode())
            for text in texts:
                for part in ("444.777", "Maria", "maria@", "98765", "parametros"):
                    assert part not in text, (session_id, part)


# -- a silence in the list of sessions


async def test_the_list_tells_a_silence_too(serve: Serve, data_dir: Path) -> None:
    """In the list of sessions a silence of 30 s after a failure gives ``erro``, and ``final`` stays false."""
    client = await serve()
    path = put(data_dir, "history", "s1", recordings.ALL["failed_without_end"])
    half_a_minute_ago = time.time() - SILENCE_AFTER_FAILURE_S - 1
    os.utime(path, (half_a_minute_ago, half_a_minute_ago))
    (listed,) = (await (await client.get("/api/sessions?wait=5")).json())["sessions"]
    assert (listed["session_id"], listed["estado"], listed["final"]) == ("s1", "erro", False)
