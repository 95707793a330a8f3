"""Several robots on one session, as processes with clocks of their own: everybody is told of the same run.

Every reader is asked each time: two servers, each by WebSocket, poll, list and the deployed poll.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest
import redis

from rpa_server.backends.redis.names import SESSIONS_KEY, history_key, progress_key
from rpa_server.backends.redis.store import RedisStore, client
from rpa_server.progress.session_state import advance
from tests.support import recordings
from tests.support.server import ROOT, RedisServer, Server, SocketWatcher, get, redis_server, running, until, watching

SID = "s1"
UTC, SAO_PAULO = "UTC", "America/Sao_Paulo"
DONE = 't.finalizar("success", {"plano_recomendado": {"valor": "R$ 1.234,00"}})'

#: Reads lines of Python and runs each, with the tracker as ``t``; answers each with the value of ``out`` as JSON.
_ROBOT = """
import datetime, json, os, sys, time
ahead_s = float(os.environ.get("AHEAD_S", "0"))
if ahead_s:
    real = time.time
    time.time = lambda: real() + ahead_s
    time.time_ns = lambda: int(time.time() * 1e9)

    class Ahead(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + datetime.timedelta(seconds=ahead_s)

    datetime.datetime = Ahead
import logging
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
from rpa_server.tracker import ProgressTracker
t, out = None, None
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print(json.dumps(out), flush=True)
"""


class RobotProcess:
    """A robot's process.

    Args:
        environ: ``RPA_REDIS_URL`` and ``RPA_DATA_DIR``.
        zone: its ``TZ``.
        ahead_s: how many seconds its clock is ahead.
    """

    def __init__(self, environ: dict[str, str], zone: str = UTC, ahead_s: float = 0.0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ROBOT],
            env={**os.environ, **environ, "TZ": zone, "AHEAD_S": str(ahead_s), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = ""
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.kill()
            raise AssertionError(self._process.communicate()[1])
        return line

    def do(self, *lines: str) -> Any:
        """Run lines of Python; return the value of ``out`` after the last one."""
        assert self._process.stdin is not None
        value = None
        for line in lines:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            value = json.loads(self._answer())
        return value

    def start(self) -> Self:
        """Make a tracker for the session."""
        self.do(f"t = ProgressTracker(session_id={SID!r})")
        return self

    def step(self, number: int, text: str) -> Self:
        self.do(f"t.update_progress({number}, {text!r})")
        return self

    def finish(self) -> Self:
        self.do(DONE)
        return self

    @property
    def lost(self) -> int:
        return int(self.do("out = t.lost"))

    def end(self) -> str:
        """Let the process end by itself; return its log."""
        if self._process.returncode is None:
            _, self.log = self._process.communicate(timeout=30)
            assert self._process.returncode == 0, self.log
        return self.log


class Told(NamedTuple):
    """What a reader is told of the session: the text of the last step, and what the run means."""

    mensagem: str | None
    estado: str


class Place:
    """Two servers on one store, and the robots that write it.

    Attributes:
        redis: its Redis, None if there are only files.
        data_dir: the directory that the servers read.
        servers: both, running.
        environ: the environment of robots.
    """

    def __init__(self, directory: Path, server: RedisServer | None, programs: contextlib.ExitStack) -> None:
        self.redis = server
        self.data_dir = directory / "rpa_data"
        url = "none" if server is None else server.url
        # With Redis, robots are elsewhere: what they write to files is nothing that a server sees.
        theirs = self.data_dir if server is None else directory / "robots_data"
        self.environ = {"RPA_REDIS_URL": url, "RPA_DATA_DIR": str(theirs)}
        self._programs = programs
        self.servers: list[Server] = []

    def start(self) -> None:
        url = self.environ["RPA_REDIS_URL"]
        self.servers = [self._programs.enter_context(running(Server(self.data_dir, url))) for _ in range(2)]

    def robot(self, zone: str = UTC, ahead_s: float = 0.0, environ: dict[str, str] | None = None) -> RobotProcess:
        robot = RobotProcess(environ or self.environ, zone, ahead_s)
        self._programs.callback(robot.end)
        return robot

    def updates(self) -> list[dict[str, Any]]:
        """Return what a server has of the run, from its first update on."""
        body: dict[str, Any] = json.loads(get(f"{self.servers[1].url}/api/sessions/{SID}?after=0")[1])
        assert body["recovered"]
        updates: list[dict[str, Any]] = body["updates"]
        assert [update["seq"] for update in updates] == list(range(1, body["seq"] + 1))
        return updates

    def texts(self) -> list[str]:
        return [update["mensagem"] for update in self.updates()]

    async def told(self) -> list[Told]:
        """Ask every reader once."""
        found = []
        for server in self.servers:
            body = json.loads(await asyncio.to_thread(_get, f"{server.url}/api/sessions/{SID}"))
            found.append(_told(body["snapshot"]))
            listed = json.loads(await asyncio.to_thread(_get, f"{server.url}/api/sessions?wait=5"))["sessions"]
            found.append(_told(next(each for each in listed if each["session_id"] == SID)))
            deployed = json.loads(await asyncio.to_thread(_get, f"{server.url}/api/rpa/progress/{SID}"))["progress"]
            last = [entry for entry in deployed["timeline"] if not isinstance(entry["etapa"], str)][-1]
            ended = deployed["resultados_finais"]["rpa_finalizado"]
            found.append(Told(last["mensagem"], "sucesso" if ended else "executando"))
            found.append(await _joining(server))
        return found

    async def agrees_on(self, text: str, estado: str = "executando") -> None:
        """Wait until every reader is told the same, which must be soon."""
        wanted = [Told(text, estado)] * (4 * len(self.servers))
        for _ in range(20):
            found = await self.told()
            if found == wanted:
                return
            await asyncio.sleep(0.05)
        assert found == wanted


async def _joining(server: Server) -> Told:
    """Return what a page that joins now is told first."""
    page = SocketWatcher(server.url, SID)
    async with watching(page):
        await until(lambda: page.messages)
    return _told(page.messages[0]["snapshot"])


def _get(address: str) -> str:
    return get(address)[1]


def _told(snapshot: dict[str, Any]) -> Told:
    return Told(snapshot["mensagem"], snapshot["estado"])


def last_told(watcher: SocketWatcher) -> Told | None:
    """Return what a viewer shows after all that it received."""
    told = None
    for message in watcher.messages:
        if message["type"] != "progress_update":
            told = _told(message["snapshot"])
        elif message["evento"] == "progresso":
            told = _told(message)
        elif told is not None:
            told = told._replace(estado=message["estado"])
    return told


@contextlib.contextmanager
def place_of(directory: Path, with_redis: bool) -> Iterator[Place]:
    with contextlib.ExitStack() as programs:
        server = programs.enter_context(redis_server()) if with_redis else None
        yield Place(directory, server, programs)


@pytest.fixture(params=["redis", "files"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Two running servers on Redis, or on files."""
    with place_of(tmp_path, request.param == "redis") as made:
        made.start()
        yield made


@contextlib.asynccontextmanager
async def viewers(place: Place) -> AsyncIterator[list[SocketWatcher]]:
    """One viewer at each server, which has been told where the session stands."""
    made = [SocketWatcher(server.url, SID) for server in place.servers]
    async with watching(*made):
        await until(lambda: all(viewer.messages for viewer in made))
        yield made


async def newer_run_wins(place: Place, first_ends: bool) -> None:
    """Run 1 in UTC, run 2 in São Paulo, whose clock shows three hours less: everybody is told of run 2."""
    first = place.robot(UTC).start().step(1, "primeira, tela 1")
    await place.agrees_on("primeira, tela 1")
    async with viewers(place) as watchers:
        if first_ends:
            first.finish()
            await until(lambda: all(watcher.final for watcher in watchers), 5.0)
        second = place.robot(SAO_PAULO).start().step(2, "segunda, tela 2")
        await place.agrees_on("segunda, tela 2")
        if not first_ends:  # else the viewers' streams have ended
            wanted = Told("segunda, tela 2", "executando")
            await until(lambda: all(last_told(watcher) == wanted for watcher in watchers), 5.0)
        second.finish()
        await until(lambda: all(last_told(watcher) == Told("segunda, tela 2", "sucesso") for watcher in watchers), 5.0)
    await place.agrees_on("segunda, tela 2", "sucesso")
    assert (first.lost, second.lost) == (0, 0)
    assert place.texts() == ["ProgressTracker inicializado", "segunda, tela 2", "RPA success"]


@pytest.mark.parametrize("first_ends", [False, True], ids=["live", "ended"])
async def test_a1_a_new_run_in_an_earlier_zone_is_told_to_everybody(tmp_path: Path, first_ends: bool) -> None:
    """With Redis, the run that began later is the current one at once, whatever its robot's clock shows."""
    with place_of(tmp_path, with_redis=True) as place:
        place.start()
        await newer_run_wins(place, first_ends)


@pytest.mark.parametrize("first_ends", [False, True], ids=["live", "ended"])
async def test_a2_a_new_run_in_an_earlier_zone_is_told_from_files_too(tmp_path: Path, first_ends: bool) -> None:
    """With files, the run that began later is the current one at once, whatever its robot's clock shows."""
    with place_of(tmp_path, with_redis=False) as place:
        place.start()
        await newer_run_wins(place, first_ends)


async def test_a3_old_files_do_not_replace_a_newer_run(tmp_path: Path) -> None:
    """A server that finds an older run in its files, by a later clock, leaves the newer one in Redis alone."""
    with place_of(tmp_path, with_redis=True) as place:
        assert place.redis is not None
        files_only = {"RPA_REDIS_URL": "none", "RPA_DATA_DIR": str(place.data_dir)}
        marker = place.robot(UTC, environ=files_only)
        marker.do("t = ProgressTracker(session_id='marker')", 't.update_progress(1, "x")')
        place.robot(UTC, environ=files_only).start().step(1, "primeira, tela 1").step(2, "primeira, tela 2")
        place.robot(SAO_PAULO).start().step(1, "segunda, tela 1").finish()
        place.start()
        with place.redis.client() as connected:
            # Of two sessions in files the one that changed last is looked at first.
            await until(lambda: connected.exists(progress_key("marker")))
        await place.agrees_on("segunda, tela 1", "sucesso")
        assert place.texts()[1] == "segunda, tela 1"


async def test_a4_a_robot_whose_session_has_a_newer_run_is_fenced(place: Place) -> None:
    """A robot that goes on beside a newer run changes nothing of it, live or ended, and its log says so once."""
    old = place.robot().start().step(1, "primeira, tela 1")
    new = place.robot().start().step(1, "segunda, tela 1")
    old.step(2, "primeira, tela 2")
    await place.agrees_on("segunda, tela 1")
    new.finish()
    async with viewers(place) as watchers:
        old.step(3, "primeira, tela 3").finish()
        await place.agrees_on("segunda, tela 1", "sucesso")
        assert all(last_told(watcher) == Told("segunda, tela 1", "sucesso") for watcher in watchers)
    assert place.texts() == ["ProgressTracker inicializado", "segunda, tela 1", "RPA success"]
    assert old.end().count("another run of it is the current one, so pages see nothing more") == 1
    assert "pages see nothing more" not in new.end()


FORK = """
def fork():
    child = os.fork()
    if not child:
        t.update_progress(2, "filho, tela 2"); t.update_progress(3, "filho, tela 3")
        sys.stderr.write("lost in child: %d\\n" % t.lost); sys.stderr.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""


async def test_a5_a_fork_and_its_parent_lose_nothing_of_each_other(place: Place) -> None:
    """What a forked child reports and what its parent reports after it are all there, each once, with the end."""
    robot = place.robot().start().step(1, "pai, tela 1")
    robot.do(f"exec({FORK!r})", "fork()")
    await place.agrees_on("filho, tela 3")
    robot.step(4, "pai, tela 4").finish()
    await place.agrees_on("pai, tela 4", "sucesso")
    assert place.texts() == [
        "ProgressTracker inicializado", "pai, tela 1", "filho, tela 2", "filho, tela 3", "pai, tela 4", "RPA success",
    ]  # fmt: skip
    assert robot.lost == 0
    assert "lost in child: 0" in robot.end()


@pytest.mark.parametrize("where", ["another process", "the same process"])
async def test_a6_two_trackers_of_one_run_take_turns(place: Place, where: str) -> None:
    """A tracker that carregar_sessao made, anywhere, and the first one both go on: every step is there once."""
    first = place.robot().start().step(1, "tela 1")
    load = f"u = ProgressTracker.carregar_sessao({SID!r})"
    second = first if where == "the same process" else place.robot()
    second.do(load)
    for number in range(2, 8):
        if number % 3:
            first.step(number, f"tela {number}")
        else:
            second.do(f"u.update_progress({number}, 'tela {number}')")
    second.do(DONE.replace("t.", "u.", 1))
    await place.agrees_on("tela 7", "sucesso")
    assert place.texts() == ["ProgressTracker inicializado", *(f"tela {number}" for number in range(1, 8)), "RPA success"]
    assert (first.lost, second.do("out = u.lost")) == (0, 0)


async def test_a7_a_clock_two_days_ahead_hides_no_session(place: Place) -> None:
    """A robot whose clock is two days ahead removes nobody from the list, and keeps no later run from its session."""
    other = place.robot()
    other.do("t = ProgressTracker(session_id='other')", 't.update_progress(1, "x")')
    place.robot(ahead_s=2 * 86_400.0).start().step(1, "adiantada, tela 1")
    await place.agrees_on("adiantada, tela 1")
    for server in place.servers:
        listed = json.loads(_get(f"{server.url}/api/sessions?wait=5"))["sessions"]
        assert {each["session_id"] for each in listed} == {SID, "other"}
    if place.redis is not None:
        with place.redis.client() as connected:
            scores: Any = dict(connected.zrange(SESSIONS_KEY, 0, -1, withscores=True))
            assert all(abs(score - time.time()) < 60 for score in scores.values())
    place.robot().start().step(1, "em dia, tela 1").finish()
    await place.agrees_on("em dia, tela 1", "sucesso")


def appends(connected: redis.Redis) -> int:
    """Return how many entries were ever added to a stream of this Redis."""
    counts: Any = connected.info("commandstats")
    return int(counts.get("cmdstat_xadd", {}).get("calls", 0))


def test_a8_two_writers_cost_one_append_an_update(tmp_path: Path) -> None:
    """Two writers that take turns, of one run or of two, make Redis append each update once."""
    with place_of(tmp_path, with_redis=True) as place:
        assert place.redis is not None
        with place.redis.client() as connected:
            one = place.robot().start().step(1, "x")
            other = place.robot()
            other.do(f"t = ProgressTracker.carregar_sessao({SID!r})")
            for number in range(50):
                one.step(1, f"um {number}")
                other.step(2, f"outro {number}")
            assert appends(connected) == connected.xlen(history_key(SID)) == 102
            newer = place.robot().start()
            for number in range(50):
                one.step(1, f"antigo {number}")
                newer.step(1, f"novo {number}")
            # The newer run's beginning waited for its first step; from then on the older one is refused.
            assert connected.xlen(history_key(SID)) == 51
            assert appends(connected) == 102 + 1 + 51


def reads(connected: redis.Redis) -> int:
    """Return how many transactions this Redis has run."""
    counts: Any = connected.info("commandstats")
    return int(counts.get("cmdstat_exec", {}).get("calls", 0))


async def test_a9_a_delayed_reading_is_not_taken_for_a_later_one(redis_process: RedisServer) -> None:
    """A state read before the final one was written stays the earlier one, however late the loop gets to it."""
    running_, ended = recordings.ALL["stuck"], recordings.ALL["success"]
    with redis_process.client() as connected:
        async with contextlib.aclosing(RedisStore(client(redis_process.url))) as store:
            await store.read("warm")

            def put(document: dict[str, Any]) -> None:
                connected.set(progress_key(SID), json.dumps(recordings.progress_of(document)), ex=86_400)

            put(running_)
            reading = asyncio.create_task(store.read(SID))
            while reads(connected) < 2:  # noqa: ASYNC110 - Redis tells no event
                await asyncio.sleep(0)
            time.sleep(0.05)  # the loop is busy, and the answer is waiting
            put(ended)
            earlier, final = await reading, await store.read(SID)
    assert earlier is not None
    assert final is not None
    assert (earlier.snapshot["final"], final.snapshot["final"]) == (False, True)
    assert earlier.written_s is not None
    assert final.written_s is not None
    assert earlier.written_s + 0.04 < final.written_s
    assert advance(final, earlier) is final
    assert advance(earlier, final).snapshot["final"]


HELPERS = {
    "only made": (),
    "reads": ("out = t.get_progress()['seq']",),
    "adds an error": ('t.add_error("Placa recusada", "supervisor")',),
}


@pytest.mark.parametrize("helper", list(HELPERS))
async def test_a13_a_helpers_tracker_takes_no_live_robots_place(place: Place, helper: str) -> None:
    """A second tracker that reports no step leaves the robot's run the current one; its first step makes it that."""
    robot = place.robot().start().step(1, "tela 1")
    second = place.robot().start()
    second.do(*HELPERS[helper])
    await place.agrees_on("tela 1")
    async with viewers(place) as watchers:
        for number in range(2, 5):
            robot.step(number, f"tela {number}")
        await place.agrees_on("tela 4")
        await until(lambda: all(last_told(watcher) == Told("tela 4", "executando") for watcher in watchers), 5.0)
        second.step(1, "segunda, tela 1")
        await place.agrees_on("segunda, tela 1")
    assert robot.lost == second.lost == 0


async def test_a13_a_helper_that_came_first_gives_way_to_the_robot(place: Place) -> None:
    """Behind an ended run a helper's tracker becomes current; an earlier robot that goes on takes its place back."""
    place.robot().start().step(1, "de ontem").finish()
    robot = place.robot()
    robot.start()
    helper = place.robot().start()
    helper.do('t.add_error("Placa recusada", "supervisor")')
    robot.step(1, "tela 1").finish()
    await place.agrees_on("tela 1", "sucesso")
    assert place.texts()[-2:] == ["tela 1", "RPA success"]
