"""web/php, run by php-cli: whether it fetches by curl or by plain sockets, it answers as the server itself does."""

import asyncio
import contextlib
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from rpa_server.legacy import progress_answer, reader_answer
from tests.support import pages
from tests.support.frontends import Nginx, Php
from tests.support.server import ROOT, Server, free_port, publish, running
from tests.support.timing import within

PHP = ROOT / "web" / "php"
PROXY = PHP / "rpa_proxy.php"
GOOD, EVIL = "https://www.example.com", "https://evil.example"
STEP = {"etapa": 1, "mensagem": "Tela 1"}
#: The files of web/php whose addresses deployed pages know; each one includes rpa_proxy.php.
SHIMS = ("progress_sse.php", "rpa_progress_sse.php", "get_progress.php", "get_progress_completo.php",
         "get_progress_fixed.php")  # fmt: skip
#: Options of php-cli for each way to fetch: the proxy uses plain sockets if the function curl_init does not exist.
BACKENDS = {"curl": (), "sockets": ("-d", "disable_functions=curl_init")}
#: The headers that are compared, because browsers, pages and caches rely on them.
MATTER = ("Content-Type", "ETag", "Cache-Control", "Vary", "Access-Control-Allow-Origin", "X-Content-Type-Options",
          "Access-Control-Expose-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers")  # fmt: skip


@dataclass
class Host:
    """Two PHP hosts in front of the server.

    Attributes:
        server: the server.
        files: the address of a host whose document root is web/php.
        rewritten: the address of a host that passes every path to rpa_proxy.php.
        log: the file with the output of both.
    """

    server: Server
    files: str
    rewritten: str
    log: Path


@contextlib.contextmanager
def hosted(directory: Path, server: Server, backend: str) -> Iterator[Host]:
    """Run two PHP hosts in front of *server*; *backend* is a key of BACKENDS."""
    directory.mkdir(exist_ok=True)
    options, log = BACKENDS[backend], directory / "php.log"
    with (
        Php(PHP, None, log, 8, options, RPA_SERVER_URL=server.url).start() as files,
        Php(directory, PROXY, log, 8, options, RPA_SERVER_URL=server.url).start() as rewritten,
    ):
        yield Host(server, files.url, rewritten.url, log)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it running; of other origins only GOOD is allowed."""
    directory = tmp_path_factory.mktemp("server")
    with running(Server(directory / "rpa_data", RPA_ALLOWED_ORIGINS=GOOD, RPA_HEARTBEAT_S="0.5")) as server:
        yield server


@pytest.fixture(scope="module", params=BACKENDS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Host]:
    """PHP in front of the server; tests with it run twice, once with curl and once without."""
    with hosted(tmp_path_factory.mktemp("php"), server, request.param) as host:
        yield host


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client with aiohttp's defaults."""
    async with aiohttp.ClientSession() as client:
        yield client


async def answer(
    http: aiohttp.ClientSession, address: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, list[str]], Any]:
    """Return the status, the headers in MATTER, and the body with its times and ages masked."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.request(method, URL(address, encoded=True), headers=sent) as response:
        text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", "…", await response.text())
        text = re.sub(r'_ms":\d+', '_ms":…', text)
        found = {name: response.headers.getall(name) for name in MATTER if name in response.headers}
        return response.status, found, text


NATIVE = [
    "/api/sessions/a", "/api/sessions/a?after=0", "/api/sessions/unknown", "/api/sessions/a?after=!",
    "/api/sessions/a?wait=x", "/api/sessions/a?wait=0.1", "/api/sessions/a?after=0&other=1",
]  # fmt: skip


@pytest.mark.parametrize("path", NATIVE)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("origin", [GOOD, EVIL])
async def test_polls_are_answered_as_by_the_server_itself(
    host: Host, http: aiohttp.ClientSession, path: str, method: str, origin: str
) -> None:
    """Through PHP a native poll gets the server's status, body and headers, errors and preflights included."""
    await publish(host.server, "a", **STEP)
    direct = await answer(http, host.server.url + path, method, Origin=origin)
    assert await answer(http, f"{host.files}/rpa_proxy.php{path}", method, Origin=origin) == direct
    assert await answer(http, host.rewritten + path, method, Origin=origin) == direct


