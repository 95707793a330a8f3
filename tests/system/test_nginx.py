"""conf/nginx.conf in a real nginx whose main configuration buffers, as by default, and compresses every type."""

import asyncio
import base64
import contextlib
import hashlib
import html
import json
import random
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.connector import NEEDS_CLEANUP_CLOSED
from yarl import URL

from rpa_server.config import Settings
from rpa_server.http.admission import MAX_WAIT_S
from rpa_server.legacy import progress_answer, reader_answer
from tests.support import pages
from tests.support.frontends import Nginx, Site, behind_nginx, read_timeout
from tests.support.server import EventWatcher, Server, SocketWatcher, Watcher, free_port, publish, until
from tests.support.timing import within

GOOD, EVIL = "https://www.example.com", "https://evil.example"
STEP = {"etapa": 1, "mensagem": "Tela 1"}
#: nginx's default for ``proxy_read_timeout``: after so many seconds without a byte it cuts a stream.
NGINX_DEFAULT_S = 60.0
#: The tests of idle streams divide heartbeat and read timeout by this: 90 s become 4.5 s.
FASTER = 20


@contextlib.asynccontextmanager
async def client(nginx: Nginx) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client of nginx that checks no certificate and limits neither connections nor time."""
    # Some versions of Python leave a TLS connection open if its peer does not end TLS properly; aiohttp then closes it.
    connector = aiohttp.TCPConnector(ssl=False, limit=0, enable_cleanup_closed=NEEDS_CLEANUP_CLOSED)
    async with aiohttp.ClientSession(nginx.url, connector=connector, timeout=aiohttp.ClientTimeout(None)) as http:
        yield http
    await asyncio.sleep(0.05)  # TLS connections end in the background; aiohttp does not wait for that


class PlainWatcher(Watcher):
    """A watcher over a WebSocket in the plan's dialect, at an address with the deployed prefix ``/ws``."""

    async def run(self, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(f"{self.url}/ws/rpa/{self.session_id}") as stream:
            async for message in stream:
                self.messages.append(json.loads(message.data))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for all tests that don't stop it; of other origins only GOOD is allowed."""
    with behind_nginx(tmp_path_factory.mktemp("site"), RPA_ALLOWED_ORIGINS=GOOD) as site:
        yield site


@pytest.fixture
async def http(site: Site) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client of the site's nginx."""
    async with client(site.nginx) as http:
        yield http


def test_nginx_has_nothing_to_say_of_the_configuration(site: Site) -> None:
    """``nginx -t`` accepts the configuration without warnings and errors."""
    said = site.nginx.check()
    assert "test is successful" in said
    assert "warn" not in said
    assert "error" not in site.nginx.check().replace("error.log", "")


async def test_plain_http_is_sent_to_https_whatever_the_method(site: Site, http: aiohttp.ClientSession) -> None:
    """HTTP is redirected to HTTPS by 308, which keeps a POST a POST; only the ACME challenge is served over HTTP."""
    base = f"http://127.0.0.1:{site.nginx.plain_port}"
    for method in ("GET", "POST"):
        async with http.request(method, f"{base}/api/rpa/start?x=1", allow_redirects=False) as response:
            assert response.status == 308
            assert response.headers["Location"] == "https://127.0.0.1/api/rpa/start?x=1"
    challenge = site.nginx.directory / "acme" / ".well-known" / "acme-challenge"
    challenge.mkdir(parents=True)
    (challenge / "token").write_text("proof")
    async with http.get(f"{base}/.well-known/acme-challenge/token") as response:
        assert await response.text() == "proof"


def test_browsers_get_http_2(site: Site) -> None:
    """nginx offers HTTP/2: over HTTP/1.1 a browser opens at most six streams to one host."""
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", site.nginx.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"


STREAMS = ["/events/sse", "/rpa_progress_sse.php?session_id=sse", "/progress_sse.php?session_id=sse"]


@pytest.mark.serial
@pytest.mark.parametrize("path", STREAMS)
async def test_events_pass_as_they_happen(site: Site, http: aiohttp.ClientSession, path: str) -> None:
    """Each event arrives within 200 ms, uncompressed even for a browser that accepts compression."""
    await publish(site.server, "sse", **STEP)
    for number in range(20):
        began = time.monotonic()
        async with http.get(path, headers={"Accept-Encoding": "gzip, br"}) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/event-stream"
            assert "Content-Encoding" not in response.headers
            await _line(response, b"data: ")
            within(time.monotonic() - began, 0.2)
            await _line(response, b"\n")
            began = time.monotonic()
            await publish(site.server, "sse", etapa=1, mensagem=f"{path} {number}")
            await _line(response, b"data: ", json.dumps(f"{path} {number}")[1:-1].encode())
            within(time.monotonic() - began, 0.2)


async def _line(response: aiohttp.ClientResponse, start: bytes, inside: bytes = b"") -> bytes:
    """Read up to the next line that begins with *start* and contains *inside*."""
    while not (line := await asyncio.wait_for(response.content.readline(), 30)).startswith(start) or inside not in line:
        assert line, "the stream ended"
    return line


@pytest.mark.parametrize("path", ["/rpa/ws", "/session/ws", "/ws/rpa/ws", "/ws/session/ws"])
async def test_websockets_are_upgraded_with_and_without_the_prefix(
    site: Site, http: aiohttp.ClientSession, path: str
) -> None:
    """WebSockets open in both dialects; pages of nginx's own host may connect, pages of another one may not."""
    await publish(site.server, "ws", **STEP)
    async with http.ws_connect(path, protocols=["rpa.v1"], origin=site.nginx.url) as native:
        assert native.protocol == "rpa.v1"
        assert (await native.receive_json(timeout=30))["type"] == "sync"
        sent = await publish(site.server, "ws", **STEP)
        assert (await native.receive_json(timeout=30))["seq"] == sent
    async with http.ws_connect(path) as plain:
        assert (await plain.receive_json(timeout=30))["type"] == "progress_update"
        await plain.send_str('{"type":"ping"}')
        assert await plain.receive_json(timeout=30) == {"type": "pong"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(path, origin=EVIL)
    assert caught.value.status == 403


async def test_polls_pass_with_their_cursor(site: Site, http: aiohttp.ClientSession) -> None:
    """Polls get 200, 304 for a known ETag, 404 for an unknown session, and an update ends a waiting poll."""
    await publish(site.server, "poll", **STEP)
    async with http.get("/api/sessions/poll") as response:
        assert response.status == 200
        first, tag = await response.json(), response.headers["ETag"]
    async with http.get("/api/sessions/poll", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
    async with http.get("/api/sessions/unknown") as response:
        assert (response.status, (await response.json())["code"]) == (404, "session_not_found")
    query = {"after": f"{first['epoch']}:{first['seq']}", "wait": "20"}
    waiting = asyncio.create_task(_json(http, "/api/sessions/poll", query))
    await asyncio.sleep(0.05)
    sent = await publish(site.server, "poll", **STEP)
    assert [update["seq"] for update in (await asyncio.wait_for(waiting, 2))["updates"]] == [sent]


async def _json(http: aiohttp.ClientSession, path: str, query: dict[str, str]) -> dict[str, Any]:
    async with http.get(path, params=query) as response:
        return dict(await response.json())


POLLS = [
    "/api/rpa/progress/old", "/rpa/progress/old", "/progress/old", "/api/rpa/progress/unknown", "/api/rpa/progress/-bad",
    "/get_progress.php?session=old", "/get_progress_completo.php?session=old", "/get_progress_fixed.php?session=old",
]  # fmt: skip
FIGURES = [
    "/api/rpa/health", "/api/rpa/metrics", "/rpa/health", "/rpa/metrics", "/health", "/api/rpa/health/",
    "/api/rpa/metrics/", "/rpa/health/", "/health/",
]  # fmt: skip


@pytest.mark.parametrize("path", [*POLLS, *FIGURES])
async def test_deployed_polls_are_the_servers(site: Site, http: aiohttp.ClientSession, path: str) -> None:
    """Through nginx the answer is the server's, times and health figures aside, with the /api prefix and without."""
    await publish(site.server, "old", **STEP)
    async with aiohttp.ClientSession(site.server.url) as straight, straight.get(path) as response:
        direct = response.status, _timeless(await response.text())
    async with http.get(path) as response:
        assert (response.status, _timeless(await response.text())) == direct
        assert response.status == 200
        assert '"success": ' in direct[1]


def _timeless(text: str) -> str:
    """Mask timestamps, and in health answers all numbers, since those change from one answer to the next."""
    return re.sub(r"\d+(?:\.\d+)?" if '"checks"' in text else r"\d{4}-\d\d-\d\d[T ][\d:.]+", "…", text)


PHP = [
    ("POST", "/api/rpa/start"),
    ("DELETE", "/api/rpa/stop/abc"),
    ("POST", "/api/rpa/cleanup"),
    ("GET", "/api/rpa/sessions"),
    ("GET", "/api/rpa/status/abc"),
    ("GET", "/api/rpa/logs/abc?limit=20"),
    ("GET", "/api/rpa/monitor/abc"),
    ("GET", "/api/rpa/nothing"),
    ("GET", "/dashboard"),
    ("POST", "/executar_rpa.php"),
    ("OPTIONS", "/api/rpa/start"),
]


@pytest.mark.parametrize(("method", "path"), PHP)
async def test_all_the_rest_is_phps(http: aiohttp.ClientSession, method: str, path: str) -> None:
    """Addresses that are not the server's reach PHP with method and path unchanged."""
    async with http.request(method, path) as response:
        assert await response.json(content_type=None) == {"php": method, "asked": path}


async def test_files_of_the_php_site_are_served_as_before(site: Site, http: aiohttp.ClientSession) -> None:
    """Files of the PHP site are served, but none whose name begins with a dot."""
    (site.nginx.root / "site.js").write_text("1")
    (site.nginx.root / ".env").write_text("secret")
    async with http.get("/site.js") as response:
        assert await response.text() == "1"
    async with http.get("/.env") as response:
        assert response.status == 404


ONE_HEADER = [
    "/events/cors", "/rpa_progress_sse.php?session_id=cors", "/progress_sse.php?session_id=cors", "/api/sessions/cors",
    "/api/sessions/unknown", "/api/rpa/progress/cors", "/get_progress.php?session=cors", "/api/rpa/health",
]  # fmt: skip


@pytest.mark.parametrize("path", [*ONE_HEADER, "/api/rpa/start", "/executar_rpa.php"])
async def test_there_is_one_cors_header(site: Site, http: aiohttp.ClientSession, path: str) -> None:
    """An answer has one Access-Control-Allow-Origin: the server's own, or one of nginx instead of PHP's two."""
    await publish(site.server, "cors", **STEP)
    async with http.get(path, headers={"Origin": GOOD}) as response:
        found = response.headers.getall("Access-Control-Allow-Origin")
        assert found == ([GOOD] if path in ONE_HEADER else ["*"])
        assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("path", ONE_HEADER)
async def test_preflights_reach_the_server(http: aiohttp.ClientSession, path: str) -> None:
    """An OPTIONS request is answered by the server, which allows listed origins only."""
    for origin, expected in ((GOOD, [GOOD]), (EVIL, [])):
        headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        async with http.options(path, headers=headers) as response:
            assert response.status in (200, 204)
            assert response.headers.getall("Access-Control-Allow-Origin", []) == expected


#: Patterns for the path to a closed address, plain and obfuscated.
CROOKED = [
    "{}", "{}/", "/{}", "/.{}", "/ws{}", "/ws/{}", "/ws/rpa/..{}", "/ws/rpa/../..{}", "/ws/rpa/%2e%2e/%2e%2e{}",
    "/ws/session/..%2f..{}", "/rpa/..{}", "/rpa/%2e%2e{}", "/rpa/..%2f{}", "/events/..{}", "/events/x/../..{}",
    "/static/..{}", "/static/..%2f..{}", "/static/%2e%2e{}", "/api/sessions/../..{}", "/api{}", "/api/rpa/..{}",
    "/session/%2e%2e/%2e%2e{}", "/progress/..{}", "/ws/rpa/x%252f..%252f..{}", "{}%00", "{}%20", "{};x", "{}?x", "/x/..{}",
]  # fmt: skip


@pytest.mark.parametrize("closed", ["/metrics", "/status", "/health/live", "/health/ready", "/api/sessions"])
@pytest.mark.parametrize("way", CROOKED)
async def test_operators_routes_are_closed(site: Site, closed: str, way: str) -> None:
    """Through nginx nobody gets the answer of an operators' route, however the path is spelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.nginx.port, ssl=ssl._create_unverified_context())
    writer.write(f"GET {way.format(closed)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    with contextlib.suppress(ssl.SSLError):
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"rpa_connections" not in body
    assert b'"connections"' not in body
    assert b'"status":"ok"' not in body
    assert b'"sessions":[' not in body
    assert head.split()[1] != b"200" or b'"php"' in body, answer


async def test_the_list_of_sessions_is_for_this_machine_even_if_nginx_let_it_through(site: Site) -> None:
    """The server itself refuses the list of sessions to requests with X-Forwarded-For, which nginx adds."""
    async with aiohttp.ClientSession(site.server.url) as http:
        async with http.get("/api/sessions") as response:
            assert response.status == 200
        async with http.get("/api/sessions", headers={"X-Forwarded-For": "203.0.113.9"}) as response:
            assert response.status == 403


async def test_nobody_publishes_from_outside(http: aiohttp.ClientSession) -> None:
    """Publishing through nginx gets 403, as long as the configuration lists no robot's address."""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        async with http.request(method, "/api/sessions/a/events", json=STEP) as response:
            assert response.status == 403


async def test_the_page_is_served_with_its_files(site: Site, http: aiohttp.ClientSession) -> None:
    """The server's page is at /static/index.html, so the PHP site keeps its own front page."""
    async with http.get("/static/index.html?session=a") as response:
        assert response.status == 200
        assert "Content-Security-Policy" in response.headers
    async with http.get("/static/page.js") as response:
        assert response.status == 200
    (site.nginx.root / "index.html").write_text("the site's own")
    async with http.get("/") as response:
        assert await response.text() == "the site's own"


async def test_what_other_sites_embed_is_served(http: aiohttp.ClientSession) -> None:
    """/embed is served; the script in its snippet, also under the name in deployed pages, has the announced hash."""
    async with http.get("/embed") as response:
        assert response.status == 200
        snippet = re.search(r'src="[^"]*(/static/\S+?)"\s+integrity="(\S+?)"', html.unescape(await response.text()))
    assert snippet is not None
    for path in (snippet[1], "/webflow_progress_tracker.js"):
        async with http.get(path) as response:
            digest = base64.b64encode(hashlib.sha384(await response.read()).digest()).decode()
            assert (response.status, f"sha384-{digest}") == (200, snippet[2])


async def test_the_log_holds_no_query(site: Site, http: aiohttp.ClientSession) -> None:
    """nginx logs addresses without their queries, which carry cursors, tokens and session ids."""
    async with http.get("/api/sessions/logged", params={"after": "0", "token": "secret-one"}):
        pass
    async with http.get("/rpa_progress_sse.php", params={"session_id": "secret-two"}):
        pass
    await until(lambda: '"GET /rpa_progress_sse.php"' in site.nginx.access_log.read_text())
    text = site.nginx.access_log.read_text()
    assert '"GET /api/sessions/logged" 404' in text
    assert "secret" not in text


async def test_the_server_learns_who_asks_over_connections_that_stay_open(tmp_path: Path) -> None:
    """nginx passes Host, the visitor's address and the scheme, and reuses its connections to the server."""
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(text="{}")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    with Nginx(tmp_path / "nginx", port) as nginx:
        nginx.start()
        async with client(nginx) as http:
            for _ in range(20):
                headers = {"X-Forwarded-For": "198.51.100.1", "X-Real-IP": "198.51.100.1"}
                async with http.get("/api/rpa/progress/a", headers=headers):
                    pass
            async with http.get("/webflow_progress_tracker.js") as response:
                assert await response.text() == "{}"
    await runner.cleanup()
    assert len({request.transport for request in seen}) == 1
    assert seen.pop().path == "/webflow_progress_tracker.js"
    for request in seen:
        assert request.path == "/rpa/progress/a"
        assert request.headers["Host"] == f"127.0.0.1:{nginx.port}"
        assert request.headers["X-Forwarded-For"] == "198.51.100.1, 127.0.0.1"
        assert request.headers["X-Real-IP"] == "127.0.0.1"
        assert request.headers["X-Forwarded-Proto"] == "https"
        assert "Upgrade" not in request.headers
        assert "Connection" not in request.headers


AWAY = [path for path in POLLS if "bad" not in path]


@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs up"])
async def test_while_the_server_is_away_no_deployed_page_stops(tmp_path: Path, hangs: bool) -> None:
    """While the server is away nginx answers deployed polls as for an unknown session, so that no page stops."""
    async with contextlib.AsyncExitStack() as stack:
        port = free_port()
        if hangs:
            hanger = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
            stack.push_async_callback(hanger.wait_closed)
            stack.callback(hanger.close)
        nginx = stack.enter_context(Nginx(tmp_path / "nginx", port)).start()
        http = await stack.enter_async_context(client(nginx))
        for path in (*AWAY, "/api/rpa/progress/old/?x=1", "/get_progress.php?x=1&session=old&y=2"):
            async with http.get(path) as response:
                assert (response.status, response.content_type) == (200, "application/json")
                assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
                body = await response.json()
            session = "unknown" if "unknown" in path else "old"
            at = datetime.strptime(body["timestamp"], "%Y-%m-%d %H:%M:%S")
            full = "session=" in path
            api = progress_answer.progress(session, None, body["timestamp"])
            assert body == (reader_answer.waiting(session, at) if full else api)
            assert pages.stopping(body, full) == []


async def test_preflights_are_answered_while_the_server_is_away(tmp_path: Path) -> None:
    """While the server is away preflights get a 204 that allows Content-Type, without which some pages can't poll."""
    with Nginx(tmp_path / "nginx", free_port()) as nginx:
        nginx.start()
        async with client(nginx) as http:
            for path in POLLS:
                asked = {
                    "Origin": GOOD,
                    "Access-Control-Request-Method": "GET",
                    "Access-Control-Request-Headers": "content-type",
                }
                async with http.options(path, headers=asked) as response:
                    assert response.status == 204
                    assert "Content-Type" in response.headers["Access-Control-Allow-Headers"]
                    assert "GET" in response.headers["Access-Control-Allow-Methods"]
                    assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]


async def test_what_no_session_can_be_is_written_into_no_answer(tmp_path: Path) -> None:
    """nginx leaves invalid session ids out of its own answers, which therefore stay valid JSON."""
    with Nginx(tmp_path / "nginx", free_port()) as nginx:
        nginx.start()
        async with client(nginx) as http:
            for bad in ("%22,%22x", "a%22b", "-bad", "%3Cb%3E", "a" * 129, "a%0ab"):
                for path in (f"/api/rpa/progress/{bad}", f"/get_progress.php?session={bad}"):
                    async with http.get(URL(path, encoded=True)) as response:
                        body = await response.json()
                    assert (body.get("data") or body)["session_id"] == ""
                    assert pages.stopping(body, "php" in path) == []


async def test_while_the_server_is_away_clients_get_an_answer_in_their_own_words(tmp_path: Path) -> None:
    """While the server is away a native poll gets 503 with Retry-After, an event stream a ``retry:`` line."""
    with Nginx(tmp_path / "nginx", free_port()) as nginx:
        nginx.start()
        async with client(nginx) as http:
            async with http.get("/api/sessions/a") as response:
                assert response.status == 503
                assert int(response.headers["Retry-After"]) > 0
                assert (await response.json())["temporary"] is True
            for path in ("/events/a", "/rpa_progress_sse.php?session_id=a", "/progress_sse.php?session_id=a"):
                async with http.get(path) as response:
                    assert (response.status, response.content_type) == (200, "text/event-stream")
                    assert (await response.text()).startswith("retry: 3000\n")


async def test_no_deployed_page_stops_for_a_restart(tmp_path: Path) -> None:
    """A page that polls across a restart gets the run, then "waiting", then the run, always with 200."""
    with behind_nginx(tmp_path / "site") as site:
        await publish(site.server, "run", **STEP)
        answers: list[tuple[int, dict[str, Any]]] = []
        async with client(site.nginx) as http:

            async def poll() -> None:
                while True:
                    async with http.get("/api/rpa/progress/run") as response:
                        answers.append((response.status, await response.json()))
                    await asyncio.sleep(0.02)

            polling = asyncio.create_task(poll())
            await until(lambda: len(answers) > 5)
            await asyncio.to_thread(site.server.stop)
            await until(lambda: answers[-1][1]["progress"]["status"] == "waiting")
            await asyncio.to_thread(site.server.start)
            await until(lambda: answers[-1][1]["progress"]["etapa_atual"] == 1)
            polling.cancel()
    assert {status for status, _ in answers} == {200}
    assert [names for _, body in answers if (names := pages.stopping(body, full=False))] == []


class Returning(SocketWatcher):
    """A watcher that reconnects with its cursor, as a page does.

    Attributes:
        connected: it has received a message since it last lost the connection.
        absences: for how many seconds it was disconnected each time.
        resets: how many syncs did not continue after its cursor.
    """

    def __init__(self, url: str, session_id: str) -> None:
        super().__init__(url, session_id)
        self.connected = False
        self.absences: list[float] = []
        self.resets = 0

    async def run(self, http: aiohttp.ClientSession) -> None:
        lost = None
        while not self.final:
            with contextlib.suppress(aiohttp.ClientError):
                query = {"after": self.after} if self.after else {}
                async with http.ws_connect(
                    f"{self.url}/rpa/{self.session_id}", protocols=["rpa.v1"], params=query
                ) as stream:
                    async for message in stream:
                        if not self.connected and lost is not None:
                            self.absences.append(time.monotonic() - lost)
                        self.connected = True
                        self._take(json.loads(message.data))
            if self.connected:
                self.connected, lost = False, time.monotonic()
            await asyncio.sleep(random.uniform(0.05, 1.0))

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "sync" and self.after and not message["recovered"]:
            self.resets += 1
        if message["type"] == "progress_update":
            self.after = f"{message['epoch']}:{message['seq']}"
        self.messages.append(message)


@pytest.mark.faults
@pytest.mark.timeout(120)
async def test_reloads_lose_nothing(tmp_path: Path) -> None:
    """Each of ten reloads cuts off 200 WebSockets: all are back within 5 s, and get every update once, in order."""
    with behind_nginx(tmp_path / "site", more="worker_shutdown_timeout 500ms;") as site:
        watchers = [Returning(site.nginx.url, "reload") for _ in range(200)]
        first = await publish(site.server, "reload", **STEP)
        async with client(site.nginx) as http:
            tasks = [asyncio.create_task(watcher.run(http)) for watcher in watchers]
            await until(lambda: all(watcher.connected for watcher in watchers), 20)
            publishing = asyncio.create_task(_publish_on(site.server, "reload"))
            for number in range(1, 11):
                await asyncio.to_thread(site.nginx.reload)
                await until(lambda n=number: all(len(each.absences) == n for each in watchers), 10)  # type: ignore[misc]
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            last = await publish(site.server, "reload", status_final="success")
            await asyncio.wait_for(asyncio.gather(*tasks), 10)
    absences = [absence for watcher in watchers for absence in watcher.absences]
    print(f"{len(absences)} absences, longest {max(absences):.2f} s; {last} updates for each of {len(watchers)}")
    assert [watcher.resets for watcher in watchers] == [0] * len(watchers)
    within(max(absences), 5.0)
    for watcher in watchers:
        assert watcher.seqs == list(range(first + 1, last + 1))


async def _publish_on(server: Server, session_id: str) -> None:
    """Publish an update about every 50 ms until cancelled."""
    async with aiohttp.ClientSession(server.url) as http:
        while True:
            async with http.post(f"/api/sessions/{session_id}/events", json=STEP) as response:
                assert response.status == 201
            await asyncio.sleep(0.05)


def test_the_heartbeat_and_polls_fit_into_the_shipped_read_timeout() -> None:
    """The shipped read timeout is at least 4 heartbeats, over 2 of the longest polls, and over nginx's default."""
    settings = Settings()
    assert read_timeout() >= 4 * settings.heartbeat_s
    assert read_timeout() > 2 * MAX_WAIT_S
    assert read_timeout() > NGINX_DEFAULT_S


@contextlib.asynccontextmanager
async def idling(directory: Path, heartbeat_s: float) -> AsyncIterator[tuple[Site, list[Watcher], list[Watcher]]]:
    """Open a stream of each kind through an nginx whose read timeout is FASTER times shorter than the shipped one.

    After 1.1 read timeouts yields the site, the watchers, and a list of the watchers whose streams have ended.
    """
    read_timeout_s = read_timeout() / FASTER
    with behind_nginx(directory, read_timeout_s=read_timeout_s, RPA_HEARTBEAT_S=str(heartbeat_s)) as site:
        kinds: list[type[Watcher]] = [EventWatcher, SocketWatcher, PlainWatcher]
        watchers = [kind(site.nginx.url, "idle") for kind in kinds]
        ended: list[Watcher] = []
        async with client(site.nginx) as http:

            async def watch(watcher: Watcher) -> None:
                with contextlib.suppress(aiohttp.ClientError):
                    await watcher.run(http)
                ended.append(watcher)

            tasks = [asyncio.create_task(watch(watcher)) for watcher in watchers]
            await asyncio.sleep(read_timeout_s * 1.1)
            yield site, watchers, ended
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_streams_on_which_nothing_happens_live_on(tmp_path: Path) -> None:
    """With heartbeats, streams idle for longer than nginx's read timeout stay open and get the next update at once."""
    async with idling(tmp_path / "site", Settings().heartbeat_s / FASTER) as (site, watchers, ended):
        assert ended == []
        assert [watcher.updates for watcher in watchers] == [[], [], []]
        began = time.monotonic()
        sent = await publish(site.server, "idle", **STEP)
        await until(lambda: all(sent in watcher.seqs for watcher in watchers), 2)
        assert ended == []
        within(time.monotonic() - began, 0.5)


async def test_without_a_heartbeat_idle_streams_are_cut(tmp_path: Path) -> None:
    """Without heartbeats nginx cuts every stream that is idle for longer than its read timeout."""
    async with idling(tmp_path / "site", 3600.0) as (_, watchers, ended):
        await until(lambda: len(ended) == len(watchers))
