"""What operators and their tools ask for: liveness, readiness, figures."""

import asyncio
import contextlib
import errno
import json
import logging
import resource
import signal
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rpa_server.serving.descriptors import open_descriptors
from tests.support.application import Client, Serve, native, post, receive
from tests.support.server import RedisServer, free_port, until
from tests.support.sessions import SESSION

#: What readiness says of a directory that can be used.
SOUND = {"reading": "ok", "writing": "ok", "hearing": "ok"}


async def ask(client: Client, address: str) -> tuple[int, dict[str, Any]]:
    async with client.get(address) as response:
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, await response.json()


async def figures(client: Client) -> dict[str, float]:
    return (await ask(client, "/status"))[1]


async def becomes(client: Client, address: str, name: str, value: object) -> tuple[int, dict[str, Any]]:
    """Repeat the request until the field *name* of the answer is *value*; return the status and the answer."""
    async with asyncio.timeout(8):
        while (answer := await ask(client, address))[1][name] != value:  # noqa: ASYNC110 - HTTP has no event to await
            await asyncio.sleep(0.01)
    return answer


# -- alive and ready


async def test_a_running_server_is_alive(serve: Serve) -> None:
    """``/health/live`` is 200 even if Redis can't be reached."""
    assert await ask(await serve(redis_url="redis://127.0.0.1:1/0"), "/health/live") == (200, {"status": "ok"})


async def test_on_files_alone_it_is_ready(serve: Serve) -> None:
    """``/health/ready`` is 200 ``ok`` if the settings name no Redis."""
    assert await ask(await serve(), "/health/ready") == (200, {"status": "ok", "redis": "none", "files": SOUND})


async def test_with_redis_it_is_ready(serve: Serve, redis_process: RedisServer) -> None:
    """The server is ready at the first request: start-up waits for the subscription to Redis."""
    client = await serve(redis_url=redis_process.url)
    assert await ask(client, "/health/ready") == (200, {"status": "ok", "redis": "ok", "files": SOUND})


