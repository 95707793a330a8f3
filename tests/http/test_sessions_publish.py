"""Publishing over HTTP: pages see what a robot posts."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rpa_server.http.admission import MAX_BODY
from tests.support.application import ESTIMATES, Client, Serve, native, post, receive, stored
from tests.support.server import RedisServer, Server, SocketWatcher, running, until, watching
from tests.support.sessions import HTTP, SESSION, Robot

PUBLISH = f"/api/sessions/{SESSION}/events"


@pytest.fixture(params=["files", "redis"])
async def client(request: pytest.FixtureRequest, serve: Serve) -> Client:
    """A client of the application: each test runs with files alone and with Redis."""
    if request.param == "files":
        return await serve()
    return await serve(redis_url=request.getfixturevalue("redis_process").url)


async def refused(client: Client, status: int, code: str, **request: Any) -> str:
    """Check that a request is refused and nothing is stored; return the error's message."""
    async with client.post(PUBLISH, **request) as response:
        assert response.status == status, await response.text()
        body = await response.json()
    assert body.keys() == {"type", "code", "message", "temporary"}
    assert (body["type"], body["code"], body["temporary"]) == ("error", code, False)
    async with client.get(f"/api/sessions/{SESSION}") as response:
        assert response.status == 404, "something was stored"
    return str(body["message"])


# -- what pages see


async def test_the_answer_names_the_position(client: Client) -> None:
    """The answer is 201 with the position of the update; numbering continues from answer to answer."""
    answers = [await post(client, etapa=number) for number in (1, 2, 3)]
    assert all(answer.keys() == {"session_id", "epoch", "seq"} for answer in answers)
    assert [answer["seq"] for answer in answers] == [2, 3, 4]
    assert {(answer["session_id"], answer["epoch"]) for answer in answers} == {(SESSION, answers[0]["epoch"])}


async def test_a_step_is_seen_at_once(client: Client) -> None:
    """A published step reaches an open page with everything that the robot passed."""
    await post(client, etapa=1, total_etapas=5)
    async with native(client) as stream:
        await receive(stream)
        answer = await post(client, etapa=2, mensagem="Tela 2 concluída", dados_extra={"placa": "ABC1D23"})
        update = await receive(stream)
    assert (update["type"], update["evento"], update["final"]) == ("progress_update", "progresso", False)
    assert (update["epoch"], update["seq"]) == (answer["epoch"], answer["seq"])
    assert (update["etapa"], update["total_etapas"], update["percentual"]) == (2, 5, 40.0)
    assert (update["mensagem"], update["dados_extra"]) == ("Tela 2 concluída", {"placa": "ABC1D23"})
    assert (update["status"], update["estado"]) == ("executando", "executando")


async def test_estimates_are_seen(client: Client) -> None:
    """Published estimates reach a page with their step and as an update of their own, and stay in the snapshot."""
    await post(client, etapa=4)
    async with native(client) as stream:
        await receive(stream)
        await post(client, etapa=5, estimativas=ESTIMATES)
        updates = [await receive(stream) for _ in range(2)]
    assert [update["evento"] for update in updates] == ["progresso", "estimativas"]
    assert [update["estimativas"] for update in updates] == [ESTIMATES, ESTIMATES]
    await post(client, etapa=6)
    async with native(client) as stream:
        assert (await receive(stream))["snapshot"]["estimativas"] == ESTIMATES


async def test_an_error_is_seen_and_ends_nothing(client: Client) -> None:
    """A published error reaches a page as text, and the run continues."""
    await post(client, etapa=2)
    async with native(client) as stream:
        await receive(stream)
        await post(client, erro="Placa recusada", contexto="tela 2")
        update = await receive(stream)
        assert (update["evento"], update["erro"], update["final"]) == ("erro", "Placa recusada", False)
        await post(client, etapa=3)
        assert (await receive(stream))["etapa"] == 3


@pytest.mark.parametrize(("status", "estado"), [("success", "sucesso"), ("error", "erro"), ("timeout", "expirado")])
async def test_the_end_is_seen(client: Client, status: str, estado: str) -> None:
    """A published end reaches a page with its ``estado`` and with the plans as its result."""
    await post(client, etapa=14)
    plans = {"plano_recomendado": {"valor": "R$ 1"}, "plano_alternativo": {"valor": "R$ 2"}}
    async with native(client) as stream:
        await receive(stream)
        await post(client, status_final=status, dados_finais=plans)
        update = await receive(stream)
    assert (update["evento"], update["final"], update["estado"]) == ("final", True, estado)
    assert update["resultado"] == plans


async def test_the_error_of_the_end_is_seen_before_it(client: Client) -> None:
    """An end with an error text reaches a page as two updates: first the error, then the end."""
    await post(client, etapa=14)
    async with native(client) as stream:
        await receive(stream)
        await post(client, status_final="error", erro_final="Cotação manual necessária")
        updates = [await receive(stream) for _ in range(2)]
    assert [update["evento"] for update in updates] == ["erro", "final"]
    assert updates[1]["estado"] == "cotacao_manual"


