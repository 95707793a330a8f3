"""Redis starts late, dies, freezes, returns, or passes on garbage: pages still get what robots report."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import psutil
import pytest
import redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from rpa_server.tracker import ProgressTracker
from tests.support.faults.fleet import figures, ready
from tests.support.server import RedisServer, Server, SocketWatcher, redis_server, running, until, watching
from tests.support.timing import within

pytestmark = pytest.mark.faults

#: Seconds within which deliveries resume once Redis answers again.
RETURN_S = 5.0
#: How often a delay of milliseconds is measured at most, since other programs may delay a single message.
TRIES = 5


class ThreadedTracker:
    """A tracker whose calls run in other threads, since they may block.

    Attributes:
        reported: the ``seq`` of the last update reported.
        worst_s: the longest call of report(), in seconds.
    """

    def __init__(self, backend: RedisServer, data_dir: Path | None, session_id: str) -> None:
        self._tracker: ProgressTracker | None = None
        self._environ = {"RPA_REDIS_URL": backend.url, "RPA_DATA_DIR": str(data_dir)}
        self._files = data_dir is not None
        self._session_id = session_id
        self.reported = 0
        self.worst_s = 0.0

    @property
    def tracker(self) -> ProgressTracker:
        assert self._tracker is not None
        return self._tracker

    async def start(self) -> None:
        def make() -> ProgressTracker:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in self._environ.items():
                    patch.setenv(name, value)
                return ProgressTracker(15, self._files, self._session_id)

        self._tracker = await asyncio.to_thread(make)
        self.reported = 1

    async def report(self) -> int:
        """Report the next step; return its ``seq``."""
        began = time.monotonic()
        await asyncio.to_thread(self.tracker.update_progress, 1, f"passo {self.reported + 1}")
        self.worst_s = max(self.worst_s, time.monotonic() - began)
        self.reported += 1
        return self.reported


async def seconds_until(true: Callable[[], object], limit_s: float) -> float:
    began = time.monotonic()
    await until(true, limit_s)
    return time.monotonic() - began


async def live_again(watcher: SocketWatcher, backend: RedisServer, since_s: float) -> float:
    """Publish messages without numbers until one arrives live; return the seconds since *since_s*."""
    with backend.client() as client:
        number = 0
        while not any(update.get("bare") for update in watcher.updates):
            within(time.monotonic() - since_s, 2 * RETURN_S)
            number += 1
            client.publish(f"rpa_progress:{watcher.session_id}", json.dumps({"etapa": 1, "bare": number}))
            await asyncio.sleep(0.02)
    return time.monotonic() - since_s


def numbered(watcher: SocketWatcher) -> list[int]:
    """Return the ``seq`` of each update of the tracker in order of arrival."""
    return [update["seq"] for update in watcher.updates if "seq" in update]


# -- Redis is late, dead or frozen


async def test_server_that_was_there_before_redis_delivers_soon_after_it(data_dir: Path) -> None:
    """A server started before Redis opens its port within 3 s; updates arrive within 5 s of the start of Redis."""
    backend = RedisServer()
    server = Server(data_dir, backend.url)
    try:
        began = time.monotonic()
        server.start()
        opened_s = time.monotonic() - began
        watcher = SocketWatcher(server.url, "late")
        async with watching(watcher):
            await asyncio.sleep(1.0)  # so that the server's pauses between attempts have grown
            assert (await ready(server))[1]["redis"] == "down"
            since_s = time.monotonic()
            await asyncio.to_thread(backend.start)
            returned_s = await live_again(watcher, backend, since_s)
            robot = ThreadedTracker(backend, None, "late")
            await robot.start()
            await robot.report()
            await until(lambda: numbered(watcher) == [1, 2], RETURN_S)
            assert (await ready(server))[1]["redis"] == "ok"
    finally:
        server.kill()
        backend.kill()
    print(f"port open after {opened_s:.2f} s without Redis, live {returned_s:.2f} s after Redis started")
    within(opened_s, 3.0)
    within(returned_s, RETURN_S)


async def test_server_survives_the_death_and_the_return_of_redis(
    data_dir: Path, redis_process: RedisServer, redis_backed: Server
) -> None:
    """While Redis is dead the run is delivered through files; no update is lost, and none comes twice."""
    watcher = SocketWatcher(redis_backed.url, "killed")
    robot = ThreadedTracker(redis_process, data_dir, "killed")
    async with watching(watcher):
        await until(lambda: watcher.messages)
        await robot.start()
        await robot.report()
        await until(lambda: numbered(watcher) == [1, 2])
        assert not list(data_dir.glob("*_killed.json"))

        redis_process.kill()
        gaps_s = []
        for _ in range(5):
            seq = await robot.report()
            gaps_s.append(await seconds_until(lambda seq=seq: seq in numbered(watcher), 5))  # type: ignore[misc]
        assert robot.tracker.backend == "json"
        assert (data_dir / "progress_killed.json").exists()

        since_s = time.monotonic()
        await asyncio.to_thread(redis_process.start)
        returned_s = await live_again(watcher, redis_process, since_s)
        await until(lambda: robot.tracker.backend == "redis", 10)
        seq = await robot.report()
        await until(lambda: seq in numbered(watcher), 2)
        await robot.report()
        await asyncio.to_thread(robot.tracker.finalizar)
        await until(lambda: watcher.final)
        last = numbered(watcher)[-1]
    print(
        f"through files {max(gaps_s):.3f} s at worst, live {returned_s:.2f} s after Redis returned, "
        f"longest call {robot.worst_s:.3f} s"
    )
    assert numbered(watcher) == list(range(1, last + 1))
    assert {message["type"] for message in watcher.messages} == {"sync", "progress_update"}
    within(returned_s, RETURN_S)
    within(robot.worst_s, 1.0)


async def test_server_recovers_when_a_frozen_redis_goes_on(
    data_dir: Path, redis_process: RedisServer, redis_backed: Server
) -> None:
    """A frozen Redis is reported as down while files deliver the run; it is used again once it answers."""
    watcher = SocketWatcher(redis_backed.url, "frozen")
    robot = ThreadedTracker(redis_process, data_dir, "frozen")
    async with watching(watcher):
        await until(lambda: watcher.messages)
        await robot.start()
        await robot.report()
        await until(lambda: numbered(watcher) == [1, 2])

        redis_process.signal(signal.SIGSTOP)
        frozen_s = time.monotonic()
        gaps_s: list[float] = []
        try:
            while (await ready(redis_backed))[1]["redis"] != "down" or len(gaps_s) < 4:
                within(time.monotonic() - frozen_s, 10.0)
                seq = await robot.report()
                gaps_s.append(await seconds_until(lambda seq=seq: seq in numbered(watcher), 5))  # type: ignore[misc]
                await asyncio.sleep(0.2)
        finally:
            redis_process.signal(signal.SIGCONT)
        since_s = time.monotonic()
        returned_s = await live_again(watcher, redis_process, since_s)
        await until(lambda: robot.tracker.backend == "redis", 10)
        await robot.report()
        await asyncio.to_thread(robot.tracker.finalizar)
        await until(lambda: watcher.final)
        last = numbered(watcher)[-1]
    print(
        f"through files {max(gaps_s):.3f} s at worst of {len(gaps_s)}, live {returned_s:.2f} s after SIGCONT, "
        f"longest call {robot.worst_s:.3f} s"
    )
    assert numbered(watcher) == list(range(1, last + 1))
    assert {message["type"] for message in watcher.messages} == {"sync", "progress_update"}
    within(returned_s, RETURN_S)
    within(robot.worst_s, 1.0)


async def test_viewer_who_comes_while_redis_is_frozen_sees_the_files(
    data_dir: Path, redis_process: RedisServer, redis_backed: Server
) -> None:
    """While Redis is frozen a new page is served from the files within 3 s, over WebSocket and by poll."""
    robot = ThreadedTracker(redis_process, data_dir, "meanwhile")
    redis_process.signal(signal.SIGSTOP)
    try:
        await robot.start()
        await robot.report()
        watcher = SocketWatcher(redis_backed.url, "meanwhile")
        async with watching(watcher), aiohttp.ClientSession() as http:
            took_s = await seconds_until(
                lambda: any((message.get("snapshot") or message).get("seq") == 2 for message in watcher.messages), 5
            )
            async with http.get(f"{redis_backed.url}/api/sessions/meanwhile") as response:
                assert response.status == 200
                assert (await response.json())["seq"] == 2
    finally:
        redis_process.signal(signal.SIGCONT)
    print(f"a new viewer waited {took_s:.2f} s beside a frozen Redis")
    within(took_s, 3.0)


# -- messages on the channel


class Line(NamedTuple):
    """A server with Redis, and a Redis client for publishing to it."""

    server: Server
    client: redis.Redis

    def address(self, session_id: str) -> str:
        return f"ws://127.0.0.1:{self.server.port}/rpa/{session_id}"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """One server with Redis for all tests in this module that stop neither."""
    data_dir = tmp_path_factory.mktemp("lifecycle") / "rpa_data"
    with redis_server() as backend, running(Server(data_dir, backend.url)) as server, backend.client() as client:
        yield Line(server, client)


GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "blank": b"   ",
    "text": b"hello",
    "binary": bytes(range(256)),
    "bad_utf8": b'{"mensagem": "\xff\xfe"}',
    "nul": b'{"etapa": 1}\x00',
    "torn": b'{"etapa": 5, "mensagem": "Tela',
    "two": b'{"etapa": 1}{"etapa": 2}',
    "nan": b'{"etapa": NaN}',
    "infinity": b'{"etapa": 1, "dados_extra": {"valor": -Infinity}}',
    "number": b"5",
    "null": b"null",
    "string": b'"etapa"',
    "list": b'[{"etapa": 1}]',
    "deep_list": b"[" * 100_000,
    "deep_list_closed": b"[" * 100_000 + b"]" * 100_000,
    "deep_object": b'{"etapa": 1, "dados_extra": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "etapa_object": b'{"etapa": {"n": 1}}',
    "etapa_true": b'{"etapa": true}',
    "mensagem_number": b'{"etapa": 1, "mensagem": 5}',
    "dados_extra_list": b'{"etapa": 1, "dados_extra": [1]}',
    "estimativas_text": b'{"etapa": 5, "estimativas": "R$ 1.000"}',
    "huge": b'{"etapa": 1, "mensagem": "' + b"x" * 2_000_000 + b'"}',
    "huge_number": b'{"etapa": ' + b"9" * 10_000 + b"}",
}


async def _next(websocket: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(websocket.recv(), 30))


@pytest.mark.parametrize("kind", list(GARBAGE))
async def test_garbage_is_dropped_and_counted_and_the_next_message_arrives(line: Line, kind: str) -> None:
    """Garbage on a channel is dropped and counted; a good message after it arrives within 100 ms."""
    session_id = f"garbage-{kind}"
    channel = f"rpa_progress:{session_id}"
    async with connect(line.address(session_id)) as websocket:
        best_s = float("inf")
        for attempt in range(TRIES):
            before = await figures(line.server)
            line.client.publish(channel, GARBAGE[kind])
            began = time.monotonic()
            line.client.publish(channel, json.dumps({"etapa": 1, "attempt": attempt}))
            frame = await _next(websocket)
            best_s = min(best_s, time.monotonic() - began)
            assert frame == {"type": "progress_update", "etapa": 1, "attempt": attempt}
            after = await figures(line.server)
            assert after["rpa_messages_garbage_total"] == before["rpa_messages_garbage_total"] + 1
            assert after["rpa_messages_received_total"] == before["rpa_messages_received_total"] + 1
            if best_s < 0.1:
                break
        within(best_s, 0.1)


@pytest.mark.parametrize("name", ["", "../x", "a b", ".x", "x" * 129, "sessão", "a:b"])
async def test_message_on_a_channel_of_no_session_is_dropped_and_counted(line: Line, name: str) -> None:
    """A message on a channel whose name has no valid session id is counted as garbage and dropped."""
    before = await figures(line.server)
    line.client.publish(f"rpa_progress:{name}", b'{"etapa": 1}')
    line.client.publish("rpa_progress:good", b'{"etapa": 1}')
    deadline = time.monotonic() + 5
    while (after := await figures(line.server))["rpa_messages_received_total"] == before["rpa_messages_received_total"]:
        assert time.monotonic() < deadline
    assert after["rpa_messages_garbage_total"] == before["rpa_messages_garbage_total"] + 1


async def test_garbage_in_mass_delays_a_good_message_little(line: Line) -> None:
    """After 5,000 bad messages a good one arrives within 2 s, and the log has grown by less than 4 kB."""
    log_bytes = line.server.log.stat().st_size
    async with connect(line.address("mass")) as websocket:
        pipeline = line.client.pipeline(transaction=False)
        for number in range(5000):
            pipeline.publish("rpa_progress:mass", GARBAGE["torn"] if number % 2 else b'{"etapa": [1]}')
        pipeline.execute()
        began = time.monotonic()
        line.client.publish("rpa_progress:mass", b'{"etapa": 2}')
        assert (await _next(websocket))["etapa"] == 2
        took_s = time.monotonic() - began
    print(f"behind 5,000 bad messages a good one took {took_s:.3f} s")
    assert line.server.log.stat().st_size - log_bytes < 4096
    within(took_s, 2.0)


UNNUMBERED: dict[str, dict[str, Any]] = {
    "plan": {
        "etapa": 5,
        "mensagem": "Tela 5 concluída",
        "timestamp": "2026-03-02T10:15:00.120000",
        "dados_extra": {"a": [1, 2.5, None, True], "á": "\u2028</script>\u0000"},
    },
    "unordered": {"zebra": 1, "mensagem": None, "etapa": "cinco", "apple": {"b": {}, "a": []}},
    "fraction": {"etapa": 5.5},
    "empty": {},
    "long": {"etapa": 1, "mensagem": "ç" * 40_000},
}


@pytest.mark.parametrize("dialect", ["plain", "native"])
@pytest.mark.parametrize("kind", list(UNNUMBERED))
async def test_unnumbered_message_is_relayed_once_and_untouched_but_for_its_type(
    line: Line, kind: str, dialect: str
) -> None:
    """A message without a number keeps its keys, their order and values; only ``type`` is added."""
    session_id = f"unnumbered-{kind}-{dialect}"
    channel = f"rpa_progress:{session_id}"
    protocols = [Subprotocol("rpa.v1")] if dialect == "native" else None
    async with connect(line.address(session_id), subprotocols=protocols) as websocket:
        if dialect == "native":
            assert (await _next(websocket))["type"] == "sync"
        payload = UNNUMBERED[kind]
        line.client.publish(channel, json.dumps(payload))
        line.client.publish(channel, b'{"marker": 1}')
        frame = await _next(websocket)
        assert frame == {"type": "progress_update", **payload}
        assert [key for key in frame if key != "type"] == list(payload)
        assert await _next(websocket) == {"type": "progress_update", "marker": 1}
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(websocket.recv(), 0.05)


async def test_unnumbered_message_reaches_every_viewer_of_its_session_alone(line: Line) -> None:
    """A message without a number reaches each viewer of its session once, and no viewer of another one."""
    async with AsyncExitStack() as sockets:
        mine = [await sockets.enter_async_context(connect(line.address("shared"))) for _ in range(5)]
        other = await sockets.enter_async_context(connect(line.address("shared-not")))
        line.client.publish("rpa_progress:shared", b'{"etapa": 3}')
        line.client.publish("rpa_progress:shared-not", b'{"etapa": 4}')
        assert [await _next(websocket) for websocket in mine] == [{"type": "progress_update", "etapa": 3}] * 5
        assert await _next(other) == {"type": "progress_update", "etapa": 4}


# -- our tracker's updates: stored nowhere, or forged


def _own(epoch: str, seq: int, session_id: str, **more: Any) -> bytes:
    """Return the bytes of an update as our tracker publishes it; *more* are further keys."""
    update = {
        "type": "progress_update", "epoch": epoch, "seq": seq, "final": False, "estado": "executando",
        "session_id": session_id, "evento": "progresso", "etapa": 1, "total_etapas": 15, "percentual": 6.7,
        "status": "executando", "mensagem": "passo", "timestamp": "2026-03-02T10:15:00.120000",
        "dados_extra": {},
        **more,
    }
    return json.dumps(update, separators=(",", ":")).encode()


async def test_update_that_no_store_holds_does_not_make_the_server_spin(line: Line) -> None:
    """For updates that are stored nowhere the server reads Redis seldom and uses little CPU time."""
    process = psutil.Process(line.server.pid)
    async with connect(line.address("evicted"), subprotocols=[Subprotocol("rpa.v1")]) as websocket:
        assert (await _next(websocket))["type"] == "sync"
        line.client.publish("rpa_progress:evicted", _own("e1", 1, "evicted"))
        line.client.publish("rpa_progress:evicted", _own("e1", 5, "evicted"))
        await asyncio.sleep(0.5)

        def asked() -> int:
            info: dict[str, Any] = line.client.info("commandstats")
            return sum(int(figure["calls"]) for name, figure in info.items() if name in ("cmdstat_get", "cmdstat_xrange"))

        calls, used = asked(), sum(process.cpu_times()[:2])
        await asyncio.sleep(1.0)
        calls, used = asked() - calls, sum(process.cpu_times()[:2]) - used
        line.client.publish("rpa_progress:evicted", b'{"etapa": 9}')
        async with asyncio.timeout(30):
            while (await _next(websocket)).get("etapa") != 9:
                pass
    print(f"with an update that is stored nowhere: {calls} reads and {used:.2f} s of CPU a second")
    assert calls < 100
    assert used < 0.5


async def test_what_only_looks_like_an_update_of_ours_reaches_no_page(line: Line) -> None:
    """A message that begins like our tracker's update but is not JSON is never sent to a page."""
    session_id = "forged"
    head = b'{"type":"progress_update","epoch":"e1","seq":%d,"final":false,'
    line.client.set(f"rpa:progress:{session_id}", _snapshot("e1", 1))
    line.client.xadd(f"rpa:history:{session_id}", {"epoch": "e1", "data": _own("e1", 1, session_id)}, id="1-0")
    async with connect(line.address(session_id), subprotocols=[Subprotocol("rpa.v1")]) as websocket:
        assert (await _next(websocket))["seq"] == 1
        line.client.publish(f"rpa_progress:{session_id}", head % 2 + b"\xff\xfe garbage}")
        line.client.publish(f"rpa_progress:{session_id}", b'{"etapa": 9}')
        texts: list[bytes] = []
        while not texts or b'"etapa":9' not in texts[-1].replace(b" ", b""):
            texts.append(await asyncio.wait_for(websocket.recv(decode=False), 30))
    for text in texts:
        json.loads(text.decode("utf-8", "strict"))


def _snapshot(epoch: str, seq: int) -> bytes:
    return json.dumps(
        {
            "etapa_atual": 1, "total_etapas": 15, "percentual": 6.7, "status": "executando", "mensagem": "passo",
            "timestamp_inicio": "2026-03-02T10:15:00", "timestamp_atualizacao": "2026-03-02T10:15:00.120000",
            "dados_extra": {}, "erros": [], "session_id": "forged", "estado": "executando", "final": False,
            "epoch": epoch, "seq": seq,
        }
    ).encode()
