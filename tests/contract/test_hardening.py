"""Attacks, one kind for each test, which tries it on every route that it applies to."""

import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rpa_server import app
from rpa_server.config import Settings
from tests.support.application import Client, Serve, hub_of, post, stored
from tests.support.server import ROOT, RedisServer, until
from tests.support.sessions import SESSION, Robot

#: Routes without a session id; any other route must have one in its path or be listed below.
WITHOUT_SESSION = {"/", "/embed", "/static/{name}", "/webflow_progress_tracker{rest}", "/api/sessions", "/health/live",
                   "/health/ready", "/metrics", "/status"}  # fmt: skip
#: Our own routes with the session id as a query parameter: its possible spellings.
IN_QUERY = {"/rpa_progress_sse.php": ["?session_id=", "?session="]}
DEPLOYED_IN_QUERY = {"/progress_sse.php": "?session_id=", "/get_progress.php": "?session=",
                     "/get_progress_completo.php": "?session=", "/get_progress_fixed.php": "?session="}  # fmt: skip
#: Deployed addresses that take a session id, here ``{}``; they refuse a bad one in the deployed system's words.
DEPLOYED = ["/api/rpa/progress/{}", "/rpa/progress/{}", "/progress/{}",
            *(path + query + "{}" for path, query in DEPLOYED_IN_QUERY.items())]  # fmt: skip
DEPLOYED_WITHOUT_SESSION = {"/health{path}"}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def routes() -> list[tuple[str, str]]:
    """Return every method and address of the application, HEAD aside."""
    found = []
    for route in app.build(Settings(redis_url=None)).router.routes():
        assert route.resource is not None
        if route.method != "HEAD":
            found.append((route.method, route.resource.canonical))
    return found


EVERY_ROUTE = routes()
ROUTES = [(method, path) for method, path in EVERY_ROUTE if method not in ("*", "OPTIONS")]
PATHS = sorted({path for _, path in ROUTES})


def good_address(path: str) -> str:
    """Return an address of the route *path*, with a valid session id if it takes one."""
    address = path.replace("{session}", SESSION).replace("{name}", "page.js").replace("{rest}", ".js")
    query = IN_QUERY[path][0] if path in IN_QUERY else DEPLOYED_IN_QUERY.get(path)
    return address if query is None else address + query + SESSION


def addresses(bad: str) -> list[tuple[str, str]]:
    """Return every method and address of our own that takes a session id, with *bad* as the id."""
    found = [(method, path.replace("{session}", bad)) for method, path in ROUTES if "{session}" in path]
    for path, queries in IN_QUERY.items():
        found += [("GET", path + query + bad) for query in queries]
    return found


class Answer(NamedTuple):
    """A response as it was received; status 0 if there was none."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The body, checked to be an error object."""
        assert self.headers["content-type"].partition(";")[0] == "application/json", self
        error = json.loads(self.body)
        assert error.keys() == {"type", "code", "message", "temporary"}
        assert error["type"] == "error"
        assert isinstance(error["temporary"], bool)
        assert error["code"]
        assert error["message"]
        return dict(error)


async def send(client: Client, request: bytes, timeout_s: float = 5.0) -> Answer:
    """Send raw bytes and read the answer; its status is 0 where the connection was closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(request)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return Answer(0, {}, b"")
            lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])
            }
            length = 0 if request.startswith(b"HEAD") else int(headers.get("content-length", "0"))
            answer = Answer(int(lines[0].split()[1]), headers, await reader.readexactly(length))
    finally:
        writer.close()
    for leak in (b"Traceback", b'File "', b"site-packages", str(ROOT).encode()):
        assert leak not in answer.body, answer
    return answer


HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rpa.v1\r\n"
)


def request(method: str, path: str, headers: str = "", body: bytes = b"") -> bytes:
    """Build a request by hand: a client library would normalise its address."""
    if body:
        headers += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode("utf-8", "surrogateescape") + body


def attempt(method: str, path: str) -> bytes:
    """Build a request in which everything is right, except perhaps the session id in *path*."""
    if method == "POST":
        return request(method, path, body=b'{"etapa": 1}')
    return request(method, path, HANDSHAKE if path.startswith(("/rpa/", "/ws/", "/session/")) else "")


async def alive(client: Client) -> bool:
    return (await send(client, request("GET", "/health/live"))).status == 200


# -- session ids

_opened: list[str] | None = None
_hooks: list[object] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event in ("open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename"):
        _opened.append(str(arguments[0]))


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The paths of all files and directories that this process opens or changes during the test."""
    global _opened  # noqa: PLW0603 - an audit hook can't be removed, so the one hook reads this name
    if not _hooks:
        sys.addaudithook(_note)
        _hooks.append(_note)
    _opened = []
    yield _opened
    _opened = None


