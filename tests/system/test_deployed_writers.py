"""The server reads files that the deployed robot truncates and rewrites, and never removes."""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from tests.support import inplace, recordings
from tests.support.inplace import Document
from tests.support.server import ROOT, RedisServer, Server, running, until
from tests.support.timing import fast_enough, within

SESSION = "rpa_v4_20260115_093000_ba6e50a1"
PLANS = ("R$ 3.210,98", "R$ 2.109,87")


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client that allows 60 s for each request."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        yield http


# -- reading files during writes


class StateChecker:
    """A client of SESSION that compares every state it receives with the previous one; subclasses have the transports.

    Attributes:
        seen: how many messages or answers had a state.
        wrong: descriptions of broken or older states, and of ends with other prices than PLANS; must stay empty.
        over: it received the end of the run.
        resets: how many ``reset`` messages it received.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self._last: tuple[Any, ...] = ()
        self._position: tuple[str, int] = ("", 0)
        self.seen = 0
        self.resets = 0
        self.wrong: list[str] = []
        self.over = False

    async def run(self) -> None:
        """Receive until cancelled, or until the server ends the stream."""
        raise NotImplementedError

    def parse(self, text: str | bytes) -> Document:
        """Return the message as an object; if it is not one, record that in ``wrong`` and return an empty object."""
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        self.wrong.append(f"no object: {text[:80]!r}")
        return {}

    def check_state(self, *state: Any, over: bool, prices: tuple[str, ...] = PLANS) -> None:
        """Record one state, and in ``wrong`` what is wrong with it.

        Args:
            state: figures of which none may be lower than in the state before.
            over: the run has ended; a state that says so may not be followed by one that does not.
            prices: those of the plans, which must equal PLANS at the end.
        """
        self.seen += 1
        if self._last and any(new < old for new, old in zip(state, self._last, strict=True)):
            self.wrong.append(f"{state} behind {self._last}")
        if self.over and not over:
            self.wrong.append(f"{state} behind the end")
        if over and prices != PLANS:
            self.wrong.append(f"the end brings {prices}")
        self._last, self.over = state, self.over or over

    def native(self, message: Document) -> None:
        """Check a message of the native protocol or of the plan's dialect."""
        kind = message.get("type")
        self.resets += kind == "reset"
        if kind == "progress_update":
            self._follow(message)
            prices = tuple(plan["valor"] for plan in message.get("resultado", {}).values())
            self.check_state(message["percentual"], over=message["final"], prices=prices)
        elif kind in ("sync", "reset") and message["snapshot"]:
            self._position = (message["epoch"], message["seq"])
            plans = message["snapshot"]["resultado"] or {}
            prices = tuple(plan["valor"] for plan in plans.values())
            self.check_state(message["snapshot"]["percentual"], over=message["snapshot"]["final"], prices=prices)

    def _follow(self, message: Document) -> None:
        """Check that positions are consecutive if the robot keeps a history (epoch ``h…``), else that they increase."""
        if "seq" not in message:
            return
        epoch, seq = self._position
        derived = message["epoch"].startswith("h")
        if message["epoch"] == epoch and (seq + 1 != message["seq"] if derived else seq >= message["seq"]):
            self.wrong.append(f"{message['epoch']}:{message['seq']} behind {epoch}:{seq}")
        self._position = (message["epoch"], message["seq"])


class Socket(StateChecker):
    """A viewer over WebSocket: native with a subprotocol, in the plan's dialect without one."""

    protocols: tuple[str, ...] = ("rpa.v1",)

    async def run(self) -> None:
        async with self._http.ws_connect(f"{self._url}/rpa/{SESSION}", protocols=self.protocols) as stream:
            async for message in stream:
                self.native(self.parse(message.data))


class PlainSocket(Socket):
    protocols = ()


class Events(StateChecker):
    """A viewer over server-sent events; subclasses have other addresses."""

    path = f"/events/{SESSION}"

    async def run(self) -> None:
        async with self._http.get(self._url + self.path) as response:
            if response.status != 200:
                self.wrong.append(f"status {response.status}")
            async for line in response.content:
                if line.startswith(b"data: "):
                    self.take(self.parse(line[6:]))

    def take(self, message: Document) -> None:
        self.native(message)


class PlainEvents(Events):
    path = f"/rpa_progress_sse.php?session_id={SESSION}"


class DeployedEvents(Events):
    path = f"/progress_sse.php?session_id={SESSION}"

    def take(self, message: Document) -> None:
        if message.get("status") == "completed":
            plans = message["progresso"]["details"]["planos"]
            self.check_state(*self._last, over=True, prices=tuple(plan["valor"] for plan in plans.values()))
        elif "etapa_atual" in message:
            self.check_state(message["percentual"], message["etapa_atual"], over=False)
        elif message.get("status") not in ("starting", "started"):
            self.wrong.append(f"{message}")