DEPLOYED = [
    "/api/rpa/progress/a", "/rpa/progress/a", "/progress/a", "/api/rpa/progress/a/", "/api/rpa/progress/unknown",
    "/api/rpa/progress/.x", "/api/rpa/progress/a%00", "/api/rpa/progress/%C3%A9", "/get_progress.php?session=a",
    "/get_progress.php?session=unknown", "/get_progress.php?session=..", "/get_progress.php?session=", "/get_progress.php",
    *(f"/get_progress_{kind}.php{query}" for kind in ("completo", "fixed") for query in ("?session=a", "?session=..", "")),
]  # fmt: skip
#: Addresses that answer 400 without a session; get_progress.php, which ignored its parameter in the deployed system,
#: answers 200.
NO_SESSION = re.compile(r"_(?:completo|fixed)\.php$")


@pytest.mark.parametrize("path", DEPLOYED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_deployed_polls_are_answered_as_by_the_server_itself(
    host: Host, http: aiohttp.ClientSession, path: str, method: str
) -> None:
    """A deployed poll gets the server's status and, times aside, its body byte for byte."""
    await publish(host.server, "a", **STEP)
    direct = await answer(http, host.server.url + path, method, Origin=GOOD)
    assert direct[0] == (400 if NO_SESSION.search(path) and method != "OPTIONS" else 200)
    for address in ways(host, path):
        status, headers, text = await answer(http, address, method, Origin=GOOD)
        assert (status, text) == (direct[0], direct[2])
        own = "inv" in text or "obrig" in text or method != "GET"  # an answer of the proxy's own
        if not own:
            assert headers == direct[1]
        assert len(headers["Access-Control-Allow-Origin"]) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_deployed_polls_take_no_other_method_than_the_servers_own(
    host: Host, http: aiohttp.ClientSession, method: str
) -> None:
    """POST, PUT, DELETE and PATCH on deployed addresses get the server's status and body."""
    for path, expected in (("/api/rpa/progress/a", 200), ("/get_progress.php?session=a", 405), ("/progress_sse.php", 405)):
        direct = await answer(http, host.server.url + path, method)
        assert direct[0] == expected
        for address in ways(host, path):
            status, _, text = await answer(http, address, method)
            assert (status, text) == (expected, direct[2])


@pytest.mark.parametrize("session", ["run", "..", "%C3%A9", ""])
async def test_the_deployed_stream_is_the_servers_own(host: Host, http: aiohttp.ClientSession, session: str) -> None:
    """The deployed stream brings the server's messages, for a run that has failed and for invalid session ids."""
    await publish(host.server, "run", **STEP)
    await publish(host.server, "run", status_final="error", erro_final="Cotação manual necessária")
    path = f"/progress_sse.php?session_id={session}"
    found = await asyncio.gather(*(_messages(http, address) for address in (host.server.url + path, *ways(host, path))))
    assert found[0][-1]["status"] == "error"
    assert found[1:] == [found[0]] * 2


async def _messages(http: aiohttp.ClientSession, address: str) -> list[dict[str, Any]]:
    text = (await answer(http, address))[2]
    return [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]


async def test_the_deployed_stream_passes_as_it_happens(host: Host, http: aiohttp.ClientSession) -> None:
    """``starting`` arrives within 500 ms, even before anything is known of the session, and a step within 700 ms."""
    session = f"early-{host.files[-5:]}"
    for number, address in enumerate(ways(host, f"/progress_sse.php?session_id={session}")):
        began = time.monotonic()
        async with http.get(address) as response:
            assert json.loads((await _line(response, b"data: "))[6:])["status"] == "starting"
            within(time.monotonic() - began, 0.5)
            began = time.monotonic()
            await publish(host.server, session, etapa=number + 2, mensagem="x")
            while json.loads((await _line(response, b"data: "))[6:]).get("etapa_atual") != number + 2:
                pass
            within(time.monotonic() - began, 0.7)


STREAMS = ["/events/{}", "/rpa_progress_sse.php?session_id={}"]


def ways(host: Host, path: str) -> list[str]:
    """Return the addresses of *path* on both hosts, the one with files and the one that rewrites."""
    straight = host.files + path if ".php" in path else f"{host.files}/rpa_proxy.php{path}"
    return [straight, host.rewritten + path]


@pytest.mark.parametrize("path", STREAMS)
async def test_events_pass_as_they_happen(host: Host, http: aiohttp.ClientSession, path: str) -> None:
    """The first event and each later one arrive within 500 ms, uncompressed, and heartbeats pass, too."""
    await publish(host.server, "sse", **STEP)
    for address in ways(host, path.format("sse")):
        began = time.monotonic()
        async with http.get(address, headers={"Origin": GOOD, "Accept-Encoding": "gzip"}) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/event-stream"
            assert response.headers["X-Accel-Buffering"] == "no"
            assert "no-store" in response.headers["Cache-Control"]
            assert response.headers.getall("Access-Control-Allow-Origin") == [GOOD]
            assert "Content-Encoding" not in response.headers
            await _line(response, b"data: ")
            within(time.monotonic() - began, 0.5)
            for _ in range(5):
                began = time.monotonic()
                sent = await publish(host.server, "sse", **STEP)
                while json.loads((await _line(response, b"data: "))[6:])["seq"] != sent:
                    pass
                within(time.monotonic() - began, 0.5)
            await _line(response, b":")


async def _line(response: aiohttp.ClientResponse, start: bytes) -> bytes:
    """Read up to the next line that begins with *start*."""
    while not (line := await asyncio.wait_for(response.content.readline(), 30)).startswith(start):
        assert line, "the stream ended"
    return line


@pytest.mark.parametrize("by", ["query", "header"])
async def test_a_stream_resumes_where_it_was(host: Host, http: aiohttp.ClientSession, by: str) -> None:
    """A stream with a cursor gets every later update once, in order; 204 if the run has ended and none is left."""
    sid = f"resume-{by}-{host.files[-5:]}"
    for number in range(3):
        await publish(host.server, sid, etapa=number + 1, mensagem="x")
    async with http.get(f"{host.server.url}/api/sessions/{sid}") as response:
        epoch = (await response.json())["epoch"]
    last = await publish(host.server, sid, status_final="success")
    whole, rest = list(range(3, last + 1)), f"{epoch}:{last}"
    addresses = ways(host, f"/events/{sid}")
    found = await asyncio.gather(*(_resumed(http, address, f"{epoch}:2", by) for address in addresses))
    assert found == [(200, whole)] * len(addresses)
    found = await asyncio.gather(*(_resumed(http, address, rest, by) for address in addresses))
    assert found == [(204, [])] * len(addresses)


async def _resumed(http: aiohttp.ClientSession, address: str, cursor: str, by: str) -> tuple[int, list[int]]:
    headers, query = ({"Last-Event-ID": cursor}, {}) if by == "header" else ({}, {"after": cursor})
    async with http.get(address, headers=headers, params=query) as response:
        text = await response.text()
    return response.status, [int(number) for number in re.findall(r"id: \S+:(\d+)", text)]


async def test_a_viewer_that_leaves_frees_its_process_and_its_connection(host: Host, http: aiohttp.ClientSession) -> None:
    """Twelve viewers come and go, more than PHP has processes; each is served, and no connection is left."""
    await publish(host.server, "leave", **STEP)
    for _ in range(12):
        async with http.get(f"{host.files}/rpa_proxy.php/events/leave") as response:
            await _line(response, b"data: ")
    async with asyncio.timeout(10):
        while await _connections(http, host.server):  # noqa: ASYNC110 - the server is another process
            await asyncio.sleep(0.05)


async def _connections(http: aiohttp.ClientSession, server: Server) -> int:
    async with http.get(f"{server.url}/status") as response:
        return int((await response.json())["connections"])


class Upstream:
    """A fake server that answers every request with the same bytes.

    Args:
        answer: the bytes.
        hold: keep the connection open after them.

    Attributes:
        requests: the head of each request received.
    """

    def __init__(self, answer: bytes = b"", hold: bool = False) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._hold = hold

    async def __aenter__(self) -> "Upstream":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self._answer)
            if self._hold:
                await reader.read()
        writer.close()


