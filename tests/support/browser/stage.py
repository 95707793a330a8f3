"""What browser tests need: marks, a page that fails the test on any error, a site that embeds the widget, and a robot.

The site's pages have the strictest Content-Security-Policy that the widget works with; the robot publishes over HTTP.
"""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import BrowserContext, ConsoleMessage, Dialog, Error, Locator, Page

from tests.support.server import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
#: Chromium without windows, tabs and page cache: the same engine and network stack for less than half of the CPU.
HEADLESS = shutil.which("chromium-headless-shell") or CHROMIUM
DIST = ROOT / "web" / "dist"
MARKUP = "<img src=x onerror=alert(1)>"
NBSP = "\u00a0"
#: Chromium's own console messages about a network that is down.
NETWORK = re.compile(r"WebSocket connection to|Failed to load resource:")

PLAN = {
    "valor": "R$2.914,35", "forma_pagamento": "Crédito em até 10x sem juros", "parcelamento": "anual",
    "valor_franquia": f"R${NBSP}3.890,00", "valor_mercado": "100% da tabela FIPE", "assistencia": True, "vidros": True,
    "carro_reserva": False, "danos_materiais": "R$ 100.000,00", "danos_morais": "N/A", "tipo_franquia": "Reduzida",
}  # fmt: skip
PLANS = {"plano_recomendado": PLAN, "plano_alternativo": {**PLAN, "valor": "R$ 2.487,90"}}
_UNREAD = {field: "N/A" if isinstance(word, str) else False for field, word in PLAN.items()}
#: A quote whose alternative plan could not be read; PRICELESS is a "success" without any price, so no quote.
UNREAD = {**PLANS, "plano_alternativo": _UNREAD}
PRICELESS = dict.fromkeys(PLANS, _UNREAD)
ESTIMATES = {
    "coberturas_detalhadas": [
        {"nome_cobertura": "CompreensivaDe", "valores": {"de": "R$ 2.350,00", "ate": "R$ 2.980,00"}},
        {"nome_cobertura": "RCFDe", "valores": {"de": "R$ 1.150,00"}},
    ]
}
MANUAL = {"status_final": "error", "erro_final": "Cotação manual necessária"}
#: What the widget can show, by a name: the publication that ends the run (None for none), the last step before it, the
#: widget's heading, and another text that it shows.
STATES: dict[str, tuple[dict[str, Any] | None, int, str, str]] = {
    "waiting": (None, -1, "Aguardando o início", "Assim que o robô começar"),
    "running": (None, 8, "Em andamento", "Compreensiva"),
    "success": ({"status_final": "success", "dados_finais": PLANS}, 15, "Cotação concluída", "R$ 2.914,35"),
    "unread": ({"status_final": "success", "dados_finais": UNREAD}, 15, "Cotação concluída", "não informado"),
    "error": ({"status_final": "error", "erro_final": "Placa recusada"}, 2, "Não foi possível concluir", "Placa recusada"),
    "manual": (MANUAL, 15, "Cotação manual necessária", "precisa ser feita por uma pessoa"),
    "expired": ({"status_final": "timeout"}, 7, "Cotação expirada", "A cotação parou antes do fim."),
    "cancelled": ({"status_final": "cancelado"}, 3, "Cotação cancelada", "A cotação parou antes do fim."),
    "offline": (None, 8, "Em andamento", "Sem conexão. Reconectando… seu pedido continua sendo processado."),
    "fault": (None, 8, "Acompanhamento interrompido", "Não foi possível acompanhar a cotação."),
    "stalled": (None, 8, "Em andamento", "Está demorando mais que o normal; ainda em andamento (etapa 8)."),
}

#: For ``pytestmark`` of modules whose tests share one browser, which belongs to the module's event loop.
MARKS = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

WITNESS = """
window.violations = [];
addEventListener('securitypolicyviolation', (e) => violations.push(`${e.violatedDirective} ${e.blockedURI}`));
window.heard = [];
for (const kind of ['progress', 'estimate', 'result', 'error', 'connection', 'stall', 'done']) {
  addEventListener(`rpa:${kind}`, ({type, bubbles, composed, cancelable, target, detail}) =>
    heard.push({kind, bubbles, composed, cancelable, from: target.localName ?? 'document', detail}));
}
"""


@contextlib.asynccontextmanager
async def watched(context: BrowserContext, known: re.Pattern[str] = NETWORK) -> AsyncIterator[Page]:
    """Open a page that fails the test, at the end of the block, if anything went wrong in it.

    Args:
        known: console messages, exceptions, dialogs and policy violations that begin like this are ignored.
    """
    findings: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            findings.append(message.text)

    def on_error(error: Error) -> None:
        findings.append(str(error))

    async def on_dialog(dialog: Dialog) -> None:
        findings.append(f"dialog {dialog.message}")
        await dialog.dismiss()

    page = await context.new_page()
    page.set_default_timeout(10_000)
    page.on("console", on_console)
    page.on("pageerror", on_error)
    page.on("dialog", on_dialog)
    await page.add_init_script(WITNESS)
    yield page
    findings += await page.evaluate("window.violations ?? []")
    assert [text for text in findings if not known.match(text)] == []


