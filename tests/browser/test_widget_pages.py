"""The widget with markup, clashing names, old browsers or broken files, and without a server."""

import asyncio
import html
import json
import re
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from playwright.async_api import BrowserContext, WebSocketRoute, expect

from rpa_server import __version__
from tests.support.browser.stage import DIST, MARKS, MARKUP, PLAN, PLANS, EmbeddingSite, Stage

pytestmark = MARKS


async def test_markup_in_every_field_is_shown_as_text(stage: Stage) -> None:
    """Markup in a robot's fields is shown as text, and a ``javascript:`` address in an attribute makes no link."""
    plan = dict.fromkeys(PLAN, MARKUP)
    cover = {"nome_cobertura": MARKUP, "valores": {"de": MARKUP, "ate": MARKUP}}
    await stage.publish(
        {"etapa": 5, "mensagem": MARKUP, "estimativas": {"coberturas_detalhadas": [cover]}, "dados_extra": {"x": MARKUP}},
        {"erro": MARKUP, "contexto": MARKUP},
    )
    links = 'contact-url="javascript:alert(1)" redirect-on-success="javascript:alert(2)"'
    await stage.open(f'show="bar,steps,eta,estimate,plans,log" {links}')
    await expect(stage.part("error")).to_have_text(MARKUP)
    await expect(stage.part("item").first).to_have_text(f"{MARKUP}De {MARKUP} até {MARKUP}")
    await stage.publish({"status_final": "success", "dados_finais": dict.fromkeys(PLANS, plan)})
    await expect(stage.part("plan-price")).to_have_text([MARKUP] * 2)
    stage.session += "f"
    await stage.publish({"etapa": 1, "mensagem": MARKUP}, {"status_final": "error", "erro_final": MARKUP})
    await stage.open('contact-url="javascript:alert(1)"')
    await expect(stage.part("error")).to_have_text(MARKUP)
    await expect(stage.part("contact")).to_be_hidden()
    assert await stage.part("contact").get_attribute("href") is None
    for tag in ("img", "script", "iframe"):
        assert await stage.page.locator(f"rpa-progress {tag}").count() == 0


async def test_an_unknown_state_from_the_wire_is_text(stage: Stage) -> None:
    """An unknown ``estado``, markup in this case, is shown as text."""
    update = {
        "type": "progress_update", "epoch": "e1", "seq": 1, "final": False, "estado": MARKUP, "evento": MARKUP, "etapa": 1,
        "total_etapas": 15, "percentual": 5, "status": MARKUP, "mensagem": MARKUP, "timestamp": MARKUP, "dados_extra": {},
    }  # fmt: skip

    def answer(socket: WebSocketRoute) -> None:
        for message in ({"type": "sync", "epoch": "e1", "seq": 0, "recovered": True, "snapshot": None}, update):
            socket.send(json.dumps(message))

    await stage.page.route_web_socket(re.compile("/rpa/"), answer)
    await stage.open()
    await expect(stage.part("state")).to_have_text(MARKUP)
    assert await stage.page.locator("rpa-progress img").count() == 0


async def test_the_script_twice_changes_nothing(stage: Stage) -> None:
    """If the script is loaded twice, under two names, there is still one connection and one widget."""
    sockets: list[str] = []
    stage.page.on("websocket", lambda socket: sockets.append(socket.url))
    await stage.run(3)
    again = f'<script defer src="{stage.server}/webflow_progress_tracker.js"></script>'
    await stage.open(before=stage.script + again)
    await expect(stage.part("steps")).to_have_text("Etapa 3 de 15")
    await expect(stage.part("base")).to_have_count(1)
    assert len(sockets) == 1


@pytest.mark.parametrize("name", ["rpa-progress", "$", "RPAProgress", "RPAProgressClient"])
async def test_what_the_page_has_under_our_names_stays_its_own(stage: Stage, name: str) -> None:
    """The page's ``$``, and its own element or class under a name of ours, stay as they are, and nothing throws."""
    await stage.page.add_init_script(f"window.own = '{name}'")
    await stage.page.add_init_script("""
        window.$ = window.jQuery = function Dollar() {};
        window.kept = {};
        if (own === 'rpa-progress') {
          customElements.define(own, window.kept[own] = class extends HTMLElement {
            connectedCallback() { this.setAttribute('mine', ''); }
          });
        } else if (own === '$') window.kept[own] = window.$;
        else window[own] = window.kept[own] = class Own {};
    """)
    await stage.run(2)
    await stage.open(before='<p data-rpa-text="passo">?</p>')
    if name == "rpa-progress":
        await expect(stage.widget).to_have_attribute("mine", "")
        await expect(stage.widget).to_have_text("Acompanhando…")
    else:
        await expect(stage.part("steps")).to_have_text("Etapa 2 de 15")
        await expect(stage.page.locator("p").first).to_have_text("Etapa 2 de 15")
    kept = "customElements.get(n)" if name == "rpa-progress" else "window[n]"
    assert await stage.page.evaluate(f"(n) => {kept} === window.kept[n]", name)


