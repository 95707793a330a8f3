"""``rpa-server watch``: a run in the terminal, live, whatever happens to the server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import pytest
from aiohttp import web

from rpa_server.app import build
from rpa_server.cli import watch
from rpa_server.cli.watch import Watcher, first_price, line, reason
from rpa_server.config import Settings
from rpa_server.delivery import session
from rpa_server.watchers.feed import unnumbered_update
from tests.support.application import Client, Connect, Serve, hub_of, post, stored
from tests.support.server import free_port, until
from tests.support.sessions import SESSION, Robot


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time between the final update and the end of streams from 2 s to 0.5 s."""
    monkeypatch.setattr(session, "GRACE_S", 0.5)


@contextlib.asynccontextmanager
async def watching(watcher: Watcher) -> AsyncIterator["asyncio.Task[None]"]:
    """Run a watcher during the block."""
    task = asyncio.create_task(watcher.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def watcher_of(client: Client, session_id: str = SESSION) -> Watcher:
    return Watcher(session_id, str(client.make_url("/")))


@contextlib.asynccontextmanager
async def server_at(port: int, data_dir: Path) -> AsyncIterator[web.Application]:
    """Serve the application on files at *port* for the duration of the block; yield the application."""
    app = build(Settings(redis_url=None, data_dir=str(data_dir)))
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield app
    finally:
        await runner.cleanup()


# -- a run from beginning to end


@pytest.mark.parametrize(
    ("status", "error", "estado"),
    [("success", None, "sucesso"), ("error", None, "erro"), ("error", "Cotação manual", "cotacao_manual"),
     ("timeout", None, "expirado")],
)  # fmt: skip
async def test_a_run_is_shown_to_its_end(serve: Serve, status: str, error: str | None, estado: str) -> None:
    """A watcher that starts before its run follows the run, ends with it, and has its ``estado``."""
    client = await serve()
    watcher = watcher_of(client)
    async with watching(watcher) as task:
        await until(lambda: hub_of(client).connections == 1)
        assert watcher.estado == "aguardando"
        await post(client, etapa=1, mensagem="Tela 1")
        await until(lambda: watcher.estado == "executando")
        assert not task.done()
        await post(client, status_final=status, erro_final=error)
        async with asyncio.timeout(30):
            await task
    assert watcher.final
    assert watcher.estado == estado


async def test_a_finished_run_is_shown_and_done(serve: Serve, data_dir: Path) -> None:
    """For a run that has ended the watcher shows the end and exits."""
    robot = Robot(steps=3)
    robot.finish()
    stored(data_dir, robot)
    watcher = watcher_of(await serve())
    async with asyncio.timeout(30):
        await watcher.run()
    assert (watcher.final, watcher.estado) == (True, "sucesso")


async def test_how_far_it_is_is_on_the_screen(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal the run's ``estado`` is printed on a line whenever it changes."""
    client = await serve()
    watcher = watcher_of(client)
    async with watching(watcher):
        await until(lambda: hub_of(client).connections == 1)
        await post(client, etapa=3, mensagem="Tela 3 concluída")
        await until(lambda: watcher.estado == "executando")
    assert capsys.readouterr().out.split() == ["aguardando", "executando"]


def test_a_line_is_short_and_commands_no_terminal() -> None:
    """line() gives step, number of steps and text in at most 60 characters, none of them a control character."""
    shown = {"etapa": 5.5, "total_etapas": 15, "mensagem": "\x1b[2J\nTela 5\r\x07 concluída"}
    assert line(shown) == "5.5/15  [2J Tela 5   concluída"
    assert len(line({"etapa_atual": 3, "total_etapas": 15, "mensagem": "x" * 500})) == 60


@pytest.mark.parametrize(
    ("body", "last"),
    [({"status_final": "success", "dados_finais": {"plano_recomendado": {"valor": "N/A"},
                                                   "plano_alternativo": {"valor": "R$2.914,35"}}}, "R$2.914,35"),
     ({"status_final": "error", "erro_final": "Placa não encontrada"}, "Placa não encontrada")],
    ids=["price", "reason"],
)  # fmt: skip
async def test_the_last_line_is_the_price_or_the_reason(
    serve: Serve, capsys: pytest.CaptureFixture[str], body: dict[str, Any], last: str
) -> None:
    """The last line is the price or the error, both for a run that is followed live and for one that has ended."""
    client = await serve()
    live, late = watcher_of(client), watcher_of(client)
    async with watching(live) as task:
        await until(lambda: hub_of(client).connections == 1)
        await post(client, etapa=3)
        await post(client, **body)
        async with asyncio.timeout(5):
            await task
    assert capsys.readouterr().out.splitlines()[-1] == last
    async with asyncio.timeout(5):
        await late.run()
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_what_says_neither_price_nor_reason_is_empty() -> None:
    """For a state without any price, or without a valid error, first_price() and reason() return an empty text."""
    for state in ({}, {"resultado": None}, {"resultado": {"plano_recomendado": {"valor": "N/A"}}},
                  {"resultado": {"plano_recomendado": None}}, {"erros": ["x", {}]}, {"erro": None}):  # fmt: skip
        assert (first_price(state), reason(state)) == ("", "")


async def test_a_new_run_is_followed(serve: Serve) -> None:
    """If a robot begins a new run before the streams of the old one end, the watcher follows the new run to its end."""
    client = await serve()
    await post(client, etapa=3)
    watcher = watcher_of(client)
    async with watching(watcher) as task:
        await until(lambda: watcher.estado == "executando")
        await post(client, status_final="error")
        await post(client, etapa=0)
        await until(lambda: watcher.estado == "executando")
        await post(client, status_final="success")
        async with asyncio.timeout(30):
            await task
    assert watcher.estado == "sucesso"


# -- a server that stops, is full or is another program


async def test_a_restart_is_survived(data_dir: Path) -> None:
    """A watcher reconnects to a restarted server and continues with the run."""
    port = free_port()
    robot = stored(data_dir, Robot(steps=3))
    watcher = Watcher(SESSION, f"http://127.0.0.1:{port}")
    async with watching(watcher) as task:
        async with server_at(port, data_dir):
            await until(lambda: watcher.estado == "executando")
        assert not task.done()
        await asyncio.sleep(0.05)
        robot.finish()
        stored(data_dir, robot)
        async with server_at(port, data_dir), asyncio.timeout(10):
            await task
    assert watcher.estado == "sucesso"


async def test_a_server_that_is_not_there_yet_is_waited_for(data_dir: Path) -> None:
    """If the server starts after the watcher, the watcher waits for it, and then follows the run."""
    port = free_port()
    robot = Robot(steps=3)
    robot.finish()
    stored(data_dir, robot)
    watcher = Watcher(SESSION, f"http://127.0.0.1:{port}/")
    async with watching(watcher) as task:
        await asyncio.sleep(0.05)
        assert not task.done()
        async with server_at(port, data_dir), asyncio.timeout(10):
            await task
    assert watcher.estado == "sucesso"


async def another_server(aiohttp_client: Connect, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Client:
    """Serve *answer* at every address, as a server that is not an rpa-server would."""
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    return await aiohttp_client(app)


async def test_a_full_server_is_not_besieged(aiohttp_client: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server is full the watcher counts every attempt as a failure, so that the waits grow."""

    async def full(request: web.Request) -> web.StreamResponse:
        stream = web.WebSocketResponse(protocols=["rpa.v1"])
        await stream.prepare(request)
        await stream.send_str('{"type":"error","code":"full","message":"x","temporary":true}')
        await stream.close(code=1013)
        return stream

    attempts: list[int] = []

    def delay(attempt: int, *_: object) -> float:
        attempts.append(attempt)
        return 0.001

    monkeypatch.setattr(watch, "delay", delay)
    client = await another_server(aiohttp_client, full)
    async with watching(watcher_of(client)) as task:
        await until(lambda: task.done() or len(attempts) >= 5)
        assert not task.done()
    assert attempts[:5] == [2, 3, 4, 5, 6]


async def test_what_is_no_rpa_server_is_reported(aiohttp_client: Connect) -> None:
    """If the server answers 404, the watcher ends with one sentence that names the session, and does not retry."""

    async def missing(request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    client = await another_server(aiohttp_client, missing)
    with pytest.raises(click.ClickException) as caught:
        async with asyncio.timeout(30):
            await watcher_of(client).run()
    assert SESSION in caught.value.message


# -- odd messages


@pytest.mark.parametrize(
    "raw",
    [b"{}", b'{"etapa": 1}', b'{"estado": "x"}', b'{"estado": "x", "final": true, "etapa": 1}', b'{"snapshot": 5}',
     b'{"snapshot": {"estado": 1}}', b'{"estado": "executando", "final": false, "percentual": "x"}',
     b'{"estado": "executando", "final": false, "percentual": null, "total_etapas": null, "mensagem": null}',
     b'{"epoch": "x"}', b'{"epoch": [], "seq": {}}', b'{"mensagem": "\\u001b[2J"}'],
)  # fmt: skip
async def test_a_message_of_another_program_does_no_harm(serve: Serve, raw: bytes) -> None:
    """Whatever the message of another writer contains, the watcher follows the run to its end."""
    client = await serve()
    await post(client, etapa=1)
    watcher = watcher_of(client)
    async with watching(watcher) as task:
        await until(lambda: watcher.estado == "executando")
        hub_of(client).publish(SESSION, unnumbered_update(raw))
        await post(client, status_final="success")
        async with asyncio.timeout(30):
            await task
    assert watcher.estado == "sucesso"
