"""The operator's page in a real Chromium, from a real server under its real security policy.

Two tests show a demo run. The others script the server's answers: no real run can be asked to restart its server at a
given update or to fill its fields with markup.
"""

import asyncio
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, Route, WebSocketRoute, expect

from tests.support.browser.stage import MARKS, MARKUP, watched

START_S = 20.0
STOP_S = 10.0
GRACE_S = 0.1  # long enough for a wrong second request to appear
EPOCH = "5f0c9a1be2d34c77"
RPA = re.compile(r"/rpa/")

#: Chromium's own console message about a 403, which one test provokes.
FORBIDDEN = re.compile(r"Failed to load resource: .* status of 403")

pytestmark = MARKS

# Playwright's wait_for_function needs eval, which the page's policy forbids. So a script in the page records each value
# of the bar, with the number of estimates shown at that moment.
BAR = """
window.bar = [];
addEventListener('rpa:connection', ({target: {shadowRoot}}) => {
  const node = shadowRoot.querySelector('[role=progressbar]');
  new MutationObserver(() => bar.push([Number(node.getAttribute('aria-valuenow')),
    shadowRoot.querySelectorAll('[part=estimate] [part=item]').length]))
    .observe(node, {attributeFilter: ['aria-valuenow']});
}, {once: true});
"""


@contextmanager
def running_demo(log: Path, speed: int = 20) -> Iterator[str]:
    """Run the demo and yield the address that it prints; after the block it must end with status 0 on SIGTERM.

    Args:
        speed: times the recorded speed; at 20 the run is over in two seconds, too early for a test during the run.
    """
    command = [sys.executable, "-m", "rpa_server", "demo", "--port", "0", "--speed", str(speed)]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, bufsize=0) as process,
    ):
        try:
            yield printed_address(process, log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_S) == 0, log.read_text()
        finally:
            process.kill()


