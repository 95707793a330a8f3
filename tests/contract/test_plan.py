"""The plan's own tests (sections 1.3, 4.1 and 4.2) and its limit on latency, with a WebSocket library not ours."""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.protocol import State

from tests.support.server import ROOT, Server, Stack, running, running_stack
from tests.support.timing import within

#: These tests measure times, so the machine should do nothing else meanwhile.
pytestmark = pytest.mark.serial

_ROBOT = """
import sys, time
from rpa_server.tracker import ProgressTracker

prefix, sessions, updates, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
trackers = [ProgressTracker(session_id=f"{prefix}{i}") for i in range(sessions)]
began = time.monotonic()
for number in range(updates):
    time.sleep(max(0.0, began + number * pause - time.monotonic()))
    trackers[number % sessions].update_progress(number % 15, "passo", {"sent_s": time.monotonic()})
for tracker in trackers:
    tracker.finalizar()
print([tracker.backend for tracker in trackers], sum(tracker.lost for tracker in trackers))
"""


def address(stack: Stack, session_id: str) -> str:
    return f"ws://127.0.0.1:{stack.server.port}/rpa/{session_id}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One server that all tests of this module share."""
    with running_stack(tmp_path_factory.mktemp("plan")) as stack:
        yield stack


async def websocket_connection(stack: Stack) -> None:
    """Section 1.3: the connection opens and a message is echoed."""
    async with connect(address(stack, "test-session")) as websocket:
        assert websocket.state is State.OPEN
        test_data = {"etapa": 1, "mensagem": "Teste"}
        await websocket.send(json.dumps(test_data))
        response = await asyncio.wait_for(websocket.recv(), 30)
        assert json.loads(response) == test_data


async def full_integration(stack: Stack) -> None:
    """Section 4.1: an update published as soon as the socket is open comes first, then a message with its estimates."""
    progress_data = {
        "etapa": 5,
        "mensagem": "Tela 5 concluída",
        "estimativas": {
            "coberturas_detalhadas": [
                {"nome": "CompreensivaDe", "valores": {"de": "R$ 1.000", "ate": "R$ 5.000"}}
            ]
        },
    }
    payload = json.dumps(progress_data)
    assert stack.redis is not None
    with redis.Redis(host="127.0.0.1", port=stack.redis.port, db=0) as redis_client:
        redis_client.ping()
        async with connect(address(stack, "test-session")) as websocket:
            redis_client.publish("rpa_progress:test-session", payload)
            received_data = json.loads(await asyncio.wait_for(websocket.recv(), 30))
            assert received_data["etapa"] == 5
            assert received_data["estimativas"] == progress_data["estimativas"]
            assert received_data["type"] == "progress_update"
            following = json.loads(await asyncio.wait_for(websocket.recv(), 30))
            assert following["type"] == "estimativas"
            items = following["estimativas"]["coberturas_detalhadas"]
            assert items[0]["nome"] == "CompreensivaDe"
            assert items[0]["valores"] == {"de": "R$ 1.000", "ate": "R$ 5.000"}
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(websocket.recv(), 0.1)


async def concurrent_connections(stack: Stack) -> None:
    """Section 4.2: opening 100 connections takes 1 s at most, sending on all of them 1 s, and all answers 1 s."""
    opened_s, sent_s, answered_s = await _hundred(stack)
    print(f"100 connections: opened {opened_s:.3f} s, sent {sent_s:.3f} s, answered {answered_s:.3f} s")
    within(opened_s, 1.0)
    within(sent_s, 1.0)
    within(answered_s, 1.0)


