"""Where a run is written: real Redis, files, both in turn; dead, frozen, slow and silent peers; a full disk."""

import asyncio
import contextlib
import errno
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import fakeredis
import pytest
import redis
import redis.asyncio

from rpa_server.backends.files import json_files
from rpa_server.backends.files.names import journal_name, lock_name
from rpa_server.tracker import ProgressTracker, failover, verificar_redis_disponivel
from tests.support.server import ROOT, RedisServer, wait_until
from tests.support.timing import within

_T = TypeVar("_T")

#: The most seconds that any call of a robot may take.
LIMIT_S = 1.0
#: Seconds of one timeout of Redis: calls that need not wait for Redis must together stay below it.
TIMEOUT_S = 0.5
#: Seconds within which a tracker must use Redis again after Redis is back.
BACK_S = 10.0
SID = "s"


pytestmark = pytest.mark.usefixtures("robot_alone")


@pytest.fixture
def mortal(redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """A redis-server for this test alone, to be killed or stopped; trackers find it by RPA_REDIS_URL."""
    monkeypatch.setenv("RPA_REDIS_URL", redis_process.url)
    return redis_process


def _queued_s() -> float:
    """Return the seconds that this thread has waited for a CPU, which are not the tracker's fault; 0 if unknown."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    return 0.0


class Stopwatch:
    """Times calls, grouped by name: the longest of each group, and the sum of each group."""

    def __init__(self) -> None:
        self.longest_s: dict[str, float] = defaultdict(float)
        self.total_s: dict[str, float] = defaultdict(float)
        self.calls = 0

    def __call__(self, name: str, call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        began = time.monotonic() - _queued_s()
        try:
            return call(*arguments, **named)
        finally:
            took_s = time.monotonic() - _queued_s() - began
            self.calls += 1
            self.longest_s[name] = max(self.longest_s[name], took_s)
            self.total_s[name] += took_s

    def check(self, what: str) -> None:
        """Print the longest call; raise BoundExceeded if it took longer than LIMIT_S."""
        name = max(self.longest_s, key=self.longest_s.__getitem__)
        print(f"{what}: longest of {self.calls} calls {self.longest_s[name]:.3f} s ({name})")
        within(self.longest_s[name], LIMIT_S)


def documents(directory: Path, session_id: str = SID) -> dict[str, Any]:
    """Return every JSON file of a session by kind."""
    found = {}
    for path in directory.glob(f"*_{session_id}.json"):
        found[path.name.removesuffix(f"_{session_id}.json")] = json.loads(path.read_bytes())
    return found


def stream(connected: redis.Redis, session_id: str = SID) -> list[dict[str, Any]]:
    """Return the updates in a session's stream; check that the id of each entry is the update's number."""
    entries: Any = connected.xrange(f"rpa:history:{session_id}")
    updates = []
    for number, fields in entries:
        update = json.loads(fields[b"data"])
        assert number == f"{update['seq']}-0".encode()
        assert fields[b"epoch"].decode() == update["epoch"]
        updates.append(update)
    return updates


def seqs(connected: redis.Redis, session_id: str = SID) -> list[int]:
    return [update["seq"] for update in stream(connected, session_id)]


def snapshot(connected: redis.Redis, session_id: str = SID) -> dict[str, Any]:
    raw = connected.get(f"rpa:progress:{session_id}")
    assert isinstance(raw, bytes)
    document: dict[str, Any] = json.loads(raw)
    return document


class Listener:
    """Collects what is published on a session's channel."""

    def __init__(self, connected: redis.Redis, session_id: str = SID) -> None:
        self._pubsub = connected.pubsub()
        self._pubsub.subscribe(f"rpa_progress:{session_id}")
        assert self._pubsub.get_message(timeout=2) is not None

    def heard(self, count: int, timeout_s: float = 5.0) -> list[dict[str, Any]]:
        """Return at least *count* messages, unless *timeout_s* passes first, and those that follow within 0.1 s."""
        updates: list[dict[str, Any]] = []
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            message = self._pubsub.get_message(timeout=0.1)
            if message is None and len(updates) >= count:
                break
            if message is not None and message["type"] == "message":
                updates.append(json.loads(message["data"]))
        return updates

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self._pubsub.close()


def full_run(tracker: ProgressTracker) -> int:
    """Make every kind of report; return the number of updates, including the constructor's."""
    tracker.update_progress(1, "Tela 1 concluída", {"a": 1})
    tracker.update_progress_with_estimativas(5, "Tela 5 concluída", None, {"coberturas_detalhadas": [{"nome": "A"}]})
    tracker.add_estimativas({"coberturas_detalhadas": [{"nome": "B"}]})
    tracker.add_error("x", "y")
    tracker.finalizar("success", {"plano_recomendado": {"valor": "R$ 1"}})
    return 7


# -- a working Redis


def test_published_updates_carry_their_cursor_and_what_they_mean(client: redis.Redis) -> None:
    """Each update is published once, in order, as in the stream, with its cursor, its run's order and ``estado`` first."""
    with Listener(client) as listener:
        count = full_run(ProgressTracker(session_id=SID, redis_client=client))
        heard = listener.heard(count)
    assert [update["seq"] for update in heard] == list(range(1, count + 1))
    assert len({update["epoch"] for update in heard}) == 1
    assert [update["final"] for update in heard] == [False] * (count - 1) + [True]
    assert heard[0]["estado"] == "aguardando"
    assert {update["estado"] for update in heard[1:-1]} == {"executando"}
    assert heard[-1]["estado"] == "sucesso"
    for update in heard:
        assert list(update)[:7] == ["type", "epoch", "seq", "final", "began", "writer", "estado"]
        assert (update["type"], update["session_id"]) == ("progress_update", SID)
        assert {"evento", "etapa", "total_etapas", "percentual", "status", "mensagem", "timestamp"} <= set(update)
    words = ["inicio", "progresso", "progresso", "estimativas", "erro", "final"]
    assert list(dict.fromkeys(update["evento"] for update in heard)) == list(dict.fromkeys(words))
    assert heard == stream(client)


def test_keys_of_a_run_are_the_deployed_ones_and_expire(client: redis.Redis) -> None:
    """A run's keys are snapshot, stream, result, session and the list of sessions; each expires after a day."""
    count = full_run(ProgressTracker(session_id=SID, redis_client=client))
    keys: Any = client.keys("*")
    assert {key.decode() for key in keys} == {
        *(f"rpa:{kind}:{SID}" for kind in ("progress", "history", "result", "session")),
        "rpa:sessions",
    }
    for key in keys:
        lifetime: Any = client.ttl(key)
        assert 86_000 < lifetime <= 86_400
    assert snapshot(client)["seq"] == count
    scores: Any = client.zrange("rpa:sessions", 0, -1, withscores=True)
    assert scores[0][0] == SID.encode()
    assert abs(scores[0][1] - time.time()) < 60


def test_next_run_of_a_session_starts_over(client: redis.Redis) -> None:
    """The next run has another epoch and begins with number 1; stream and snapshot have nothing of the run before."""
    full_run(ProgressTracker(session_id=SID, redis_client=client))
    before = snapshot(client)["epoch"]
    ProgressTracker(session_id=SID, redis_client=client).update_progress(2)
    assert seqs(client) == [1, 2]
    assert snapshot(client)["epoch"] != before
    assert snapshot(client)["final"] is False


@pytest.mark.parametrize("kind", ["decoding", "database", "blocking_pool", "unix", "password", "single"])
def test_client_of_any_kind_is_used_with_its_own_address_and_credentials(
    kind: str, redis_process: RedisServer, tmp_path: Path
) -> None:
    """A run is written and loaded with any kind of client, by that client's address and credentials."""
    port = redis_process.port
    with redis_process.client() as admin:
        kinds: dict[str, dict[str, Any]] = {
            "decoding": {"decode_responses": True, "encoding": "latin-1"},
            "database": {"db": 3},
            "password": {"username": "robot", "password": "pä ss"},
            "single": {"single_connection_client": True},
        }
        if kind == "password":
            admin.acl_setuser("robot", enabled=True, passwords=["+pä ss"], keys="*", channels="*", commands=["+@all"])
            admin.acl_setuser("default", enabled=False)
        unix = RedisServer()
        if kind == "unix":
            path = str(tmp_path / "redis.sock")
            unix.start("--unixsocket", path)
            given = redis.Redis(unix_socket_path=path)
        elif kind == "blocking_pool":
            given = redis.Redis(connection_pool=redis.BlockingConnectionPool(port=port, max_connections=2, timeout=30))
        else:
            given = redis.Redis(port=port, **kinds[kind])
        try:
            with given:
                tracker = ProgressTracker(session_id=SID, redis_client=given)
                tracker.update_progress(1)
                assert (tracker.backend, tracker.lost) == ("redis", 0)
                assert given.exists(f"rpa:progress:{SID}") == 1
                loaded = ProgressTracker.carregar_sessao(SID, redis_client=given)
                assert loaded is not None
                assert loaded.get_progress()["seq"] == 2
        finally:
            unix.kill()


@pytest.mark.parametrize("kind", ["asyncio", "fake asyncio", "asyncio pool", "address", "class"])
def test_b13_a_client_that_is_none_is_said_in_one_sentence(
    kind: str, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a client that a tracker can't use, an asyncio one for example, one error tells; reports go to files."""
    makers: dict[str, Callable[[], Any]] = {
        "asyncio": redis.asyncio.Redis,
        "fake asyncio": fakeredis.FakeAsyncRedis,
        "asyncio pool": lambda: redis.Redis(connection_pool=redis.asyncio.ConnectionPool()),  # type: ignore[arg-type]
        "address": lambda: "redis://localhost",
        "class": lambda: redis.Redis,
    }
    tracker = ProgressTracker(session_id=SID, redis_client=makers[kind]())
    tracker.update_progress(1)
    assert (tracker.backend, tracker.lost) == ("json", 0)
    assert documents(data_dir)["progress"]["seq"] == 2
    told = [record.getMessage() for record in caplog.records if record.levelname != "INFO"]
    assert len(told) == 1
    assert told[0].startswith("The Redis client can't be used (")
    assert told[0].endswith("hand in a redis.Redis.")
    assert ("asyncio" in told[0]) is ("asyncio" in kind)


def test_b13_an_address_in_capitals_is_used(mortal: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``REDIS://`` in capitals a tracker writes to that Redis."""
    monkeypatch.setenv("RPA_REDIS_URL", mortal.url.replace("redis:", "REDIS:"))
    tracker = ProgressTracker(session_id=SID)
    assert tracker.backend == "redis"


def test_client_made_by_fakeredis_works_too(data_dir: Path) -> None:
    """Reports to a fakeredis client, as in robots' own tests, are in it if it has Lua, else in files."""
    given = fakeredis.FakeRedis()
    count = full_run(ProgressTracker(session_id=SID, redis_client=given))
    lua = importlib.util.find_spec("lupa") is not None
    print("fakeredis with Lua" if lua else "fakeredis without Lua")
    if not lua:
        assert documents(data_dir)["progress"]["seq"] == count
        return
    assert seqs(given) == list(range(1, count + 1))
    assert snapshot(given)["estado"] == "sucesso"
    assert not data_dir.exists()
    loaded = ProgressTracker.carregar_sessao(SID, redis_client=given)
    assert loaded is not None
    loaded.update_progress(15)
    assert seqs(given) == list(range(1, count + 2))


def test_two_threads_number_without_holes(client: redis.Redis, data_dir: Path) -> None:
    """Updates of two threads with one tracker have no gap, and each thread's are in order, in Redis and in files."""
    for given in (client, None):
        tracker = ProgressTracker(session_id=SID, redis_client=given)
        barrier = threading.Barrier(2)

        def work(name: int, tracker: ProgressTracker = tracker, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            for number in range(60):
                tracker.update_progress(number % 15, f"{name}:{number}")

        threads = [threading.Thread(target=work, args=(name,)) for name in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tracker.lost == 0
        updates = stream(client) if given else documents(data_dir)["history"]["historico"]
        assert [update["seq"] for update in updates] == list(range(1, 122))
        for name in range(2):
            mine = [update["mensagem"] for update in updates if update["mensagem"].startswith(f"{name}:")]
            assert mine == [f"{name}:{number}" for number in range(60)]


# -- loading a session


def _files(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in directory.iterdir()}


@pytest.mark.parametrize("ended", [False, True])
def test_loading_a_session_changes_no_file_and_goes_on_counting(data_dir: Path, ended: bool) -> None:
    """Loading changes no file; the next update keeps the loaded run's numbering, data, errors and start time."""
    first = ProgressTracker(7, session_id=SID)
    first.update_progress(3, "Tela 3", {"a": 1})
    first.add_error("x", "y")
    if ended:
        first.finalizar("success", {"plano_recomendado": {"valor": "R$ 1"}})
    before, shown = _files(data_dir), first.get_progress()
    loaded = ProgressTracker.carregar_sessao(SID)
    assert loaded is not None
    assert loaded.get_progress() == shown
    assert loaded.get_estimativas() is None
    assert _files(data_dir) == before
    loaded.update_progress(4, "Tela 4")
    after = documents(data_dir)
    assert [entry["seq"] for entry in after["history"]["historico"]] == list(range(1, shown["seq"] + 2))
    assert (after["progress"]["epoch"], after["progress"]["seq"]) == (shown["epoch"], shown["seq"] + 1)
    assert after["progress"]["dados_extra"]["a"] == 1
    assert after["progress"]["total_etapas"] == 7
    assert after["progress"]["timestamp_inicio"] == shown["timestamp_inicio"]
    assert after["progress"]["erros"] == shown["erros"]
    assert [(entry["etapa"], entry["erro"]) for entry in after["history"]["historico"]][2] == ("erro", "x")


@pytest.mark.parametrize("ended", [False, True])
def test_loading_a_session_changes_no_key_and_goes_on_counting(client: redis.Redis, data_dir: Path, ended: bool) -> None:
    """Loading changes no key or expiry and publishes nothing; the next update continues the loaded run."""
    first = ProgressTracker(7, session_id=SID, redis_client=client)
    first.update_progress(3, "Tela 3", {"a": 1})
    first.add_error("x", "y")
    if ended:
        first.finalizar()

    def dump() -> dict[bytes, Any]:
        keys: Any = client.keys("*")
        return {key: (client.dump(key), client.expiretime(key)) for key in keys}

    before, shown = dump(), first.get_progress()
    with Listener(client) as listener:
        loaded = ProgressTracker.carregar_sessao(SID, redis_client=client)
        assert loaded is not None
        assert loaded.get_progress() == shown
        assert dump() == before
        assert listener.heard(0, 0.3) == []
        loaded.update_progress(4, "Tela 4")
        assert [update["seq"] for update in listener.heard(1)] == [shown["seq"] + 1]
    assert seqs(client) == list(range(1, shown["seq"] + 2))
    assert {update["epoch"] for update in stream(client)} == {shown["epoch"]}
    assert snapshot(client)["dados_extra"] == {"a": 1}
    assert snapshot(client)["erros"] == shown["erros"]
    assert not data_dir.exists()


def test_loaded_session_ends_like_any_other(data_dir: Path) -> None:
    """Leaving the block of a loaded session ends an unfinished run as an error; a finished one stays as it was."""
    ProgressTracker(session_id=SID).update_progress(3)
    loaded = ProgressTracker.carregar_sessao(SID)
    assert loaded is not None
    with loaded:
        pass
    assert documents(data_dir)["progress"]["estado"] == "erro"
    ProgressTracker(session_id=SID).finalizar()
    before = _files(data_dir)
    loaded = ProgressTracker.carregar_sessao(SID)
    assert loaded is not None
    with loaded:
        pass
    assert _files(data_dir) == before


def test_session_of_a_deployed_robot_is_loaded_and_goes_on(data_dir: Path) -> None:
    """A loaded run of a deployed robot, whose entries have no numbers, goes on with the number after its last entry."""
    data_dir.mkdir()
    history = json.loads((ROOT / "rpa_server" / "cli" / "demo_history.json").read_bytes())
    history["historico"] = history["historico"][:20]
    (data_dir / f"history_{SID}.json").write_text(json.dumps(history))
    before = _files(data_dir)
    loaded = ProgressTracker.carregar_sessao(SID)
    assert loaded is not None
    assert _files(data_dir) == before
    loaded.update_progress(14, "Tela 14")
    after = documents(data_dir)["history"]
    assert [entry["mensagem"] for entry in after["historico"]] == [
        *(entry["mensagem"] for entry in history["historico"]),
        "Tela 14",
    ]
    assert after["seq"] == 21


@pytest.mark.parametrize("content", [None, b"", b'{"etapa_atual": 3', b"\xff\x00", b"[]", b"null"])
def test_loading_what_is_not_there_or_not_whole_returns_none(data_dir: Path, content: bytes | None) -> None:
    """Loading a session with no file or broken ones returns None, and neither creates nor repairs a file."""
    if content is not None:
        data_dir.mkdir()
        for kind in ("progress", "history"):
            (data_dir / f"{kind}_{SID}.json").write_bytes(content)
    assert ProgressTracker.carregar_sessao(SID) is None
    if content is None:
        assert not data_dir.exists()
    else:
        assert {file[0] for file in _files(data_dir).values()} == {content}


def test_session_loaded_from_redis_goes_on_in_files_when_redis_dies(mortal: RedisServer, data_dir: Path) -> None:
    """If Redis dies after a session was loaded from it, the files get the whole run, not only the later part."""
    ProgressTracker(session_id=SID).update_progress(1, "Tela 1")
    loaded = ProgressTracker.carregar_sessao(SID)
    mortal.kill()
    assert loaded is not None
    loaded.update_progress(2, "Tela 2")
    history = documents(data_dir)["history"]
    assert [(entry["seq"], entry["mensagem"]) for entry in history["historico"]][1:] == [(2, "Tela 1"), (3, "Tela 2")]


# -- deleting a session


def test_deleting_removes_every_file_of_the_session_alone(data_dir: Path) -> None:
    """limpar_dados deletes all files of its session, with history and journal, and none of another session."""
    full_run(ProgressTracker(session_id="other"))
    others = _files(data_dir)
    tracker = ProgressTracker(session_id=SID)
    full_run(tracker)
    (data_dir / journal_name(SID)).write_text("what a run of more than 500 updates leaves\n")
    assert len(_files(data_dir)) == len(others) + 5
    tracker.limpar_dados()
    assert _files(data_dir) == others
    tracker.limpar_arquivos()
    tracker.update_progress(2, "depois")
    assert documents(data_dir)["progress"]["mensagem"] == "depois"


def test_deleting_removes_every_key_of_the_session_alone(client: redis.Redis) -> None:
    """limpar_dados deletes all keys of its session and its entry in the list of sessions, and nothing else."""
    full_run(ProgressTracker(session_id="other", redis_client=client))
    keys: Any = client.keys("*")
    tracker = ProgressTracker(session_id=SID, redis_client=client)
    full_run(tracker)
    tracker.limpar_dados()
    assert set(client.keys("*")) == set(keys)
    assert client.zrange("rpa:sessions", 0, -1) == [b"other"]
    tracker.update_progress(2, "depois")
    assert snapshot(client)["mensagem"] == "depois"
    assert stream(client)[-1]["mensagem"] == "depois"


def test_what_was_deleted_while_redis_was_dead_does_not_come_back(mortal: RedisServer, data_dir: Path) -> None:
    """A run that was deleted while Redis was dead is not written into Redis when Redis returns."""
    tracker = ProgressTracker(session_id=SID)
    mortal.kill()
    tracker.update_progress(1)
    assert documents(data_dir)
    tracker.limpar_dados()
    assert not documents(data_dir)
    mortal.start()
    wait_until(lambda: tracker.backend == "redis", BACK_S)
    with mortal.client() as connected:
        assert connected.keys("*") == []
    assert not documents(data_dir)


def test_what_was_deleted_while_redis_was_frozen_is_gone_when_it_goes_on(mortal: RedisServer, data_dir: Path) -> None:
    """What limpar_dados could not delete in a frozen Redis is deleted once Redis answers again."""
    tracker = ProgressTracker(session_id=SID)
    tracker.update_progress(1)
    mortal.signal(signal.SIGSTOP)
    try:
        tracker.update_progress(2)
        tracker.limpar_dados()
    finally:
        mortal.signal(signal.SIGCONT)
    wait_until(lambda: tracker.backend == "redis", BACK_S)
    with mortal.client() as connected:
        assert connected.keys("*") == []
    assert not documents(data_dir)


# -- files that can't be written


def test_disk_that_refuses_costs_updates_and_no_exception(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Updates that are stored nowhere count as lost until the first successful write to files, which has them all."""
    data_dir.write_text("a file where the directory should be")
    tracker = ProgressTracker(session_id=SID)
    for number in range(20):
        tracker.update_progress(1, str(number))
    tracker.add_error("x")
    assert tracker.lost == 22
    assert ProgressTracker.carregar_sessao(SID) is None
    ProgressTracker(session_id="another").limpar_dados()
    assert data_dir.read_text() == "a file where the directory should be"
    assert sum("could not be stored" in record.getMessage() for record in caplog.records) == 2, "one per tracker"
    assert not any(record.exc_info for record in caplog.records)

    data_dir.unlink()
    tracker.update_progress(2, "depois")
    history = documents(data_dir)["history"]
    assert [entry["seq"] for entry in history["historico"]] == list(range(1, 24))
    assert tracker.lost == 0


_FULL_DISK = """
import resource, sys
from rpa_server.tracker import ProgressTracker

tracker = ProgressTracker(session_id="s")
tracker.update_progress(1, "passt")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for number in range(200):
    tracker.update_progress(2, "x" * 100)
tracker.finalizar()
print(tracker.lost)
"""


def test_full_disk_leaves_the_last_good_documents_and_no_rubbish(data_dir: Path) -> None:
    """A document beyond the limit on file sizes replaces nothing and leaves no temporary file."""
    # coverage would write its data under the same limit and fail, so its variables are left out
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK],
        check=False,
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
    assert "Traceback" not in done.stderr
    assert done.stderr.count("could not be stored") == 1
    names = {path.name for path in data_dir.iterdir()}
    assert names <= {lock_name("s"), *(f"{kind}_s.json" for kind in ("progress", "history", "result", "session"))}
    history = documents(data_dir)["history"]
    assert [entry["seq"] for entry in history["historico"]] == list(range(1, history["seq"] + 1))
    assert documents(data_dir)["progress"]["session_id"] == "s"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE])
def test_error_of_the_file_system_in_mid_run_is_survived(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """An update that can't be written to files counts as lost, but is stored with the next one that is written."""
    tracker = ProgressTracker(session_id=SID)

    def fails(path: Path, document: dict[str, Any]) -> None:
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(json_files, "write", fails)
        tracker.update_progress(1)
        tracker.update_progress(2)
        assert tracker.lost == 2
    tracker.update_progress(3)
    assert tracker.lost == 0
    assert [entry["etapa"] for entry in documents(data_dir)["history"]["historico"]] == ["inicio", 1, 2, 3]


# -- a robot that forks

_FORKING = """
import os, signal, threading
from rpa_server.tracker import ProgressTracker

tracker = ProgressTracker(session_id="s")
ended = threading.Event()

def report():
    while not ended.is_set():
        tracker.update_progress(1, "pai")

thread = threading.Thread(target=report)
thread.start()
codes = []
for _ in range(20):
    child = os.fork()
    if not child:
        signal.alarm(5)  # one that waits for ever ends by it
        tracker.update_progress(2, "filho")
        os._exit(0)
    codes.append(os.waitpid(child, 0)[1])
ended.set()
thread.join()
print(codes)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_robot_that_forks_while_it_reports_does_not_hang(data_dir: Path) -> None:
    """A child forked during a report can report: it has new locks, since no thread in it would release the old ones."""
    done = subprocess.run(
        [sys.executable, "-c", _FORKING], check=False, cwd=ROOT, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["[0,", *["0,"] * 18, "0]"]


# -- a Redis that dies, returns or refuses


def test_redis_that_dies_in_mid_run_hands_over_to_files_and_takes_the_run_back(mortal: RedisServer, data_dir: Path) -> None:
    """Files are used from a failing call on; when Redis returns it gets what it lacks, and the files are deleted."""
    watch = Stopwatch()
    tracker = watch("new", ProgressTracker, session_id=SID)
    watch("update", tracker.update_progress, 1, "com Redis")
    assert (tracker.backend, data_dir.exists()) == ("redis", False)
    mortal.kill()
    for number in range(3, 8):
        watch("update while dead", tracker.update_progress, 2, f"sem Redis {number}")
        assert tracker.backend == "json"
        history = documents(data_dir)["history"]
        assert [entry["seq"] for entry in history["historico"]] == list(range(1, number + 1))
        assert documents(data_dir)["progress"]["seq"] == number
    mortal.start()
    with mortal.client() as connected, Listener(connected) as listener:
        began = time.monotonic()
        wait_until(lambda: tracker.backend == "redis", BACK_S)
        back_s = time.monotonic() - began
        watch("update", tracker.update_progress, 3, "wieder")
        watch("finalizar", tracker.finalizar)
        assert seqs(connected) == list(range(1, 10))
        assert snapshot(connected)["seq"] == 9
        heard = [update["seq"] for update in listener.heard(2)]
        assert heard == list(range(10 - len(heard), 10))
    wait_until(lambda: not documents(data_dir))
    print(f"the tracker was back {back_s:.2f} s after Redis")
    assert tracker.lost == 0
    watch.check("Redis killed and back")


def test_run_that_ends_while_redis_is_dead_gets_there_when_it_returns(mortal: RedisServer, data_dir: Path) -> None:
    """A run that ended while Redis was dead is stored in it when Redis returns, without another call of the robot."""
    tracker = ProgressTracker(session_id=SID)
    mortal.kill()
    count = full_run(tracker)
    assert documents(data_dir)["progress"]["estado"] == "sucesso"
    mortal.start()
    with mortal.client() as connected:
        wait_until(lambda: connected.exists(f"rpa:progress:{SID}"), BACK_S)
        assert seqs(connected) == list(range(1, count + 1))
        assert snapshot(connected)["estado"] == "sucesso"
        assert connected.exists(f"rpa:result:{SID}") == 1


def test_redis_that_comes_after_the_tracker_gets_the_whole_run(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """A tracker that began with files changes to Redis once there is one, and stores the whole run there."""
    late = RedisServer()
    monkeypatch.setenv("RPA_REDIS_URL", late.url)
    tracker = ProgressTracker(session_id=SID)
    tracker.update_progress(1)
    assert (tracker.backend, documents(data_dir)["progress"]["seq"]) == ("json", 2)
    late.start()
    try:
        wait_until(lambda: tracker.backend == "redis", BACK_S)
        tracker.update_progress(2)
        with late.client() as connected:
            assert seqs(connected) == [1, 2, 3]
    finally:
        late.kill()


@pytest.mark.parametrize("fault", ["restart", "flush", "script_flush", "stream_lost", "snapshot_lost", "cut"])
def test_redis_that_forgets_between_two_calls_gets_the_run_again(mortal: RedisServer, fault: str) -> None:
    """What Redis lost between two calls is stored again from the tracker's memory; a cut connection loses nothing."""
    tracker = ProgressTracker(session_id=SID)
    tracker.update_progress(1)
    tracker.update_progress(2)
    with mortal.client() as connected:
        if fault == "restart":
            mortal.kill()
            mortal.start()
        elif fault == "flush":
            connected.flushall()
        elif fault == "script_flush":
            connected.script_flush()
        elif fault == "stream_lost":
            connected.delete(f"rpa:history:{SID}")
        elif fault == "snapshot_lost":
            connected.delete(f"rpa:progress:{SID}")
        else:
            connected.client_kill_filter(_type="normal", skipme=True)
        tracker.update_progress(3)
        wait_until(lambda: tracker.backend == "redis", BACK_S)
        wait_until(lambda: seqs(connected) == [1, 2, 3, 4], 2)
        assert snapshot(connected)["seq"] == 4
    assert tracker.lost == 0


@pytest.mark.parametrize("fault", ["full", "forbidden", "wrong_type"])
def test_redis_that_refuses_writes_is_done_without(mortal: RedisServer, data_dir: Path, fault: str) -> None:
    """While Redis refuses writes the run goes to files, and all of it to Redis once Redis accepts writes."""
    refusals: dict[str, tuple[Callable[[redis.Redis], object], Callable[[redis.Redis], object]]] = {
        "full": (lambda r: r.config_set("maxmemory", 1), lambda r: r.config_set("maxmemory", 0)),
        "forbidden": (
            lambda r: r.execute_command("ACL", "SETUSER", "default", "-set", "-evalsha", "-eval", "-publish"),
            lambda r: r.execute_command("ACL", "SETUSER", "default", "+@all"),
        ),
        "wrong_type": (
            lambda r: (r.delete(f"rpa:history:{SID}"), r.set(f"rpa:history:{SID}", "x")),
            lambda r: r.delete(f"rpa:history:{SID}"),
        ),
    }
    watch = Stopwatch()
    tracker = ProgressTracker(session_id=SID)
    refuse, allow = refusals[fault]
    with mortal.client() as connected:
        refuse(connected)
        for number in range(3):
            watch("update", tracker.update_progress, number)
        watch("finalizar", tracker.finalizar)
        assert tracker.backend == "json"
        assert documents(data_dir)["progress"]["seq"] == 5
        allow(connected)
        wait_until(lambda: tracker.backend == "redis", BACK_S)
        assert seqs(connected) == [1, 2, 3, 4, 5]
    assert tracker.lost == 0
    watch.check(f"Redis refuses ({fault})")


@pytest.mark.parametrize("rule", ["-@scripting", "-eval", "-evalsha"])
@pytest.mark.parametrize("when", ["at the start", "in mid-run"])
def test_redis_that_forbids_scripts_is_named_in_one_sentence(
    mortal: RedisServer, data_dir: Path, caplog: pytest.LogCaptureFixture, rule: str, when: str
) -> None:
    """That Redis forbids scripts is one line in the log; files take the run until scripts are allowed, then Redis."""
    with mortal.client() as connected:
        if when == "at the start":
            connected.execute_command("ACL", "SETUSER", "default", rule)
        tracker = ProgressTracker(session_id=SID)
        if when == "in mid-run":
            connected.script_flush()
            connected.execute_command("ACL", "SETUSER", "default", rule)
        for number in range(5):
            tracker.update_progress(number)
        assert tracker.backend == "json"
        assert documents(data_dir)["progress"]["seq"] == 6
        time.sleep(1.5)  # several attempts of the background thread
        assert caplog.text.count("forbids scripts") == 1
        assert caplog.text.count("EVALSHA") == 1
        assert not [record for record in caplog.records if record.exc_info]
        connected.execute_command("ACL", "SETUSER", "default", "+@all")
        wait_until(lambda: tracker.backend == "redis", BACK_S)
        assert seqs(connected) == [1, 2, 3, 4, 5, 6]
    assert tracker.lost == 0


def test_redis_that_forbids_scripts_is_not_available(mortal: RedisServer) -> None:
    """A Redis that forbids scripts counts as not available, since no run could be written to it."""
    assert verificar_redis_disponivel()
    with mortal.client() as connected:
        connected.execute_command("ACL", "SETUSER", "default", "-evalsha")
    assert not verificar_redis_disponivel()


def test_call_that_timed_out_and_was_done_all_the_same_counts_once(mortal: RedisServer) -> None:
    """An update that Redis stored after its call had timed out is neither stored nor published a second time."""
    watch = Stopwatch()
    tracker = ProgressTracker(session_id=SID)
    with mortal.client() as connected, Listener(connected) as listener:
        connected.execute_command("CLIENT", "PAUSE", 900, "WRITE")
        for number in range(4):
            watch("update while paused", tracker.update_progress, number)
        wait_until(lambda: tracker.backend == "redis", BACK_S)
        watch("update", tracker.update_progress, 5)
        assert seqs(connected) == list(range(1, 7))
        assert [update["seq"] for update in listener.heard(5)] == [2, 3, 4, 5, 6]
    watch.check("Redis paused")


# -- runs longer than their history


def test_outage_longer_than_the_history_leaves_its_end_in_redis(mortal: RedisServer, data_dir: Path) -> None:
    """After an outage of 530 updates Redis has at least the last 500, without a gap up to the last one."""
    watch = Stopwatch()
    tracker = ProgressTracker(session_id=SID)
    mortal.kill()
    for number in range(530):
        watch("update", tracker.update_progress, 1, str(number))
    assert documents(data_dir)["progress"]["seq"] == 531
    mortal.start()
    wait_until(lambda: tracker.backend == "redis", BACK_S)
    tracker.finalizar()
    with mortal.client() as connected:
        stored = seqs(connected)
    assert stored[-1] == 532
    assert len(stored) >= 500
    assert stored == list(range(stored[0], 533))
    assert tracker.lost == 0
    watch.check("530 updates without Redis")


def test_run_longer_than_its_history_goes_on_in_files_and_stays_cheap(data_dir: Path) -> None:
    """A run of 800 updates can be loaded and ended from files, whose history stays below 500 kB."""
    watch = Stopwatch()
    tracker = ProgressTracker(session_id=SID)
    for number in range(800):
        watch("update", tracker.update_progress, 7, f"passo {number}")
    loaded = ProgressTracker.carregar_sessao(SID)
    assert loaded is not None
    assert (loaded.get_progress()["seq"], loaded.get_progress()["mensagem"]) == (801, "passo 799")
    loaded.finalizar("success")
    assert documents(data_dir)["progress"]["estado"] == "sucesso"
    history = documents(data_dir)["history"]["historico"]
    assert [entry["seq"] for entry in history] == list(range(803 - len(history), 803))
    assert (data_dir / f"history_{SID}.json").stat().st_size < 500_000
    watch.check("800 updates into files")


# -- nobody blocks the robot


def every_call(watch: Stopwatch, given: redis.Redis | None) -> None:
    """Make every kind of call with a client whose Redis does not answer; check that no update is lost."""
    tracker = watch("new", ProgressTracker, session_id=SID, redis_client=given)
    assert tracker.backend == "json"
    for number in range(20):
        watch("update_progress", tracker.update_progress, number % 15, "passo")
        time.sleep(0.01)
    watch("update_progress_with_estimativas", tracker.update_progress_with_estimativas, 5, "x", None, {"a": 1})
    watch("add_estimativas", tracker.add_estimativas, {"a": 1})
    watch("add_error", tracker.add_error, "x")
    watch("finalizar", tracker.finalizar)
    watch("get_progress", tracker.get_progress)
    watch("get_estimativas", tracker.get_estimativas)
    loaded = watch("carregar_sessao", ProgressTracker.carregar_sessao, SID, "auto", given)
    assert loaded is not None
    watch("update_progress of a loaded session", loaded.update_progress, 1)
    watch("limpar_dados of a loaded session", loaded.limpar_dados)
    watch("limpar_dados", tracker.limpar_dados)
    assert tracker.lost == 0


@contextlib.contextmanager
def silent_peer() -> Iterator[int]:
    """Listen without ever answering; yield the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def full_peer() -> Iterator[int]:
    """Listen with a full queue, so that connections are not even accepted; yield the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        try:
            yield address[1]
        finally:
            for one in waiting:
                one.close()


class Peer:
    """A server in its own thread that handles each connection by *serve*; entering it returns the port."""

    def __init__(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> None:
        self._serve = serve
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.port = 0

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            writer.transport.abort()

    def __enter__(self) -> int:
        self._thread.start()
        starting = asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(5)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._server.close()
            while others := asyncio.all_tasks() - {asyncio.current_task()}:  # again: a task may just have begun
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0.01)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


async def _hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection at the first byte."""
    await reader.read(1)


async def _speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as an HTTP server does, for a robot that was given a wrong port."""
    while await reader.read(4096):
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


async def _loads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as a Redis does that is loading its data from disk."""
    while data := await reader.read(4096):
        writer.write(b"-LOADING Redis is loading the dataset in memory\r\n" * max(1, data.count(b"*")))


async def _drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a byte at a time without ever finishing: no read times out, no reply arrives."""
    await reader.read(1)
    writer.write(b"+")
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.2)


PEERS: dict[str, Callable[[], contextlib.AbstractContextManager[int]]] = {
    "full": full_peer,
    "hanging_up": lambda: Peer(_hangs_up),
    "http": lambda: Peer(_speaks_http),
    "loading": lambda: Peer(_loads),
    "dripping": lambda: Peer(_drips),
}


@pytest.mark.parametrize("peer", PEERS)
def test_no_call_blocks_beside_a_redis_that_does_not_answer(
    peer: str, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    """Whatever listens instead of Redis, only creating and loading a tracker wait for it, each less than TIMEOUT_S."""
    monkeypatch.setattr(failover, "_GREETING_S", 0.2)  # the test with the silent peer uses the real value
    watch = Stopwatch()
    limits: dict[str, Any] = {"socket_timeout": 60, "socket_connect_timeout": 60}
    with PEERS[peer]() as port, redis.Redis(host="127.0.0.1", port=port, **limits) as given:
        every_call(watch, given)
    greeting = [watch.total_s.pop(name) for name in ("new", "carregar_sessao")]
    within(max(greeting), TIMEOUT_S)
    within(sum(watch.total_s.values()), TIMEOUT_S)


def test_no_call_takes_a_second_beside_a_redis_that_is_silent(data_dir: Path) -> None:
    """With a peer that never answers no call takes 1 s, though the client by itself would retry for a minute."""
    watch = Stopwatch()
    with silent_peer() as port, redis.Redis(host="127.0.0.1", port=port) as given:
        every_call(watch, given)
    watch.check("silent peer")


def test_asking_for_redis_is_answered_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """verificar_redis_disponivel returns False within 2 s if the peer's answer never ends."""
    with Peer(_drips) as port:
        monkeypatch.setenv("RPA_REDIS_URL", f"redis://127.0.0.1:{port}/0")
        answers: list[bool] = []
        asking = threading.Thread(target=lambda: answers.append(verificar_redis_disponivel()))
        asking.start()
        asking.join(2 * LIMIT_S)
        in_time = list(answers)
    asking.join(5)  # the peer is gone now, so the thread ends in any case
    assert in_time == [False]


def test_no_call_blocks_when_redis_freezes_in_mid_run(mortal: RedisServer, data_dir: Path) -> None:
    """The first call to a frozen Redis times out, later ones use files at once; after SIGCONT Redis gets the run."""
    watch = Stopwatch()
    with redis.Redis(host="127.0.0.1", port=mortal.port, socket_timeout=60) as given:
        tracker = watch("new", ProgressTracker, session_id=SID, redis_client=given)
        watch("update", tracker.update_progress, 1)
        assert tracker.backend == "redis"
        mortal.signal(signal.SIGSTOP)
        try:
            watch("the first update while frozen", tracker.update_progress, 2)
            for reported in range(4, 24):
                watch("update while frozen", tracker.update_progress, 2)
                assert documents(data_dir)["progress"]["seq"] == reported
                time.sleep(0.01)
        finally:
            mortal.signal(signal.SIGCONT)
        until_s = time.monotonic() + BACK_S
        while tracker.backend != "redis":  # calls continue while the tracker returns to Redis
            assert time.monotonic() < until_s
            watch("update after SIGCONT", tracker.update_progress, 3)
            time.sleep(0.01)
        watch("finalizar", tracker.finalizar)
        with mortal.client() as connected:
            stored = seqs(connected)
            assert stored[-1] == snapshot(connected)["seq"] == tracker.get_progress()["seq"]
            assert stored == list(range(stored[-1] - len(stored) + 1, stored[-1] + 1))
            assert len(stored) >= min(stored[-1], 500)
    assert tracker.lost == 0
    within(watch.total_s["update while frozen"], TIMEOUT_S)
    watch.check("Redis frozen in mid-run")


class SlowLine:
    """A relay to a Redis; it passes commands on at once, and replies with the configured delays.

    Attributes:
        delay_s: seconds before each reply.
        drip_s: seconds after each byte of a reply; at 0 a reply is passed on in one piece.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.delay_s = self.drip_s = 0.0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while data := await reader.read(1 << 20):
                back.write(data)
                answer = await there.read(1 << 20)
                await asyncio.sleep(self.delay_s)
                size = 1 if self.drip_s else len(answer) or 1
                for start in range(0, len(answer), size):
                    writer.write(answer[start : start + size])
                    await asyncio.sleep(self.drip_s)
        finally:
            back.transport.abort()


@pytest.fixture
def line(backend: RedisServer) -> Iterator[tuple[SlowLine, redis.Redis]]:
    """A SlowLine to the shared Redis, and a robot's client that connects through it."""
    slow = SlowLine(backend.port)
    with Peer(slow) as port, redis.Redis(host="127.0.0.1", port=port) as given:
        yield slow, given


def test_no_call_blocks_on_a_slow_line(line: tuple[SlowLine, redis.Redis], client: redis.Redis, data_dir: Path) -> None:
    """With 0.4 s before each reply no call takes 1 s, though some calls wait for several replies."""
    watch = Stopwatch()
    slow, given = line
    tracker = watch("new", ProgressTracker, session_id=SID, redis_client=given)
    watch("update", tracker.update_progress, 1)
    assert tracker.backend == "redis"
    slow.delay_s = 0.4
    client.script_flush()
    for number in range(3):
        watch("update, slow", tracker.update_progress, number)
    client.client_kill_filter(_type="normal", skipme=True)
    for number in range(3):
        watch("update, slow and cut", tracker.update_progress, number)
        time.sleep(0.1)
    watch("carregar_sessao, slow", ProgressTracker.carregar_sessao, SID, "auto", given)
    slow.delay_s = 0.0
    wait_until(lambda: tracker.backend == "redis", BACK_S)
    watch("finalizar", tracker.finalizar)
    assert seqs(client) == list(range(1, 10))
    assert tracker.lost == 0
    watch.check("slow line")


def test_no_call_blocks_on_a_line_that_begins_to_drip(
    line: tuple[SlowLine, redis.Redis], client: redis.Redis, data_dir: Path
) -> None:
    """No call takes 1 s, though a byte every 0.2 s keeps each single read from timing out."""
    watch = Stopwatch()
    slow, given = line
    tracker = watch("new", ProgressTracker, session_id=SID, redis_client=given)
    watch("update", tracker.update_progress, 1)
    slow.drip_s = 0.2
    for number in range(3):
        watch("update, dripping", tracker.update_progress, number)
    watch("carregar_sessao, dripping", ProgressTracker.carregar_sessao, SID, "auto", given)
    slow.drip_s = 0.0
    wait_until(lambda: tracker.backend == "redis", BACK_S)
    watch("finalizar", tracker.finalizar)
    assert seqs(client) == list(range(1, 7))
    watch.check("line that begins to drip")


# -- a wrong password


def test_a_refused_password_is_named(redis_process: RedisServer, data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log says that Redis refuses the robot's password, without the password itself."""
    with redis_process.client() as client:
        client.config_set("requirepass", "segredo")
    wrong = redis.Redis(port=redis_process.port, password="errada")
    tracker = ProgressTracker(session_id=SID, redis_client=wrong)
    tracker.update_progress(1)
    wait_until(lambda: "Redis refuses this robot" in caplog.text)
    assert caplog.text.count("Redis refuses this robot") == 1
    assert "errada" not in caplog.text