def printed_address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + START_S
    while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        line = process.stdout.readline().decode()
        if found := re.search(r"http://127\.0\.0\.1:\d+/\?session=[\w.-]+", line):
            return found[0]
        if not line:
            break
    pytest.fail(f"the demo printed no address\n{log.read_text()}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a running demo, for the tests that script their own run."""
    with running_demo(tmp_path_factory.mktemp("demo") / "stderr.log") as address:
        yield address.partition("/?")[0]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[str]:
    """The address of a demo that has just begun; request it before ``page``, so that the demo outlives the page."""
    with running_demo(tmp_path / "stderr.log", speed=4) as address:
        yield address


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page whose errors, dialogs and policy violations fail the test; Chromium's message about a 403 does not."""
    async with watched(context, FORBIDDEN) as page:
        await page.set_viewport_size({"width": 1000, "height": 800})
        await page.add_init_script(BAR)
        yield page


async def screenshot(page: Page, name: str, tmp_path: Path) -> None:
    """Save a screenshot with the test's files, and in RPA_SCREENSHOTS, if set, for a person to look at."""
    kept = os.environ.get("RPA_SCREENSHOTS")
    for folder in [tmp_path, Path(kept)] if kept else [tmp_path]:
        await page.screenshot(path=folder / f"{name}.png", full_page=True)


def update(seq: int, **fields: Any) -> dict[str, Any]:
    return {
        "type": "progress_update", "epoch": EPOCH, "seq": seq, "final": False, "estado": "executando",
        "session_id": "s1", "evento": "progresso", "etapa": 1, "total_etapas": 15, "percentual": 6.7,
        "status": "executando", "mensagem": "", "timestamp": "2025-01-02T10:00:00.000001", "dados_extra": {},
    } | fields  # fmt: skip


def snapshot(**fields: Any) -> dict[str, Any]:
    return {
        "session_id": "s1", "etapa_atual": 1, "total_etapas": 15, "percentual": 6.7, "status": "executando",
        "mensagem": "", "timestamp_inicio": "2025-01-02T10:00:00",
        "timestamp_atualizacao": "2025-01-02T10:01:15", "dados_extra": {}, "erros": [], "epoch": EPOCH,
        "seq": 1, "estado": "executando", "final": False, "estimativas": None, "resultado": None,
    } | fields  # fmt: skip


def sync(state: dict[str, Any] | None = None, *, recovered: bool = False) -> dict[str, Any]:
    return {
        "type": "sync", "session_id": "s1", "epoch": EPOCH, "seq": state["seq"] if state else 0,
        "recovered": recovered, "snapshot": state, "heartbeat_ms": 15000,
    }  # fmt: skip


class Script:
    """The server's side of the page's WebSocket: keeps every connection, sends the n-th one the messages greet(n)."""

    def __init__(self, page: Page, greet: Callable[[int], list[dict[str, Any]]]) -> None:
        self.page = page
        self.greet = greet
        self.sockets: list[WebSocketRoute] = []

    async def open(self, site: str) -> None:
        await self.page.route_web_socket(RPA, self._accept)
        await self.page.goto(f"{site}/?session=s1")
        await expect(self.page.locator("#connection")).to_have_text("Ao vivo")

    def _accept(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        for message in self.greet(len(self.sockets)):
            socket.send(json.dumps(message))

    def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.sockets[-1].send(json.dumps(message))

    def cursor(self, index: int) -> str:
        return parse_qs(urlsplit(self.sockets[index].url).query)["after"][0]


async def test_demo_run_is_followed_to_its_end(page: Page, tmp_path: Path) -> None:
    """During a demo run the bar only moves forward, the estimates come before the end, and the end shows both plans."""
    with running_demo(tmp_path / "stderr.log", speed=8) as address:
        await page.goto(address)
        await expect(page.locator("#connection")).to_have_text("Ao vivo")
        price_range = re.compile(r"De R\$\s[\d.]+,\d\d até R\$\s[\d.]+,\d\d$")
        await expect(page.locator("[part=estimate] [part=item]").first).to_have_text(price_range)
        await expect(page.locator("[part=steps]")).to_have_text(re.compile(r"^Etapa \d+ de 15$"))
        await expect(page.locator("[part=state]")).to_have_text("Em andamento")
        await screenshot(page, "mid-run", tmp_path)
        await expect(page.locator("[part=state]")).to_have_text("Cotação concluída", timeout=40_000)
        await expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
        await expect(page.locator("[part=percent]")).to_have_text("100%")
        await expect(page.locator("[part=plan-price]")).to_have_text([re.compile(r"^R\$\s[\d.]+,\d\d$")] * 2)
        await expect(page.locator("#connection")).to_have_text("Encerrado")
        assert await page.title() == "Cotação concluída · Cotação"
        await page.locator("[part=log] summary").click()
        await expect(page.locator("[part=log] [part=item]").first).to_be_visible()
        await screenshot(page, "end", tmp_path)
    seen: list[tuple[float, int]] = [(value, tiles) for value, tiles in await page.evaluate("bar")]
    values = [value for value, _ in seen]
    assert values == sorted(values)
    assert len(set(values)) >= 5
    assert any(tiles for value, tiles in seen if value < 100)


async def test_list_links_to_the_session(demo: str, page: Page, tmp_path: Path) -> None:
    """The start page lists the demo's session and links to its run."""
    site, _, session = demo.partition("/?session=")
    await page.goto(site)
    row = page.locator("#sessions a").filter(has_text=session)
    await expect(row).to_have_attribute("href", f"/?session={session}")
    await expect(row).to_contain_text("Em andamento")
    await screenshot(page, "list", tmp_path)
    await row.click()
    await expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile(r"^\d"))
    await expect(page.locator("#session-id")).to_have_text(session)


async def test_list_puts_running_sessions_first(page: Page, site: str) -> None:
    """A run in progress is shown above a finished one, whatever their order in the server's answer."""
    rows = [
        {"session_id": name, "etapa_atual": 3, "total_etapas": 15, "percentual": 20.0, "estado": estado,
         "final": final, "mensagem": "", "timestamp_atualizacao": "2025-01-02T10:00:00"}
        for name, estado, final in [("new", "sucesso", True), ("old", "executando", False)]
    ]  # fmt: skip
    await page.route("**/api/sessions", lambda route: route.fulfill(json={"sessions": rows}))
    await page.goto(site)
    await expect(page.locator("#sessions .row-id")).to_have_text(["old", "new"])


async def test_empty_list_is_said_in_a_sentence(page: Page, site: str) -> None:
    """If there are no sessions the start page says so in a sentence."""
    await page.route("**/api/sessions", lambda route: route.fulfill(json={"sessions": []}))
    await page.goto(site)
    await expect(page.locator("#list-note")).to_contain_text("Nenhuma cotação ainda")


async def test_list_is_never_asked_for_twice_at_once(page: Page, site: str) -> None:
    """While a request for the session list is unanswered no second one is made; after each answer another one is."""
    requests: list[Route] = []

    def hold(route: Route) -> None:
        requests.append(route)

    await page.clock.install()
    await page.route("**/api/sessions", hold)
    await page.goto(site)
    await page.clock.run_for(9_000)
    await asyncio.sleep(GRACE_S)
    assert len(requests) == 1
    await requests[0].fulfill(json={"sessions": []})
    await expect(page.locator("#list-note")).to_contain_text("Nenhuma")
    async with page.expect_request("**/api/sessions"):
        await page.clock.run_for(2_100)
    await page.clock.run_for(5_000)
    await asyncio.sleep(GRACE_S)
    assert len(requests) == 2


async def test_forbidden_list_becomes_a_form(page: Page, site: str) -> None:
    """If the session list is forbidden the page asks for a session id, refuses an invalid one and opens a valid one."""
    refusal = {"type": "error", "code": "forbidden", "message": "", "temporary": False}
    await page.route("**/api/sessions", lambda route: route.fulfill(json=refusal, status=403))
    await page.goto(site)
    field = page.get_by_label("Código da sessão")
    await field.fill("../x")
    await field.press("Enter")
    assert urlsplit(page.url).query == ""
    await field.fill("s1")
    await field.press("Enter")
    await page.wait_for_url("**/?session=s1")


async def test_markup_in_every_field_is_shown_as_text(page: Page, site: str) -> None:
    """Markup that a robot put into the fields of updates, estimates and plans is shown as text."""
    plan = dict.fromkeys(["valor", "forma_pagamento", "valor_franquia", "vidros", "danos_morais"], MARKUP)
    cover = {"nome": MARKUP, "valores": {"de": MARKUP, "ate": MARKUP}}
    script = Script(page, lambda _: [sync(recovered=True)])
    await script.open(site)
    script.send(
        update(
            1, mensagem=MARKUP, estado=MARKUP, evento=MARKUP, status=MARKUP, timestamp=MARKUP,
            total_etapas=MARKUP, estimativas={"coberturas_detalhadas": [cover]},
        ),
        update(
            2, mensagem=f"{MARKUP} final", estado="erro", evento="final", final=True, erro=MARKUP,
            resultado={"plano_recomendado": plan, "plano_alternativo": plan},
        ),
    )  # fmt: skip
    await expect(page.locator("[part=error]")).to_have_text(MARKUP)
    await expect(page.locator("[part=estimate] h4")).to_have_text(MARKUP)
    await expect(page.locator("[part=estimate] p")).to_have_text(f"De {MARKUP} até {MARKUP}")
    await expect(page.locator("[part=plan-price]")).to_have_text([MARKUP, MARKUP])
    await expect(page.locator("[part=plan] div").first).to_contain_text(MARKUP)
    await expect(page.locator("[part=log] [part=item]").last).to_contain_text(f"{MARKUP} final")
    assert await page.locator("img").count() == 0


async def test_markup_in_the_list_is_shown_as_text(page: Page, site: str) -> None:
    """In the session list an unknown ``estado`` is shown as text, and a session with an invalid id is left out."""
    fields = ["etapa_atual", "total_etapas", "percentual", "estado", "mensagem", "timestamp_atualizacao"]
    rows = [dict.fromkeys(fields, MARKUP) | {"session_id": name} for name in ("ok", MARKUP)]
    await page.route("**/api/sessions", lambda route: route.fulfill(json={"sessions": rows}))
    await page.goto(site)
    await expect(page.locator("#sessions .pill")).to_have_text([MARKUP])
    assert await page.locator("img").count() == 0


async def test_dropped_connection_resumes_at_the_cursor(page: Page, site: str) -> None:
    """After a server restart the page reconnects with its cursor and applies each later update once."""
    later = update(8, etapa=6, percentual=40.0, mensagem="Depois da volta")

    def greet(connection: int) -> list[dict[str, Any]]:
        if connection == 1:
            return [sync(snapshot(seq=7, etapa_atual=5, percentual=33.3, mensagem="Antes da queda"))]
        return [sync(recovered=True), update(7, mensagem="Repetida", percentual=99.0), later, later]

    script = Script(page, greet)
    await script.open(site)
    await expect(page.locator("[part=label]")).to_have_text("Antes da queda")
    await expect(page.locator("[part=elapsed]")).to_have_text(re.compile("^Tempo: 1 min 1[5-9] s$"))
    await script.sockets[0].close(code=1012)
    # Reconnecting takes up to 6.7 s: pages that lost the server at the same moment spread their attempts.
    await expect(page.locator("[part=label]")).to_have_text("Depois da volta", timeout=10_000)
    await expect(page.locator("#connection")).to_have_text("Ao vivo")
    assert [script.cursor(0), script.cursor(1)] == ["0", f"{EPOCH}:7"]
    # In time-left.js each step weighs its usual seconds plus 1: all weigh 148, those before step 6 weigh 19 (13 %).
    await expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "13")
    await page.locator("[part=log] summary").click()
    await expect(page.locator("[part=log] [part=item]").filter(has_text="Depois da volta")).to_have_count(1)
    await expect(page.locator("[part=log] [part=item]").filter(has_text="Repetida")).to_have_count(0)