BAD_IDS = {
    "parent": "..%2fx",
    "parent, all encoded": "%2e%2e%2fx",
    "parent, mixed case": "%2E.%2Fx",
    "parent, twice encoded": "..%252fx",
    "parent of parents": "..%2f..%2f..%2fetc%2fpasswd",
    "backslash": "..%5cx",
    "overlong slash": "..%c0%afx",
    "two dots": "%2e%2e",
    "one dot": "%2e",
    "two dots inside": "a..b",
    "absolute": "%2fetc%2fpasswd",
    "NUL": "%00",
    "NUL behind an id": f"{SESSION}%00",
    "NUL and an ending": f"{SESSION}%00.json",
    "10 kB": "a" * 10_000,
    "129 characters": "a" * 129,
    "star": "*",
    "star encoded": "%2a",
    "question mark": "%3f",
    "question mark inside": "a%3fb",
    "bracket": "%5b",
    "brackets": "[a-z]",
    "leading dot": ".x",
    "leading dash": "-x",
    "unicode": "%c3%a9",
    "unicode digits": "%d9%a1",
    "fullwidth dots": "%ef%bc%8e%ef%bc%8e",
    "right to left": "%e2%80%aex",
    "no UTF-8": "%ff",
    "space": "a%20b",
    "plus": "a+b",
    "newline": "a%0a",
    "header": "a%0d%0aX-Evil:%201",
    "key separator": "a:b",
    "braces": "%7bsession%7d",
    "half an escape": "a%",
    "bad escape": "a%zz",
    "empty": "",
}


@pytest.mark.parametrize("bad", BAD_IDS.values(), ids=BAD_IDS.keys())
async def test_a_bad_session_id_is_refused_on_every_route(
    serve: Serve, data_dir: Path, backend: RedisServer, opened: list[str], bad: str
) -> None:
    """An invalid id is 400 or 404 with an error object on our own routes; no route touches a file or a Redis key."""
    client = await serve(redis_url=backend.url)
    await until(data_dir.is_dir)
    assert await alive(client)
    with backend.client() as connection:

        def touched() -> tuple[int, int, int]:
            stats: Any = connection.info("stats")
            return stats["keyspace_hits"], stats["keyspace_misses"], connection.dbsize()

        before = touched()
        del opened[:]
        for method, path in addresses(bad):
            answer = await send(client, attempt(method, path))
            assert answer.status in (400, 404), (method, path, answer)
            code = "bad_session_id" if answer.status == 400 else "not_found"
            assert answer.error["code"] == code, (method, path, answer)
            assert "x-evil" not in answer.headers
            assert len(answer.body) < 1000
        for path in DEPLOYED:
            answer = await send(client, request("GET", path.format(bad)))
            assert answer.status in (200, 400, 404), (path, answer)
            assert "x-evil" not in answer.headers
        paths = [path for path in opened if not path.endswith((".py", ".pyc", ".so")) and "/proc/" not in path]
        assert paths == []
        assert touched() == before
    assert list(data_dir.iterdir()) == []
    assert [path.name for path in data_dir.parent.iterdir()] == [data_dir.name]
    assert hub_of(client).connections == 0


