"""Pages of other origins in a real Chromium: what CORS and the Origin check let them do."""

import functools
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from tests.support.browser.stage import CHROMIUM
from tests.support.server import Server, running

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

#: What a page of another site tries; each attempt returns what the page could read, or "refused".
SCRIPT = """
async ([kind, base]) => {
  const refused = () => 'refused';
  const tries = {
    poll: () => fetch(`${base}/api/sessions/a`).then(async (first) => {
      const tag = first.headers.get('ETag');
      const again = await fetch(`${base}/api/sessions/a`, {headers: {'If-None-Match': tag}, cache: 'no-store'});
      return [(await first.json()).seq, again.status];
    }),
    unknown: () => fetch(`${base}/api/sessions/b`).then(async (answer) => [answer.status, (await answer.json()).code]),
    stream: () => fetch(`${base}/events/a?after=0`).then(async (answer) => {
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!text.includes('"seq":2')) text += (await reader.read()).value;
      await reader.cancel();
      return text.startsWith('retry: ');
    }),
    events: () => new Promise((done) => {
      const source = new EventSource(`${base}/events/a`);
      source.onmessage = (event) => { source.close(); done(JSON.parse(event.data).type); };
      source.onerror = () => { source.close(); done('refused'); };
    }),
    socket: () => new Promise((done) => {
      const socket = new WebSocket(`${base.replace('http', 'ws')}/rpa/a`, 'rpa.v1');
      socket.onmessage = (event) => { socket.close(); done(JSON.parse(event.data).type); };
      socket.onerror = () => done('refused');
    }),
    list: () => fetch(`${base}/api/sessions`).then((answer) => answer.status),
    publish: () => fetch(`${base}/api/sessions/a/events`, {
      method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{"etapa": 9, "mensagem": "forjada"}',
    }).then((answer) => answer.status),
    forge: () => fetch(`${base}/api/sessions/a/events`, {method: 'POST', mode: 'no-cors', body: '{"etapa": 9}'})
      .then((answer) => answer.type),
  };
  return Promise.resolve(tries[kind]()).catch(refused);
}
"""
READ = {"poll": [2, 304], "unknown": [404, "session_not_found"], "stream": True, "events": "sync", "socket": "sync"}
#: Attempts with which no page of another site succeeds; "opaque": the request was sent, the response is unreadable.
NEVER = {"list": "refused", "publish": "refused", "forge": "opaque"}


class _Blank(BaseHTTPRequestHandler):
    """Answers every request with an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Log no requests."""


@pytest.fixture
def site() -> Iterator[int]:
    """The port of another web server; on it 127.0.0.1 and localhost are two origins."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Blank) as server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, 0.05))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest_asyncio.fixture
async def page() -> AsyncIterator[Page]:
    """A page of a browser that runs for one test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield await browser.new_page()
        await browser.close()


async def tried(page: Page, origin: str, base: str) -> dict[str, Any]:
    """Make every attempt of SCRIPT on the server at *base* from a page of *origin*; return the results by name."""
    await page.goto(origin)
    return {kind: await page.evaluate(SCRIPT, [kind, base]) for kind in (*READ, *NEVER)}


async def test_pages_on_the_list_read_and_others_see_nothing(page: Page, site: int, data_dir: Path) -> None:
    """A page of an allowed origin reads a session by every transport, any other by none; neither page can publish."""
    with running(Server(data_dir, RPA_ALLOWED_ORIGINS=f"http://127.0.0.1:{site}")) as server:
        async with aiohttp.ClientSession(server.url) as http:
            assert (await http.post("/api/sessions/a/events", json={"etapa": 1, "mensagem": "Tela 1"})).status == 201
        assert await tried(page, f"http://127.0.0.1:{site}/", server.url) == {**READ, **NEVER}
        assert await tried(page, f"http://localhost:{site}/", server.url) == dict.fromkeys(READ, "refused") | NEVER
        await page.goto(f"{server.url}/health/live")
        assert await page.evaluate(SCRIPT, ["poll", server.url]) == [2, 304]