async def test_silent_connection_is_given_up(page: Page, site: str) -> None:
    """If no pong comes within 36 s the page gives the connection up and reconnects with its cursor."""
    await page.clock.install()
    script = Script(page, lambda count: [sync(snapshot(seq=count, etapa_atual=count, mensagem=f"Ligação {count}"))])
    await script.open(site)
    await expect(page.locator("[part=label]")).to_have_text("Ligação 1")
    await page.clock.run_for(36_000)
    await expect(page.locator("[part=label]")).to_have_text("Ligação 2")
    assert script.cursor(1) == f"{EPOCH}:1"


async def test_bar_goes_back_only_for_a_new_run(page: Page, site: str) -> None:
    """Within one epoch the bar keeps its highest value; a reset to another run starts it over."""
    script = Script(page, lambda _: [sync(recovered=True)])
    await script.open(site)
    bar = page.get_by_role("progressbar")
    assert await bar.get_attribute("aria-valuenow") is None
    # In time-left.js each step weighs its usual seconds plus 1: all weigh 148, those before step 9 weigh 48 (32 %).
    script.send(update(1, etapa=9), update(2, etapa=3, mensagem="b"))
    await expect(page.locator("[part=label]")).to_have_text("b")
    await expect(bar).to_have_attribute("aria-valuenow", "32")
    await expect(bar).to_have_attribute("aria-valuetext", "Etapa 3 de 15: b")
    bare = {key: value for key, value in update(0, etapa=15).items() if key not in ("epoch", "seq")}
    script.send(bare)
    await expect(bar).to_have_attribute("aria-valuenow", re.compile("^4[0-9]$"))
    new = snapshot(epoch="aa", seq=1, mensagem="outra vez")
    script.send({"type": "reset", "session_id": "s1", "epoch": "aa", "seq": 1, "snapshot": new})
    await expect(bar).to_have_attribute("aria-valuenow", re.compile("^[1-4]$"))
    script.send(update(9, etapa=14, mensagem="do passado"), update(2, epoch="aa", mensagem="segue"))
    await expect(page.locator("[part=message]")).to_have_text("segue")
    await expect(bar).to_have_attribute("aria-valuenow", re.compile("^[1-4]$"))


