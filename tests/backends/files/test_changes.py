"""Changes reports changed files, and looks at those of watched sessions where nothing else reports."""

import asyncio
import contextlib
import json
import logging
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from watchfiles import awatch

from rpa_server.backends.files import changes as changes_module
from rpa_server.backends.files import reader as reader_module
from rpa_server.backends.files.names import file_name
from rpa_server.backends.files.store import FileStore
from tests.support.server import Server, running, until
from tests.support.sessions import SESSION

BEGAN = "2025-10-09T19:19:39.930000"
PROGRESS = {
    "etapa_atual": 2, "total_etapas": 15, "percentual": 13.3, "status": "executando", "mensagem": "Tela 2",
    "timestamp_inicio": BEGAN, "timestamp_atualizacao": BEGAN, "dados_extra": {}, "erros": [],
}  # fmt: skip
ENTRY = {"timestamp": BEGAN, "status": "executando", "dados_extra": None, "erro": None}
HISTORY = {
    "session_id": SESSION, "timestamp_inicio": BEGAN, "total_etapas": 15,
    "historico": [{**ENTRY, "etapa": number, "mensagem": f"Tela {number}"} for number in (1, 2)],
}  # fmt: skip


def put(data_dir: Path, kind: str, document: Any, session_id: str = SESSION) -> None:
    """Write a document as the deployed robots do: they truncate the file and rewrite it."""
    (data_dir / file_name(kind, session_id)).write_text(json.dumps(document))


@contextlib.asynccontextmanager
async def reported(store: FileStore, *watched: str) -> AsyncIterator[list[set[str]]]:
    """Yield a list to which every report of changes() is added while sessions are *watched*."""
    found: list[set[str]] = []

    async def collect() -> None:
        async with contextlib.aclosing(store.changes(lambda: watched)) as changes:
            async for names in changes:
                found.append(names)

    task = asyncio.create_task(collect())
    try:
        await until(lambda: task.done() or found)
        yield found
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def store(data_dir: Path) -> FileStore:
    data_dir.mkdir()
    return FileStore(data_dir)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the kernel's reports fail as they do without an inotify instance."""

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Error creating recommended watcher: Too many open files (os error 24)")

    monkeypatch.setattr(changes_module, "_AGAIN_S", 0.02)
    monkeypatch.setattr(changes_module, "_OFTEN_S", 0.02)
    with monkeypatch.context() as patch:
        patch.setattr(changes_module, "awatch", fails)
        yield


