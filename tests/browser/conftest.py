"""Fixtures of the browser tests: servers as processes, another site with the widget in it, and pages of Chromium."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.support.browser.stage import HEADLESS, EmbeddingSite, Stage, watched
from tests.support.server import RedisServer, Server


@pytest.fixture(scope="session")
def axe(tools: Path) -> str:
    """The source of axe-core, which finds accessibility problems in a page."""
    return (tools / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of a server process on files alone; pages of every origin may read its sessions."""
    process = Server(tmp_path_factory.mktemp("widget") / "rpa_data", RPA_ALLOWED_ORIGINS="*")
    process.start()
    yield process.url
    process.stop()


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, shared_redis: RedisServer) -> Iterator[Server]:
    """A server process on the shared Redis; pages of every origin may read its sessions."""
    process = Server(tmp_path_factory.mktemp("client") / "rpa_data", shared_redis.url, RPA_ALLOWED_ORIGINS="*")
    process.start()
    yield process
    process.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: str) -> AsyncIterator[EmbeddingSite]:
    site = EmbeddingSite(server)
    await site.start()
    yield site
    await site.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    arguments.append("--host-resolver-rules=MAP shop.test 127.0.0.1")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=HEADLESS, args=arguments)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 640, "height": 800})
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page whose errors, dialogs and policy violations fail the test; Chromium's own network errors don't."""
    async with watched(context) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def stage(http: aiohttp.ClientSession, site: EmbeddingSite, page: Page) -> Stage:
    site.reset()
    return Stage(http, site, page)
