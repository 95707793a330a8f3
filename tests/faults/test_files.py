"""Files that are empty, torn, huge or nonsense, and files that are read while they are written."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from rpa_server.backends.files import json_files
from rpa_server.backends.files.json_files import ABANDONED_S
from rpa_server.backends.files.names import file_name
from rpa_server.tracker import ProgressTracker
from tests.support import recordings
from tests.support.faults.robots import Plan, Robots, working
from tests.support.faults.table import Row
from tests.support.server import ROOT, Server, until
from tests.support.timing import fast_enough

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

KINDS = ("progress", "history")
_AT_ONCE = 16


# -- H3: damaged documents


class Damage(NamedTuple):
    """One way of damaging a document.

    Attributes:
        name: for the failure's message.
        spoil: makes the damaged bytes out of the document's.
        readable: the result is still a JSON object, so a reader may use parts of it.
    """

    name: str
    spoil: Callable[[bytes], bytes]
    readable: bool = False


def _torn(length: int) -> Damage:
    """Truncate to *length* bytes; a document that is not longer loses its last byte."""
    return Damage(f"torn at {length}", lambda data: data[: min(length, len(data) - 1)])


def _bad_utf8(share: float) -> Damage:
    def spoil(data: bytes) -> bytes:
        index = int(share * len(data))
        return data[:index] + b"\xff" + data[index:]

    return Damage(f"bad UTF-8 at {share}", spoil)


def _whole(text: bytes) -> Damage:
    return Damage(f"nothing but {text[:20]!r}", lambda data: text)


def _with(key: str, value: object) -> Damage:
    """Put *value* under *key*, whatever belongs there."""

    def spoil(data: bytes) -> bytes:
        document = json.loads(data)
        document[key] = value
        return json.dumps(document).encode()

    return Damage(f"{key}={json.dumps(value)[:20]}", spoil, readable=True)


def _deep() -> object:
    found: object = 1
    for _ in range(200):
        found = [found]
    return found


STRANGE: Sequence[object] = (None, True, -1, 1e308, "", "x", [], [1], {}, {"a": 1}, _deep())
NO_OBJECT = [_whole(text) for text in (b"", b" ", b"null", b"[]", b'"x"', b"1", b"{}{}", b"\0" * 4096, b"[" * 100_000)]
OTHER = [_whole(b"{}")._replace(readable=True), _whole(b'{"historico": 5}')._replace(readable=True)]


def damages(documents: dict[str, bytes], step: int) -> Iterator[Damage]:
    """Yield every damage; the documents are also truncated after each *step* bytes."""
    yield from NO_OBJECT
    yield from OTHER
    yield from map(_bad_utf8, (0.0, 0.1, 0.5, 0.9))
    for key in sorted({key for data in documents.values() for key in json.loads(data)}):
        yield from (_with(key, value) for value in STRANGE)
    yield from map(_torn, range(1, max(map(len, documents.values())), step))


class Case(NamedTuple):
    """A damage, the kinds of files that have it, and whether the server read the intact session before (*known*)."""

    damage: Damage
    kinds: tuple[str, ...]
    known: bool


class Spoiler:
    """Writes damaged files and polls their session.

    Attributes:
        statuses: how often each status was answered.
        wrong: a description of each answer whose status or content is not right for its case.
    """

    def __init__(self, server: Server, data_dir: Path, documents: dict[str, bytes], http: aiohttp.ClientSession) -> None:
        self._server = server
        self._data_dir = data_dir
        self._documents = documents
        self._http = http
        self._good = json.loads(documents["progress"])
        self._numbers = itertools.count()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []

    async def try_all(self, cases: Iterator[Case]) -> None:
        """Try every case, _AT_ONCE cases at a time."""

        async def some() -> None:
            for case in cases:
                await self._try(case)

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))

    async def _try(self, case: Case) -> None:
        session_id = f"h3-{next(self._numbers)}"
        paths = {kind: self._data_dir / file_name(kind, session_id) for kind in KINDS}
        if case.known:
            self._write(paths, self._documents)
            await self._ask(session_id, case, (200,))
        self._write(paths, {**self._documents, **{kind: case.damage.spoil(self._documents[kind]) for kind in case.kinds}})
        there = case.known or len(case.kinds) < len(KINDS)
        right = (200, 404) if case.damage.readable else (200,) if there else (404,)
        await self._ask(session_id, case, right)
        for path in paths.values():
            path.unlink()

    def _write(self, paths: dict[str, Path], documents: dict[str, bytes]) -> None:
        """Truncate and write, as the deployed robots do.

        A document too large for the server is renamed to its path once written: else its beginning might be read.
        """
        for kind, path in paths.items():
            if len(documents[kind]) < json_files.MAX_BYTES:
                path.write_bytes(documents[kind])
            else:
                (other := path.with_suffix(".tmp")).write_bytes(documents[kind])
                other.replace(path)

    async def _ask(self, session_id: str, case: Case, right: tuple[int, ...]) -> None:
        async with self._http.get(f"{self._server.url}/api/sessions/{session_id}") as response:
            self.statuses[response.status] += 1
            answer = json.loads(await response.text())
            fine = response.status in right and response.content_type == "application/json"
        if fine and response.status == 404:
            fine = answer["code"] == "session_not_found"
        elif fine and not case.damage.readable:
            fine = (answer["epoch"], answer["seq"]) == (self._good["epoch"], self._good["seq"])
        if not fine:
            self.wrong.append(f"{case.damage.name} in {case.kinds}, known={case.known}: {response.status} {answer}"[:300])


def run_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session_id: str = "s") -> dict[str, bytes]:
    """Return the contents of our tracker's files in mid-run, by kind."""
    directory = tmp_path / "made"
    monkeypatch.setenv("RPA_DATA_DIR", str(directory))
    tracker = ProgressTracker(session_id=session_id, tipo="json")
    for step in range(1, 6):
        tracker.update_progress(step, f"Tela {step} concluída", {"placa": "ABC1D23"})
    estimates = {"coberturas_detalhadas": [{"nome_cobertura": "Compreensiva", "valores": {"de": "1", "ate": "2"}}]}
    tracker.update_progress_with_estimativas(5, "Estimativas", None, estimates)
    return {kind: (directory / file_name(kind, session_id)).read_bytes() for kind in KINDS}


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client that allows 30 s for each request."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield http


