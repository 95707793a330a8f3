"""Admission: one table of requests that gets the same answers whichever way the server is started.

With ``python -m aiohttp.web`` aiohttp's handlers serve every request; with ``rpa-server serve`` the listener opens
common WebSockets itself.
"""

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rpa_server.backends.files import json_files
from rpa_server.errors import BadCursor, BadRequest, BadSessionId, Forbidden, RequestError, ServerFull, UpgradeRequired
from rpa_server.http.admission import MAX_WAIT_S, Action, Admitted, Request, Rules, admit
from rpa_server.legacy.handlers import RESERVED
from rpa_server.origins import Origins
from rpa_server.progress.run import Run
from rpa_server.progress.update import Cursor
from tests.support.server import ROOT, CommandServer, Server
from tests.support.sessions import BEGAN

#: How many seconds a stream is watched for messages that should not come.
QUIET_S = 0.2
NATIVE = {"Sec-WebSocket-Protocol": "rpa.v1"}
EVIL = {"Origin": "https://evil.example"}
ALLOWED = {"Origin": "https://www.good.com"}
HANDSHAKE: dict[str, str] = {
    "Host": "rpa.example.com",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
PLAIN_GET = {name: None for name in HANDSHAKE if name != "Host"}
JSON = {"Content-Type": "application/json", "Content-Length": "2"}


class Answer(NamedTuple):
    """What a server answered to one request.

    Attributes:
        status: the status of the HTTP response.
        headers: all except Date, by their names in lower case.
        frames: for a WebSocket, opcode and payload of each frame; for an event stream, 1 and the line of each message.
        body: the body of any other response.
    """

    status: int
    headers: dict[str, str]
    frames: list[tuple[int, bytes]]
    body: bytes


def request(
    path: str, *changes: dict[str, str] | dict[str, None], method: str = "GET", version: str = "1.1", rest: str = ""
) -> bytes:
    """Build a WebSocket handshake with *changes*; a header whose value is None is left out."""
    headers: dict[str, str | None] = {**HANDSHAKE}
    for change in changes:
        headers.update(change)
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    return f"{method} {path} HTTP/{version}\r\n{''.join(lines)}\r\n{rest}".encode()


def get(path: str, *changes: dict[str, str] | dict[str, None], method: str = "GET", rest: str = "") -> bytes:
    """Build a request that is not a handshake."""
    return request(path, PLAIN_GET, *changes, method=method, rest=rest)


#: How old the run is when a snapshot or a sync is sent.
AGE = re.compile(rb'"(idade|duracao)_ms":\d+,')
#: By name: a request, the status, and a part of the error's code, of the stream's first message or of the body.
Table = dict[str, tuple[bytes, int, str]]

SYNC = '"type":"sync"'
STATE = '"etapa":3'  # in the plan's dialect the state comes as an update
NOTHING = ""

SOCKETS: Table = {
    "native": (request("/rpa/s1", NATIVE), 101, '"seq":3,"recovered":false'),
    "native, the plan's address": (request("/ws/rpa/s1", NATIVE), 101, '"seq":3,"recovered":false'),
    "native, the deployed address": (request("/session/s1", NATIVE), 101, '"seq":3,"recovered":false'),
    "plain": (request("/rpa/s1"), 101, STATE),
    "plain, the plan's address": (request("/ws/rpa/s1"), 101, STATE),
    "plain, the deployed address": (request("/session/s1"), 101, STATE),
    "native, nobody's session": (request("/rpa/nobody", NATIVE), 101, '"snapshot":null'),
    "plain, nobody's session": (request("/rpa/nobody"), 101, NOTHING),
    "our protocol among others": (request("/rpa/s1", {"Sec-WebSocket-Protocol": "mqtt, rpa.v1"}), 101, SYNC),
    "another protocol": (request("/rpa/s1", {"Sec-WebSocket-Protocol": "rpa.v10"}), 101, STATE),
    "compression offered": (request("/rpa/s1", NATIVE, {"Sec-WebSocket-Extensions": "permessage-deflate"}), 101, SYNC),
    # session ids
    "128 characters": (request("/rpa/" + "a" * 128, NATIVE), 101, SYNC),
    "129 characters": (request("/rpa/" + "a" * 129, NATIVE), 400, "bad_session_id"),
    "every kind of character": (request("/rpa/_A-b.9", NATIVE), 101, SYNC),
    "leading dot": (request("/rpa/.s1", NATIVE), 400, "bad_session_id"),
    "leading dash": (request("/rpa/-s1", NATIVE), 400, "bad_session_id"),
    "two dots inside": (request("/rpa/a..b", NATIVE), 400, "bad_session_id"),
    "an id that is encoded": (request("/rpa/%731", NATIVE), 101, '"seq":3'),
    "a parent that is encoded": (request("/rpa/%2e%2e%2fx", NATIVE), 400, "bad_session_id"),
    "a blank": (request("/rpa/a%20b", NATIVE), 400, "bad_session_id"),
    "a glob": (request("/rpa/*", NATIVE), 400, "bad_session_id"),
    "no id": (request("/rpa/", NATIVE), 404, "not_found"),
    "more than an id": (request("/rpa/s1/x", NATIVE), 404, "not_found"),
    # names that the deployed API has under /rpa
    "reserved": (request("/rpa/progress", NATIVE), 200, '"success": false'),
    "reserved, nothing there": (request("/rpa/stop", NATIVE), 200, '"success": false'),
    "reserved, but not there": (request("/session/progress", NATIVE), 101, SYNC),
    "reserved, nor there": (request("/ws/rpa/start"), 101, NOTHING),
    "reserved and more": (request("/rpa/progress2", NATIVE), 101, SYNC),
    # cursors
    "from the beginning": (request("/rpa/s1?after=0", NATIVE), 101, '"seq":0,"recovered":true'),
    "in the middle": (request("/rpa/s1?after=aaaa:1", NATIVE), 101, '"seq":1,"recovered":true'),
    "at the end": (request("/rpa/s1?after=aaaa:3", NATIVE), 101, '"seq":3,"recovered":true'),
    "behind the end": (request("/rpa/s1?after=aaaa:9", NATIVE), 101, '"seq":3,"recovered":false'),
    "another run": (request("/rpa/s1?after=bbbb:1", NATIVE), 101, '"recovered":false'),
    "encoded": (request("/rpa/s1?after=aaaa%3A1", NATIVE), 101, '"seq":1,"recovered":true'),
    "with another parameter": (request("/rpa/s1?x=1&after=aaaa:1", NATIVE), 101, '"seq":1,"recovered":true'),
    "no cursor": (request("/rpa/s1?after=nonsense", NATIVE), 400, "bad_cursor"),
    "an empty cursor": (request("/rpa/s1?after=", NATIVE), 400, "bad_cursor"),
    "a negative cursor": (request("/rpa/s1?after=aaaa:-1", NATIVE), 400, "bad_cursor"),
    "by header": (request("/rpa/s1", NATIVE, {"Last-Event-ID": "aaaa:2"}), 101, '"seq":2,"recovered":true'),
    "header first": (request("/rpa/s1?after=aaaa:1", NATIVE, {"Last-Event-ID": "aaaa:2"}), 101, '"seq":2,'),
    "another server's header": (request("/rpa/s1?after=aaaa:1", NATIVE, {"Last-Event-ID": "17"}), 101, '"seq":1,'),
    "header and no cursor": (request("/rpa/s1?after=x", NATIVE, {"Last-Event-ID": "aaaa:2"}), 400, "bad_cursor"),
    # origins
    "an allowed page": (request("/rpa/s1", NATIVE, ALLOWED), 101, SYNC),
    "an allowed page, plain": (request("/rpa/s1", ALLOWED), 101, STATE),
    "a page of this host": (request("/rpa/s1", NATIVE, {"Origin": "http://rpa.example.com"}), 101, SYNC),
    "a page of this host by TLS": (request("/rpa/s1", NATIVE, {"Origin": "https://rpa.example.com"}), 101, SYNC),
    "another port of this host": (request("/rpa/s1", NATIVE, {"Origin": "http://rpa.example.com:81"}), 403, "forbidden"),
    "a page of another site": (request("/rpa/s1", NATIVE, EVIL), 403, "forbidden"),
    "a page of another site, plain": (request("/session/s1", EVIL), 403, "forbidden"),
    "a page of nowhere": (request("/rpa/s1", NATIVE, {"Origin": "null"}), 403, "forbidden"),
    "an empty origin": (request("/rpa/s1", NATIVE, {"Origin": ""}), 403, "forbidden"),
    "an allowed page in capitals": (request("/rpa/s1", NATIVE, {"Origin": "https://WWW.GOOD.COM"}), 403, "forbidden"),
    # handshakes
    "no upgrade": (get("/rpa/s1"), 426, "upgrade_required"),
    "an old version": (request("/rpa/s1", {"Sec-WebSocket-Version": "8"}), 426, "upgrade_required"),
    "no key": (request("/rpa/s1", {"Sec-WebSocket-Key": None}), 426, "upgrade_required"),
    "a short key": (request("/rpa/s1", {"Sec-WebSocket-Key": "c2hvcnQ="}), 426, "upgrade_required"),
    "an upgrade to something else": (request("/rpa/s1", {"Upgrade": "h2c"}), 426, "upgrade_required"),
    "no connection header": (request("/rpa/s1", {"Connection": None}), 426, "upgrade_required"),
    "several connection options": (request("/rpa/s1", NATIVE, {"Connection": "keep-alive, Upgrade"}), 101, SYNC),
    "names in lower case": (request("/rpa/s1", NATIVE).replace(b"Sec-WebSocket-Key", b"sec-websocket-key"), 101, SYNC),
    "a header with an accent": (request("/rpa/s1", NATIVE, {"X-Name": "é"}), 101, SYNC),
    "a name with an underscore": (request("/rpa/s1", NATIVE, {"X_Odd": "1"}), 101, SYNC),
    "HEAD": (request("/rpa/s1", NATIVE, method="HEAD"), 426, NOTHING),
    "POST": (request("/rpa/s1", NATIVE, method="POST"), 405, "method_not_allowed"),
    # if two things are wrong the first one is reported
    "id before cursor": (request("/rpa/.x?after=x", NATIVE, EVIL), 400, "bad_session_id"),
    "cursor before origin": (request("/rpa/s1?after=x", NATIVE, EVIL), 400, "bad_cursor"),
    "origin before upgrade": (get("/rpa/s1", EVIL), 403, "forbidden"),
}

READS: Table = {
    "stream": (get("/events/s1"), 200, '"recovered":false'),
    "stream from a cursor": (get("/events/s1?after=aaaa:2"), 200, '"recovered":true'),
    "stream by header": (get("/events/s1?after=x:1", {"Last-Event-ID": "aaaa:2"}), 200, '"recovered":true'),
    "stream behind the end": (get("/events/ended?after=aaaa:4"), 204, NOTHING),
    "stream, bad id": (get("/events/.s1"), 400, "bad_session_id"),
    "stream, bad cursor": (get("/events/s1?after=x"), 400, "bad_cursor"),
    "stream, HEAD": (get("/events/s1", method="HEAD"), 200, NOTHING),
    "stream, another site": (get("/events/s1", EVIL), 200, SYNC),
    "stream, allowed page": (get("/events/s1", ALLOWED), 200, SYNC),
    "plain stream": (get("/rpa_progress_sse.php?session_id=s1"), 200, STATE),
    "plain stream, old name": (get("/rpa_progress_sse.php?session=s1"), 200, STATE),
    "plain stream, the first name counts": (get("/rpa_progress_sse.php?session=.&session_id=s1"), 200, STATE),
    "plain stream without an id": (get("/rpa_progress_sse.php"), 400, "bad_session_id"),
    "poll": (get("/api/sessions/s1"), 200, '"recovered":false'),
    "poll from a cursor": (get("/api/sessions/s1?after=aaaa:1"), 200, '"recovered":true'),
    "poll by tag": (get("/api/sessions/s1", {"If-None-Match": 'W/"aaaa:3"'}), 304, NOTHING),
    "poll of nobody's session": (get("/api/sessions/nobody"), 404, "session_not_found"),
    "poll, bad id": (get("/api/sessions/-s1"), 400, "bad_session_id"),
    "poll, bad cursor before bad wait": (get("/api/sessions/s1?after=x&wait=x"), 400, "bad_cursor"),
    "poll, bad wait": (get("/api/sessions/s1?wait=x"), 400, "bad_request"),
    "list through a proxy": (get("/api/sessions", {"X-Forwarded-For": "127.0.0.1"}), 403, "forbidden"),
    "list through a proxy, bad wait": (get("/api/sessions?wait=x", {"Forwarded": "for=x"}), 403, "forbidden"),
    "list, bad wait": (get("/api/sessions?wait=x"), 400, "bad_request"),
    # deployed addresses, but only those whose answer contains no time, which would differ between the two servers
    "deployed stream": (get("/progress_sse.php?session_id=s1"), 200, '"status":"starting"'),
    "deployed stream, bad id": (get("/progress_sse.php?session_id=.s1"), 200, '"status":"error"'),
    "deployed stream, id before cursor": (get("/progress_sse.php?session_id=.s1&after=x"), 200, '"status":"error"'),
    "deployed stream, the other name": (get("/progress_sse.php?session=s1"), 200, '"status":"error"'),
    "deployed stream, bad cursor": (get("/progress_sse.php?session_id=s1&after=x"), 400, "bad_cursor"),
}

WRITES: Table = {
    "publish by a program": (get("/api/sessions/new/events", JSON, method="POST", rest="{}"), 400, "bad_request"),
    "publish by a page of this host": (
        get("/api/sessions/new/events", JSON, {"Origin": "http://rpa.example.com"}, method="POST", rest="{}"),
        400,
        "bad_request",
    ),
    "publish by an allowed page": (
        get("/api/sessions/new/events", JSON, ALLOWED, method="POST", rest="{}"),
        403,
        "forbidden",
    ),
    "publish, id before origin": (
        get("/api/sessions/.x/events", JSON, EVIL, method="POST", rest="{}"),
        400,
        "bad_session_id",
    ),
}

FULL: Table = {
    "native": (request("/rpa/s1", NATIVE), 101, '"code":"full"'),
    "plain": (request("/rpa/s1"), 101, '"code":"full"'),
    "native, nobody's session": (request("/session/nobody", NATIVE, ALLOWED), 101, '"code":"full"'),
    "a handshake that only aiohttp reads": (request("/rpa/s1", NATIVE, {"X_Odd": "1"}), 101, '"code":"full"'),
    "another site before room": (request("/rpa/s1", NATIVE, EVIL), 403, "forbidden"),
    "bad id before room": (request("/rpa/.s1", NATIVE), 400, "bad_session_id"),
    "no upgrade before room": (get("/rpa/s1"), 426, "upgrade_required"),
    "stream": (get("/events/s1"), 503, "full"),
    "stream, bad cursor before room": (get("/events/s1?after=x"), 400, "bad_cursor"),
    "stream, HEAD": (get("/events/s1", method="HEAD"), 200, NOTHING),
    "poll": (get("/api/sessions/s1"), 200, '"seq":3'),
    "poll that waits": (get("/api/sessions/s1?after=aaaa:3&wait=1"), 503, "full"),
    "poll, bad wait before room": (get("/api/sessions/s1?wait=x"), 400, "bad_request"),
    "deployed stream": (get("/progress_sse.php?session_id=s1"), 503, "full"),
    "deployed stream, bad id before room": (get("/progress_sse.php?session_id=.s1"), 200, '"status":"error"'),
}

CASES = {**SOCKETS, **READS, **WRITES}


class Servers(NamedTuple):
    """The same application, started both ways."""

    by_aiohttp: Server
    by_command: Server


@contextlib.contextmanager
def started(directory: Path, **environ: str) -> Iterator[Servers]:
    """Run both servers on the same stored sessions."""
    data_dir = directory / "rpa_data"
    for session_id in ("s1", "ended"):
        run = Run(session_id, "aaaa", BEGAN)
        for number in (1, 2, 3):
            run.step(number, f"Tela {number}", BEGAN)
        if session_id == "ended":
            run.finish("success", BEGAN)
        json_files.write_all(data_dir, session_id, run.documents())
    environ = {"RPA_ALLOWED_ORIGINS": "https://*.good.com", "RPA_HEARTBEAT_S": "60", **environ}
    servers = Servers(Server(data_dir, "none", None, **environ), CommandServer(data_dir, "none", None, **environ))
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Two servers with room for connections."""
    with started(tmp_path_factory.mktemp("admission")) as pair:
        yield pair


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Two servers with room for one connection, which is taken."""
    with started(tmp_path_factory.mktemp("full"), RPA_MAX_CONNECTIONS="1") as pair, contextlib.ExitStack() as stack:
        for server in pair:
            stream = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5))
            stream.sendall(get("/events/s1"))
            assert b" 200 OK" in stream.recv(4096)
        yield pair