@pytest.mark.parametrize("good", ["a", "_", "A-b_c.9", "a" * 128, "%61", SESSION])
async def test_a_good_session_id_is_taken_on_every_route(serve: Serve, good: str) -> None:
    """A valid session id is accepted on every route of our own that takes one, percent-encoded or not."""
    client = await serve()
    for method, path in addresses(good):
        answer = await send(client, attempt(method, path))
        assert answer.status in (101, 200, 201) or answer.error["code"] == "session_not_found", (method, path, answer)


def test_no_route_is_forgotten() -> None:
    """Every route has the session id in its path, or is listed as having it in the query or not at all."""
    for method, path in EVERY_ROUTE:
        known = WITHOUT_SESSION
        if method == "*":
            known = DEPLOYED_WITHOUT_SESSION | {path for address in DEPLOYED if address.startswith(path.partition("{")[0])}
        assert "{session}" in path or path in IN_QUERY or path in DEPLOYED_IN_QUERY or path in known, (method, path)


# -- addresses and methods


@pytest.mark.parametrize(
    "path",
    ["/x", "//", "/rpa", "/rpa/", "/events", "/api", f"/api/sessions/{SESSION}/", f"/api/sessions/{SESSION}/events/x",
     f"/rpa/{SESSION}/x", f"/rpa/../rpa/{SESSION}", "/healthy", "/metrics/", "/index.html", "/favicon.ico",
     "/.git/config", "/setup.py", "/rpa_server/app.py", "/rpa_progress_sse.php/x", "/%2e%2e/setup.py", "/static2/x",
     "/" + "x" * 20_000, "/%00", "/%ff", "/%C3%A9", "/RPA/x"],
    ids=lambda path: path[:30],
)  # fmt: skip
async def test_an_unknown_address_is_404(serve: Serve, path: str) -> None:
    """An unknown address is 404 ``not_found``, for GET and for POST."""
    client = await serve()
    for method in ("GET", "POST"):
        answer = await send(client, request(method, path))
        assert (answer.status, answer.error["code"]) == (404, "not_found"), method


@pytest.mark.parametrize("path", PATHS)
async def test_a_wrong_method_is_405_with_allow(serve: Serve, path: str) -> None:
    """A method that a route does not support is 405, and ``Allow`` lists exactly the supported ones."""
    client = await serve()
    taken = {method for method, known in EVERY_ROUTE if known == path}
    for method in METHODS:
        if method in taken:
            continue
        answer = await send(client, request(method, good_address(path)))
        assert (answer.status, answer.error["code"]) == (405, "method_not_allowed"), method
        assert {name.strip() for name in answer.headers["allow"].split(",")} - {"HEAD"} == taken


@pytest.mark.parametrize("method", ["FOO", "get", "G" * 1000, "PROPFIND"])
async def test_an_unknown_method_is_refused(serve: Serve, method: str) -> None:
    """An unknown method is refused with a status of 4xx on every route, and the server goes on."""
    client = await serve()
    for path in PATHS:
        answer = await send(client, request(method, good_address(path)))
        assert 400 <= answer.status < 500, (path, answer)
    assert await alive(client)


@pytest.mark.parametrize("path", PATHS)
async def test_a_head_request_is_answered_without_a_body(serve: Serve, path: str) -> None:
    """HEAD is answered at once, with headers alone, and leaves no stream behind."""
    client = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request("HEAD", good_address(path), "Connection: close\r\n"))
    async with asyncio.timeout(2):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert int(head.split()[1]) < 500
    assert body == b""
    await until(lambda: hub_of(client).connections == 0)


# -- files