async def test_H3_broken_files(
    tmp_path: Path, data_dir: Path, server: Server, record: Record, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For empty, torn, non-UTF-8 and misshapen files the server answers a state or 404 in JSON, never 5xx."""
    documents = run_documents(tmp_path, monkeypatch)
    data_dir.mkdir(exist_ok=True)
    cases = (
        Case(damage, kinds, known)
        for damage in damages(documents, 1 if full else 61)
        for kinds in (("progress",), ("history",), KINDS)
        for known in (False, True)
    )
    async with client() as http:
        spoiler = Spoiler(server, data_dir, documents, http)
        await spoiler.try_all(cases)
    failed = sum(count for status, count in spoiler.statuses.items() if status >= 500)
    sizes = "+".join(str(len(data)) for data in documents.values())
    record(
        Row(
            f"H3 files of {sizes} bytes damaged",
            more=f"{spoiler.statuses.total()} answers, {failed} of them 5xx, {len(spoiler.wrong)} wrong",
        )
    )
    assert failed == 0
    assert spoiler.wrong == []
    assert spoiler.statuses[404] > 50 < spoiler.statuses[200]


def _read_so_far(pid: int) -> int:
    """Return how many bytes a process has read by system calls since it began."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


async def test_H3_huge_files(
    tmp_path: Path, data_dir: Path, server: Server, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with 50 MB of valid JSON is refused by its size: per case the server reads 1 MB at most."""
    documents = run_documents(tmp_path, monkeypatch)
    data_dir.mkdir(exist_ok=True)
    huge = Damage("50 MB", lambda _: b'{"a": "' + b"x" * 50_000_000 + b'"}')
    most = 0
    async with client() as http:
        spoiler = Spoiler(server, data_dir, documents, http)
        for kinds in (("progress",), ("history",), KINDS):
            for known in (False, True):
                before = _read_so_far(server.pid)
                await spoiler.try_all(iter([Case(huge, kinds, known)]))
                most = max(most, _read_so_far(server.pid) - before)
    record(Row("H3 files of 50 MB", more=f"at most {most} bytes read, {len(spoiler.wrong)} wrong"))
    assert spoiler.wrong == []
    assert most <= 1_000_000


# -- viewers of files that are rewritten, torn and large


class Seen(NamedTuple):
    """What one viewer received: its messages without the heartbeats."""

    messages: list[dict[str, object]]

    def count(self, kind: str) -> int:
        return sum(message["type"] == kind for message in self.messages)


@asynccontextmanager
async def viewer(server: Server, session_id: str) -> AsyncIterator[Seen]:
    """Watch a session during the block."""
    seen = Seen([])

    async def watch(stream: aiohttp.ClientWebSocketResponse) -> None:
        async for message in stream:
            seen.messages.append(json.loads(message.data))

    async with client() as http, http.ws_connect(f"{server.url}/rpa/{session_id}", protocols=["rpa.v1"]) as stream:
        watching = asyncio.create_task(watch(stream))
        await until(lambda: seen.messages)
        try:
            yield seen
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def _history(count: int) -> dict[str, object]:
    """Return a deployed robot's history of *count* steps, a second each."""
    times = [f"2026-01-05T10:00:{number:02}.000000" for number in range(count + 1)]
    entry = {"status": "executando", "dados_extra": None, "erro": None}
    steps = range(1, count + 1)
    entries = [{**entry, "etapa": step, "mensagem": f"Tela {step}", "timestamp": times[step]} for step in steps]
    ends = {"timestamp_inicio": times[0], "timestamp_fim": times[-1]}
    return {"session_id": "s", **ends, "total_etapas": 15, "historico": entries}


async def test_b4_viewers_follow_a_robot_that_was_killed(data_dir: Path, server: Server) -> None:
    """If a robot is killed while it rewrites its history, viewers get the last step from its snapshot."""
    data_dir.mkdir(exist_ok=True)
    history, progress = data_dir / "history_s.json", data_dir / "progress_s.json"
    history.write_text(json.dumps(_history(4)))
    progress.write_text(json.dumps(recordings.progress_of(_history(4))))
    async with viewer(server, "s") as seen:
        assert seen.messages[0]["type"] == "sync"
        progress.write_text(json.dumps(recordings.progress_of(_history(5))))
        history.write_text(json.dumps(_history(5))[:100])
        await until(lambda: "Tela 5" in json.dumps(seen.messages), 20)


async def test_b4_viewers_follow_a_robot_with_large_updates(
    data_dir: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20 updates of 1 MB each viewers get the last one and the end, without a reset."""
    monkeypatch.setenv("RPA_DATA_DIR", str(data_dir))
    tracker = ProgressTracker(session_id="s", tipo="json")
    async with viewer(server, "s") as seen:
        for number in range(1, 21):
            tracker.update_progress(number % 15, f"Tela {number}", {"texto": "x" * 1_000_000})
            await until(lambda: seen.messages[-1].get("mensagem") == f"Tela {number}")  # noqa: B023 - called at once
        tracker.finalizar("success")
        await until(lambda: seen.messages[-1].get("final"))
    assert (seen.count("reset"), tracker.lost) == (0, 0)


async def test_b6_viewers_of_a_busy_history_get_updates(data_dir: Path, server: Server) -> None:
    """While a robot rewrites its history in place, at times with seconds between its parts, nobody is reset."""
    data_dir.mkdir(exist_ok=True)
    history, progress = data_dir / "history_s.json", data_dir / "progress_s.json"
    history.write_text(json.dumps(_history(1)))
    progress.write_text(json.dumps(recordings.progress_of(_history(1))))
    async with client() as http, viewer(server, "s") as seen:
        for count in range(2, 32):
            progress.write_text(json.dumps(recordings.progress_of(_history(count))))
            text = json.dumps(_history(count))
            with history.open("w") as file:
                file.write(text[:80])
                file.flush()
                await asyncio.sleep(1.3 if count in (10, 20) else 0.02)
                if count in (10, 20):  # a poll reads the files, too
                    await http.get(f"{server.url}/api/sessions/s")
                file.write(text[80:])
            await asyncio.sleep(0.02)
        await until(lambda: seen.messages[-1].get("mensagem") == "Tela 31")
    assert (seen.count("sync"), seen.count("reset")) == (1, 0)
    numbers = [message["seq"] for message in seen.messages if message["type"] == "progress_update"]
    assert numbers == list(range(2, 32))


async def test_c6_links_are_not_served(data_dir: Path, server: Server, tmp_path: Path) -> None:
    """A link in the directory to a progress file elsewhere is a session that nobody knows."""
    data_dir.mkdir(exist_ok=True)
    (tmp_path / "progress_elsewhere.json").write_text(json.dumps(recordings.progress_of(_history(3))))
    (data_dir / "progress_linked.json").symlink_to(tmp_path / "progress_elsewhere.json")
    async with client() as http:
        async with http.get(f"{server.url}/api/sessions/linked") as response:
            assert response.status == 404
        async with http.get(f"{server.url}/api/sessions") as response:
            assert (await response.json())["sessions"] == []


# -- H4: reading during writes


class Reader:
    """Reads every document of a directory again and again, in a thread.

    Attributes:
        reads: how many documents it read.
        torn: how many of them were not a JSON object.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._done = threading.Event()
        self.reads = self.torn = 0

    def _read(self) -> None:
        while not self._done.is_set():
            for path in self._directory.glob("*.json"):
                try:
                    good = isinstance(json.loads(path.read_bytes()), dict)
                except FileNotFoundError:
                    continue
                except ValueError:
                    good = False
                self.reads += 1
                self.torn += not good

    @contextmanager
    def reading(self) -> Iterator["Reader"]:
        """Read documents during the block."""
        thread = threading.Thread(target=self._read)
        thread.start()
        try:
            yield self
        finally:
            self._done.set()
            thread.join()


class Asker:
    """Polls sessions of a server again and again.

    Attributes:
        answers: number of answers.
        failed: how many of them had another status than 200.
        back: how many of them had a lower ``seq`` than the answer before, in the same run.
    """

    def __init__(self, server: Server, sessions: Sequence[str]) -> None:
        self._server = server
        self._sessions = sessions
        self.answers = self.failed = self.back = 0

    async def _ask(self, http: aiohttp.ClientSession, session_id: str) -> None:
        seen: tuple[str, int] = ("", 0)
        while True:
            async with http.get(f"{self._server.url}/api/sessions/{session_id}") as response:
                self.answers += 1
                if response.status != 200:
                    self.failed += 1
                    continue
                answer = await response.json()
            now = (answer["epoch"], answer["seq"])
            self.back += now[0] == seen[0] and now[1] < seen[1]
            seen = now
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator["Asker"]:
        """Poll during the block."""
        async with client() as http:
            tasks = [asyncio.create_task(self._ask(http, session_id)) for session_id in self._sessions]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.serial
async def test_H4_read_while_written(tmp_path: Path, data_dir: Path, server: Server, record: Record, full: bool) -> None:
    """While 500 updates a second are written, no reader finds half a document or gets an older state than before."""
    length_s = 60.0 if full else 4.0
    sessions = [f"h4-{number}" for number in range(20)]
    robots = Robots(tmp_path, Plan(sessions, every_s=0.04), "none", data_dir)
    with working(robots), Reader(data_dir).reading() as reader:
        async with Asker(server, sessions[:4]).asking() as asker:
            await asyncio.sleep(length_s)
    reports = [report for calls in robots.reports().values() for report in calls]
    rate = len(reports) / (max(report.called_s for report in reports) - min(report.called_s for report in reports))
    record(
        Row(
            f"H4 read while written, {length_s:g} s",
            clients=len(sessions[:4]),
            updates=len(reports),
            block_s=max(report.block_s for report in reports),
            more=f"{rate:.0f} updates/s, {reader.torn} torn of {reader.reads} reads; "
            f"of the server's {asker.answers} answers {asker.failed} failed, {asker.back} went back",
        )
    )
    assert (reader.torn, asker.failed, asker.back) == (0, 0, 0)
    assert reader.reads >= (10_000 if full else 1_000)
    fast_enough(rate >= 300, f"the robots made only {rate:.0f} updates a second")


async def test_H4_writers_killed(tmp_path: Path, data_dir: Path, server: Server, record: Record, full: bool) -> None:
    """When writers are killed, every document stays whole, and remove_abandoned() deletes their temporary files."""
    times = 200 if full else 30
    sessions = [f"doomed-{number}" for number in range(5)]
    data_dir.mkdir(exist_ok=True)
    words = [sys.executable, "-m", "tests.support.faults.doomed", str(times), *sessions]
    with Reader(data_dir).reading() as reader:
        process = await asyncio.create_subprocess_exec(
            *words, cwd=ROOT, env={**os.environ, "RPA_DATA_DIR": str(data_dir)}, stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
    assert int(out) == times
    corrupt = [path.name for path in data_dir.glob("*.json") if not _whole_document(path)]
    async with client() as http:
        for session_id in sessions:
            async with http.get(f"{server.url}/api/sessions/{session_id}") as response:
                assert response.status == 200
    left = list(data_dir.glob(".*.tmp"))
    for path in left:
        os.utime(path, (time.time() - ABANDONED_S - 1,) * 2)
    json_files.remove_abandoned(data_dir)
    still = list(data_dir.glob(".*.tmp"))
    record(
        Row(
            f"H4 writers killed x{times}",
            more=f"{reader.torn} torn of {reader.reads} reads, {len(corrupt)} corrupt files, "
            f"{len(left)} temporary files left, {len(still)} after sweeping",
        )
    )
    assert reader.torn == 0
    assert corrupt == []
    assert still == []


def _whole_document(path: Path) -> bool:
    return json_files.read(path) is not None
