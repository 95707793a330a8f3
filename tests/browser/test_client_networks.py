"""Networks and servers that fail while a page follows a run: the final state is right, no update is shown twice."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
import redis
from playwright.async_api import BrowserContext, Page, WebSocketRoute

from tests.support.browser.network import delivers, polls
from tests.support.browser.stage import MARKS
from tests.support.browser.visit import Visit, visiting
from tests.support.faults.relay import Rule, answer, streams, upgrades
from tests.support.server import Server

pytestmark = MARKS

OPEN = "client.isConnected"
LOST = "!client.isConnected"
RPA = re.compile("/rpa/")


@pytest_asyncio.fixture(loop_scope="module")
async def visit(context: BrowserContext, followed: Server, client: redis.Redis) -> AsyncIterator[Visit]:
    async with visiting(context, followed.port, client) as visit:
        visit.robot.work(3)
        yield visit


def refuses(refusal: bytes, *kinds: Callable[[bytes], bool]) -> Rule:
    """Return a rule that gives all requests of *kinds* the same answer."""
    return lambda head: refusal if any(kind(head) for kind in kinds) else None


async def test_a_half_open_network_is_noticed_and_outlived(visit: Visit) -> None:
    """While offline the socket stays open and silent; updates that arrive late afterwards are not shown again."""
    await visit.follow()
    await visit.shows()
    await visit.page.context.set_offline(True)
    visit.robot.work(2)
    await visit.comes(LOST, 36)
    await visit.passes(40)
    assert await visit.page.evaluate("client.state") == "offline"
    visit.robot.work()
    await visit.page.context.set_offline(False)
    await visit.comes(OPEN, 2, step_s=0.1)
    await visit.shows()
    await visit.passes(5)
    await visit.ends("websocket")


@pytest.mark.parametrize("way", ["kill", "stop"])
async def test_a_server_that_is_restarted_in_mid_run_is_found_again(visit: Visit, followed: Server, way: str) -> None:
    """Killed or stopped properly: the page returns to the same transport and misses nothing."""
    await visit.follow()
    await visit.shows()
    await visit.passes(6)
    await asyncio.to_thread(getattr(followed, way))
    await visit.has(LOST)
    visit.robot.work(2)
    await visit.passes(2)
    await asyncio.to_thread(followed.start)
    await visit.comes(OPEN, 40)
    visit.robot.work()
    await visit.shows()
    await visit.comes("client.isConnected && client.transport === 'websocket'", 90, work_every_s=10)
    await visit.shows()
    await visit.ends("websocket")


async def test_a_network_that_flaps_loses_and_repeats_nothing(visit: Visit) -> None:
    """The network is cut a dozen times, at different moments of a connection, while the run goes on."""
    await visit.follow()
    for number in range(12):
        visit.robot.work(2)
        await asyncio.sleep(0.01 * number)
        visit.network.cut()
        await visit.passes(1.5 * (number % 4), 0.5)
    visit.robot.work()
    await visit.comes(OPEN, 60)
    await visit.shows()
    await visit.passes(5)
    await visit.ends(await visit.page.evaluate("client.transport"))


@pytest.mark.parametrize("refusal", [answer(403, "Forbidden"), answer(426, "Upgrade Required"), b""])
async def test_without_websockets_the_stream_serves(visit: Visit, refusal: bytes) -> None:
    """Where upgrades are refused or hung up on, data comes over the event stream within 10 s."""
    visit.network.rule = refuses(refusal, upgrades)
    await visit.follow()
    await visit.comes(OPEN, 10, step_s=0.1)
    await visit.shows()
    visit.robot.work()
    await visit.shows(1)
    await visit.ends("sse")


async def test_a_stream_that_is_buffered_is_left_for_polls(visit: Visit) -> None:
    """A buffering proxy passes only the head of the stream's answer; the client steps down to polls."""
    visit.network.rule = refuses(b"", upgrades)
    visit.network.mutes = streams
    await visit.follow()
    await visit.comes(OPEN, 20, step_s=0.1)
    await visit.shows()
    visit.robot.work()
    await visit.shows(1)
    await visit.ends("polling")


async def test_where_only_polls_pass_polls_serve(visit: Visit) -> None:
    """Both better transports are hung up on; polls still show each update at once."""
    visit.network.rule = refuses(b"", upgrades, streams)
    await visit.follow()
    await visit.comes(OPEN, 30, step_s=0.1)
    for _ in range(3):
        visit.robot.work()
        await visit.comes(f"seen.updates.at(-1)[1] === '{visit.robot.said[-1]}'", 1, step_s=0.1)
    await visit.ends("polling")


async def test_where_no_answer_may_wait_plain_polls_serve(visit: Visit) -> None:
    """Where waiting polls are hung up on, the client polls without waiting, every two seconds."""
    visit.network.rule = refuses(b"", upgrades, streams, lambda head: b"wait=" in head.partition(b"\r\n")[0])
    await visit.follow()
    await visit.comes("client.transport === 'poll' && client.isConnected", 150, work_every_s=10)
    visit.robot.work()
    await visit.comes(f"seen.updates.at(-1)[1] === '{visit.robot.said[-1]}'", 3, step_s=0.1)
    await visit.ends("poll")