async def test_only_names_of_ours_are_added_to_the_page(stage: Stage) -> None:
    """Every global that the script adds to the page begins with ``RPA``."""
    await stage.page.add_init_script("window.before = new Set(Object.getOwnPropertyNames(window))")
    await stage.open()
    await expect(stage.part("state")).to_be_visible()
    added = await stage.page.evaluate("Object.getOwnPropertyNames(window).filter((name) => !before.has(name))")
    assert {name for name in added if not name.startswith("RPA")} <= {"before"}
    assert {"RPAProgress", "RPAProgressClient", "RPAWebSocketClient", "RPAError"} <= set(added)


async def test_without_a_session_or_a_script_the_page_s_own_words_stay(stage: Stage) -> None:
    """The page's own text stays in the element if the address names no session, and if the script is not loaded."""
    await stage.open('session-param="session_id"', inside="Acompanhe aqui")
    await stage.page.evaluate("customElements.whenDefined('rpa-progress').then(() => 1)")
    await expect(stage.widget.get_by_text("Acompanhe aqui")).to_be_visible()
    await stage.show("<rpa-progress>Sem script</rpa-progress>")
    await expect(stage.page.get_by_text("Sem script")).to_be_visible()


async def test_a_script_with_another_hash_is_not_run(
    context: BrowserContext, site: EmbeddingSite, http: aiohttp.ClientSession
) -> None:
    """With the integrity hash of the snippet on /embed the script runs; with any other hash the browser refuses it."""
    async with http.get(f"{site.server}/embed") as answer:
        text = html.unescape(await answer.text())
    found = re.search(r'src="([^"]+)"\s+integrity="([^"]+)"', text)
    assert found is not None
    address, integrity = found.groups()
    for right in (True, False):
        page = await context.new_page()
        value = integrity if right else integrity.replace(integrity[10:14], "AAAA")
        script = f'<script defer src="{address}" integrity="{value}" crossorigin="anonymous"></script>'
        site.body = f"{script}<rpa-progress demo>x</rpa-progress>"
        await page.goto(site.url)
        if right:
            await expect(page.locator("rpa-progress [part=base]")).to_be_visible()
        else:
            await asyncio.sleep(0.3)
            assert await page.evaluate("customElements.get('rpa-progress') === undefined")
            await expect(page.get_by_text("x", exact=True)).to_be_visible()
        await page.close()


@pytest.mark.parametrize("name", ["rpa-progress.js", f"rpa-progress-{__version__}.js", "rpa-progress.js?tag"])
async def test_the_demonstration_needs_no_server(stage: Stage, name: str) -> None:
    """With only the script and its JSON file, and no server, the demonstration runs until it shows both plans."""
    asked: list[str] = []

    async def answer(route: Any) -> None:
        file = urlsplit(route.request.url).path.rpartition("/")[2]
        asked.append(file)
        if file == "demo.html":
            await route.fulfill(body=body, content_type="text/html")
        elif file.startswith("rpa-progress"):
            headers = {"Access-Control-Allow-Origin": "*"}
            await route.fulfill(path=DIST / file.replace(f"-{__version__}", ""), headers=headers)
        else:
            await route.abort()

    body = f"""<!doctype html><html lang="pt-BR"><meta charset="utf-8"><script defer src="https://files.example/{name}"></script>
        <rpa-progress demo></rpa-progress>"""
    sockets: list[str] = []
    stage.page.on("websocket", lambda socket: sockets.append(socket.url))
    await stage.page.clock.install()
    await stage.page.route("**/*", answer)
    await stage.page.goto("https://shop.example/demo.html")
    await expect(stage.part("state")).to_be_visible()
    await stage.run_clock(15)
    await expect(stage.part("state")).to_have_text("Em andamento")
    await expect(stage.part("estimate")).to_contain_text("Compreensiva")
    assert 5 < int((await stage.part("percent").inner_text()).rstrip("%")) < 60
    await stage.run_clock(45)
    await expect(stage.part("state")).to_have_text("Cotação concluída")
    await expect(stage.part("plan-price")).to_have_text(["R$ 2.914,35", "R$ 2.487,90"])
    assert sockets == []
    assert set(asked) - {"favicon.ico"} == {"demo.html", name.removesuffix("?tag"), f"rpa-progress-{__version__}.json"}


