"""Recorded runs replayed through the real tracker, as pages see them; and files that are not recordings."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from tests.support import recordings
from tests.support.server import (
    ROOT,
    EventWatcher,
    PollWatcher,
    Server,
    SocketWatcher,
    Stack,
    Watcher,
    running_stack,
    until,
    watching,
)

DEMO = ROOT / "rpa_server" / "cli" / "demo_history.json"
SAMPLES = ROOT.parent / "shared" / "samples"
SAMPLE_HISTORIES = sorted(SAMPLES.glob("history_*.json")) if SAMPLES.is_dir() else []

#: The keys whose values are the same in a recorded final state and a replayed one; times are not among them.
STATE_KEYS = ("etapa_atual", "total_etapas", "percentual", "status", "mensagem", "dados_extra")


def stored(stack: Stack, session_id: str) -> dict[str, Any]:
    """Return the snapshot that the replayed robot stored, from Redis or else from its file."""
    if stack.redis is None:
        raw = (stack.data_dir / f"progress_{session_id}.json").read_bytes()
    else:
        assert not list(stack.data_dir.glob(f"*_{session_id}.json")), "Redis was there all the time"
        with stack.redis.client() as client:
            found = client.get(f"rpa:progress:{session_id}")
        assert isinstance(found, bytes)
        raw = found
    document: dict[str, Any] = json.loads(raw)
    return document


@pytest.fixture(scope="module", params=["redis", "files"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One server for all recordings, with Redis and without."""
    with running_stack(tmp_path_factory.mktemp("replay"), with_redis=request.param == "redis") as stack:
        yield stack


class Poller(PollWatcher):
    """Polls until it has *expected* updates: a robot may report more after the final one."""

    expected = 0

    @property
    def final(self) -> bool:
        return len(self.updates) >= self.expected


class Played(NamedTuple):
    """Exit status and output of a ``replay`` command."""

    status: int | None
    output: str
    errors: str

    @property
    def sentences(self) -> list[str]:
        """Return the lines on standard error that are for users; the others are the log."""
        return [line for line in self.errors.splitlines() if line.startswith("rpa-server: ")]


async def replay(environ: dict[str, str], *arguments: object) -> Played:
    """Run ``python -m rpa_server replay`` with *arguments*."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rpa_server", "replay", *map(str, arguments)),
        env=environ,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(40):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Played(process.returncode, output.decode(), errors.decode())


def recorded_state(progress: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a snapshot that a replayed run must share with the recorded one."""
    return {
        **{key: progress[key] for key in STATE_KEYS},
        "erros": [(error["erro"], error["contexto"]) for error in progress["erros"]],
    }


class Audience:
    """One watcher per transport, all on one session.

    Args:
        count: number of the run's updates.
    """

    def __init__(self, stack: Stack, session_id: str, count: int) -> None:
        url = stack.server.url
        self.stack, self.session_id, self.count = stack, session_id, count
        self.socket, self.events = SocketWatcher(url, session_id), EventWatcher(url, session_id)
        self.poll = Poller(url, session_id)
        self.poll.expected = count

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        return self.socket, self.events, self.poll

    def connected(self) -> bool:
        return bool(self.socket.messages and self.events.messages)

    def served(self) -> bool:
        return all(len(watcher.updates) >= self.count for watcher in self.watchers)

    async def final_state(self, http: aiohttp.ClientSession) -> dict[str, Any]:
        """Check that every watcher got the whole run in order; return the snapshot, which equals the stored one."""
        address = f"{self.stack.server.url}/api/sessions/{self.session_id}"
        async with http.get(address, params={"after": "0"}) as response:
            answer: dict[str, Any] = await response.json()
        for watcher in self.watchers:
            assert watcher.seqs == list(range(1, self.count + 1)), type(watcher).__name__
        assert self.socket.updates == self.events.updates == self.poll.updates == answer["updates"]
        for watcher in (self.socket, self.events):
            assert watcher.messages[0]["type"] == "sync"
            assert {message["type"] for message in watcher.messages[1:]} == {"progress_update"}
        assert {update["epoch"] for update in self.socket.updates} == {answer["epoch"]}
        assert answer["seq"] == self.count
        snapshot: dict[str, Any] = answer["snapshot"]
        assert recorded_state(snapshot) == recorded_state(stored(self.stack, self.session_id))
        return snapshot