def quick(directory: Path, **constants: str) -> Path:
    """Copy web/php with time limits of 1 s, and with other *constants* of rpa_proxy.php; return the copy."""
    directory.mkdir()
    for path in PHP.iterdir():
        text = path.read_text()
        if path == PROXY:
            for name, value in {"POLL_S": 1, "SILENCE_S": 1, "STREAM_S": 1, **constants}.items():
                text, count = re.subn(rf"const {name} = \w+;", f"const {name} = {value};", text)
                assert count == 1
        (directory / path.name).write_text(text)
    return directory


@contextlib.asynccontextmanager
async def before(upstream: str, directory: Path, backend: str, *options: str) -> AsyncIterator[str]:
    """Run the rpa_proxy.php in *directory* in front of the server at *upstream*; yield its address."""
    log, given = directory / "php.log", (*BACKENDS[backend], *options)
    php = Php(directory, directory / "rpa_proxy.php", log, 8, given, RPA_SERVER_URL=upstream)
    with await asyncio.to_thread(php.start):
        yield php.url
        await asyncio.to_thread(php.stop)


NO_ID = "Session ID obrigatório"
BAD_IDS = [
    "..%2Fx",
    "%2e%2e%2fx",
    "%00",
    "a" * 129,
    "*",
    "a%3Fb",
    ".x",
    "-x",
    "a..b",
    "%C3%A9",
    "a%20b",
    "a%0d%0ax",
    "a%0a",
    "a/b",
]
FAILED = {"success", "error", "message", "timestamp"}


