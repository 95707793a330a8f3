"""Fixtures of the browser tests that embed the widget."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Error, Page, async_playwright

from .. import test_web
from ..support import Server
from .stage import CHROMIUM, NETWORK, WITNESS, Site, Stage

#: What npm installs, for browser tests too.
tools = test_web.tools


@pytest.fixture(scope="session")
def axe(tools: Path) -> str:
    """The program that finds what hinders people; npm brings it."""
    return (tools / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The server as a process, open to pages of other origins."""
    process = Server(tmp_path_factory.mktemp("widget") / "rpa_data", RPA_ALLOWED_ORIGINS="*")
    process.start()
    yield process.url
    process.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: str) -> AsyncIterator[Site]:
    site = Site(server)
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
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 640, "height": 800})
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page whose every error, dialog and policy violation fails the test; the network's own words do not."""
    complaints: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not NETWORK.match(message.text):
            complaints.append(message.text)

    def on_error(error: Error) -> None:
        complaints.append(str(error))

    async def on_dialog(dialog: Dialog) -> None:
        complaints.append(f"dialog {dialog.message}")
        await dialog.dismiss()

    page = await context.new_page()
    page.set_default_timeout(10_000)
    page.on("console", on_console)
    page.on("pageerror", on_error)
    page.on("dialog", on_dialog)
    await page.add_init_script(WITNESS)
    yield page
    complaints += await page.evaluate("window.violations ?? []")
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="module")
async def stage(http: aiohttp.ClientSession, site: Site, page: Page) -> Stage:
    return Stage(http, site, page)