async def test_steps_are_announced_sparingly_and_news_at_once(page: Page, site: str) -> None:
    """Screen readers get at most one step in ten seconds, but the estimates at once."""
    await page.clock.install()
    script = Script(page, lambda _: [sync(recovered=True)])
    await script.open(site)
    live = page.locator("[aria-live] p")
    script.send(*(update(n, etapa=n, mensagem=f"passo {n}") for n in range(1, 5)))
    await expect(page.locator("[part=label]")).to_have_text("passo 4")
    await expect(live).to_have_text(["Etapa 1 de 15: passo 1"])
    await page.clock.run_for(10_500)
    await expect(live).to_have_text(["Etapa 1 de 15: passo 1", "Etapa 4 de 15: passo 4"])
    cover = {"nome_cobertura": "RCFDe", "valores": {"de": "R$1.300,00"}}
    script.send(update(5, etapa=5, estimativas={"coberturas_detalhadas": [cover]}))
    await expect(live.last).to_have_text("Estimativas iniciais. RCF: De R$ 1.300,00 até não informado")
    await expect(page.locator("[part=estimate] [part=item]")).to_have_text(["RCFDe R$ 1.300,00 até não informado"])


async def test_unread_plan_claims_nothing(page: Page, site: str) -> None:
    """A plan's booleans are shown as "sim" or "não", values that were not read as "não informado"."""
    unread = {"valor": "N/A", "parcelamento": "N/A", "vidros": False}
    read = {"valor": "R$4.631,57", "parcelamento": "anual", "vidros": False, "assistencia": True}
    script = Script(page, lambda _: [sync(recovered=True)])
    await script.open(site)
    script.send(
        update(
            1, etapa=15, percentual=100.0, estado="sucesso", evento="final", final=True,
            mensagem="RPA success", resultado={"plano_recomendado": read, "plano_alternativo": unread},
        )
    )  # fmt: skip
    await expect(page.locator("[part=plan-price]")).to_have_text(["R$ 4.631,57", "não informado"])
    lines = page.locator("[part=plan]").first.locator("div")
    await expect(lines.filter(has_text="Vidros")).to_have_text("Vidrosnão")
    await expect(lines.filter(has_text="Assistência")).to_have_text("Assistênciasim")
    await expect(lines.filter(has_text="Danos morais")).to_have_text("Danos moraisnão informado")
    await expect(page.locator("[part=plan]").last.locator("div")).to_have_count(0)
    await expect(page.locator("[part=message]")).to_be_hidden()