@pytest.mark.parametrize("backend", BACKENDS)
async def test_bad_ids_are_refused_and_never_handed_on(http: aiohttp.ClientSession, tmp_path: Path, backend: str) -> None:
    """A bad id gets 400 on native addresses, 200 in the deployed shape on deployed ones; the server never gets it."""
    async with Upstream() as upstream, before(upstream.url, quick(tmp_path / "php"), backend) as url:
        for bad in ("", *BAD_IDS):
            for path in ("/events/", "/api/sessions/", "/rpa_progress_sse.php?session_id="):
                status, _, body = await answer(http, f"{url}{path}{bad}")
                assert (status, json.loads(body)["code"]) == (400, "bad_session_id"), (path, bad)
            for path in ("/api/rpa/progress/", "/rpa/progress/", "/progress/", "/get_progress.php?session="):
                status, _, body = await answer(http, f"{url}{path}{bad}")
                assert status == 200
                assert set(json.loads(body)) - {"code"} == FAILED
                assert json.loads(body)["error"] == ("Session ID inválido" if bad or "=" not in path else NO_ID)
            status, headers, body = await answer(http, f"{url}/progress_sse.php?session_id={bad}")
            assert (status, headers["Content-Type"][0][:17]) == (200, "text/event-stream")
            assert json.loads(body.removeprefix("data: "))["status"] == "error"
        for path in ("/get_progress.php?session[]=a", "/rpa_progress_sse.php?session_id[]=a", "/progress_sse.php"):
            assert "rror" in (await answer(http, url + path))[2]
    assert upstream.requests == []