async def test_a_tab_that_sleeps_asks_seldom_and_is_right_when_looked_at(visit: Visit) -> None:
    """A hidden tab polls five times less often, and at once when it is shown."""
    await visit.follow(transports=["poll"])
    await visit.shows()
    await visit.passes(5, 0.5)
    asked = visit.network.count(polls)
    await visit.passes(20, 0.5)
    awake = visit.network.count(polls) - asked
    await visit.hide()
    await visit.passes(10)
    asked = visit.network.count(polls)
    await visit.passes(60)
    assert 8 <= awake <= 11
    assert 5 <= visit.network.count(polls) - asked <= 7
    visit.robot.work(4)
    await visit.sleeps(3600)
    await visit.hide("visible")
    await visit.comes(f"seen.updates.at(-1)[1] === '{visit.robot.said[-1]}'", 12)
    await visit.ends("poll")


@pytest.mark.parametrize("transport", ["websocket", "sse", "polling"])
async def test_a_run_that_ends_while_the_tab_sleeps_is_shown_on_waking(visit: Visit, transport: str) -> None:
    """An hour later the page shows the end, once."""
    await visit.follow(transports=[transport])
    await visit.shows()
    await visit.hide()
    visit.network.is_down = True
    visit.network.cut()
    visit.robot.work(5)
    visit.robot.end()
    await visit.sleeps(3600)
    visit.network.is_down = False
    await visit.hide("visible")
    await visit.comes("client.snapshot().final", 10)
    await visit.comes("client.state === 'closed'", 10)
    await visit.holds()


@pytest.mark.parametrize("transport", ["websocket", "sse", "polling"])
async def test_a_reload_in_mid_run_goes_on_at_its_place(visit: Visit, transport: str) -> None:
    """The reloaded page starts from the stored state and asks only for later updates."""
    await visit.follow(transports=[transport])
    await visit.shows()
    before = (await visit.seen())["updates"]
    visit.network.heads.clear()
    await visit.page.goto("about:blank")
    visit.robot.work(2)
    await visit.follow(transports=[transport])
    await visit.shows()
    after = (await visit.seen())["updates"]
    assert after[0] == before[-1]
    assert [seq for seq, _ in after] == list(range(after[0][0], after[0][0] + 3))
    (head,) = [head for head in visit.network.heads if delivers(head)][:1]
    assert re.search(rb"\?after=\w+(:|%%3A)%d[& ]" % before[-1][0], head)
    await visit.ends(transport, first=before[-1][0])


async def tabs(visit: Visit, number: int, within_s: float = 5) -> list[Page]:
    """Follow the run in *number* tabs of one browser whose clocks run by themselves; each shows data within *within_s*.
    """
    pages = [visit.page, *[await visit.page.context.new_page() for _ in range(number - 1)]]
    for visit.page in pages:
        await visit.page.clock.resume()
        await visit.follow(visit.page)
        await visit.shows(within_s)
    return pages


async def fetches(visit: Visit) -> None:
    """Check that a request of the page's own is answered within a second."""
    fetched = f"fetch('{visit.network.url}/static/rpa-client.js', {{cache: 'no-store'}}).then((answer) => answer.status)"
    async with asyncio.timeout(1):
        assert await visit.page.evaluate(fetched) == 200


async def test_seven_tabs_of_one_browser_are_served(visit: Visit) -> None:
    """Over HTTP/1.1 the seventh tab shows data within 5 s, and a page's own request takes less than one."""
    pages = await tabs(visit, 7)
    await fetches(visit)
    visit.robot.work()
    for visit.page in pages:
        await visit.shows(1)
    assert visit.network.count(delivers) == len(visit.network.delivering) == 7


@pytest.mark.parametrize(
    ("kinds", "within_s"), [((upgrades,), 5), ((upgrades, streams), 10)], ids=["streams", "polls"]
)
async def test_seven_tabs_without_websockets_are_served(
    visit: Visit, kinds: tuple[Callable[[bytes], bool], ...], within_s: float
) -> None:
    """A browser opens six connections to a host: four tabs keep one each, the others poll every 2 s."""
    visit.network.rule = refuses(b"", *kinds)
    pages = await tabs(visit, 7, within_s)
    ways = [await page.evaluate("client.transport") for page in pages]
    assert ways.count("poll") == 3
    assert set(ways) == {"poll", "sse" if len(kinds) == 1 else "polling"}
    for _ in range(3):
        await fetches(visit)
        visit.robot.work()
        for visit.page in pages:
            await visit.shows(3)
    kept = pages[max(index for index, way in enumerate(ways) if way != "poll")]
    await kept.close()
    pages.remove(kept)
    visit.page = await visit.page.context.new_page()
    await visit.page.clock.resume()
    await visit.follow(visit.page)
    await visit.shows(within_s)
    assert await visit.page.evaluate("client.transport") == ({"poll", *ways} - {"poll"}).pop()
    visit.robot.end()
    pages.append(visit.page)
    for visit.page in pages:
        await visit.has("client.state === 'closed'", 20)
        seqs = [seq for seq, _ in (await visit.seen())["updates"]]
        assert seqs == list(range(1, len(visit.robot.said) + 3))
    assert await visit.page.evaluate("navigator.locks.query().then(({held}) => held.length)") == 0