async def test_failed_run_says_why_and_stays_closed(page: Page, site: str, tmp_path: Path) -> None:
    """A failed run's error is announced as an alert, the bar keeps its value, and no new connection is opened."""
    await page.clock.install()
    await page.set_viewport_size({"width": 320, "height": 640})
    script = Script(page, lambda _: [sync(recovered=True)])
    await script.open(site)
    script.send(
        update(1, etapa=2, percentual=13.3, mensagem="Tela 2 falhou"),
        update(2, etapa=2, percentual=13.3, estado="erro", evento="final", final=True, status="error",
               mensagem="RPA error", erro="Placa recusada"),
    )  # fmt: skip
    await script.sockets[0].close(code=4410)
    await expect(page.locator("[part=state]")).to_have_text("Não foi possível concluir")
    await expect(page.get_by_role("alert")).to_have_text("Placa recusada")
    await expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "4")
    await expect(page.locator("#connection")).to_have_text("Encerrado")
    await page.clock.run_for(60_000)
    await asyncio.sleep(GRACE_S)
    assert len(script.sockets) == 1
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await screenshot(page, "error", tmp_path)


async def test_manual_quotation_is_an_ordinary_ending(page: Page, site: str, tmp_path: Path) -> None:
    """A run that ends as a manual quotation is shown with a hint, not as an error, and keeps its estimates."""
    cover = {"nome": "Roubo", "valores": {"de": "R$ 1.300,00", "ate": "R$ 1.700,00"}}
    end = snapshot(
        seq=37, etapa_atual=15, percentual=99.0, estado="cotacao_manual", final=True, status="error",
        mensagem="Erro: Cotação manual necessária", estimativas={"coberturas_detalhadas": [cover]},
        erros=[{"erro": "Cotação manual necessária", "contexto": "fim", "timestamp": "2025-01-02T10:01:15"}],
    )  # fmt: skip
    script = Script(page, lambda _: [sync(end)])
    await page.emulate_media(color_scheme="dark")
    await script.open(site)
    await expect(page.locator("[part=state]")).to_have_text("Cotação manual necessária")
    await expect(page.locator("[part=hint]")).to_contain_text("precisa ser feita por uma pessoa")
    await expect(page.locator("[part=error]")).to_be_hidden()
    await expect(page.locator("[part=estimate] [part=item]")).to_have_count(1)
    await screenshot(page, "manual", tmp_path)