async def test_b14_without_files_and_redis_it_is_unavailable(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If there is no Redis and the directory can't be made, ``/health/ready`` is 503 ``unavailable`` with the reason."""
    (tmp_path / "file").write_text("")
    client = await serve(data_dir=str(tmp_path / "file" / "rpa_data"))
    status, body = await ask(client, "/health/ready")
    assert (status, body["status"]) == (503, "unavailable")
    assert "can't be listed (Not a directory)" in body["reason"]
    assert str(tmp_path) not in json.dumps(body)
    assert not [record for record in caplog.records if record.exc_info]


async def test_with_redis_alone_it_is_degraded(serve: Serve, redis_process: RedisServer, tmp_path: Path) -> None:
    """If Redis works and the directory does not, ``/health/ready`` is 200 ``degraded`` with the reason."""
    (tmp_path / "file").write_text("")
    client = await serve(redis_url=redis_process.url, data_dir=str(tmp_path / "file" / "rpa_data"))
    status, body = await ask(client, "/health/ready")
    assert (status, body["status"], body["redis"]) == (200, "degraded", "ok")
    assert body["files"]["writing"] in body["reason"]


async def test_without_its_redis_it_is_degraded(serve: Serve, redis_process: RedisServer) -> None:
    """While Redis is down ``/health/ready`` is 200 ``degraded`` with the reason; once Redis is back it is ``ok``."""
    client = await serve(redis_url=redis_process.url)
    redis_process.kill()
    status, body = await becomes(client, "/health/ready", "status", "degraded")
    assert (status, body["redis"]) == (200, "down")
    assert body["reason"]
    redis_process.start()
    assert await becomes(client, "/health/ready", "status", "ok") == (200, {"status": "ok", "redis": "ok", "files": SOUND})


async def test_refused_by_redis_it_is_not_ready(
    serve: Serve, redis_process: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """If Redis requires a password we lack, ``/health/ready`` is 503 ``misconfigured``; one warning is logged."""
    with redis_process.client() as connection:
        connection.config_set("requirepass", "secret")
    client = await serve(redis_url=redis_process.url)
    status, body = await ask(client, "/health/ready")
    assert (status, body["status"], body["redis"]) == (503, "misconfigured", "refused")
    assert body["reason"]
    assert "Traceback" not in body["reason"]
    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == ["WARNING"]


async def test_where_redis_forbids_scripts_it_is_not_ready(
    serve: Serve, redis_process: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """If Redis forbids scripts, ``/health/ready`` is 503 ``misconfigured``, but an update can still be published."""
    with redis_process.client() as connection:
        connection.execute_command("ACL", "SETUSER", "default", "-@scripting")
    client = await serve(redis_url=redis_process.url)
    status, body = await ask(client, "/health/ready")
    assert (status, body["status"], body["redis"]) == (503, "misconfigured", "refused")
    assert "EVALSHA" in body["reason"]
    await post(client, etapa=1)
    async with native(client) as stream:
        assert (await receive(stream))["snapshot"]["etapa_atual"] == 1
    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == ["WARNING"]
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("why", ["memory", "replica"])
async def test_b7_a_redis_that_refuses_to_write_is_told(serve: Serve, redis_process: RedisServer, why: str) -> None:
    """While Redis refuses writes ``/health/ready`` is 200 ``degraded`` with the reason; reads and streams go on."""
    client = await serve(redis_url=redis_process.url)
    await post(client, etapa=1)
    await post(client, status_final="success")
    with redis_process.client() as connection:
        if why == "memory":
            connection.config_set("maxmemory", "1")
        else:
            connection.replicaof("127.0.0.1", str(free_port()))
        status, body = await ask(client, "/health/ready")
        assert (status, body["status"], body["redis"]) == (200, "degraded", "read_only")
        assert {"memory": "maxmemory", "replica": "read only replica"}[why] in body["reason"]
        for address in (f"/api/sessions/{SESSION}", f"/api/rpa/progress/{SESSION}", "/api/sessions"):
            async with client.get(address) as response:
                assert response.status == 200
                assert SESSION in await response.text()
        async with native(client) as stream:
            assert (await receive(stream))["snapshot"]["final"] is True
        connection.config_set("maxmemory", "0")
        connection.replicaof("NO", "ONE")
    status, body = await ask(client, "/health/ready")
    assert (status, body["status"], body["redis"]) == (200, "ok", "ok")


async def test_b7_a_redis_that_has_just_hung_is_told(serve: Serve, redis_process: RedisServer) -> None:
    """A Redis that does not answer is told by the first check, before its subscription is given up."""
    client = await serve(redis_url=redis_process.url)
    redis_process.signal(signal.SIGSTOP)
    try:
        status, body = await ask(client, "/health/ready")
    finally:
        redis_process.signal(signal.SIGCONT)
    assert (status, body["status"], body["redis"]) == (200, "degraded", "down")


async def test_the_password_is_never_shown(serve: Serve, redis_process: RedisServer) -> None:
    """The reason in ``/health/ready`` why Redis refuses the server does not contain the password."""
    url = redis_process.url.replace("redis://", "redis://:hush@")
    with redis_process.client() as connection:
        connection.config_set("requirepass", "other")
    client = await serve(redis_url=url)
    assert "hush" not in json.dumps(await ask(client, "/health/ready"))


async def test_a_redis_that_may_drop_live_sessions_is_reported_at_start(
    serve: Serve, redis_process: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """If Redis may evict sessions that are still running, a warning is logged when the server starts."""
    with redis_process.client() as connection:
        connection.config_set("maxmemory-policy", "volatile-ttl")
        connection.config_set("maxmemory", "8mb")
    await serve(redis_url=redis_process.url)
    assert "may evict sessions that are still running" in caplog.text


# -- figures


async def test_both_forms_have_the_same_figures(serve: Serve) -> None:
    """``/metrics`` and ``/status`` show the same figures, each with a help text for Prometheus."""
    client = await serve()
    await post(client, etapa=1)
    async with native(client) as stream:
        await receive(stream)
        shown = await figures(client)
        async with client.get("/metrics") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            families = list(text_string_to_metric_families(await response.text()))
    assert {family.name.removeprefix("rpa_") for family in families} == set(shown)
    shown["tasks"] = shown["descriptors"] = ANY  # both come and go by themselves
    for family in families:
        assert family.documentation
        assert family.samples[0].value == shown[family.name.removeprefix("rpa_")]


async def test_the_figures_follow_what_happens(serve: Serve, redis_process: RedisServer) -> None:
    """``/status`` counts connections, watched sessions, delivered updates and messages: all, unnumbered and garbage."""
    client = await serve(redis_url=redis_process.url)
    assert (await figures(client))["connections"] == 0
    async with native(client) as one, native(client) as other:
        for stream in (one, other):
            await receive(stream)
        shown = await figures(client)
        assert (shown["connections"], shown["sessions_watched"], shown["updates_delivered"]) == (2, 1, 0)
        await post(client, etapa=1)
        for stream in (one, other):
            for _ in range(2):
                await receive(stream)
        with redis_process.client() as connection:
            connection.publish(f"rpa_progress:{SESSION}", '{"etapa": 2}')
            connection.publish(f"rpa_progress:{SESSION}", "garbage")
        for stream in (one, other):
            await receive(stream)
        await becomes(client, "/status", "messages_garbage", 1)
        shown = await figures(client)
        assert (shown["updates_delivered"], shown["messages_received"], shown["messages_foreign"]) == (6, 3, 1)
    await becomes(client, "/status", "connections", 0)
    await becomes(client, "/status", "sessions_watched", 0)


async def test_a_reset_is_counted(serve: Serve) -> None:
    """Each reset sent to a client is counted once."""
    client = await serve()
    await post(client, status_final="success")
    async with native(client) as stream:
        await receive(stream)
        await post(client, etapa=0)
        assert (await receive(stream))["type"] == "reset"
        assert (await figures(client))["resets"] == 1


async def test_tasks_and_descriptors_are_counted(serve: Serve) -> None:
    """Ten streams add at least 18 descriptors, both ends counted, and no task; a waiting poll adds a task."""
    client = await serve()
    before = await figures(client)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            await receive(await stack.enter_async_context(native(client)))
        during = await figures(client)
        assert during["descriptors"] >= before["descriptors"] + 18
        await becomes(client, "/status", "tasks", before["tasks"])
        waiting = asyncio.create_task(client.get("/api/sessions/nobody", params={"wait": "20"}))
        await becomes(client, "/status", "connections", 11)
        assert (await figures(client))["tasks"] > before["tasks"]
        waiting.cancel()
    await becomes(client, "/status", "tasks", before["tasks"])
    assert (await figures(client))["descriptors"] <= during["descriptors"] - 18


def test_without_a_descriptor_left_the_limit_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no descriptor is left to count the open ones with, open_descriptors() returns the limit."""

    def exhausted(self: Path) -> list[Path]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "iterdir", exhausted)
    assert open_descriptors() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def test_a_broken_file_is_counted(serve: Serve, data_dir: Path) -> None:
    """A read that finds no usable file is counted in ``files_broken``."""
    client = await serve()
    await until(data_dir.is_dir)
    (data_dir / f"progress_{SESSION}.json").write_text("{")
    async with client.get(f"/api/sessions/{SESSION}") as response:
        assert response.status == 404
    assert (await figures(client))["files_broken"] >= 1