@pytest.mark.parametrize("backend", BACKENDS)
async def test_nothing_but_what_is_needed_is_handed_on(http: aiohttp.ClientSession, tmp_path: Path, backend: str) -> None:
    """The proxy passes on path, cursor, wait, ETag, Origin and visitor's address: no cookie, body or other field."""
    json_answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    async with Upstream(json_answer) as upstream, before(upstream.url, quick(tmp_path / "php"), backend) as url:
        sent = {
            "Cookie": "id=secret", "Authorization": "secret", "X-Forwarded-For": "secret", "Referer": "https://secret",
            "Last-Event-ID": "e:1", "If-None-Match": 'W/"e:1"', "Origin": GOOD, "X-Other": "secret", "Host": "secret",
        }  # fmt: skip
        query = "?after=e:1&wait=2&other=secret&session_id=secret&session=secret"
        async with http.get(f"{url}/api/sessions/a{query}", headers=sent) as response:
            assert await response.text() == "{}"
        async with http.get(f"{url}/progress/a{query}", headers=sent) as response:
            assert await response.text() == "{}"
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with http.request(method, f"{url}/api/sessions/a", data=b"secret") as response:
                assert response.status == 405
            async with http.request(method, f"{url}/progress/a", data=b"secret") as response:
                error = "Endpoint não encontrado" if method in ("POST", "DELETE") else "Método não permitido"
                assert (response.status, (await response.json())["error"]) == (200, error)
        for path in ("/", "/api/sessions", "/metrics", "/status", "/health/live", "/rpa_proxy.php", "/static/page.js"):
            async with http.get(url + path) as response:
                assert (response.status, (await response.json())["code"]) == (404, "not_found"), path
    native, deployed = (request.decode().split("\r\n") for request in upstream.requests)
    assert native[0].startswith("GET /api/sessions/a?after=e%3A1&wait=2 HTTP/1.")
    assert deployed[0].startswith("GET /api/rpa/progress/a HTTP/1.")
    for lines in (native, deployed):
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        assert {name: headers.pop(name, None) for name in ("Last-Event-ID", "If-None-Match", "Origin")} == {
            "Last-Event-ID": "e:1", "If-None-Match": 'W/"e:1"', "Origin": GOOD,
        }  # fmt: skip
        assert headers.pop("X-Forwarded-For") == "127.0.0.1"
        assert headers.pop("Host") == upstream.url.removeprefix("http://")
        assert set(headers) <= {"Connection", "Accept"}


STRANGE = {
    "an error page": b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\nsecret",
    "an error in JSON": b'HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n"secret"',
    "another page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\nsecret",
    "no type": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://secret/\r\nContent-Length: 0\r\n\r\n",
    "half an answer": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"secret": ',
    "too much": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b'"secret"' * 200_000,
    "no HTTP": b"SSH-2.0-secret\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", STRANGE)
async def test_an_answer_that_is_not_the_servers_is_not_handed_on(
    http: aiohttp.ClientSession, tmp_path: Path, backend: str, kind: str
) -> None:
    """An answer that is broken or another program's is replaced; none of its text is sent to pages or logged."""
    async with Upstream(STRANGE[kind]) as upstream, before(upstream.url, quick(tmp_path / "php"), backend) as url:
        await _assert_down(http, url)
    log = (tmp_path / "php" / "php.log").read_text()
    assert f"rpa_proxy: no usable answer from {upstream.url}" in log
    assert "secret" not in log
    assert "PHP Warning" not in log


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_server_that_is_away_is_reported_in_the_deployed_shape(
    http: aiohttp.ClientSession, tmp_path: Path, backend: str
) -> None:
    """While the server is away a deployed poll gets "waiting", a native one 503, a stream a ``retry:`` line."""
    async with before(f"http://127.0.0.1:{free_port()}", quick(tmp_path / "php"), backend) as url:
        await _assert_down(http, url)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_server_that_says_nothing_is_given_up(http: aiohttp.ClientSession, tmp_path: Path, backend: str) -> None:
    """A server that accepts a request and never answers is given up after the time limit, 1 s in this test."""
    async with Upstream(hold=True) as upstream, before(upstream.url, quick(tmp_path / "php"), backend) as url:
        began = time.monotonic()
        await _assert_down(http, url)
        within(time.monotonic() - began, 8)