async def _hundred(stack: Stack) -> tuple[float, float, float]:
    """Open, use and close 100 connections; return the seconds for opening, for sending and for all answers."""
    began = time.monotonic()
    websockets = await asyncio.gather(
        *(connect(address(stack, f"session-{i}"), compression=None) for i in range(100))
    )
    opened = time.monotonic()
    try:
        for websocket in websockets:
            await websocket.send(json.dumps({"test": "message"}))
        sent = time.monotonic()
        answers = await asyncio.gather(*(asyncio.wait_for(websocket.recv(), 10) for websocket in websockets))
        answered = time.monotonic()
        assert [json.loads(answer) for answer in answers] == [{"test": "message"}] * 100
    finally:
        await asyncio.gather(*(websocket.close() for websocket in websockets))
    assert [websocket.close_code for websocket in websockets] == [1000] * 100
    return opened - began, sent - opened, answered - opened


PLAN: list[Callable[[Stack], Awaitable[None]]] = [websocket_connection, full_integration, concurrent_connections]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=lambda order: "".join(map(str, order)))
async def test_plan_tests_pass_in_any_order_against_one_server(stack: Stack, order: tuple[int, ...]) -> None:
    """The plan's tests pass in any order: no echoed or published message becomes a state that later pages get."""
    for number in order:
        await PLAN[number](stack)


class Receiver:
    """A viewer in the plan's dialect that records the age of every step on arrival, in seconds."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.ages_s: list[float] = []

    async def run(self) -> None:
        """Receive until the run has ended."""
        async for text in self.websocket:
            now = time.monotonic()
            message: dict[str, Any] = json.loads(text)
            sent_s = message["dados_extra"].get("sent_s")
            if sent_s is not None and message["evento"] == "progresso":
                self.ages_s.append(now - sent_s)
            if message["final"]:
                return


async def _ages(
    server: Server, prefix: str, *, sessions: int, viewers: int, updates: int, pause_s: float
) -> list[float]:
    """Let a robot report *updates* steps, over *sessions* runs; return each update's age in s at each viewer."""
    async with AsyncExitStack() as open_sockets:
        receivers = [
            Receiver(
                await open_sockets.enter_async_context(
                    connect(f"ws://127.0.0.1:{server.port}/rpa/{prefix}{i % sessions}", compression=None)
                )
            )
            for i in range(viewers)
        ]
        robot = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _ROBOT, prefix, str(sessions), str(updates), str(pause_s)),
            env=server.environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(30):
                await asyncio.gather(*(receiver.run() for receiver in receivers))
                output, _ = await robot.communicate()
        finally:
            if robot.returncode is None:
                robot.kill()
                await robot.wait()
    backend = "json" if server.environ["RPA_REDIS_URL"] == "none" else "redis"
    assert output.decode().strip() == f"{[backend] * sessions} 0"
    for receiver in receivers:
        assert len(receiver.ages_s) == updates // sessions
    return [age for receiver in receivers for age in receiver.ages_s]


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _assert_fast(name: str, ages_s: list[float]) -> None:
    p50_s, p99_s = _quantile(ages_s, 0.5), _quantile(ages_s, 0.99)
    print(f"{name}: p50 {p50_s * 1000:.1f} ms, p99 {p99_s * 1000:.1f} ms of {len(ages_s)} deliveries")
    within(p99_s, 0.1)


_runs = itertools.count()


async def test_latency_through_redis_is_below_100_ms_with_100_connections(stack: Stack) -> None:
    """99 % of updates reach 100 viewers within 100 ms of the robot's call, the plan's measure of success."""
    prefix = f"latency{next(_runs)}-"
    ages_s = await _ages(stack.server, prefix, sessions=10, viewers=100, updates=400, pause_s=0.008)
    _assert_fast("Redis, 100 connections", ages_s)


async def test_latency_through_files_is_below_100_ms_with_10_watchers(tmp_path: Path) -> None:
    """Without Redis 99 % of updates reach 10 viewers within 100 ms of the robot's call."""
    with running(Server(tmp_path / "rpa_data")) as server:
        ages_s = await _ages(server, "latency-", sessions=5, viewers=10, updates=300, pause_s=0.012)
    _assert_fast("Files, 10 watchers", ages_s)
