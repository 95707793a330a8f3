"""The client in pages with strict policies, with TLS, in the back-forward cache, and beside the page's own clients."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import redis
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.support.browser.network import delivers
from tests.support.browser.stage import CHROMIUM, MARKS, NETWORK, PLANS
from tests.support.browser.visit import Visit, visiting
from tests.support.faults.relay import upgrades
from tests.support.frontends import certificate
from tests.support.server import Server

pytestmark = MARKS

OPEN = "client.isConnected"
#: Chromium's own console messages about policies and mixed content, which these tests provoke.
FORBIDDEN = re.compile(NETWORK.pattern + r"|Connecting to '|Fetch API cannot load|connect-src ")
MIXED = re.compile(NETWORK.pattern + r"|Mixed Content: The page at .* requested an insecure script")
#: Clients and a modal of the page's own, as classes here and as globals below; they must go on working.
CLASSES = """
  class RPAWebSocketClient { whose() { return 'page'; } }
  class RPAProgressClient { whose() { return 'page'; } }
  class ProgressModalRPA {
    constructor() { this.ticks = 0; setInterval(() => { this.ticks++; }, 100); }
    whose() { return 'page'; }
  }
  window.modal = new ProgressModalRPA();
"""
GLOBALS = """
  window.RPAWebSocketClient = function () { this.whose = () => 'page'; };
  window.ProgressModalRPA = function () {
    this.whose = () => 'page';
    this.ticks = 0;
    setInterval(() => { this.ticks++; }, 100);
  };
  window.modal = new ProgressModalRPA();
"""
JQUERY = """
  window.jQuery = window.$ = (selector) => ({text: (words) => { document.querySelector(selector).textContent = words; }});
  window.dollar = $;
"""
ELEMENT = """
  customElements.define('rpa-progress', class extends HTMLElement {
    connectedCallback() { this.textContent = 'o meu'; }
  });
"""


@pytest_asyncio.fixture(loop_scope="module")
async def visit(context: BrowserContext, followed: Server, client: redis.Redis) -> AsyncIterator[Visit]:
    async with visiting(context, followed.port, client) as visit:
        visit.robot.work(3)
        yield visit


async def test_a_policy_without_ws_leaves_the_stream(
    context: BrowserContext, followed: Server, client: redis.Redis
) -> None:
    """If the page's policy blocks WebSockets, the error is ``csp_blocked`` and the client uses the event stream."""
    async with visiting(context, followed.port, client, FORBIDDEN) as visit:
        visit.robot.work(3)
        visit.site.connect = visit.network.url
        await visit.follow()
        await visit.comes(OPEN, 3, step_s=0.1)
        await visit.shows()
        assert (await visit.seen())["errors"] == ["csp_blocked"]
        assert visit.network.count(upgrades) == 0
        await visit.ends("sse")


async def test_a_policy_that_only_reports_forbids_nothing(visit: Visit) -> None:
    """Under a policy that only reports, failed connections are ``network`` errors, not ``csp_blocked``, and retried."""
    visit.site.more = {"Content-Security-Policy-Report-Only": "connect-src 'none'"}
    visit.network.rule = lambda head: b"" if delivers(head) else None
    await visit.follow()
    await visit.passes(40, 0.25)
    assert set((await visit.seen())["errors"]) == {"network"}
    assert await visit.page.evaluate("client.state") in ("waiting", "connecting")
    reported = "violations.splice(0).filter((text) => text.startsWith('connect-src')).length"
    assert await visit.page.evaluate(reported) > 0
    visit.network.rule = lambda head: None
    await visit.comes(OPEN, 60)
    await visit.shows()
    await visit.ends(await visit.page.evaluate("client.transport"))
    await visit.page.evaluate("violations.splice(0)")


async def test_a_policy_that_forbids_everything_is_reported(
    context: BrowserContext, followed: Server, client: redis.Redis
) -> None:
    """If the page's policy blocks every transport, the error is ``csp_blocked`` and the client stops for good."""
    async with visiting(context, followed.port, client, FORBIDDEN) as visit:
        visit.site.connect = "'none'"
        await visit.follow()
        await visit.has("client.state === 'closed'", 10)
        assert set((await visit.seen())["errors"]) == {"csp_blocked"}
        await visit.passes(60, 5)
        stats = await visit.stats()
        assert (stats["live"], stats["probing"], stats["timers"]) == (0, 0, 0)
        assert visit.network.count(delivers) == 0


