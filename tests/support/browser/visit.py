"""A page with the bare client in a real Chromium, a working robot, and between page and server a network that fails.

The page has another origin and the strictest policy. Its clock can be moved by the test; the network is a proxy, so its
failures happen in real time, as bytes that do not arrive.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import redis
from playwright.async_api import BrowserContext, Page

from rpa_server.tracker import ProgressTracker
from tests.support.browser.network import Network
from tests.support.browser.stage import NETWORK, PLANS, EmbeddingSite, watched
from tests.support.server import PATIENCE_S, until

#: Runs in every page: defines follow(), which starts a client and records its events in ``window.seen``.
FOLLOW = """
window.follow = (id, options) => {
  const seen = window.seen = {updates: [], states: [], errors: [], ends: 0};
  const client = window.client = new RPAProgressClient(id, {replay: true, ...options});
  client.addEventListener('rpa:progress', ({detail}) => seen.updates.push([detail.seq, detail.mensagem]));
  client.addEventListener('rpa:connection', ({detail}) =>
    seen.states.push([detail.state, detail.transport, detail.error?.code ?? '']));
  client.addEventListener('rpa:error', ({detail}) => seen.errors.push(detail.code));
  client.addEventListener('rpa:done', () => seen.ends++);
  client.connect();
};
"""
#: Fields of the client's final snapshot that must equal the server's.
SHOWN = ("epoch", "seq", "etapa_atual", "percentual", "mensagem", "estado", "final", "resultado", "estimativas", "erros")


class TrackedRun:
    """A run that our tracker reports to a real Redis.

    Attributes:
        session: its session id.
        said: the ``mensagem`` of each step so far, in order.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.session = f"s{os.urandom(6).hex()}"
        self._tracker = ProgressTracker(session_id=self.session, redis_client=client, usar_arquivo=False)
        self.said: list[str] = []

    def work(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.said.append(f"Passo {len(self.said) + 1}")
            self._tracker.update_progress(min(15, len(self.said)), self.said[-1])

    def end(self) -> None:
        self._tracker.finalizar("success", dict(PLANS))
        assert self._tracker.lost == 0


class Visit:
    """A page that follows a robot's run through a network; see visiting()."""

    def __init__(self, page: Page, network: Network, robot: TrackedRun, site: EmbeddingSite) -> None:
        self.page = page
        self.network = network
        self.robot = robot
        self.site = site

    async def follow(self, page: Page | None = None, **options: Any) -> None:
        """Open the site's page and follow the run in it; *options* are those of RPAProgressClient."""
        page = page or self.page
        self.site.body = f'<script src="{self.site.server}/static/rpa-client.js"></script>'
        await page.goto(self.site.url)
        await self.begin(page, **options)

    async def open(self, origin: str, body: str) -> None:
        """Show a page that the network itself serves, without any policy; *origin* must lead to the network."""
        text = f'<!doctype html><html lang="pt-BR"><meta charset="utf-8"><title>Loja</title>{body}'.encode()
        page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + text
        # Not by page.route(): such a page comes from no IP address, so Chromium blocks its WebSockets to localhost.
        self.network.rule = lambda head: page if head.startswith(b"GET /home") else None
        await self.page.goto(f"{origin}/home")

    async def begin(self, page: Page | None = None, **options: Any) -> None:
        """Follow the run in a page that is open already."""
        page = page or self.page
        await page.evaluate("([id, options]) => follow(id, options)", [self.robot.session, options])

    async def has(self, state: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the JavaScript expression *state* is true in the page, while the page's clock runs by itself.

        Playwright's own wait_for_function() needs eval, which the page's policy forbids.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not await self.page.evaluate(state):  # noqa: ASYNC110 - the page sends no event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{state} never: {await self.seen()} {await self.stats()}") from None

    async def comes(self, state: str, within_s: float, work_every_s: float = 0, step_s: float = 0.5) -> float:
        """Advance the page's clock until a JavaScript expression is true in the page; return the seconds by that clock.

        Args:
            state: the expression.
            within_s: the most seconds, by the page's clock.
            work_every_s: the robot reports a step each time this many seconds have passed; 0 for none.
            step_s: by how much the clock is advanced at once.
        """
        passed = 0.0
        while not await self.page.evaluate(state):
            assert passed < within_s, f"{state} not within {within_s} s: {await self.seen()} {await self.stats()}"
            await self.passes(step_s, step_s)
            if work_every_s and passed // work_every_s != (passed + step_s) // work_every_s:
                self.robot.work()
            passed += step_s
        return passed

    async def passes(self, seconds: float, step_s: float = 1.0) -> None:
        """Advance the page's clock in steps, with 15 ms of real time after each for the network."""
        for _ in range(round(seconds / step_s)):
            await self.page.clock.run_for(int(step_s * 1000))
            await asyncio.sleep(0.015)

    async def sleeps(self, seconds: float) -> None:
        """Advance the page's clock in one jump: timers fire late and once, as after the computer has slept."""
        await self.page.clock.fast_forward(int(seconds * 1000))

    async def shows(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the page has received the robot's last update."""
        await self.has(f"seen.updates.at(-1)?.[1] === '{self.robot.said[-1]}'", timeout_s)

    async def seen(self) -> dict[str, Any]:
        return dict(await self.page.evaluate("seen"))

    async def stats(self) -> dict[str, int]:
        return dict(await self.page.evaluate("client.stats()"))

    async def opened(self) -> list[str]:
        """Return the transports over which the client connected, in order."""
        return [transport for state, transport, _ in (await self.seen())["states"] if state == "open"]

    async def hide(self, state: str = "hidden") -> None:
        """Set the page's visibility and report the change, since a tab of headless Chromium is never hidden."""
        await self.page.evaluate(
            "(state) => { Object.defineProperty(document, 'visibilityState', {value: state, configurable: true});"
            " Object.defineProperty(document, 'hidden', {value: state === 'hidden', configurable: true});"
            " document.dispatchEvent(new Event('visibilitychange')); }",
            state,
        )

    async def ends(self, transport: str, first: int = 1) -> None:
        """End the run and check what must hold after every visit, see holds().

        Before the end only *transport* is open, over one connection; after it no connection is left.
        """
        before = await self.stats()
        assert (before["live"], before["probing"]) == (1, 0)
        assert await self.page.evaluate("[client.state, client.transport]") == ["open", transport]
        if transport in ("websocket", "sse"):
            await until(lambda: len(self.network.delivering) == 1)
        self.robot.end()
        await self.comes("client.state === 'closed'", 30)
        await self.holds(first)
        await until(lambda: not self.network.delivering)

    async def holds(self, first: int = 1) -> None:
        """Check what the client received, and that it stopped.

        Its final state is the server's; every update from number *first* on came once and in order; no connection, no
        attempt to connect and no timer is left.
        """
        seen, stats = await self.seen(), await self.stats()
        state = await self.page.evaluate("client.snapshot()")
        async with aiohttp.ClientSession() as http, http.get(self._address) as answer:
            truth = (await answer.json())["snapshot"]
        assert {key: state.get(key) for key in SHOWN} == {key: truth.get(key) for key in SHOWN}
        assert [seq for seq, _ in seen["updates"]] == list(range(first, truth["seq"] + 1))
        said = [message for _, message in seen["updates"] if message in self.robot.said]
        assert said == self.robot.said[len(self.robot.said) - len(said) :]
        assert first > 1 or said == self.robot.said
        assert seen["ends"] == 1
        assert state["final"]
        assert (stats["live"], stats["probing"], stats["timers"]) == (0, 0, 0)

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self.network._target}/api/sessions/{self.robot.session}"


@contextlib.asynccontextmanager
async def visiting(
    context: BrowserContext, port: int, client: redis.Redis, known: re.Pattern[str] = NETWORK
) -> AsyncIterator[Visit]:
    """Yield a Visit that reaches the server on *port* through its own proxy; *known*: see stage.watched()."""
    async with Network(port).running() as network, watched(context, known) as page:
        assert isinstance(network, Network)
        site = EmbeddingSite(network.url)
        await site.start()
        await context.add_init_script(FOLLOW)
        await page.clock.install()
        try:
            yield Visit(page, network, TrackedRun(client), site)
        finally:
            network.thaw()
            network.cut()
            await context.set_offline(False)
            await site.stop()