async def test_polls_that_are_swallowed_are_left(visit: Visit) -> None:
    """A proxy that never answers a waiting poll costs twenty seconds, once."""
    waits = b"wait="
    visit.network.rule = refuses(b"", upgrades, streams)
    visit.network.holds = lambda head: waits in head.partition(b"\r\n")[0]
    await visit.follow()
    await visit.comes(OPEN, 30, step_s=0.1)
    visit.robot.work()
    assert await visit.comes(f"seen.updates.at(-1)[1] === '{visit.robot.said[-1]}'", 25) <= 24
    for _ in range(4):
        await visit.passes(60)
        visit.robot.work()
        await visit.comes(f"seen.updates.at(-1)[1] === '{visit.robot.said[-1]}'", 3, step_s=0.1)
    await visit.ends("poll")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_proxy_that_refuses_everything_for_a_while_is_outlived(visit: Visit, status: int) -> None:
    """Error answers of a proxy never make the client give up, before its first update or after."""
    for began in (True, False):
        if not began:
            await visit.shows()
        refusal = answer(status, "No").replace(b"\r\n\r\n", b"\r\nAccess-Control-Allow-Origin: *\r\n\r\n")
        visit.network.rule = refuses(refusal, delivers)
        visit.network.cut()
        if began:
            await visit.follow()
        await visit.passes(90, 1.5)
        assert await visit.page.evaluate("client.state") in ("waiting", "connecting")
        visit.network.rule = lambda head: None
        visit.robot.work()
        await visit.comes(OPEN, 90)
    await visit.shows()
    await visit.comes("client.isConnected && client.transport === 'websocket'", 240, work_every_s=10)
    await visit.shows()
    await visit.ends("websocket")


@pytest.mark.parametrize("code", [1000, 1001, 1012, 1013])
async def test_a_clean_close_is_no_end(visit: Visit, code: int) -> None:
    """After an ordinary close frame the client reconnects."""
    sockets: list[WebSocketRoute] = []

    def passes(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    await visit.page.route_web_socket(RPA, passes)
    await visit.follow()
    await visit.shows()
    await visit.passes(6)
    await sockets[0].close(code=code, reason="bye")
    await visit.has(LOST)
    visit.robot.work()
    await visit.comes(OPEN, 15, step_s=0.1)
    await visit.shows()
    await visit.comes("client.isConnected && client.transport === 'websocket'", 150, work_every_s=10)
    await visit.shows()
    assert len(sockets) == 2
    await visit.ends("websocket")


@pytest.mark.parametrize(("code", "error"), [(4410, None), (4401, "auth"), (4403, "forbidden"), (4404, "not_found")])
async def test_a_final_close_is_an_end(visit: Visit, code: int, error: str | None) -> None:
    """After a close code of 44xx the client does not reconnect: 4410 is the end of the run, the others are errors."""

    async def refuse(socket: WebSocketRoute) -> None:
        await socket.close(code=code, reason="no")

    await visit.page.route_web_socket(RPA, refuse)
    await visit.follow()
    await visit.has("client.state === 'closed'")
    await visit.passes(120, 5)
    assert visit.network.count(delivers) == 0
    seen, stats = await visit.seen(), await visit.stats()
    assert seen["errors"] == ([error] if error else [])
    assert (stats["connects"], stats["live"], stats["timers"]) == (1, 0, 0)


async def test_garbage_repetitions_and_gaps_leave_the_order_right(visit: Visit) -> None:
    """The first socket brings broken JSON, sends everything twice and drops every third update."""
    connections = 0

    def spoil(socket: WebSocketRoute) -> None:
        nonlocal connections
        connections += 1
        server = socket.connect_to_server()
        if connections > 1:
            return

        def pass_on(message: str | bytes) -> None:
            sent = json.loads(message)
            socket.send("\x00{not json")
            if sent.get("seq", 1) % 3 or sent["type"] != "progress_update":
                socket.send(message)
                socket.send(message)
            socket.send('{"type":"?","seq":99}')
            socket.send("[]")

        server.on_message(pass_on)

    await visit.page.route_web_socket(RPA, spoil)
    await visit.follow()
    visit.robot.work(6)
    await visit.shows()
    stats = await visit.stats()
    assert stats["gaps"] >= 1
    assert stats["duplicates"] >= 1
    assert set((await visit.seen())["errors"]) == {"protocol"}
    await visit.ends("websocket")