async def _assert_down(http: aiohttp.ClientSession, url: str) -> None:
    deployed = ("/api/rpa/progress/a", "/get_progress.php?session=a")
    streams = ("/events/a", "/progress_sse.php?session_id=a", "/rpa_progress_sse.php?session_id=a")
    await asyncio.gather(
        _assert_native_down(http, f"{url}/api/sessions/a"),
        *(_assert_deployed_down(http, url + path) for path in deployed),
        *(_assert_stream_down(http, url + path) for path in streams),
    )


async def _assert_native_down(http: aiohttp.ClientSession, address: str) -> None:
    async with http.get(address) as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        body = await response.json()
    assert (body["type"], body["code"], body["temporary"]) == ("error", "unavailable", True)


async def _assert_deployed_down(http: aiohttp.ClientSession, address: str) -> None:
    full = "session=" in address
    async with http.get(address) as response:
        assert response.status == 200
        assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
        body = await response.json()
    at = datetime.strptime(body["timestamp"], "%Y-%m-%d %H:%M:%S")
    if full:
        waiting = reader_answer.waiting("a", at)
    else:
        waiting = progress_answer.progress("a", None, body["timestamp"])
    assert body == waiting
    assert pages.stopping(body, full) == []
    async with http.options(address, headers={"Access-Control-Request-Headers": "content-type"}) as response:
        assert (response.status, await response.read()) == (204, b"")
        assert "Content-Type" in response.headers["Access-Control-Allow-Headers"]


async def _assert_stream_down(http: aiohttp.ClientSession, address: str) -> None:
    async with http.get(address) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert (await response.text()).startswith("retry: 3000\n")


@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_certificate_of_a_server_elsewhere_is_checked(
    server: Server, http: aiohttp.ClientSession, tmp_path: Path, backend: str
) -> None:
    """Over HTTPS a server with a trusted certificate is used like any other, one with an unknown certificate is not."""
    await publish(server, "tls", **STEP)
    with Nginx(tmp_path / "nginx", server.port) as nginx:
        await asyncio.to_thread(nginx.start)
        address, known = f"https://localhost:{nginx.port}", tmp_path / "nginx" / "fullchain.pem"
        async with before(address, quick(tmp_path / "unknown"), backend) as url:
            await _assert_down(http, url)
        options = ("-d", f"curl.cainfo={known}", "-d", f"openssl.cafile={known}")
        async with before(address, quick(tmp_path / "known"), backend, *options) as url:
            direct = await answer(http, f"{server.url}/api/sessions/tls?after=0")
            assert await answer(http, f"{url}/api/sessions/tls?after=0") == direct
            async with http.get(f"{url}/events/tls") as response:
                await _line(response, b"data: ")


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_stream_ends_after_its_time_so_that_processes_turn_over(
    server: Server, http: aiohttp.ClientSession, tmp_path: Path, backend: str
) -> None:
    """A stream ends after 1 s in this test, 5 minutes as shipped; a client that resumes it loses no update."""
    await publish(server, f"turn-{backend}", **STEP)
    seen: list[int] = []
    async with before(server.url, quick(tmp_path / "php"), backend) as url:
        cursor, last = "0", 0
        for _ in range(2):
            began = time.monotonic()
            async with http.get(f"{url}/events/turn-{backend}", headers={"Last-Event-ID": cursor}) as response:
                text = (await response.content.read()).decode()
            took_s = time.monotonic() - began
            assert took_s > 0.9
            within(took_s, 3.0)
            ids = re.findall(r"id: (\S+:(\d+))", text)
            if ids:
                cursor = ids[-1][0]
            seen += [int(number) for _, number in ids]
            last = await publish(server, f"turn-{backend}", **STEP)
    assert seen == list(range(1, last))