@pytest.mark.usefixtures("deaf")
async def test_b10_without_reports_watched_sessions_are_looked_at(
    store: FileStore, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the kernel's reports a watched session that changes, appears or vanishes is reported, and no other one."""
    async with reported(store, SESSION) as found:
        assert found == [set()]
        put(data_dir, "progress", PROGRESS, "unwatched")
        for message in ("Tela 2", "Tela 3", None):
            count = len(found)
            if message is None:
                (data_dir / file_name("progress", SESSION)).unlink()
            else:
                put(data_dir, "progress", {**PROGRESS, "mensagem": message})
            await until(lambda: {SESSION} in found[count:])  # noqa: B023 - called in this turn alone
            await store.read(SESSION)
        assert all(names in (set(), {SESSION}) for names in found)
        assert "Too many open files" in (await store.health())["hearing"]
        assert str(data_dir) not in (await store.health())["hearing"]
    assert [record.levelno for record in caplog.records if record.levelno > logging.INFO] == [logging.WARNING]


async def test_b10_reports_are_taken_up_again(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once the kernel reports again, every watched session is to be read, and the log says so in one line."""
    real, count = awatch, 0

    def sometimes(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count < 3:
            raise OSError(28, "No space left on device")
        return real(*args, **{**kwargs, "rust_timeout": 50})

    monkeypatch.setattr(changes_module, "awatch", sometimes)
    monkeypatch.setattr(changes_module, "_AGAIN_S", 0.02)
    caplog.set_level(logging.INFO, "rpa_server")
    async with reported(store) as found:
        assert "(No space left on device)" in (await store.health())["hearing"]
        await until(lambda: len(found) == 2)
        assert found == [set(), set()]
        assert (await store.health())["hearing"] == "ok"
    assert len(caplog.records) == 2


async def test_b14_a_directory_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the directory can't be made, the log has one line without a traceback; once it can, changes are reported."""
    monkeypatch.setattr(changes_module, "_AGAIN_S", 0.01)
    monkeypatch.setattr(changes_module, "_LOOK_MS", 50)
    (tmp_path / "file").write_text("")
    store = FileStore(tmp_path / "file" / "rpa_data")
    async with reported(store) as found:
        await asyncio.sleep(0.05)
        health = await store.health()
        assert health["reading"] == "The data directory can't be listed (Not a directory)."
        assert health["writing"] == "The data directory can't be written (Not a directory)."
        assert "(Not a directory)" in health["hearing"]
        assert len(caplog.records) == 1
        assert caplog.records[0].exc_info is None
        (tmp_path / "file").unlink()
        await until(lambda: len(found) == 2)
        put(tmp_path / "file" / "rpa_data", "progress", PROGRESS)
        await until(lambda: {SESSION} in found)


async def test_b4_a_torn_file_is_looked_at_until_it_is_settled(
    store: FileStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a robot is killed while it rewrites its history, the session is reported until the newest snapshot was read."""
    monkeypatch.setattr(reader_module, "_SETTLED_NS", 2 * 10**8)
    monkeypatch.setattr(reader_module, "_SETTLED_HISTORY_NS", 4 * 10**8)
    put(data_dir, "progress", PROGRESS)
    put(data_dir, "history", HISTORY)
    async with reported(store, SESSION) as found:
        assert (await store.read(SESSION)) is not None
        put(data_dir, "progress", {**PROGRESS, "mensagem": "Tela 3", "etapa_atual": 3})
        (data_dir / file_name("history", SESSION)).write_bytes(b'{"session_id": "')
        messages = []
        for _ in range(100):
            count = len(found)
            state = await store.read(SESSION)
            assert state is not None
            messages.append(state.snapshot["mensagem"])
            if messages[-1] == "Tela 3":
                break
            await until(lambda: {SESSION} in found[count:])  # noqa: B023 - called in this turn alone
        assert messages[0] == "Tela 2"
        assert messages[-1] == "Tela 3"


async def test_what_was_read_is_not_reported(store: FileStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks report neither a session whose files are those that were read, nor one without files."""
    monkeypatch.setattr(changes_module, "_SELDOM_S", 0.01)
    put(data_dir, "progress", PROGRESS)
    await asyncio.sleep(0.03)  # else its time says nothing about its content
    await store.read(SESSION)
    async with reported(store, SESSION, "nobody") as found:
        await asyncio.sleep(0.05)
        assert not [names for names in found if names]


_NAMESPACE = """
echo 0 >/proc/sys/user/max_inotify_instances
(while kill -0 $$ && ! test -e "$0"; do sleep 0.1; done; echo 128 >/proc/sys/user/max_inotify_instances) 2>/dev/null &
exec "$@"
"""


class DeafServer(Server):
    """A server in a user namespace without inotify instances, until the file ``instances`` is made beside its directory."""

    def command(self) -> list[str]:
        flag = str(self.log.with_name("instances"))
        return ["unshare", "--user", "--map-root-user", "sh", "-c", _NAMESPACE, flag, *super().command()]


def _namespaces() -> bool:
    program = shutil.which("unshare")
    words = ["--user", "--map-root-user", "sh", "-c", "echo 0 >/proc/sys/user/max_inotify_instances"]
    return program is not None and subprocess.run([program, *words], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _namespaces(), reason="no user namespaces with a limit of their own here")
async def test_b10_a_server_without_inotify_serves_streams(data_dir: Path) -> None:
    """Without an inotify instance streams get each update, readiness is degraded; both are well again with an instance."""
    server = DeafServer(data_dir)
    with running(server):
        async with aiohttp.ClientSession() as http:

            async def ready() -> dict[str, Any]:
                async with http.get(f"{server.url}/health/ready") as response:
                    assert response.status == 200
                    return dict(await response.json())

            body = await ready()
            assert (body["status"], body["files"]["reading"], body["files"]["writing"]) == ("degraded", "ok", "ok")
            assert "inotify" in body["reason"]
            async with http.ws_connect(f"{server.url}/rpa/{SESSION}", protocols=["rpa.v1"]) as stream:
                await stream.receive_json(timeout=30)
                for number in (3, 4):
                    put(data_dir, "progress", {**PROGRESS, "mensagem": f"Tela {number}", "etapa_atual": number})
                    assert (await stream.receive_json(timeout=30))["mensagem"] == f"Tela {number}"
            assert sum("are not reported" in line for line in server.log.read_text().splitlines()) == 1
            assert "Traceback" not in server.log.read_text()
            (data_dir.parent / "instances").touch()
            async with asyncio.timeout(30):
                while (await ready())["status"] != "ok":  # noqa: ASYNC110 - HTTP has no event to await
                    await asyncio.sleep(0.05)