async def test_a_new_run_behind_the_end_is_a_reset(client: Client) -> None:
    """Step 0 after the end begins a new run: a page gets a reset, and then the updates of the new run."""
    old = await post(client, status_final="success")
    async with native(client) as stream:
        await receive(stream)
        new = await post(client, etapa=0, mensagem="De novo")
        assert (new["epoch"] != old["epoch"], new["seq"]) == (True, 2)
        reset = await receive(stream)
        assert (reset["type"], reset["epoch"], reset["snapshot"]["final"]) == ("reset", new["epoch"], False)
        await post(client, etapa=1, mensagem="Tela 1")
        seq = reset["seq"]
        while seq < 3:
            update = await receive(stream)
            assert (update["type"], update["seq"]) == ("progress_update", seq + 1)
            seq = update["seq"]
        assert update["mensagem"] == "Tela 1"


async def test_posts_at_once_never_collide(client: Client) -> None:
    """Twenty simultaneous posts get twenty consecutive numbers, and a page sees each once, in order."""
    await post(client, etapa=0)
    async with native(client) as stream:
        await receive(stream)
        answers = await asyncio.gather(*(post(client, etapa=1, mensagem=f"m{number}") for number in range(20)))
        updates = [await receive(stream) for _ in range(20)]
    assert sorted(answer["seq"] for answer in answers) == list(range(3, 23))
    assert [update["seq"] for update in updates] == list(range(3, 23))
    assert {update["mensagem"] for update in updates} == {f"m{number}" for number in range(20)}


async def test_posts_over_two_servers_never_collide(data_dir: Path, redis_process: RedisServer) -> None:
    """Twenty posts, nineteen at once, to two servers on one Redis get consecutive numbers; both servers show all."""
    servers = [Server(data_dir.with_name(name), redis_process.url) for name in ("one", "two")]
    watchers = [SocketWatcher(server.url, SESSION, "0") for server in servers]
    with running(servers[0]), running(servers[1]):
        async with watching(*watchers):
            await until(lambda: all(watcher.messages for watcher in watchers))
            async with aiohttp.ClientSession() as http:

                async def send(number: int) -> tuple[int, int]:
                    address = servers[number % 2].url + PUBLISH
                    async with http.post(address, json={"etapa": 1, "mensagem": f"m{number}"}) as response:
                        return response.status, (await response.json()).get("seq", 0)

                answers = [await send(0)]
                answers += await asyncio.gather(*(send(number) for number in range(1, 20)))
            assert [status for status, _ in answers] == [201] * 20
            assert sorted(seq for _, seq in answers) == list(range(2, 22))
            await until(lambda: all(watcher.seqs == list(range(1, 22)) for watcher in watchers))


# -- what is accepted, and what is refused


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"5", b"null", b'"x"', b"\xff", b'{"etapa": NaN}', b'{"etapa": Infinity}', b'{"etapa": 1e999}',
     b'{"a":' * 5000, b'{"dados_extra": {"a": -Infinity}, "etapa": 1}', b'{"etapa": 1} x',
     b'{"etapa": ' + b"9" * 5000 + b"}"],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
async def test_a_body_that_is_no_object_is_refused(client: Client, body: bytes) -> None:
    """A body that is not a JSON object is answered 400 ``bad_request`` and stores nothing."""
    message = await refused(client, 400, "bad_request", data=body, headers={"Content-Type": "application/json"})
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "body",
    [{}, {"etapa": "x"}, {"etapa": None}, {"etapa": []}, {"etapa": 1, "erro": "x"}, {"mensagem": "x"}, {"erro": 5},
     {"etapa": 1, "unknown": 1}, {"etapa": 1, "dados_extra": []}, {"etapa": 1, "estimativas": "x"},
     {"etapa": 1, "total_etapas": 0}, {"etapa": 1, "total_etapas": 10**9}, {"etapa": 1, "total_etapas": 1.5},
     {"status_final": ""}, {"status_final": "x" * 100}, {"status_final": None}, {"etapa": 1, "mensagem": "x" * 5000},
     {"etapa": 1, "mensagem": None}, {"etapa": 1, "status_final": "success"}],
    ids=lambda body: json.dumps(body)[:40],
)  # fmt: skip
async def test_an_object_that_is_no_update_is_refused(client: Client, body: dict[str, Any]) -> None:
    """A body that is not exactly one valid step, error or end is answered 400 ``bad_request``."""
    message = await refused(client, 400, "bad_request", json=body)
    assert len(message) < 500


async def test_the_message_names_what_is_wrong(client: Client) -> None:
    """The message of a 400 names the key that is wrong."""
    assert "total_etapas" in await refused(client, 400, "bad_request", json={"etapa": 1, "total_etapas": 0})
    assert "unknown" in await refused(client, 400, "bad_request", json={"etapa": 1, "unknown": 1})


