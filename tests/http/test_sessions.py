"""The poll, for clients that can't keep a stream open, and the list of sessions: both are JSON."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from aiohttp import WSMsgType

from rpa_server.backends.files import json_files
from rpa_server.backends.files.names import file_name
from rpa_server.backends.redis import append
from rpa_server.delivery import hub
from rpa_server.delivery import session as session_module
from rpa_server.delivery.websocket import FINISHED
from rpa_server.http import admission
from rpa_server.http.keys import PUBLISHER
from rpa_server.progress import schemas
from rpa_server.progress.update import Update, make_update
from tests.support.application import Client, Serve, hub_of, native, post, receive, stored
from tests.support.server import RedisServer, until
from tests.support.sessions import HTTP, SESSION, Robot
from tests.support.timing import within

POLL = f"/api/sessions/{SESSION}"


async def poll(client: Client, etag: str | None = None, **query: str) -> tuple[int, dict[str, Any], str | None]:
    """Poll once; return status, body and ETag."""
    headers = {} if etag is None else {"If-None-Match": etag}
    async with client.get(POLL, params=query, headers=headers) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else {}, response.headers.get("ETag")


def seqs(body: dict[str, Any]) -> list[int]:
    return [update["seq"] for update in body["updates"]]


# -- the state


async def test_a_poll_is_the_whole_state(serve: Serve, data_dir: Path) -> None:
    """A poll without a cursor gets the snapshot with its position and an ETag, and no updates."""
    robot = stored(data_dir, Robot(steps=3))
    status, body, etag = await poll(await serve())
    assert status == 200
    assert set(body) == {"session_id", "epoch", "seq", "recovered", "snapshot", "updates"}
    assert (body["session_id"], body["epoch"], body["seq"]) == (SESSION, "aaaa", 3)
    assert (body["recovered"], body["updates"]) == (False, [])
    assert body["snapshot"].items() >= robot.run.snapshot.items()
    assert (body["snapshot"]["epoch"], body["snapshot"]["seq"]) == ("aaaa", 3)
    assert etag is not None
    assert "aaaa:3" in etag


@pytest.mark.parametrize("query", [{}, {"after": "aaaa:2"}])
async def test_a12_a_poll_tells_how_old_it_is(serve: Serve, data_dir: Path, query: dict[str, str]) -> None:
    """A snapshot has the milliseconds since the robot's last report and since the run began, by the store's clock."""
    client = await serve()
    robot = Robot()
    robot.run.rebase(round((time.time() - 61) * 1000))
    robot.steps(3)
    stored(data_dir, robot)
    for path in data_dir.iterdir():
        os.utime(path, (time.time() - 25, time.time() - 25))
    for _ in range(2):
        _, body, etag = await poll(client, **query)
        assert 25_000 <= body["snapshot"]["idade_ms"] < 40_000
        assert 61_000 <= body["snapshot"]["duracao_ms"] < 76_000
    assert (await poll(client, etag))[0] == 304


async def test_a12_a_stream_tells_how_old_the_run_is(serve: Serve, data_dir: Path) -> None:
    """The sync tells both ages, with the whole state and without; after a live update the age begins anew."""
    client = await serve()
    robot = stored(data_dir, Robot(steps=3))
    for path in data_dir.iterdir():
        os.utime(path, (time.time() - 25, time.time() - 25))
    async with native(client) as stream:
        whole = await receive(stream)
        async with native(client, after="aaaa:1") as other:
            rest = await receive(other)
        assert min(whole["idade_ms"], whole["snapshot"]["idade_ms"], rest["idade_ms"]) >= 25_000
        assert min(whole["duracao_ms"], whole["snapshot"]["duracao_ms"], rest["duracao_ms"]) >= 25_000
        hub_of(client).publish(SESSION, robot.step())
        await receive(stream)
        async with native(client) as other:
            fresh = await receive(other)
        assert fresh["seq"] == 4
        assert fresh["idade_ms"] < 20_000 < fresh["duracao_ms"]


async def test_a_poll_is_stored_by_no_cache(serve: Serve, data_dir: Path) -> None:
    """The headers of a poll's answer forbid caches to store it and browsers to guess its type."""
    stored(data_dir, Robot(steps=3))
    async with (await serve()).get(POLL) as response:
        assert "no-store" in response.headers["Cache-Control"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.content_type == "application/json"


@pytest.mark.parametrize(("after", "expected"), [("aaaa:1", [2, 3]), ("aaaa:3", []), ("0", [1, 2, 3])])
async def test_behind_a_cursor_come_its_updates(serve: Serve, data_dir: Path, after: str, expected: list[int]) -> None:
    """A poll with a cursor gets every update after it, each once and in order."""
    stored(data_dir, Robot(steps=3))
    status, body, _ = await poll(await serve(), after=after)
    assert (status, body["recovered"], seqs(body)) == (200, True, expected)


@pytest.mark.parametrize("after", ["bbbb:1", "aaaa:4"])
async def test_a_cursor_that_proves_nothing_gets_the_state(serve: Serve, data_dir: Path, after: str) -> None:
    """For a cursor of another run, or beyond the last update, a poll gets no updates, and ``recovered`` is false."""
    stored(data_dir, Robot(steps=3))
    status, body, _ = await poll(await serve(), after=after)
    assert (status, body["recovered"], body["updates"], body["seq"]) == (200, False, [], 3)


@pytest.mark.parametrize("after", ["", "x", "aaaa", "1"])
async def test_a_cursor_that_is_none_is_refused(serve: Serve, after: str) -> None:
    """An invalid cursor is answered 400 ``bad_cursor``."""
    status, body, _ = await poll(await serve(), after=after)
    assert (status, body["code"], body["temporary"]) == (400, "bad_cursor", False)


async def test_an_unknown_session_is_404_and_may_come(serve: Serve) -> None:
    """A session that nobody has written is 404 ``session_not_found``, which is temporary."""
    status, body, _ = await poll(await serve())
    assert (status, body["type"], body["code"], body["temporary"]) == (404, "error", "session_not_found", True)


# -- If-None-Match


async def test_what_is_known_is_304(serve: Serve, data_dir: Path) -> None:
    """A poll with the current ETag is answered 304 without a body until there is something new."""
    stored(data_dir, Robot(steps=3, writer=HTTP))
    client = await serve()
    _, _, etag = await poll(client)
    status, body, again = await poll(client, etag)
    assert (status, body, again) == (304, {}, etag)
    await post(client, etapa=4)
    status, body, newer = await poll(client, etag)
    assert (status, body["seq"], seqs(body)) == (200, 4, [4])
    assert newer != etag


@pytest.mark.parametrize("etag", ["", "*", '"x"', 'W/"bbbb:1"', "aaaa:2", 'W/"aaaa:99"', 'W/"aaaa:1", W/"aaaa:2"'])
async def test_another_tag_is_answered_in_full(serve: Serve, data_dir: Path, etag: str) -> None:
    """A poll with an outdated ETag, or one that is not ours, is answered 200 with the state."""
    stored(data_dir, Robot(steps=3))
    status, body, _ = await poll(await serve(), etag)
    assert (status, body["seq"]) == (200, 3)


# -- waiting


@pytest.mark.parametrize("after", ["aaaa:3", None])
async def test_a_wait_ends_at_once_with_a_change(serve: Serve, data_dir: Path, after: str | None) -> None:
    """A waiting poll, by cursor or by ETag, is answered as soon as the robot reports something."""
    stored(data_dir, Robot(steps=3, writer=HTTP))
    client = await serve()
    etag = None if after else (await poll(client))[2]
    query = {"after": after} if after else {}
    waiting = asyncio.create_task(poll(client, etag, wait="20", **query))
    await until(lambda: hub_of(client).connections == 1)
    began = time.monotonic()
    await post(client, etapa=4, mensagem="Tela 4")
    status, body, _ = await waiting
    within(time.monotonic() - began, 2)
    assert (status, body["recovered"], seqs(body)) == (200, True, [4])
    assert body["updates"][0]["mensagem"] == "Tela 4"
    assert hub_of(client).connections == 0


async def test_a_wait_ends_when_the_session_appears(serve: Serve) -> None:
    """A poll that waits for a session which does not exist yet is answered when its run begins."""
    client = await serve()
    waiting = asyncio.create_task(poll(client, wait="20"))
    await until(lambda: hub_of(client).connections == 1)
    await post(client, etapa=1)
    status, body, _ = await waiting
    assert (status, body["seq"], body["snapshot"]["etapa_atual"]) == (200, 2, 1)


async def test_a_wait_ends_with_the_time(serve: Serve, data_dir: Path) -> None:
    """Without a change a poll is answered when its wait is over: 404, 200 without updates, or 304."""
    client = await serve()
    began = time.monotonic()
    assert (await poll(client, wait="0.1"))[0] == 404
    stored(data_dir, Robot(steps=3))
    status, body, etag = await poll(client, after="aaaa:3", wait="0.1")
    assert (status, body["recovered"], body["updates"]) == (200, True, [])
    assert (await poll(client, etag, wait="0.1"))[0] == 304
    assert 0.25 < time.monotonic() - began < 3


@pytest.mark.parametrize("after", [None, "aaaa:1", "bbbb:1", "0"])
async def test_what_there_is_is_not_waited_for(serve: Serve, data_dir: Path, after: str | None) -> None:
    """A poll with ``wait`` is answered at once if there is anything that the client lacks."""
    stored(data_dir, Robot(steps=3))
    client = await serve()
    query = {"after": after} if after else {}
    async with asyncio.timeout(10):
        status, body, _ = await poll(client, wait="20", **query)
    assert (status, body["seq"]) == (200, 3)


async def test_behind_the_end_nobody_waits_for_long(serve: Serve, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll of a finished run is answered without waiting, even if the client has everything."""
    monkeypatch.setattr(session_module, "GRACE_S", 0.1)
    robot = Robot(steps=3)
    robot.finish()
    stored(data_dir, robot)
    async with asyncio.timeout(10):
        status, body, _ = await poll(await serve(), after="aaaa:4", wait="20")
    assert (status, body["snapshot"]["final"]) == (200, True)


@pytest.mark.parametrize("wait", ["x", "", "-1", "nan", "inf", "1e999", "5s", "0x5", "١x"])
async def test_a_wait_that_is_no_time_is_refused(serve: Serve, wait: str) -> None:
    """A ``wait`` that is not a number of seconds is answered 400 ``bad_request``."""
    status, body, _ = await poll(await serve(), wait=wait)
    assert (status, body["code"]) == (400, "bad_request")


async def test_a_longer_wait_is_shortened(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``wait`` longer than MAX_WAIT_S, 25 s, is shortened and no error."""
    assert admission.MAX_WAIT_S == 25
    monkeypatch.setattr(admission, "MAX_WAIT_S", 0.1)
    async with asyncio.timeout(10):
        assert (await poll(await serve(), wait="1e300"))[0] == 404


async def test_waiting_polls_count_as_connections(serve: Serve) -> None:
    """Beyond ``max_connections`` a waiting poll is answered 503 ``full``; one that does not wait is served."""
    client = await serve(max_connections=1)
    waiting = asyncio.create_task(poll(client, wait="20"))
    await until(lambda: hub_of(client).connections == 1)
    status, body, _ = await poll(client, wait="20")
    assert (status, body["code"], body["temporary"]) == (503, "full", True)
    assert (await poll(client))[0] == 404
    await post(client, etapa=1)
    assert (await waiting)[0] == 200


async def test_who_hangs_up_is_forgotten(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a client has given up a waiting poll its connection is released, and after LINGER_S its session."""
    monkeypatch.setattr(hub, "LINGER_S", 0.1)
    client = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(f"GET {POLL}?wait=20 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await until(lambda: hub_of(client).connections == 1)
    writer.close()
    await until(lambda: hub_of(client).connections == 0, 1)
    await until(lambda: hub_of(client).watched() == [], 1)
    assert await reader.read() == b""


async def test_a_polled_session_survives_a_store_that_loses_it(serve: Serve, data_dir: Path) -> None:
    """A state that a poll got is returned again by the next poll, even if the files were deleted in between."""
    stored(data_dir, Robot(steps=3))
    client = await serve()
    assert (await poll(client))[0] == 200
    for path in data_dir.iterdir():
        path.unlink()
    status, body, _ = await poll(client)
    assert (status, body["seq"]) == (200, 3)


async def test_a_restart_answers_waiting_polls(serve: Serve) -> None:
    """A server that stops answers waiting polls with what it has, here 404."""
    client = await serve()
    waiting = asyncio.create_task(poll(client, wait="20"))
    await until(lambda: hub_of(client).connections == 1)
    async with asyncio.timeout(10):
        await hub_of(client).close()
        assert (await waiting)[0] == 404


# -- the list of sessions


async def listed(client: Client, **headers: str) -> list[dict[str, Any]]:
    # Without a wait the list has what was read within 20 ms, and a garbage collection in this process takes 60 ms.
    async with client.get("/api/sessions", params={"wait": "5"}, headers=headers) as response:
        assert response.status == 200
        return list((await response.json())["sessions"])


async def test_an_empty_list_is_a_list(serve: Serve) -> None:
    """Without any sessions the list is empty, not an error."""
    assert await listed(await serve()) == []


async def test_the_list_shows_the_newest_first(serve: Serve) -> None:
    """The session list describes each session in a few keys, the most recently changed session first."""
    client = await serve()
    assert client.app is not None
    for name in ("first", "second", "third", "first"):
        await client.app[PUBLISHER].publish(name, schemas.publication({"etapa": 1, "mensagem": name}))
    sessions = await listed(client)
    assert [session["session_id"] for session in sessions] == ["first", "third", "second"]
    for session in sessions:
        assert session.keys() >= {
            "session_id", "etapa_atual", "total_etapas", "percentual", "estado", "final", "mensagem",
            "timestamp_atualizacao",
        }  # fmt: skip
        assert (session["mensagem"], session["estado"]) == (session["session_id"], "executando")


async def test_the_list_is_of_the_last_day(serve: Serve, data_dir: Path) -> None:
    """A session that has not changed for 24 hours is not listed."""
    stored(data_dir, Robot(steps=3))
    client = await serve()
    assert len(await listed(client)) == 1
    yesterday = time.time() - 86_400 - 60
    for kind in ("progress", "history"):
        os.utime(data_dir / file_name(kind, SESSION), (yesterday, yesterday))
    assert await listed(client) == []


async def test_a_broken_session_does_not_spoil_the_list(serve: Serve, data_dir: Path) -> None:
    """Files that can't be read, and files that belong to no session, are left out of the list."""
    stored(data_dir, Robot(steps=3))
    (data_dir / "progress_broken.json").write_text("{")
    (data_dir / "progress_.json").write_text("{}")
    (data_dir / "notes.txt").write_text("x")
    assert [session["session_id"] for session in await listed(await serve())] == [SESSION]


async def test_the_list_merges_both_stores(serve: Serve, data_dir: Path, redis_process: RedisServer) -> None:
    """With Redis the list has the sessions in Redis and those only in files, each once."""
    client = await serve(redis_url=redis_process.url)
    await post(client, etapa=1)
    store = Robot(steps=3)
    store.run.session_id = "other"
    store.run.snapshot["session_id"] = "other"
    json_files.write_all(data_dir, "other", store.run.documents())
    async with client.get("/api/sessions", params={"wait": "10"}) as response:  # long enough to read both
        sessions = (await response.json())["sessions"]
    assert sorted(session["session_id"] for session in sessions) == [SESSION, "other"]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "x-forwarded-for"])
async def test_the_list_is_for_this_machine_alone(serve: Serve, header: str) -> None:
    """The list is 403 ``forbidden`` for a request through a proxy, even if the proxy is on this machine."""
    async with (await serve()).get("/api/sessions", headers={header: "127.0.0.1"}) as response:
        assert response.status == 403
        body = await response.json()
        assert (body["type"], body["code"], body["temporary"]) == ("error", "forbidden", False)


@pytest.mark.parametrize("key", ["mensagem", "timestamp"])
async def test_b19_a_poll_agrees_with_the_stream_about_an_update_that_lacks_a_key(
    serve: Serve, redis_process: RedisServer, key: str
) -> None:
    """If the last update lacks a key, the stream ends, and polls and pages that come then get the stored snapshot."""
    client = await serve(redis_url=redis_process.url)
    robot = Robot(steps=2)

    def write(connection: redis.Redis, *updates: Update) -> None:
        call = append.call(robot.run, updates)
        connection.eval(append.SCRIPT, len(call.keys), *call.keys, *call.args)

    with redis_process.client() as connection:
        write(connection, *robot.run.updates)
        async with native(client) as stream:
            await receive(stream)
            write(connection, robot.step())
            await receive(stream)
            end = robot.finish()
            lacking = {name: value for name, value in end.data.items() if name != key}
            write(connection, make_update(lacking))
            assert (await receive(stream))["final"] is True
            async with native(client) as late:
                while (message := await receive(late))["snapshot"]["estado"] != "sucesso":
                    assert message["type"] == "sync"
            for _ in range(2):
                snapshot = (await poll(client))[1]["snapshot"]
                assert (snapshot["final"], snapshot["estado"], snapshot["percentual"]) == (True, "sucesso", 100.0)
            while (frame := await stream.receive(timeout=30)).type is WSMsgType.TEXT:
                assert frame.json()["snapshot"]["final"] is True
            assert frame.data == FINISHED
