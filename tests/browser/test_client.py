"""The life-cycle traps of docs/javascript.rst, by number, in a real browser; server, Redis and tracker are real too."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis
from playwright.async_api import BrowserContext

from tests.support.browser.network import delivers, nothing, polls
from tests.support.browser.stage import MARKS
from tests.support.browser.visit import Visit, visiting
from tests.support.faults.relay import answer, streams, upgrades
from tests.support.server import Server, until

pytestmark = MARKS

OPEN = "client.isConnected"
WEBSOCKET = "client.isConnected && client.transport === 'websocket'"


@pytest_asyncio.fixture(loop_scope="module")
async def visit(context: BrowserContext, followed: Server, client: redis.Redis) -> AsyncIterator[Visit]:
    async with visiting(context, followed.port, client) as visit:
        visit.robot.work(3)
        yield visit


async def test_trap_1_a_slow_first_connect_is_no_choice_for_good(visit: Visit) -> None:
    """If WebSockets hang at first, the client begins on the event stream; once they work, it uses one within 150 s."""
    visit.network.holds = upgrades
    await visit.follow()
    await visit.comes(OPEN, 10)
    await visit.shows()
    assert await visit.opened() == ["sse"]
    visit.network.holds = nothing
    await visit.comes(WEBSOCKET, 150, work_every_s=10)
    await visit.shows()
    assert await visit.opened() == ["sse", "websocket"]
    await visit.ends("websocket")


async def test_trap_2_a_socket_that_opens_and_says_nothing_is_left(visit: Visit) -> None:
    """A WebSocket that opens but delivers nothing is given up: within 10 s the client uses the event stream."""
    visit.network.mutes = upgrades
    await visit.follow()
    await visit.comes(OPEN, 10)
    await visit.shows()
    await visit.ends("sse")


async def test_trap_2_a_socket_that_is_killed_at_once_is_left(visit: Visit) -> None:
    """If every WebSocket breaks right after it opened, the client tries at most five, then uses the event stream."""
    visit.network.kills = upgrades
    await visit.follow()
    await visit.comes("client.isConnected && client.transport === 'sse'", 90, step_s=0.25)
    assert visit.network.count(upgrades) <= 5
    visit.robot.work()
    await visit.shows()
    await visit.ends("sse")


async def test_trap_3_one_failed_try_after_a_good_session_keeps_the_transport(visit: Visit) -> None:
    """If one attempt to reconnect fails after a good connection, the client still returns to the WebSocket."""
    await visit.follow()
    await visit.shows()
    await visit.passes(10)
    visit.network.rule = lambda head: b"" if delivers(head) else None
    visit.network.cut()
    await visit.comes("seen.states.filter(([state]) => state === 'waiting').length === 2", 15, step_s=0.1)
    visit.network.rule = lambda head: None
    visit.robot.work(2)
    await visit.comes(OPEN, 15)
    await visit.shows()
    assert visit.network.count(upgrades) == 3
    assert visit.network.count(streams) + visit.network.count(polls) == 0
    await visit.ends("websocket")


@pytest.mark.parametrize("status", ["500 Error", "404 Not Found", "429 Too Many Requests"])
async def test_trap_4_error_answers_make_no_loop(visit: Visit, status: str) -> None:
    """Refused with 500, 404 or 429, the client makes at most 40 requests in 60 s; it connects once it is let in."""
    code, _, reason = status.partition(" ")
    refusal = answer(int(code), reason).replace(b"\r\n\r\n", b"\r\nAccess-Control-Allow-Origin: *\r\n\r\n")
    visit.network.rule = lambda head: refusal if delivers(head) else None
    await visit.follow()
    await visit.passes(60, 0.5)
    assert 2 <= visit.network.count(delivers) <= 40
    assert await visit.page.evaluate("client.state") != "closed", "what a proxy says is not final"
    visit.network.rule = lambda head: None
    await visit.comes(OPEN, 60)
    await visit.shows()
    await visit.ends(await visit.page.evaluate("client.transport"))


async def test_trap_5_requests_that_hang_are_given_up(visit: Visit) -> None:
    """At most two unanswered requests are open, so that the page's own get through; after disconnect() none is."""
    visit.network.holds = delivers
    await visit.follow()
    most = 0
    for _ in range(60):
        await visit.passes(1)
        most = max(most, len(visit.network.delivering))
    assert visit.network.count(delivers) >= 3
    assert 1 <= most <= 2
    fetched = f"fetch('{visit.network.url}/static/rpa-client.js', {{cache: 'no-store'}}).then((answer) => answer.status)"
    async with asyncio.timeout(1):
        assert await visit.page.evaluate(fetched) == 200
    await visit.page.evaluate("client.disconnect()")
    await until(lambda: not visit.network.delivering)
    visit.network.holds = nothing
    await visit.page.evaluate("client.connect()")
    await visit.comes(OPEN, 10)
    await visit.shows()
    await visit.ends(await visit.page.evaluate("client.transport"))