class Poll(StateChecker):
    """A viewer that polls every 20 ms, faster than any page; subclasses have other addresses."""

    path = f"/api/rpa/progress/{SESSION}"

    async def run(self) -> None:
        while True:
            async with self._http.get(self._url + self.path) as response:
                if response.status != 200 and not (response.status == 404 and not self.seen):
                    self.wrong.append(f"status {response.status}")
                elif response.status == 200:
                    self.take(self.parse(await response.read()))
            await asyncio.sleep(0.02)

    def take(self, answer: Document) -> None:
        body = answer.get("progress")
        if not answer.get("success") or not body or (self.seen and body["status"] == "waiting"):
            self.wrong.append(f"{answer}"[:200])
            return
        if body["status"] == "waiting":
            return
        result = (body["resultados_finais"]["dados"] or {}).get("dados_finais") or {}
        last = body["timeline"][-1]["timestamp"] if body["timeline"] else ""
        over = body["status"] == "success"
        if over != body["resultados_finais"]["rpa_finalizado"] or body["status"] == "error":
            self.wrong.append(f"{body['status']}: {body['resultados_finais']}"[:200])
        prices = tuple(plan["valor"] for plan in result.values())
        found = body["estimativas"]["capturadas"]
        self.check_state(body["percentual"], body["etapa_atual"], found, last, over=over, prices=prices)


class OlderPoll(Poll):
    path = f"/get_progress.php?session={SESSION}"

    def take(self, answer: Document) -> None:
        body = answer.get("data")
        if not answer.get("success") or not body or (self.seen and body["status"] == "waiting"):
            self.wrong.append(f"{answer}"[:200])
        elif body["status"] != "waiting":
            plans = body["resultados_finais"]["dados"] or {}
            prices = tuple(plan["valor"] for plan in plans.values())
            over = body["status"] == "success"
            self.check_state(body["percentual"], body["etapa_atual"], body["historico_count"], over=over, prices=prices)


class NativePoll(Poll):
    path = f"/api/sessions/{SESSION}"

    def take(self, answer: Document) -> None:
        snapshot = answer["snapshot"]
        prices = tuple(plan["valor"] for plan in (snapshot["resultado"] or {}).values())
        self.check_state(snapshot["percentual"], snapshot["etapa_atual"], over=snapshot["final"], prices=prices)


TWENTY: tuple[type[StateChecker], ...] = (
    *[Socket] * 7, *[PlainSocket] * 3,
    *[Events] * 3, PlainEvents, DeployedEvents,
    *[Poll] * 3, OlderPoll, NativePoll,
)  # fmt: skip