@pytest.mark.parametrize("backend", BACKENDS)
async def test_where_apache_would_hold_events_back_each_is_filled_up(
    server: Server, http: aiohttp.ClientSession, tmp_path: Path, backend: str
) -> None:
    """With PADDED each event is followed by a comment of 4 kB, which fills Apache's buffer and browsers skip."""
    last = 0
    for number in range(3):
        last = await publish(server, f"pad-{backend}", etapa=number + 1, mensagem="x")
    directory, path = quick(tmp_path / "php", PADDED="true"), f"/events/pad-{backend}?after=0"
    async with before(server.url, directory, backend) as url, http.get(url + path) as response:
        text = await response.text()
    assert [int(number) for number in re.findall(r"^id: \S+:(\d+)$", text, re.MULTILINE)] == list(range(1, last + 1))
    written = re.split(r"^: {4096}\n\n", text, flags=re.MULTILINE)
    assert len(written) >= 3  # events and heartbeats
    assert written[-1] == ""
    assert all(part.endswith("\n\n") for part in written[:-1])


def test_apache_sends_the_addresses_of_pages_to_the_proxy_and_no_others() -> None:
    """The rewrite rules in htaccess.txt match every address that pages use, and no other address of a site."""
    rules = re.findall(r"^RewriteRule (\S+) (\S+) \[END\]$", (PHP / "htaccess.txt").read_text(), re.MULTILINE)
    assert len(rules) == 3

    def target(address: str) -> str | None:
        for pattern, to in rules:
            if found := re.search(pattern, address):
                return str(found.expand(to.replace("$1", r"\1")))
        return None

    for address in ("api/rpa/progress/a", "rpa/progress/a", "progress/a", "events/a", "api/sessions/a"):
        assert target(address) == "php/rpa_proxy.php", address
    for name in SHIMS:
        assert target(name) == f"php/{name}"
        assert (PHP / name).is_file()
    for address in (
        "",
        "index.php",
        "api/rpa/start",
        "api/rpa/status/a",
        "api/sessions",
        "x/progress/a",
        "php/rpa_proxy.php",
    ):
        assert target(address) is None, address


def test_the_syntax_is_php_7_4s() -> None:
    """web/php uses no syntax or function of PHP 8, since many hosts still run 7.4."""
    for path in PHP.glob("*.php"):
        code = re.sub(r"/\*.*?\*/|//.*|'(?:\\.|[^'\\])*'", "", path.read_text(), flags=re.DOTALL)
        for newer in (
            r"\bmatch\s*\(", r"\?->", r"\bstr_(?:contains|starts_with|ends_with)\b", r"\bmixed\b", r"\breadonly\b",
            r"\benum\b", r"#\[", r"\):\s*(?:static|never|true|false|null)\b", r"\w\|\w+ \$",
            r"\bget_debug_type\b", r"\barray_is_list\b",
            r"__construct\([^)]*\b(?:public|private|protected)\b", r",\s*\)\s*(?::|\{)", r"\bcatch\s*\(\s*\w+\s*\)",
            r"\.\.\.\)",
        ):  # fmt: skip
            assert not re.search(newer, code), (path.name, newer)


def test_the_files_come_with_the_package_and_are_never_served_as_text(server: Server) -> None:
    """web/php has exactly these files, and the server does not serve them under /static/."""
    assert {path.name for path in PHP.iterdir()} == {"rpa_proxy.php", "htaccess.txt", *SHIMS}
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/static/php/rpa_proxy.php", timeout=30)
    assert caught.value.code == 404
    caught.value.close()
