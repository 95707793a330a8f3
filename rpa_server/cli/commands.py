"""The command line ``rpa-server``."""

import asyncio
import dataclasses
import os
import socket
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import click
from aiohttp import web

from .. import app, config, log
from ..assets import __version__
from ..backends import leftovers
from ..backends.redis import writer
from ..errors import BadDocument, BadSessionId, ConfigError
from ..progress.outcome import Estado
from ..progress.session_id import check_session_id
from ..serving import endings, listener
from ..serving.bind import CannotListen, PortTaken, bind
from ..serving.siblings import socket_path
from ..serving.supervisor import Supervisor
from . import demo, replay, watch

_CONFIG_STATUS = 2


@click.group()
@click.version_option(__version__, prog_name="rpa-server")
def cli() -> None:
    """Show a web page, live, what a robot is doing."""


@cli.command()
@click.option("--host", help="Address to listen on; else RPA_HOST, else localhost.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port, 0 for a free one; else RPA_PORT, else 8080.")
@click.option("--workers", "count", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes on the port.")
@click.option("--log-level", type=click.Choice(log.LEVELS), default="INFO", help="DEBUG tells of every connection.")
@click.option("--socket", "path", type=click.Path(path_type=Path), hidden=True, help="For the supervisor's processes.")
def serve(host: str | None, port: int | None, count: int, log_level: str, path: Path | None) -> None:
    """Run the server."""
    settings = config.load(os.environ)
    settings = dataclasses.replace(
        settings,
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
    )
    log.configure(log_level)
    if count > 1:
        _supervise(settings, count, log_level)
    else:
        built = app.build(settings, path)
        if path is not None:
            built.cleanup_ctx.append(endings.with_supervisor)
        sockets = _bind(settings.host, settings.port, share=path is not None)
        _run(built, sockets, None if path else settings.host)


def _supervise(settings: config.Settings, count: int, log_level: str) -> None:
    """Run *count* processes on one port, each with an equal part of ``RPA_MAX_CONNECTIONS``."""
    for probe in _bind(settings.host, settings.port):  # unshared: fails if another program has the port
        settings = dataclasses.replace(settings, port=probe.getsockname()[1])
        probe.close()
    reserved = _bind(settings.host, settings.port, share=True, listen=False)
    os.environ["RPA_MAX_CONNECTIONS"] = str(-(-settings.max_connections // count))
    with tempfile.TemporaryDirectory(prefix="rpa-server-") as directory:
        command = [sys.executable, "-m", "rpa_server", "serve", "--host", settings.host, "--port", str(settings.port)]
        command += ["--log-level", log_level]
        paths = [str(socket_path(directory, number)) for number in range(count)]
        supervisor = Supervisor([[*command, "--socket", path] for path in paths])
        click.echo(_address(settings.host, settings.port))
        asyncio.run(supervisor.run())
    for kept in reserved:
        kept.close()


@cli.command("demo")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; else 8080, or a free one where that is taken.")
@click.option("--speed", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="Times as fast.")
def demonstrate(host: str, port: int | None, speed: float) -> None:
    """Run a server, a robot and a page, without Redis."""
    log.configure("WARNING")
    with demo.directory() as data_dir:
        settings = config.Settings(redis_url=None, data_dir=data_dir)
        try:
            sockets = bind(host, settings.port if port is None else port)
        except PortTaken as error:
            if port is not None:
                raise click.ClickException(str(error)) from None
            sockets = _bind(host, 0)
        _run(demo.build(settings, speed), sockets, host, f"/?session={demo.SESSION}")


@cli.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--speed", type=click.FloatRange(0.01, 100_000), default=1.0, show_default=True, help="Times as fast.")
@click.option("--session", "session_id", help="Session id instead of the recorded one; with one FILE only.")
def replay_files(files: tuple[Path, ...], speed: float, session_id: str | None) -> None:
    """Play recorded runs (history_*.json) through the real tracker."""
    if session_id is not None:
        if len(files) > 1:
            raise click.UsageError("--session goes with one FILE, since two runs can't share a session.")
        check_session_id(session_id)
    config.load(os.environ)
    log.configure("WARNING")
    failed = False
    for path in files:
        try:
            replay.play(path, speed, session_id)
        except BadDocument as error:
            click.echo(f"rpa-server: {error}", err=True)
            failed = True
    sys.exit(1 if failed else 0)


@cli.command("watch")
@click.argument("session_id", metavar="SESSION")
@click.option("--url", default="http://localhost:8080", show_default=True, help="Address of the server.")
def watch_session(session_id: str, url: str) -> None:
    """Show a run in the terminal, live; ends with it, status 0 for a quote and 1 for none."""
    if not _is_address(url):
        raise click.UsageError("--url is the server's address: http://host:port or https://host.")
    watcher = watch.Watcher(check_session_id(session_id), url)
    try:
        asyncio.run(watcher.run())
    except KeyboardInterrupt:
        sys.exit(130)
    click.echo(watcher.estado)
    sys.exit(0 if watcher.estado == Estado.SUCESSO else 1)


@cli.command("flush")
@click.argument("directory", required=False, type=click.Path(file_okay=False, path_type=Path))
def flush_files(directory: Path | None) -> None:
    """Hand in to Redis what robots have left in DIRECTORY, else in RPA_DATA_DIR, because they ended first."""
    settings = config.load(os.environ)
    log.configure("WARNING")
    if settings.redis_url is None:
        raise click.ClickException("There is no Redis to hand anything in to; set RPA_REDIS_URL.")
    directory = Path(settings.data_dir) if directory is None else directory
    try:
        sessions = leftovers.sessions_in(directory)
        count = leftovers.hand_in(directory, sessions, writer.RedisWriter(writer.connect(settings.redis_url)))
    except writer.ERRORS as error:
        raise click.ClickException(f"The files in {directory} can't be handed in ({error}).") from None
    click.echo(f"Of {len(sessions)} sessions in {directory}, the runs of {count} are in Redis now.")


def _is_address(url: str) -> bool:
    """Tell whether *url* can be a server's address; with any other text a watcher would retry for ever."""
    try:
        split = urlsplit(url)
        return split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        return False


def _bind(host: str, port: int, **options: bool) -> list[socket.socket]:
    try:
        return bind(host, port, **options)
    except CannotListen as error:
        raise click.ClickException(str(error)) from None


def _address(host: str, port: int, path: str = "/") -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"


def _run(app: web.Application, sockets: list[socket.socket], host: str | None, path: str = "/") -> None:
    """Serve until a signal ends it.

    Args:
        host: the host in the address that is printed, None to print no address. It is printed once signal handlers are
            installed, so that a program that reads the address may stop the server at once.
        path: the path in that address.
    """
    port = sockets[0].getsockname()[1]

    async def print_address(app: web.Application) -> None:
        if host is not None:
            click.echo(_address(host, port, path))

    app.on_startup.append(print_address)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(listener.serve(app, sockets))


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop, uvloop's if uvloop is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main() -> None:
    """Run the command line; a wrong setting or session id is reported in one sentence, with exit status 2."""
    try:
        cli()
    except ConfigError as error:
        click.echo(f"rpa-server: {error}", err=True)
        sys.exit(_CONFIG_STATUS)
    except BadSessionId as error:
        click.echo(f"rpa-server: {error}", err=True)
        sys.exit(_CONFIG_STATUS)