async def exchange(server: Server, sent: bytes, messages: int) -> Answer:
    """Send a request and read the answer: of a stream the first *messages*, with 0 whatever comes within QUIET_S."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(sent)
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1")
        status, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs if name != "Date"}
        answer = Answer(int(status.split()[1]), headers, [], b"")
        if answer.status == 101:
            return answer._replace(frames=await first(reader, frames, messages))
        if sent.startswith(b"HEAD") or answer.status in (204, 304):
            return answer
        if "content-length" in headers:
            return answer._replace(body=await reader.readexactly(int(headers["content-length"])))
        return answer._replace(frames=await first(reader, events, messages))
    finally:
        writer.transport.abort()


async def first(
    reader: asyncio.StreamReader, parse: Callable[[bytes], list[tuple[int, bytes]]], count: int
) -> list[tuple[int, bytes]]:
    """Read the first *count* messages of a stream; with 0, whatever comes within QUIET_S."""
    data = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5 if count else QUIET_S):
            while (not count or len(parse(data)) < count) and (piece := await reader.read(65536)):
                data += piece
    return parse(data)[: count or None]


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Parse the complete frames that a server has sent."""
    found = []
    while len(data) >= 4:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        if len(data) < start + size:
            break
        found.append((data[0] & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return found


def events(data: bytes) -> list[tuple[int, bytes]]:
    """Parse the messages of an event stream, without ``retry``, which is random."""
    return [(1, line) for line in data.split(b"\n")[:-1] if line.startswith(b"data: ")]


def first_word(answer: Answer) -> str:
    """Return an error's code, a stream's first message, or else the body of an answer."""
    if answer.frames:
        return answer.frames[0][1].decode()
    if answer.status >= 400 and answer.body:
        error: dict[str, Any] = json.loads(answer.body)
        assert error.keys() == {"type", "code", "message", "temporary"}
        return str(error["code"])
    return answer.body.decode()


def ageless(answer: Answer) -> Answer:
    """Return *answer* without how old the run was at that moment."""
    frames = [(opcode, AGE.sub(b"", data)) for opcode, data in answer.frames]
    body = AGE.sub(b"", answer.body)
    headers = answer.headers if body == answer.body else {**answer.headers, "content-length": str(len(body))}
    return answer._replace(frames=frames, body=body, headers=headers)


async def same_answer(servers: Servers, sent: bytes, messages: int = 1) -> Answer:
    """Send a request to both servers and check that the answers are the same; return the answer."""
    answers = await asyncio.gather(*(exchange(server, sent, messages) for server in servers))
    by_aiohttp, by_command = (ageless(answer) for answer in answers)
    assert by_aiohttp == by_command
    return by_aiohttp


def test_the_table_is_long_enough() -> None:
    """The table has at least sixty handshakes, and each case has a name of its own."""
    assert len(SOCKETS) >= 60
    assert len(CASES) == len(SOCKETS) + len(READS) + len(WRITES)


@pytest.mark.parametrize("name", CASES)
async def test_both_ways_of_starting_the_server_give_the_same_answer(servers: Servers, name: str) -> None:
    """Both servers give the same status, headers and error code or first message, and those that the table says."""
    sent, status, says = CASES[name]
    answer = await same_answer(servers, sent, 0 if says == NOTHING else 1)
    assert answer.status == status
    assert says in first_word(answer)
    if says == NOTHING:
        assert first_word(answer) == ""
    if status == 101:
        native = b"rpa.v1\r\n" in sent
        assert answer.headers.get("sec-websocket-protocol") == ("rpa.v1" if native else None)
        assert "sec-websocket-extensions" not in answer.headers
    if status == 426:
        assert answer.headers["upgrade"] == "websocket"


async def test_only_allowed_pages_may_read_a_stream(servers: Servers) -> None:
    """A page of any origin gets the stream; only an allowed one gets the CORS header that lets it read the stream."""
    for origin, allowed in ((EVIL, None), (ALLOWED, ALLOWED["Origin"])):
        answer = await same_answer(servers, get("/events/s1", origin))
        assert answer.headers.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize("name", FULL)
async def test_a_full_server_gives_the_same_answer_both_ways(full: Servers, name: str) -> None:
    """A full server opens a WebSocket to send an error and 1013, and answers 503 to a stream or a waiting poll."""
    sent, status, says = FULL[name]
    answer = await same_answer(full, sent, 2 if status == 101 else 1)  # an error frame, then a close frame
    assert answer.status == status
    assert says in first_word(answer)
    if status == 101:
        assert [opcode for opcode, _ in answer.frames] == [1, 8]
        assert answer.frames[1][1] == (1013).to_bytes(2, "big") + b"full"
    if status == 503:
        assert answer.headers["retry-after"] == "5"


# -- admit() without a server

BAD_WAITS = ["", "x", "-1", "nan", "inf"]
#: Headers that show that a request came through a proxy.
FORWARDED = ["x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip"]


def rules(refusal: RequestError | None = None) -> Rules:
    return Rules(Origins(("https://*.good.com",)), lambda: refusal)


def at(address: str) -> Callable[[], str]:
    """Return a function for Request.peer that returns *address*."""
    return lambda: address


def asked(action: Action, **changes: Any) -> Request:
    headers = {name.lower(): value for name, value in HANDSHAKE.items()}
    merged = {**headers, **changes.pop("headers", {})}
    return Request(action, "s1", merged, {}, lambda: "127.0.0.1", HANDSHAKE["Host"])._replace(**changes)


def test_what_may_be_served_is_returned() -> None:
    """admit() returns the session id, the cursor, the wait, and for a WebSocket the value of Sec-WebSocket-Accept."""
    for action in (Action.POLL, Action.STREAM):
        assert admit(asked(action, query={"after": "aaaa:1"}), rules()) == Admitted("s1", Cursor("aaaa", 1))
    assert admit(asked(Action.POLL, query={"wait": "2.5"}), rules()) == Admitted("s1", wait_s=2.5)
    assert admit(asked(Action.POLL, query={"wait": "26"}), rules()) == Admitted("s1", wait_s=MAX_WAIT_S)
    assert admit(asked(Action.LIST, session_id="", query={"wait": "1"}), rules()) == Admitted("", wait_s=1.0)
    assert admit(asked(Action.WRITE), rules()) == Admitted("s1")
    assert admit(asked(Action.SOCKET), rules()) == Admitted("s1", None, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")


@pytest.mark.parametrize(
    ("action", "changes", "error"),
    [
        *((action, {"session_id": ""}, BadSessionId) for action in Action if action is not Action.LIST),
        *((action, {"query": {"after": "x"}}, BadCursor) for action in (Action.POLL, Action.STREAM, Action.SOCKET)),
        (Action.POLL, {"query": {"after": "x", "wait": "x"}}, BadCursor),
        *((action, {"query": {"wait": wait}}, BadRequest) for action in (Action.POLL, Action.LIST) for wait in BAD_WAITS),
        *((Action.LIST, {"peer": peer}, Forbidden) for peer in map(at, ("192.0.2.7", "2001:db8::1", "", "/run/rpa.sock"))),
        *((Action.LIST, {"headers": {name: "127.0.0.1"}}, Forbidden) for name in FORWARDED),
        *((action, {"headers": {"origin": "https://evil.example"}}, Forbidden) for action in (Action.SOCKET, Action.WRITE)),
        (Action.WRITE, {"headers": {"origin": "https://www.good.com"}}, Forbidden),
        (Action.SOCKET, {"method": "HEAD"}, UpgradeRequired),
        (Action.SOCKET, {"headers": {"upgrade": ""}}, UpgradeRequired),
    ],
)
def test_what_may_not_be_served_is_an_error(action: Action, changes: dict[str, Any], error: type[RequestError]) -> None:
    """A request that breaks a rule raises the same error whether the server is full or not: room is checked last."""
    for refusal in (None, ServerFull("full")):
        with pytest.raises(error):
            admit(asked(action, **changes), rules(refusal))


def test_room_is_needed_by_what_stays_open() -> None:
    """If the server is full a stream and a waiting poll are errors; a WebSocket is admitted and refused in a frame."""
    full = ServerFull("full")
    for stays in (asked(Action.STREAM), asked(Action.POLL, query={"wait": "0.1"})):
        with pytest.raises(ServerFull):
            admit(stays, rules(full))
    assert admit(asked(Action.SOCKET), rules(full)).refusal is full
    assert admit(asked(Action.STREAM, method="HEAD"), rules(full)).refusal is None
    for action in (Action.LIST, Action.READ, Action.POLL, Action.WRITE):
        assert admit(asked(action), rules(full)).refusal is None


def test_a_mere_read_has_neither_cursor_nor_patience() -> None:
    """A READ ignores ``after``, ``wait`` and ``Last-Event-ID``: deployed pages may use these names for other things."""
    read = asked(Action.READ, query={"after": "x", "wait": "x"}, headers={"last-event-id": "aaaa:1"})
    assert admit(read, rules()) == Admitted("s1")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_a_program_on_this_machine_is_local(address: str) -> None:
    """A client with any address of the loopback interface counts as local."""
    assert asked(Action.LIST, peer=at(address)).is_local


def test_reserved_names_are_session_ids_elsewhere() -> None:
    """admit() accepts reserved names as session ids; only the router sends those below ``/rpa`` to the deployed API."""
    for name in RESERVED:
        assert admit(asked(Action.READ, session_id=name), rules()).session_id == name


def test_admission_loads_no_web_framework() -> None:
    """Importing admission.py loads neither aiohttp nor asyncio nor socket: it decides from text alone."""
    program = (
        "import sys; before = set(sys.modules); import rpa_server.http.admission; "  # coverage may have loaded some
        "print({'aiohttp', 'asyncio', 'socket'} & (sys.modules.keys() - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "set()"