async def test_trap_6_a_healthy_socket_survives_sleep(visit: Visit) -> None:
    """After the page has slept, the client's timers are overdue, but it keeps a WebSocket that answers its ping."""
    await visit.follow()
    await visit.shows()
    for seconds in (36, 90, 3600):
        await visit.sleeps(seconds)
        await visit.page.evaluate("dispatchEvent(new Event('online'))")
        visit.robot.work()
        await visit.shows()
        await visit.passes(5, 0.5)
    assert (await visit.stats())["connects"] == 1
    await visit.ends("websocket")


async def test_trap_7_a_dead_socket_that_looks_open_is_replaced_after_sleep(visit: Visit) -> None:
    """A WebSocket that is dead, though its readyState is OPEN, is found within 3 s of waking up, and replaced."""
    await visit.follow()
    await visit.shows()
    await visit.hide()
    visit.network.freeze()
    visit.robot.work(2)
    await visit.sleeps(600)
    dead = len(visit.network.open)
    assert dead == 1
    visit.network.rule = lambda head: visit.network.thaw() if upgrades(head) else None
    await visit.hide("visible")
    assert await visit.comes("seen.states.some(([,, code]) => code === 'stale')", 3.5) <= 3.0
    await visit.comes(OPEN, 10)
    await visit.shows()
    await visit.ends("websocket")


async def test_trap_7_a_dead_socket_is_found_within_35_s_while_awake(visit: Visit) -> None:
    """If the network silently passes no more bytes, the client finds the dead WebSocket within 35 s."""
    await visit.follow()
    await visit.shows()
    visit.network.freeze()
    visit.robot.work()
    assert await visit.comes("!client.isConnected", 36) <= 35
    assert (await visit.seen())["errors"] == ["stale"]
    visit.network.thaw()
    await visit.comes(OPEN, 15)
    await visit.shows()
    await visit.ends("websocket")


async def test_trap_8_a_page_out_of_the_cache_tries_at_once(visit: Visit) -> None:
    """A page restored from the cache gets only a ``pageshow`` event; its client then connects within 1 s."""
    await visit.follow()
    await visit.shows()
    visit.network.is_down = True
    visit.network.cut()
    await visit.comes("seen.states.length > 12", 300)
    visit.network.is_down = False
    visit.robot.work()
    await visit.has("client.state === 'waiting'")
    await visit.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    await visit.comes(OPEN, 1, step_s=0.1)
    await visit.shows()
    assert (await visit.seen())["updates"][-1][1] == "Passo 4"
    await visit.ends(await visit.page.evaluate("client.transport"))


async def test_trap_9_the_clock_finds_a_dead_socket_though_timers_come_late(visit: Visit) -> None:
    """Timers of a hidden page run once a minute, but the client finds a dead WebSocket by the clock."""
    await visit.follow()
    await visit.shows()
    await visit.hide()
    visit.network.freeze()
    for _ in range(3):
        await visit.sleeps(60)
        await asyncio.sleep(0.05)
    assert (await visit.seen())["errors"] == ["stale"]
    visit.network.thaw()
    visit.robot.work()
    await visit.hide("visible")
    await visit.comes(OPEN, 10)
    await visit.shows()
    await visit.ends("websocket")


async def test_trap_10_nothing_connects_after_close(visit: Visit) -> None:
    """After disconnect() during a wait, neither a timer nor an event of the browser makes the client connect."""
    await visit.follow()
    await visit.shows()
    visit.network.is_down = True
    visit.network.cut()
    await visit.has("client.state === 'waiting'")
    await visit.page.evaluate("client.disconnect()")
    visit.network.is_down = False
    asked = len(visit.network.heads)
    await visit.passes(120, 5)
    for kind in ("online", "pageshow"):
        await visit.page.evaluate("(kind) => dispatchEvent(new Event(kind))", kind)
    await visit.hide("visible")
    await visit.passes(60, 5)
    assert len(visit.network.heads) == asked
    stats = await visit.stats()
    assert (stats["live"], stats["probing"], stats["timers"]) == (0, 0, 0)
    assert await visit.page.evaluate("client.state") == "closed"
