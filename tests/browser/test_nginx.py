"""Event streams in a real Chromium, through a real nginx with the shipped configuration."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from tests.support.browser.stage import CHROMIUM
from tests.support.frontends import Site, behind_nginx
from tests.support.server import publish, until
from tests.support.timing import within

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

STEP = {"etapa": 1, "mensagem": "Tela 1"}
#: Opens event streams as the simplest page does: without code for errors or for reconnecting.
OPEN = """
(number) => {
  window.seen = Array.from({length: number}, () => []);
  window.sources = seen.map((list) => {
    const source = new EventSource('/events/a?after=0');
    source.onmessage = (event) => list.push(JSON.parse(event.data));
    return source;
  });
}
"""
SEQS = "seen.map((list) => list.filter((m) => m.type === 'progress_update').map((m) => m.seq))"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server behind an nginx that keeps running while a test stops and starts the server."""
    with behind_nginx(tmp_path / "site") as site:
        yield site


@pytest_asyncio.fixture
async def page(site: Site) -> AsyncIterator[Page]:
    """A page of the site's origin, in a fresh browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page(ignore_https_errors=True)
        await page.goto(f"{site.nginx.url}/api/sessions/a")
        yield page
        await browser.close()


async def seen(page: Page, last: int, timeout_s: float) -> list[list[Any]]:
    """Wait until every stream has update *last*; return the numbers of the updates that each stream got."""
    await page.wait_for_function(f"{SEQS}.every((seqs) => seqs.includes({last}))", timeout=timeout_s * 1000)
    return list(await page.evaluate(SEQS))


async def test_a_dozen_streams_of_one_browser_are_served_at_once(site: Site, page: Page) -> None:
    """Over HTTP/2 a dozen streams and more requests are served at once; over HTTP/1.1 the seventh would wait."""
    last = await publish(site.server, "a", **STEP)
    await page.evaluate(OPEN, 12)
    assert await seen(page, last, 5) == [list(range(1, last + 1))] * 12
    began = time.monotonic()
    assert await page.evaluate("fetch('/api/sessions/a').then((answer) => answer.status)") == 200
    within(time.monotonic() - began, 1.0)
    last = await publish(site.server, "a", **STEP)
    await seen(page, last, 1)


async def test_a_bare_event_source_survives_a_restart(site: Site, page: Page) -> None:
    """While the server is down nginx answers ``retry:``, so that a plain EventSource reconnects and misses nothing."""
    last = await publish(site.server, "a", **STEP)
    await page.evaluate(OPEN, 1)
    await seen(page, last, 5)
    site.server.stop()
    # three log lines: the stream that ended with the server, and two answers of nginx alone
    await until(lambda: site.nginx.access_log.read_text().count('"GET /events/a" 200') >= 3, 15)
    site.server.start()
    last = await publish(site.server, "a", **STEP)
    assert await seen(page, last, 10) == [list(range(1, last + 1))]