def step_of(size: int) -> bytes:
    """Return the body of a step, exactly *size* bytes long."""
    begin, end = b'{"etapa": 1, "dados_extra": {"x": "', b'"}}'
    return begin + b"x" * (size - len(begin) - len(end)) + end


async def test_a_body_of_256_kib_is_taken(client: Client) -> None:
    """A body of exactly 256 KiB, the largest allowed, is accepted."""
    body = step_of(MAX_BODY)
    assert len(body) == MAX_BODY == 256 * 1024
    async with client.post(PUBLISH, data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status == 201


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_larger_body_is_refused(client: Client, chunked: bool) -> None:
    """A body of one byte more than 256 KiB is answered 413 ``too_large``, with or without a Content-Length."""
    body = step_of(MAX_BODY + 1)

    async def stream() -> Any:
        yield body

    data = stream() if chunked else body
    await refused(client, 413, "too_large", data=data, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x/y", ""])
async def test_another_type_is_refused(client: Client, kind: str) -> None:
    """A body that is not application/json is answered 415, so that a form on another site can't publish."""
    await refused(client, 415, "unsupported_media_type", data=b'{"etapa": 1}', headers={"Content-Type": kind})


async def test_a_session_of_another_robot_is_refused(client: Client, data_dir: Path) -> None:
    """While a deployed robot is writing the session a post is answered 409, and the robot's file stays unchanged."""
    data_dir.mkdir(exist_ok=True)
    document = {key: value for key, value in Robot(steps=3).run.snapshot.items() if key not in ("estado", "final")}
    file = data_dir / f"progress_{SESSION}.json"
    file.write_text(json.dumps(document))
    before = file.read_bytes()
    async with client.post(PUBLISH, json={"etapa": 4}) as response:
        assert response.status == 409
        body = await response.json()
    assert (body["type"], body["code"], body["temporary"]) == ("error", "conflict", False)
    assert [path.read_bytes() for path in data_dir.iterdir()] == [before]


async def test_the_type_may_have_parameters(client: Client) -> None:
    """A Content-Type of ``application/json`` may be followed by a character set."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    async with client.post(PUBLISH, data=b'{"etapa": 1}', headers=headers) as response:
        assert response.status == 201


async def test_without_any_store_the_answer_is_503(serve: Serve, data_dir: Path) -> None:
    """If no store can be written a post is answered 503 ``storage_unavailable``, which is temporary."""
    client = await serve()
    await until(data_dir.is_dir)
    data_dir.rmdir()
    data_dir.write_text("a file where the directory should be")
    async with client.post(PUBLISH, json={"etapa": 1}) as response:
        assert response.status == 503
        body = await response.json()
    assert (body["code"], body["temporary"]) == ("storage_unavailable", True)


async def test_without_redis_the_files_take_it(serve: Serve, data_dir: Path, redis_process: RedisServer) -> None:
    """While Redis is down, a run that is in the files continues there, and pages see it."""
    stored(data_dir, Robot(steps=3, writer=HTTP))
    redis_process.kill()
    client = await serve(redis_url=redis_process.url)
    async with native(client) as stream:
        assert (await receive(stream))["seq"] == 3
        assert (await post(client, etapa=4))["seq"] == 4
        assert (await receive(stream))["etapa"] == 4


async def test_b7_what_a_full_redis_refuses_goes_to_files_and_back(
    serve: Serve, data_dir: Path, redis_process: RedisServer
) -> None:
    """While Redis is full posts go to files, again and again, whatever is left there; all updates reach a page in order."""
    client = await serve(redis_url=redis_process.url)
    stored(data_dir, Robot("0ld", steps=3, writer=HTTP))  # of an earlier day
    await post(client, etapa=0, mensagem="outra")
    (seen,) = [await post(client, etapa=1)]
    number = seen["seq"]
    async with native(client) as stream:
        await receive(stream)
        with redis_process.client() as connection:
            for etapa in range(2, 10):
                full = etapa % 4 in (2, 3)
                connection.config_set("maxmemory", "1" if full else "0")
                assert (await post(client, etapa=etapa))["seq"] == number + etapa - 1
                update = await receive(stream)
                assert (update["type"], update["seq"], update["etapa"]) == ("progress_update", number + etapa - 1, etapa)
                length: Any = connection.xlen(f"rpa:history:{SESSION}")
                assert (length < update["seq"]) is full


async def test_without_redis_nobody_numbers_a_run_that_may_be_there(serve: Serve, redis_process: RedisServer) -> None:
    """A run that only Redis has is not begun anew while Redis is down: the answer is 503, which is temporary."""
    client = await serve(redis_url=redis_process.url)
    await post(client, etapa=1)
    redis_process.kill()
    async with client.post(PUBLISH, json={"etapa": 2}) as response:
        assert response.status == 503
        body = await response.json()
    assert (body["code"], body["temporary"]) == ("storage_unavailable", True)