async def test_an_encrypted_page_is_served_encrypted_or_shows_why_not(
    browser: Browser, followed: Server, client: redis.Redis, tmp_path: Path
) -> None:
    """A page on https connects by wss; an http ``baseUrl`` is refused without connecting, an http script is not run."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate(tmp_path))
    context = await browser.new_context(ignore_https_errors=True)
    async with contextlib.AsyncExitStack() as stack, visiting(context, followed.port, client, MIXED) as visit:
        stack.push_async_callback(context.close)
        visit.robot.work(3)
        front = await asyncio.start_server(visit.network._serve, "127.0.0.1", 0, ssl=tls)
        stack.callback(front.close)
        encrypted = f"https://shop.test:{front.sockets[0].getsockname()[1]}"
        plain = f"http://shop.test:{visit.network.port}"
        sockets: list[str] = []
        visit.page.on("websocket", lambda socket: sockets.append(socket.url))
        await visit.open(encrypted, f'<script src="{plain}/static/rpa-client.js"></script>')
        assert await visit.page.evaluate("typeof RPAProgressClient") == "undefined"
        await visit.open(encrypted, f'<script src="{encrypted}/static/rpa-client.js"></script>')
        await visit.begin(baseUrl=plain)
        assert await visit.page.evaluate("[client.state, seen.errors]") == ["closed", ["mixed_content"]]
        assert visit.network.count(delivers) == 0
        await visit.begin()
        await visit.shows()
        assert sockets
        assert all(url.startswith(encrypted.replace("https", "wss")) for url in sockets)
        await visit.ends("websocket")


async def test_trap_8_a_page_in_the_real_cache_goes_on_when_it_comes_back(followed: Server, client: redis.Redis) -> None:
    """The browser's Back restores a page whose client was waiting to reconnect; the client then connects within 2 s."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu"],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        async with visiting(await browser.new_context(), followed.port, client) as visit:
            visit.robot.work(3)
            await visit.follow()
            await visit.shows()
            visit.network.rule = lambda head: b"" if delivers(head) else None
            visit.network.cut()
            await visit.has("client.state === 'waiting'")
            await visit.page.evaluate("addEventListener('pageshow', (event) => { window.kept = event.persisted; })")
            await visit.page.goto(f"{visit.network.url}/health/live")
            visit.robot.work(2)
            visit.network.rule = lambda head: None
            await visit.page.go_back(wait_until="commit")
            assert await visit.page.evaluate("window.kept"), "this browser keeps no pages"
            await visit.has(OPEN, 2)
            await visit.shows()
            await visit.ends("websocket")
        await browser.close()


@pytest.mark.parametrize("own", [CLASSES, GLOBALS], ids=["classes", "globals"])
@pytest.mark.parametrize("is_first", [True, False], ids=["theirs first", "ours first"])
async def test_the_page_s_own_clients_and_ours_get_along(visit: Visit, own: str, is_first: bool) -> None:
    """A page's own clients, modal and jQuery and our scripts, loaded twice, all work, whichever are loaded first."""
    ours = "".join(
        f'<script src="{visit.network.url}/{name}"></script>'
        for name in (
            "static/rpa-client.js",
            "static/rpa-progress.js",
            "webflow_progress_tracker.js",
            "static/rpa-client.js",
        )
    )
    theirs = f"<script>{JQUERY}{own}</script>"
    shown = (
        f'<p id="own">?</p><rpa-progress session-id="{visit.robot.session}" base-url="{visit.network.url}">…</rpa-progress>'
    )
    await visit.open(visit.network.url, (theirs + ours if is_first else ours + theirs) + shown)
    await expect(visit.page.locator("rpa-progress [part=label]")).to_have_text("Passo 3")
    await visit.page.evaluate("$('#own').text('jQuery')")
    await expect(visit.page.locator("#own")).to_have_text("jQuery")
    assert await visit.page.evaluate("new RPAWebSocketClient('x').whose()") == "page"
    assert await visit.page.evaluate("[$ === dollar, jQuery === dollar, modal.whose()]") == [True, True, "page"]
    ticks = await visit.page.evaluate("modal.ticks")
    await visit.passes(1, 0.5)
    assert await visit.page.evaluate("modal.ticks") > ticks
    visit.robot.end()
    await expect(visit.page.locator("rpa-progress [part=plan-price]")).to_have_count(len(PLANS))
    await expect(visit.page.locator("rpa-progress [part=base]")).to_have_count(1)
    assert visit.network.count(upgrades) == 1


async def test_beside_another_element_of_our_name_the_client_works(visit: Visit) -> None:
    """If the page defines its own ``rpa-progress`` element, that stays as it is, and code can still use our client."""
    ours = f'<script src="{visit.network.url}/static/rpa-progress.js"></script>' * 2
    await visit.open(visit.network.url, f"<script>{ELEMENT}</script>{ours}<rpa-progress></rpa-progress>")
    await expect(visit.page.locator("rpa-progress")).to_have_text("o meu")
    await visit.begin()
    await visit.shows()
    await visit.ends("websocket")