async def test_a_script_in_the_page_itself_asks_for_nothing_else(stage: Stage, context: BrowserContext) -> None:
    """Pasted inline the script requests no other file, and shows the run in its built-in Portuguese."""
    await stage.run(4)
    asked: list[str] = []
    page = await context.new_page()
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    await page.goto(f"{stage.server}/health/live")
    asked.clear()
    element = f'<rpa-progress session-id="{stage.session}" base-url="{stage.server}"></rpa-progress>'
    await page.evaluate("(markup) => { document.body.innerHTML = markup; }", element)
    await page.add_script_tag(content=(DIST / "rpa-progress.js").read_text(encoding="utf-8"))
    await expect(page.locator("rpa-progress [part=steps]")).to_have_text("Etapa 4 de 15")
    assert [path for path in asked if not path.startswith("/rpa/")] == []
    await page.close()


async def test_a_file_beside_the_script_that_was_tampered_with_is_not_used(stage: Stage) -> None:
    """If the JSON file does not match its hash it is ignored, and the run is shown in the built-in Portuguese."""

    async def answer(route: Any) -> None:
        body = (DIST / "rpa-progress.json").read_text(encoding="utf-8").replace("Plan", "Plot")
        await route.fulfill(body=body, content_type="application/json", headers={"Access-Control-Allow-Origin": "*"})

    await stage.run(15, {"status_final": "success", "dados_finais": PLANS})
    context = stage.page.context
    page = await context.new_page()
    await page.route("**/*.json", answer)
    await stage.open_at_home('lang="en"', page=page)
    await expect(page.locator("rpa-progress [part=state]")).to_have_text("Cotação concluída")
    await page.unroute("**/*.json")
    await page.reload()
    await expect(page.locator("rpa-progress [part=state]")).to_have_text("Quote ready")
    await page.close()


@pytest.mark.parametrize("old", [False, True])
async def test_a_file_beside_the_script_that_comes_late_is_put_to_use(
    stage: Stage, context: BrowserContext, old: bool
) -> None:
    """The widget is readable before its JSON file arrives, which adds style, language and rows, but no announcement."""
    come = asyncio.Event()

    async def late(route: Any) -> None:
        await come.wait()
        await route.continue_()

    await stage.run(15, {"status_final": "success", "dados_finais": PLANS})
    page = await context.new_page()
    if old:
        await page.add_init_script("delete Document.prototype.adoptedStyleSheets; delete window.CSSStyleSheet")
    await page.route("**/*.json", late)
    await stage.open_at_home('lang="en"', page=page)
    state, base, live = (page.locator(f"rpa-progress {one}") for one in ("[part=state]", "[part=base]", "[aria-live]"))
    await expect(state).to_have_text("Cotação concluída")
    said = await live.locator("p").all_inner_texts()
    assert [words.split(".")[0] for words in said] == ["Estimativas iniciais", "Cotação concluída"]
    assert await live.evaluate("(node) => node.getBoundingClientRect().bottom") < 0
    come.set()
    await expect(base).to_have_css("display", "flex")
    await expect(state).to_have_text("Quote ready")
    await expect(page.locator("rpa-progress [part=plans]")).to_contain_text("Deductible")
    await expect(live).to_have_css("clip-path", "inset(50%)")
    assert await live.locator("p").all_inner_texts() == said
    await page.close()


async def test_a_file_beside_the_script_that_fails_is_asked_for_again(stage: Stage, context: BrowserContext) -> None:
    """A JSON file that is answered 404 is requested again; the demonstration starts once the file has loaded."""
    asked = 0

    async def answer(route: Any) -> None:
        nonlocal asked
        asked += 1
        await (route.fulfill(status=404) if asked < 3 else route.continue_())

    page = await context.new_page()
    await page.clock.install()
    await page.route("**/*.json", answer)
    await stage.open_at_home("demo", page=page)
    await expect(page.locator("rpa-progress [part=state]")).to_have_text("Aguardando o início")
    for _ in range(6):
        await page.clock.run_for(2_000)
        await asyncio.sleep(0.1)
    await expect(page.locator("rpa-progress [part=base]")).to_have_css("display", "flex")
    await page.clock.run_for(8_000)
    await expect(page.locator("rpa-progress [part=state]")).to_have_text("Em andamento")
    assert asked == 3
    await page.close()


async def test_an_old_browser_loads_the_style_as_a_file(context: BrowserContext, stage: Stage) -> None:
    """Without constructable stylesheets (Safari before 16.4) the style is applied by a ``<style>`` element."""
    page = await context.new_page()
    await page.add_init_script("delete Document.prototype.adoptedStyleSheets; delete window.CSSStyleSheet")
    await stage.run(3)
    await stage.open_at_home(page=page)
    await expect(page.locator("rpa-progress [part=steps]")).to_have_text("Etapa 3 de 15")
    await expect(page.locator("rpa-progress [part=base]")).to_have_css("display", "flex")
    await page.close()
