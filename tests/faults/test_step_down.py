"""Networks that block a transport: clients step down from WebSocket to event stream to poll, and miss nothing."""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from tests.support.browser.stage import CHROMIUM
from tests.support.faults.fleet import Fleet, eventually
from tests.support.faults.relay import Relay, Rule, answer, streams, upgrades
from tests.support.faults.robots import Plan, Robots, working
from tests.support.faults.table import Row
from tests.support.faults.viewers import Crowd, LiveViewer, Transport
from tests.support.server import RedisServer, Server, running
from tests.support.timing import within

pytestmark = pytest.mark.faults
Record = Callable[[Row], None]

CLEAN = (0, 0, 0, 0, 0)
LADDER: tuple[Transport, ...] = ("ws", "sse", "poll")


class Impatient(LiveViewer):
    """A client that waits 3 s for an answer instead of 10 s."""

    answer_s = 3.0


def no_upgrade(answer: bytes) -> Rule:
    return lambda head: answer if upgrades(head) else None


def no_streams(head: bytes) -> bytes | None:
    """Hang up on WebSocket handshakes and on requests for event streams."""
    return b"" if upgrades(head) or streams(head) else None


RULES: dict[str, Rule] = {
    "426": no_upgrade(answer(426, "Upgrade Required")),
    "403": no_upgrade(answer(403, "Forbidden")),
    "hung up": no_upgrade(b""),
    "polls alone": no_streams,
}


def first_s(viewer: LiveViewer, since_s: float) -> float:
    """Return how many seconds after *since_s* the first state or update came."""
    return min(event.at_s for event in viewer.events if event.kind not in ("up", "down")) - since_s


@pytest.mark.parametrize("name", RULES)
async def test_C7_blocked(tmp_path: Path, redis_process: RedisServer, record: Record, name: str) -> None:
    """If a transport is blocked, another one brings data within 10 s, and over all of them each update comes once."""
    data_dir = tmp_path / "rpa_data"
    robots = Robots(tmp_path, Plan([f"near-{number}" for number in range(4)], 0.1), redis_process.url, data_dir)
    with ExitStack() as stack:
        server = stack.enter_context(running(Server(data_dir, redis_process.url)))
        async with Relay(server.port, RULES[name]).running() as relay:
            crowd = Crowd([relay.url], robots.plan.sessions, 12, [LADDER], Impatient)
            began = time.monotonic()
            async with crowd.watching():
                await asyncio.to_thread(stack.enter_context, working(robots))
                await crowd.until_up()
                verdict = await Fleet([server], [robots], crowd).end(settle_s=3.0)
            worst_s = max(first_s(viewer, began) for viewer in crowd.viewers)
            kinds = {kind for head in relay.heads for kind in LADDER if _kind(head) == kind}
    record(verdict.row(f"C7 WebSocket blocked: {name}", f"first data after {worst_s:.2f} s"))
    assert verdict.faults == CLEAN, verdict.worst
    assert kinds >= ({"ws", "sse", "poll"} if name == "polls alone" else {"ws", "sse"})
    within(worst_s, 10.0)


def _kind(head: bytes) -> Transport:
    return "ws" if upgrades(head) else "sse" if streams(head) else "poll"


@pytest.mark.parametrize("status", [502, 503])
async def test_C9_refused_once(tmp_path: Path, redis_process: RedisServer, record: Record, status: int) -> None:
    """After one 502 or 503 of a proxy an event stream is requested once more, and no client misses an update."""
    data_dir = tmp_path / "rpa_data"
    robots = Robots(tmp_path, Plan(["near-0"], 0.1), redis_process.url, data_dir)
    refused: list[bytes] = []

    def once(head: bytes) -> bytes | None:
        if refused or not streams(head):
            return None
        refused.append(head)
        return answer(status, "Bad Gateway")

    with ExitStack() as stack:
        server = stack.enter_context(running(Server(data_dir, redis_process.url)))
        async with Relay(server.port, once).running() as relay:
            crowd = Crowd([relay.url], robots.plan.sessions, 3, [("sse",)], Impatient)
            async with crowd.watching():
                await asyncio.to_thread(stack.enter_context, working(robots))
                await crowd.until_up()
                verdict = await Fleet([server], [robots], crowd).end(settle_s=2.0)
            requests = sum(map(streams, relay.heads))
    record(verdict.row(f"C9 event stream answered {status} once", f"{requests} requests of 3 clients"))
    assert verdict.faults == CLEAN, verdict.worst
    assert refused
    # One per client, one more after the refusal, and one per client that is answered 204 because the run is over.
    assert requests <= 3 + 1 + 3


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
async def test_C9_finished(tmp_path: Path, redis_process: RedisServer, record: Record) -> None:
    """An EventSource of a finished run reconnects once, is answered 204, and then stops."""
    data_dir = tmp_path / "rpa_data"
    robots = Robots(tmp_path, Plan(["near-0"], 0.05), redis_process.url, data_dir)
    with running(Server(data_dir, redis_process.url)) as server, working(robots):
        await asyncio.to_thread(robots.stop)
        async with async_playwright() as started:
            browser = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            page = await browser.new_page()
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            await page.goto(server.url)
            await page.evaluate("window.source = new EventSource('/events/near-0')")
            await eventually(lambda: page.evaluate("window.source.readyState === 2"), 20.0)
            await asyncio.sleep(9.0)  # longer than the server's longest ``retry:``, 7.5 s
            requests = sum("/events/near-0" in url for url in asked)
            await browser.close()
    record(Row("C9 finished run, EventSource of Chromium", clients=1, more=f"{requests} requests"))
    assert requests <= 2