class EmbeddingSite:
    """Another site: serves the page that a test gives it, under the strictest policy that the widget works with.

    Args:
        server: the address of rpa-server.

    Attributes:
        body: the page, or what stands in its body.
        connect: the sources that the policy's ``connect-src`` lists.
        more: additional headers of every page.
    """

    def __init__(self, server: str) -> None:
        self.server = server
        self.reset()
        app = web.Application()
        app.router.add_get("/{name:.*}", self._page)
        self._http = TestServer(app, host="127.0.0.1")

    def reset(self) -> None:
        """Set ``body``, ``connect`` and ``more`` to their initial values."""
        self.body = ""
        self.connect = f"{self.server} {self.server.replace('http', 'ws')}"
        self.more: dict[str, str] = {}  # headers

    @property
    def policy(self) -> str:
        """The page's Content-Security-Policy; it forbids inline styles, which the widget does not need."""
        return (
            f"default-src 'none'; script-src {self.server}; connect-src {self.connect}; "
            "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        )

    async def _page(self, request: web.Request) -> web.Response:
        if request.path == "/favicon.ico":
            return web.Response(status=204)
        text = self.body if "<html" in self.body else f'<!doctype html><html lang="pt-BR"><title>Loja</title>{self.body}'
        headers = {"Content-Security-Policy": self.policy, **self.more}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def start(self) -> None:
        await self._http.start_server()

    async def stop(self) -> None:
        await self._http.close()

    @property
    def url(self) -> str:
        return str(self._http.make_url("/"))


class Stage:
    """A robot that publishes one session, and a page, of the embedding site for example, that shows the widget."""

    def __init__(self, http: aiohttp.ClientSession, site: EmbeddingSite, page: Page) -> None:
        self.http = http
        self.site = site
        self.page = page
        self.server = site.server
        self.session = f"s{os.urandom(6).hex()}"

    async def publish(self, *updates: dict[str, Any]) -> None:
        for update in updates:
            async with self.http.post(f"{self.server}/api/sessions/{self.session}/events", json=update) as answer:
                assert answer.status == 201, await answer.text()

    async def run(self, last: int, end: dict[str, Any] | None = None) -> None:
        """Publish the steps from 0 to *last*, the estimates after step 5, and then *end* if there is one."""
        for step in range(last + 1):
            await self.publish({"etapa": step, "mensagem": f"Passo {step}"})
            if step == 5:
                await self.publish({"etapa": 5, "mensagem": "Tela 5 concluída", "estimativas": ESTIMATES})
        if end is not None:
            await self.publish(end)

    @property
    def script(self) -> str:
        return f'<script defer src="{self.server}/static/rpa-progress.js"></script>'

    def element(self, attributes: str = "", inside: str = "Acompanhando…") -> str:
        """Return script and element; with ``session-id`` unless *attributes* have ``session-…`` or ``demo``."""
        if not re.search(r"\b(session-|demo)", attributes):
            attributes = f'{attributes} session-id="{self.session}"'
        return f"{self.script}<rpa-progress {attributes}>{inside}</rpa-progress>"

    async def open(self, attributes: str = "", inside: str = "Acompanhando…", before: str = "", query: str = "") -> None:
        """Show a page of the embedding site with the widget."""
        await self.show(before + self.element(attributes, inside), query)

    async def show(self, body: str, query: str = "") -> None:
        self.site.body = body
        await self.page.goto(self.site.url + query)

    async def open_at_home(self, attributes: str = "", before: str = "", page: Page | None = None) -> None:
        """Show the widget in a page of the server's own origin, without a Content-Security-Policy."""
        page = page or self.page
        body = f'<!doctype html><html lang="pt-BR"><title>Loja</title>{before}{self.element(attributes)}'
        await page.route("**/home", lambda route: route.fulfill(body=body, content_type="text/html"))
        await page.goto(f"{self.server}/home")

    @property
    def widget(self) -> Locator:
        return self.page.locator("rpa-progress")

    def part(self, name: str) -> Locator:
        return self.page.locator(f"rpa-progress [part={name}]")

    async def heard(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of *kind* that bubbled up to the window."""
        events: list[dict[str, Any]] = await self.page.evaluate("heard")
        return [event for event in events if event["kind"] == kind]

    async def refuse(self) -> None:
        """Make all further polls of the page fail with status 403 and code ``forbidden``."""
        body = {"type": "error", "code": "forbidden", "message": "", "temporary": False}
        headers = {"Access-Control-Allow-Origin": "*"}
        await self.page.route("**/api/sessions/**", lambda route: route.fulfill(status=403, json=body, headers=headers))
        await self.publish({"etapa": 9, "mensagem": "Passo 9"})  # an update, so that the waiting poll returns

    async def run_clock(self, seconds: int) -> None:
        """Advance the page's clock in steps of 5 s, with 10 ms of real time after each for the network to answer."""
        for _ in range(seconds // 5):
            await self.page.clock.run_for(5_000)
            await asyncio.sleep(0.01)


async def findings_of_axe(axe: str, page: Page, selector: str = "rpa-progress") -> list[str]:
    """Return the violations that axe (its source is *axe*) finds in the elements that match *selector*."""
    await page.clock.resume()  # axe uses timers, which a paused clock would stop
    await page.evaluate(axe)
    found = await page.evaluate("(selector) => axe.run(selector, {resultTypes: ['violations']})", selector)
    assert found["passes"], "axe looked at nothing"
    return [
        f"{rule['id']}: {node['html']} {node['failureSummary']}" for rule in found["violations"] for node in rule["nodes"]
    ]
