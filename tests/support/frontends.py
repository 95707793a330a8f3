"""Programs in front of the server, as real processes: nginx with the shipped configuration, and php-cli."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.server import ROOT, Listener, Server, free_port, running, wait_until

CONF = ROOT / "conf" / "nginx.conf"
#: Stands in for the deployed front controller: its answer names the method and the path that reached it, and has the
#: CORS header twice, as some deployed versions send it.
ROUTER = """<?php
header('Access-Control-Allow-Origin: *');
header('Access-Control-Allow-Origin: https://www.example.com', false);
header('Content-Type: application/json');
echo json_encode(['php' => $_SERVER['REQUEST_METHOD'], 'asked' => $_GET['asked'] ?? null]);
"""
#: The main configuration: nginx's defaults, and compression of everything that may be compressed.
MAIN = """
{user}
worker_processes 2;
worker_rlimit_nofile 8192;
{more}
pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    gzip on;
    gzip_types *;
    gzip_proxied any;
    gzip_min_length 1;
    include site.conf;
}}
"""


class Process(Listener):
    """A program in front of the server, in a process group of its own; a context manager."""

    def _run(self, command: list[str], environ: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        with self.log.open("ab") as log:
            # In a process group of its own, so that php-cli's workers end with it.
            self._process = subprocess.Popen(command, env=environ, cwd=cwd, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self.listens)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process and its children."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for localhost; return the paths of the certificate and of its key."""
    chain, key = directory / "fullchain.pem", directory / "privkey.pem"
    program = shutil.which("openssl")
    assert program, "openssl is not installed"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(chain)],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return chain, key


_READ_TIMEOUT = r"proxy_read_timeout (\d+)s;"


def read_timeout() -> float:
    """Return the shipped ``proxy_read_timeout`` in seconds: how long nginx waits for the next byte of a stream."""
    (seconds,) = re.findall(_READ_TIMEOUT, CONF.read_text())
    return float(seconds)


class Nginx(Process):
    """nginx with ``conf/nginx.conf``; only ports, paths, the read timeout and the way to PHP are changed.

    Args:
        directory: an empty directory for its files.
        server_port: the port of rpa-server.
        php_port: the port of a Php, which is reached over HTTP where the shipped configuration uses FastCGI; by default
            nothing listens there.
        more: lines for the main context of nginx.conf.
        read_timeout_s: seconds, instead of the shipped ``proxy_read_timeout``.
    """

    def __init__(
        self, directory: Path, server_port: int, php_port: int = 9, more: str = "", read_timeout_s: float | None = None
    ) -> None:
        super().__init__(free_port(), directory / "stderr.log")
        self.directory = directory
        self.plain_port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.access_log = directory / "rpa.access.log"
        self.root = directory / "public"
        self._read_timeout_s = read_timeout_s or read_timeout()
        self._program = shutil.which("nginx") or "/usr/sbin/nginx"
        for made in ("temp", "public", "acme"):
            (directory / made).mkdir(parents=True)
        (directory / "fastcgi_params").touch()
        (directory / "site.conf").write_text(self._site(server_port, php_port))
        user = "user root;" if os.geteuid() == 0 else ""
        (directory / "nginx.conf").write_text(MAIN.format(user=user, more=more))

    def _site(self, server_port: int, php_port: int) -> str:
        chain, key = certificate(self.directory)
        text = CONF.read_text()
        for pattern, replacement in [
            (r"(?m)^    listen 80;", f"    listen 127.0.0.1:{self.plain_port};"),
            (r"(?m)^    listen 443 ", f"    listen 127.0.0.1:{self.port} "),
            (r"server 127\.0\.0\.1:8080;", f"server 127.0.0.1:{server_port};"),
            (r"/etc/\S+/fullchain\.pem", str(chain)),
            (r"/etc/\S+/privkey\.pem", str(key)),
            (r"/var/log/nginx/rpa\.access\.log", str(self.access_log)),
            (r"root /var/www/letsencrypt;", f"root {self.directory / 'acme'};"),
            (r"root /var/www/rpa/public;", f"root {self.root};"),
            (r"fastcgi_pass \S+;", f"proxy_pass http://127.0.0.1:{php_port}/index.php?asked=$request_uri;"),
            (r"fastcgi_hide_header", "proxy_hide_header"),
            (_READ_TIMEOUT, f"proxy_read_timeout {self._read_timeout_s * 1000:.0f}ms;"),
        ]:
            text, count = re.subn(pattern, lambda match, new=replacement: new, text)  # type: ignore[misc]
            assert count == 1, (pattern, count)
        return text

    def _command(self, *options: str) -> list[str]:
        return [self._program, "-p", str(self.directory), "-c", "nginx.conf", "-e", "error.log", *options]

    def check(self) -> str:
        """Return the output of ``nginx -t``."""
        done = subprocess.run(self._command("-t"), check=False, capture_output=True, text=True, timeout=10)
        return done.stderr

    def start(self) -> Self:
        """Start it and wait until it listens."""
        self._run(self._command("-g", "daemon off;"))
        return self

    def reload(self) -> None:
        """Reload the configuration (SIGHUP); return once a new worker has started."""
        before = self.workers()
        os.kill(self.pid, signal.SIGHUP)
        wait_until(lambda: self.workers() - before)

    def workers(self) -> set[int]:
        """Return the pids of the workers, old ones included."""
        return set(map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()))


class Php(Process):
    """php-cli's own web server.

    Args:
        root: its document root.
        router: a script that gets every request; None to serve the files of *root*.
        log: the file for its output.
        workers: how many requests it serves at once.
        options: more command-line options, such as ``-d``.
        environ: more environment variables.
    """

    def __init__(
        self, root: Path, router: Path | None, log: Path, workers: int = 4, options: tuple[str, ...] = (), **environ: str
    ) -> None:
        super().__init__(free_port(), log)
        self.url = f"http://127.0.0.1:{self.port}"
        self._root = root
        self._router = [] if router is None else [str(router)]
        self._options = options
        self._environ = {**os.environ, "PHP_CLI_SERVER_WORKERS": str(workers), **environ}

    def start(self) -> Self:
        """Start it and wait until it listens."""
        program = shutil.which("php")
        assert program, "php-cli is not installed"
        self._run(
            [program, *self._options, "-S", f"127.0.0.1:{self.port}", "-t", str(self._root), *self._router],
            self._environ,
        )
        return self


@dataclass
class Site:
    """A server, and the nginx in front of it; see behind_nginx()."""

    server: Server
    nginx: Nginx


@contextlib.contextmanager
def behind_nginx(
    directory: Path, more: str = "", read_timeout_s: float | None = None, **environ: str
) -> Iterator[Site]:
    """Run a server without Redis, a PHP site, and nginx in front of both.

    Args:
        directory: for the files of all three; created if missing.
        more, read_timeout_s: see Nginx.
        environ: environment variables of the server.
    """
    directory.mkdir(exist_ok=True)
    router = directory / "router.php"
    router.write_text(ROUTER)
    with (
        running(Server(directory / "rpa_data", "none", None, **environ)) as server,
        Php(directory, router, directory / "php.log").start() as php,
        Nginx(directory / "nginx", server.port, php.port, more, read_timeout_s) as nginx,
    ):
        nginx.start()
        yield Site(server, nginx)