async def play_and_watch(stack: Stack, runs: dict[str, int], *arguments: object) -> dict[str, dict[str, Any]]:
    """Play recordings while watchers of every transport are connected; return the final snapshots.

    Args:
        runs: number of updates by session id.
        arguments: those of the command.
    """
    audiences = [Audience(stack, session_id, count) for session_id, count in runs.items()]
    async with watching(*(watcher for audience in audiences for watcher in audience.watchers)):
        await until(lambda: all(audience.connected() for audience in audiences))
        played = await replay(stack.server.environ, *arguments)
        assert played.status == 0, played.errors
        assert played.sentences == []
        with contextlib.suppress(TimeoutError):  # after a timeout the assertions below say what is missing
            await until(lambda: all(audience.served() for audience in audiences))
        async with aiohttp.ClientSession() as http:
            return {audience.session_id: await audience.final_state(http) for audience in audiences}


def document_of(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


async def test_demonstration_reaches_every_transport_whole_and_in_order(stack: Stack) -> None:
    """The demonstration's updates arrive once, in order and with the same contents over WebSocket, SSE and poll."""
    history = document_of(DEMO)
    entries = history["historico"]
    arguments = (DEMO, "--speed", 50, "--session", "demo-50")
    snapshot = (await play_and_watch(stack, {"demo-50": len(entries)}, *arguments))["demo-50"]
    extra: dict[str, Any] = {}
    for entry in entries:
        new = entry["dados_extra"] or {}
        extra.update({"estimativas_tela_5": new} if entry["etapa"] == "estimativas" else new)
    assert recorded_state(snapshot) == {
        "etapa_atual": 15,
        "total_etapas": 15,
        "percentual": 100.0,
        "status": "success",
        "mensagem": entries[-2]["mensagem"],
        "dados_extra": extra,
        "erros": [],
    }
    assert (snapshot["estado"], snapshot["final"]) == ("sucesso", True)
    assert snapshot["estimativas"] == extra["estimativas_tela_5"]
    assert snapshot["resultado"] == {key: extra[key] for key in ("plano_recomendado", "plano_alternativo")}


@pytest.mark.parametrize("name", ["success", "manual", "five_steps"])
async def test_recording_ends_in_the_state_that_was_recorded(stack: Stack, tmp_path: Path, name: str) -> None:
    """A replayed run ends in the state that the recorded robot's progress document has."""
    history = recordings.ALL[name]
    path = tmp_path / "history_x.json"
    path.write_text(json.dumps(history))
    arguments = (path, "--speed", 2000, "--session", name)
    snapshot = (await play_and_watch(stack, {name: len(history["historico"])}, *arguments))[name]
    assert recorded_state(snapshot) == recorded_state(recordings.progress_of(history))


@pytest.mark.skipif(not SAMPLE_HISTORIES, reason="the recorded samples are not on this machine")
async def test_samples_of_production_end_in_the_state_that_was_recorded(stack: Stack) -> None:
    """Replaying what deployed robots recorded leads to the progress documents that they left."""
    histories = {path.stem.removeprefix("history_"): document_of(path) for path in SAMPLE_HISTORIES}
    runs = {name: len(history["historico"]) for name, history in histories.items()}
    snapshots = await play_and_watch(stack, runs, "--speed", 5000, *SAMPLE_HISTORIES)
    for name, history in histories.items():
        assert snapshots[name]["final"] == (history["historico"][-1]["etapa"] == "final"), name
        beside = SAMPLES / f"progress_{name}.json"
        if beside.exists():
            assert recorded_state(snapshots[name]) == recorded_state(document_of(beside)), name


# -- what can't be played


def unusable_files(directory: Path) -> list[Path]:
    """Create files that are not recordings; return their paths, and those of a directory and of a missing file."""
    demo = DEMO.read_bytes()
    history = document_of(DEMO)
    first = history["historico"][0]
    contents: dict[str, bytes] = {
        "empty": b"",
        "blank": b" \n\n",
        "binary": bytes(range(256)) * 8,
        "number": b"5",
        "null": b"null",
        "list": json.dumps(history["historico"]).encode(),
        "nan": b'{"historico": NaN}',
        "deep": b"[" * 100_000,
        "deep_object": b'{"historico":' * 50_000,
        "object": b"{}",
        "progress": json.dumps({"etapa_atual": 5, "percentual": 33.3, "session_id": "x"}).encode(),
        "no_entries": json.dumps({**history, "historico": []}).encode(),
        "entries_text": json.dumps({**history, "historico": "inicio"}).encode(),
        "entries_numbers": json.dumps({**history, "historico": [1, 2]}).encode(),
        "entry_empty": json.dumps({**history, "historico": [{}]}).encode(),
        "entry_step": json.dumps({**history, "historico": [{**first, "etapa": [1]}]}).encode(),
        "entry_time": json.dumps({**history, "historico": [{**first, "timestamp": "soon"}]}).encode(),
        "entry_error": json.dumps({**history, "historico": [{**first, "erro": {"a": 1}}]}).encode(),
        "total": json.dumps({**history, "total_etapas": 0}).encode(),
        "total_text": json.dumps({**history, "total_etapas": "many"}).encode(),
        **{f"torn_{size}": demo[:size] for size in (1, 17, 400, len(demo) // 2, len(demo) - 3)},
    }
    paths = []
    for name, content in contents.items():
        path = directory / f"history_{name}.json"
        path.write_bytes(content)
        paths.append(path)
    folder = directory / "history_folder.json"
    folder.mkdir()
    return [*paths, folder, directory / "history_missing.json"]


@pytest.fixture
def alone(data_dir: Path) -> dict[str, str]:
    """The environment of a robot without Redis."""
    return Server(data_dir).environ


async def test_each_file_that_is_no_recording_costs_one_sentence_and_the_others_still_run(
    tmp_path: Path, data_dir: Path, alone: dict[str, str]
) -> None:
    """Each file that is no recording gives one error line, and makes the status 1; the recordings among them play."""
    unusable = unusable_files(tmp_path)
    middle = len(unusable) // 2
    for name in ("one", "two"):
        (tmp_path / f"good_{name}.json").write_text(json.dumps({**document_of(DEMO), "session_id": name}))
    files = [*unusable[:middle], tmp_path / "good_one.json", *unusable[middle:], tmp_path / "good_two.json"]
    played = await replay(alone, "--speed", 100_000, *files)
    assert played.status == 1
    assert "Traceback" not in played.errors
    assert len(played.sentences) == len(unusable), played.errors
    for path, line in zip(unusable, played.sentences, strict=True):
        assert str(path) in line
    written = {path.name for path in data_dir.glob("progress_*.json")}
    assert written == {"progress_one.json", "progress_two.json"}
    for name in written:
        assert document_of(data_dir / name)["status"] == "success"


async def test_file_full_of_mistakes_costs_one_sentence_too(tmp_path: Path, alone: dict[str, str]) -> None:
    """A file with a thousand mistakes gives one error line of less than a thousand characters, and status 1."""
    path = tmp_path / "history_wrong.json"
    path.write_text(json.dumps({**document_of(DEMO), "historico": [1] * 1000}))
    played = await replay(alone, "--speed", 100_000, path)
    assert (played.status, len(played.sentences)) == (1, 1)
    assert len(played.sentences[0]) < 1000, f"that is no sentence but {len(played.sentences[0])} characters"


async def test_recording_without_a_usable_session_asks_for_one(
    tmp_path: Path, data_dir: Path, alone: dict[str, str]
) -> None:
    """A recording whose session id is invalid is not played: the error names ``--session``, which overrides the id."""
    path = tmp_path / "history_x.json"
    path.write_text(json.dumps({**document_of(DEMO), "session_id": "../../etc/passwd"}))
    played = await replay(alone, "--speed", 100_000, path)
    assert (played.status, len(played.sentences)) == (1, 1)
    assert "--session" in played.errors
    assert not data_dir.exists()
    played = await replay(alone, "--speed", 100_000, "--session", "named", path)
    assert (played.status, played.sentences) == (0, [])
    assert document_of(data_dir / "progress_named.json")["status"] == "success"


async def test_several_files_with_one_session_are_a_usage_error(data_dir: Path, alone: dict[str, str]) -> None:
    """``--session`` with several files gives status 2 and plays nothing, since two runs can't share a session."""
    played = await replay(alone, "--session", "x", DEMO, DEMO)
    assert played.status == 2
    assert "--session" in played.errors
    assert not data_dir.exists()


async def test_bad_session_id_is_a_usage_error(data_dir: Path, alone: dict[str, str]) -> None:
    """An invalid ``--session`` gives status 2 and one error line, and plays nothing."""
    bad = ("../x", "", "a" * 129)
    for played in await asyncio.gather(*(replay(alone, f"--session={session_id}", DEMO) for session_id in bad)):
        assert played.status == 2
        assert len(played.sentences) == 1, played.errors
        assert "Traceback" not in played.errors
        assert not data_dir.exists()