@pytest.mark.parametrize(
    "path",
    ["/static/../setup.py", "/static/%2e%2e/setup.py", "/static/..%2fsetup.py", "/static/%2e%2e%2fsetup.py",
     "/static/%2E%2E%5Csetup.py", "/static/....//setup.py", "/static/..;/setup.py", "/static//etc/passwd",
     "/static/%2fetc%2fpasswd", "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/static/x/../../setup.py",
     "/static/..%252fsetup.py", "/static/..%c0%afsetup.py", "/static/page.js%00", "/static/page.js%00.css",
     "/static/page.js/x", "/static/", "/static", "/static/.", "/static/%2e", "/static/no.js",
     "/static/" + "a" * 5000, "/static/%ff", "/static/page.js~", "/static/*"],
    ids=lambda path: path[:40],
)  # fmt: skip
async def test_nothing_but_the_files_of_the_page_is_served(serve: Serve, path: str) -> None:
    """No path leads out of the directory of static files, and the directory itself is not listed."""
    answer = await send(await serve(), request("GET", path))
    assert 400 <= answer.status < 500, answer
    assert answer.error["code"] in ("not_found", "forbidden")
    for secret in (b"setuptools", b"root:", b"page.css"):
        assert secret not in answer.body


async def test_no_answer_may_be_guessed_at(serve: Serve, data_dir: Path) -> None:
    """Every answer but a 101, errors included, carries ``X-Content-Type-Options: nosniff``."""
    stored(data_dir, Robot(steps=1))
    client = await serve()
    missing = []
    for method, path in ROUTES:
        address = good_address(path)
        for name, sent in (("it", attempt(method, address)), ("405", request("PUT", address))):
            answer = await send(client, sent)
            if answer.status != 101 and answer.headers.get("x-content-type-options") != "nosniff":
                missing.append((name, method, path, answer.status))
    for path in ("/x", "/static/", "/rpa/..x", f"/rpa/{SESSION}", *(path.format(SESSION) for path in DEPLOYED)):
        answer = await send(client, request("GET", path))
        if answer.headers.get("x-content-type-options") != "nosniff":
            missing.append(("error", "GET", path, answer.status))
    assert missing == []


# -- bodies


@pytest.mark.parametrize(
    "body",
    [b"{", b"[" * 60_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"etapa": NaN}', b'{"etapa": -Infinity}',
     b'{"etapa": 1e999}', b'{"etapa": ' + b"9" * 60_000 + b"}", b"\xff\xfe{\x00}\x00", b"\x00", b'{"etapa": "\\ud800"}',
     b'{"dados_extra": {"\\u0000": 1}}', b'\xef\xbb\xbf{"etapa": 1}'],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
async def test_a_poisoned_body_is_400(serve: Serve, data_dir: Path, body: bytes) -> None:
    """A body that is broken JSON, nested too deeply or not valid is 400 ``bad_request``, and nothing is stored."""
    client = await serve()
    answer = await send(client, request("POST", f"/api/sessions/{SESSION}/events", body=body))
    assert (answer.status, answer.error["code"]) == (400, "bad_request")
    assert not list(data_dir.glob("*"))


@pytest.mark.parametrize("size", [256 * 1024 + 1, 10 * 1024 * 1024])
async def test_a_huge_body_is_413(serve: Serve, size: int) -> None:
    """A body of a few bytes over 256 KiB, or over 10 MiB, is 413 ``too_large``, and the server goes on."""
    client = await serve()
    body = b'{"mensagem": "' + b"x" * size + b'"}'
    answer = await send(client, request("POST", f"/api/sessions/{SESSION}/events", body=body))
    assert (answer.status, answer.error["code"]) == (413, "too_large")
    assert await alive(client)


async def test_a_length_that_is_a_lie_holds_nothing_up(serve: Serve) -> None:
    """A client that announces a body and disconnects stores nothing, and the server goes on answering."""
    client = await serve()
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(
            f"POST /api/sessions/{SESSION}/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 60000\r\n\r\n{".encode()
        )
        await asyncio.sleep(0.02)
    assert await alive(client)
    assert (await send(client, request("GET", f"/api/sessions/{SESSION}"))).status == 404


@pytest.mark.parametrize("path", sorted(WITHOUT_SESSION.intersection(PATHS)))
async def test_a_body_on_a_get_is_ignored(serve: Serve, path: str) -> None:
    """A GET with a body is answered like one without."""
    answer = await send(await serve(), request("GET", good_address(path), body=b'{"etapa": 1}'))
    assert answer.status == 200, answer