@asynccontextmanager
async def watching(viewers: list[StateChecker]) -> AsyncIterator[None]:
    """Run *viewers* during the block; an exception in one of them fails the test after it."""
    tasks = [asyncio.create_task(viewer.run()) for viewer in viewers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [error for error in ended if isinstance(error, Exception)]
    assert failed == []


@pytest.mark.parametrize("kind", ["history", "snapshot"])
async def test_nobody_sees_a_broken_or_an_older_state_while_files_are_written_in_place(
    data_dir: Path, server: Server, full: bool, kind: str
) -> None:
    """While files are truncated and rewritten every 2 ms, 20 clients get the end, and no broken or older state."""
    length_s = 30.0 if full else 6.0
    data_dir.mkdir(exist_ok=True)
    async with client() as http:
        viewers = [each(http, server.url) for each in TWENTY]
        async with watching(viewers):
            words = [sys.executable, "-m", "tests.support.inplace", str(data_dir), SESSION, str(length_s), kind]
            writer = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
            out, _ = await writer.communicate()
            written_s = time.monotonic()
            await until(lambda: all(viewer.over for viewer in viewers), 5)
            late_s = time.monotonic() - written_s
            await asyncio.sleep(0.2)
    seen = {each.__name__: sum(viewer.seen for viewer in viewers if type(viewer) is each) for each in TWENTY}
    resets = max(viewer.resets for viewer in viewers)
    print(f"{kind}: {int(out)} writes in {length_s:g} s, seen {seen}, at most {resets} resets, over {late_s:.3f} s behind")
    assert writer.returncode == 0
    assert [(type(viewer).__name__, viewer.wrong[:3]) for viewer in viewers if viewer.wrong] == []
    assert resets <= 1
    assert all(viewer.seen >= (inplace.ENTRIES - 5 if kind == "history" else 20) for viewer in viewers[:10])
    fast_enough(int(out) >= length_s / inplace.EVERY_S / 3, f"the robot wrote only {int(out)} times")


# -- how soon an entry arrives


@pytest.mark.serial
async def test_an_entry_is_with_every_viewer_within_100_ms(data_dir: Path, server: Server) -> None:
    """All but the slowest of 50 entries reach WebSocket and event stream within 100 ms after writing began."""
    data_dir.mkdir(exist_ok=True)
    async with client() as http:
        arrived: dict[str, dict[str, float]] = {"WebSocket": {}, "SSE": {}}
        socket = await http.ws_connect(f"{server.url}/rpa/{SESSION}", protocols=["rpa.v1"])
        stream = await http.get(f"{server.url}/events/{SESSION}")
        readers = [
            asyncio.create_task(_note_frames(socket, arrived["WebSocket"])),
            asyncio.create_task(_note_events(stream, arrived["SSE"])),
        ]
        written: dict[str, float] = {}
        for documents in inplace.play(SESSION):
            text = documents["history"]["historico"][-1]["mensagem"]
            written[text] = time.monotonic()
            for kind, document in documents.items():
                inplace.write(data_dir / f"{kind}_{SESSION}.json", inplace.encode(document))
            await until(lambda: all(len(times) == len(written) for times in arrived.values()), 5)
            await asyncio.sleep(0.03)
        for reader in readers:
            reader.cancel()
        await socket.close()
        stream.close()
    for name, times in arrived.items():
        delays = [times[text] - written[text] for text in list(written)[-50:]]
        median, worst = 1000 * statistics.median(delays), 1000 * max(delays)
        print(f"{name}: {median:.1f} ms median, {worst:.1f} ms worst of {len(delays)}")
        within(sorted(delays)[-2], 0.1)  # the slowest may be due to something else on this machine


async def _note_frames(socket: aiohttp.ClientWebSocketResponse, times: dict[str, float]) -> None:
    async for message in socket:
        _note(json.loads(message.data), times)


async def _note_events(stream: aiohttp.ClientResponse, times: dict[str, float]) -> None:
    async for line in stream.content:
        if line.startswith(b"data: "):
            _note(json.loads(line[6:]), times)


def _note(message: Document, times: dict[str, float]) -> None:
    state = message.get("snapshot") or message
    if "mensagem" in state:
        times.setdefault(state["mensagem"], time.monotonic())


# -- other files in the directory


def litter(directory: Path, number: int = 1000) -> None:
    """Write *number* files into *directory*: half of finished runs, the rest broken or of other programs.

    Adds a directory, a dangling link and a named pipe whose names are like those of documents.
    """
    whole = recordings.ALL["success"]
    finished = {
        "history": inplace.encode(whole).encode(),
        "progress": inplace.encode(recordings.progress_of(whole)).encode(),
        "result": inplace.encode(recordings.result_of(whole) or {}).encode(),
        "session": b'{"session_id": "x", "timestamp_fim": "2026-01-15T09:35:00", "status": "success"}',
    }
    half = finished["history"][:8192]
    broken = [b"", b"{", half, b"\xff\xfe" * 300, b"[" * 100_000, b"\0" * 4096, b"null", b'{"a": NaN}']
    others = ["notes %d.txt", "progress %d.json", "history_%d.json.bak", ".progress_%d.json", "progress_..%d.json"]
    for index in range(number):
        kind = index % 4
        if kind < 2:  # half of the files belong to finished runs, of four files each
            run, name = divmod(index // 4 * 2 + kind, 4)
            (directory / f"{list(finished)[name]}_done-{run}.json").write_bytes(list(finished.values())[name])
        elif kind == 2:
            (directory / f"{('progress', 'history', 'result')[index // 4 % 3]}_bad-{index}.json").write_bytes(
                broken[index // 4 % len(broken)]
            )
        else:
            (directory / (others[index // 4 % len(others)] % index)).write_bytes(finished["history"])
    (directory / "progress_directory.json").mkdir()
    (directory / "history_nowhere.json").symlink_to(directory / "nowhere")
    os.mkfifo(directory / "progress_pipe.json")


class Question(NamedTuple):
    """A request of the test, and its name in the printed figures."""

    name: str
    path: str


QUESTIONS = (
    Question("alive", "/health/live"),
    Question("finished", "/api/rpa/progress/done-3"),
    Question("broken", "/api/rpa/progress/bad-402"),
    Question("unknown", "/api/rpa/progress/nobody"),
    Question("pipe", "/api/rpa/progress/pipe"),
    Question("native", "/api/sessions/done-4"),
    Question("figures", "/api/rpa/metrics"),
    Question("list", "/api/sessions"),
    Question("socket", "/rpa/done-5"),
)


async def _ask(http: aiohttp.ClientSession, url: str, question: Question) -> float:
    """Return how many seconds the answer took; for ``socket`` its first frame."""
    began = time.monotonic()
    if question.name == "socket":
        async with http.ws_connect(url + question.path, protocols=["rpa.v1"]) as stream:
            await stream.receive_json()
    else:
        async with http.get(url + question.path) as response:
            assert response.status in (200, 404)
            await response.read()
    return time.monotonic() - began


class Answers(NamedTuple):
    """How long a server took, in seconds.

    Attributes:
        listening: until its port was open.
        slowest: for every question, its first answer or the second slowest of the later ones, whichever took longer;
            the slowest one may be due to something else on this machine.
    """

    listening: float
    slowest: dict[str, float]


async def _answers(data_dir: Path) -> Answers:
    """Start a server and send it QUESTIONS 20 times one after the other, then 6 times all at once."""
    began = time.monotonic()
    with running(Server(data_dir)) as server:
        listening_s = time.monotonic() - began
        async with client() as http:
            rounds = [[await _ask(http, server.url, question) for question in QUESTIONS] for _ in range(20)]
            for _ in range(6):  # all at once, so that the list is read meanwhile
                rounds.append(await asyncio.gather(*(_ask(http, server.url, question) for question in QUESTIONS)))
    slowest = {
        question.name: max(took[0], sorted(took[1:])[-2])
        for question, took in zip(QUESTIONS, zip(*rounds, strict=True), strict=True)
    }
    return Answers(listening_s, slowest)


@pytest.mark.serial
async def test_a_thousand_files_delay_nothing(tmp_path: Path) -> None:
    """With 1,000 files a server listens within 3 s and answers at most 50 ms later than without; best of three."""
    full, empty = tmp_path / "full" / "rpa_data", tmp_path / "empty" / "rpa_data"
    for directory in (full, empty):
        directory.mkdir(parents=True)
    litter(full)
    assert len(list(full.iterdir())) > 1000
    for _ in range(3):
        with_files, without = await _answers(full), await _answers(empty)
        listening_s = with_files.listening
        because_s = {name: took_s - without.slowest[name] for name, took_s in with_files.slowest.items()}
        if max(because_s.values()) <= 0.05 and listening_s <= 3:
            break
    figures = (f"{name} {1000 * took_s:.1f}" for name, took_s in because_s.items())
    print(f"listening in {listening_s:.2f} s; slower because of the files, in ms: {', '.join(figures)}")
    within(listening_s, 3)
    within(max(because_s.values()), 0.05)


# -- other robots' files are not written


def _state_of(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return the content, modification time and inode of every file, by name."""
    files = [path for path in directory.iterdir() if path.is_file()]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


@pytest.mark.parametrize("backend", ["none", "redis"])
async def test_a_robots_files_are_left_as_they_are(
    data_dir: Path, request: pytest.FixtureRequest, backend: str
) -> None:
    """Serving runs changes no file, adds none, and copies none of the runs into Redis."""
    redis: RedisServer | None = request.getfixturevalue("redis_process") if backend == "redis" else None
    data_dir.mkdir()
    for session_id, whole in recordings.ALL.items():
        documents = {"history": whole, "progress": recordings.progress_of(whole), "result": recordings.result_of(whole)}
        for kind, document in documents.items():
            if document is not None:
                (data_dir / f"{kind}_{session_id}.json").write_text(inplace.encode(document), "utf-8")
    (data_dir / "progress_torn.json").write_bytes(b'{"etapa_atual": 5, ')
    before = _state_of(data_dir)
    with running(Server(data_dir, redis.url if redis else "none")) as server:
        async with client() as http:
            for session_id in [*recordings.ALL, "torn"]:
                for path in ("/api/rpa/progress/", "/get_progress.php?session=", "/api/sessions/"):
                    async with http.get(f"{server.url}{path}{session_id}") as response:
                        assert response.status == (404 if (path, session_id) == ("/api/sessions/", "torn") else 200)
                async with http.ws_connect(f"{server.url}/rpa/{session_id}", protocols=["rpa.v1"]) as stream:
                    assert (await stream.receive_json())["type"] == "sync"
            async with http.get(f"{server.url}/api/rpa/metrics") as response:
                assert response.status == 200
        if redis is not None:
            await asyncio.sleep(2.5)  # longer than it takes until files of our own tracker are copied into Redis
            with redis.client() as connected:
                assert list(connected.scan_iter("*")) == []
    assert _state_of(data_dir) == before