async def test_what_a_robot_writes_comes_back_as_it_was(serve: Serve) -> None:
    """Markup and control characters in a text come back unchanged as JSON; a lone surrogate stops no later read."""
    client = await serve()
    text = "<script>alert(1)</script>\u2028\u0000\x1b[31m'\"`"
    await post(client, etapa=1, mensagem=text, dados_extra={text: text})
    answer = await send(client, request("GET", f"/api/sessions/{SESSION}"))
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert json.loads(answer.body)["snapshot"]["mensagem"] == text
    answer = await send(client, request("POST", f"/api/sessions/{SESSION}/events", body=b'{"erro": "\\ud800"}'))
    assert answer.status in (201, 400)
    assert (await send(client, request("GET", f"/api/sessions/{SESSION}"))).status == 200


# -- headers and lines


async def test_a_header_of_10_kb_is_no_failure(serve: Serve) -> None:
    """A header of 10 kB, such as another program's cookie, makes no route answer with a status of 5xx."""
    client = await serve()
    for name in ("Cookie", "X-Long", "Last-Event-ID", "If-None-Match", "Referer"):
        for path in PATHS:
            answer = await send(client, request("GET", good_address(path), f"{name}: {'x' * 10_000}\r\n"))
            assert answer.status < 500, (path, name, answer)
            if answer.status >= 400:
                assert answer.error["code"], (path, name)


NONSENSE = {
    "100 kB header": request("GET", "/", f"X-Long: {'x' * 100_000}\r\n"),
    "many headers": request("GET", "/", "".join(f"X-{number}: y\r\n" for number in range(5000))),
    "100 kB address": request("GET", "/" + "x" * 100_000),
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n",
    "raw UTF-8 in the address": request("GET", "/é"),
    "a control character in the address": request("GET", "/static/\x7f"),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a header without a name": request("GET", "/", ": x\r\n"),
    "a header with a space": request("GET", "/", "X Y: x\r\n"),
    "a folded header": request("GET", "/", "X: x\r\n y\r\n"),
    "a NUL in a header": request("GET", "/", "X: a\0b\r\n"),
    "two lengths": request("POST", f"/api/sessions/{SESSION}/events", "Content-Length: 5\r\nContent-Length: 6\r\n"),
    "a negative length": request("POST", f"/api/sessions/{SESSION}/events", "Content-Length: -5\r\n"),
    "a length and chunks": request(
        "POST", f"/api/sessions/{SESSION}/events", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    ) + b"0\r\n\r\n",
    "bad chunks": request(
        "POST", f"/api/sessions/{SESSION}/events", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    ) + b"xyz\r\n{}\r\n",
    "CONNECT": b"CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n",
    "another server": b"GET http://evil/api/sessions HTTP/1.1\r\nHost: evil\r\n\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad upgrade": request("GET", f"/rpa/{SESSION}", HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "x")),
    "bad content encoding": request(
        "POST", f"/api/sessions/{SESSION}/events", "Content-Encoding: gzip\r\n", b'{"etapa": 1}'
    ),
}  # fmt: skip


@pytest.mark.parametrize("sent", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_on_the_line_does_no_harm(serve: Serve, sent: bytes) -> None:
    """Bytes that are hardly HTTP get no status of 5xx and no internals in the answer, and the server goes on."""
    client = await serve()
    answer = await send(client, sent)
    assert answer.status < 500, answer
    assert await alive(client)


@pytest.mark.parametrize("session", ["a" * 200, "..x", ""])
async def test_nothing_of_a_caller_comes_back_as_markup(serve: Serve, session: str) -> None:
    """Error messages do not repeat what the client sent."""
    answer = await send(await serve(), request("GET", f"/api/sessions/{session}%3Cscript%3E"))
    assert b"<script>" not in answer.body
    assert session not in answer.body.decode() or not session
