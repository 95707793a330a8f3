"""The widget's interface for pages: attributes, commands, events, bound elements, colours."""

import asyncio
import re
import textwrap
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from tests.support.browser.stage import MARKS, NBSP, PLANS, Stage
from tests.support.server import ROOT, until

pytestmark = MARKS


async def test_the_session_comes_from_the_address_an_event_a_command_or_the_script(stage: Stage) -> None:
    """The page's address, an event's detail and the script tag can each name the session whose run is shown."""
    await stage.run(4)
    step = stage.part("steps")
    await stage.open('session-param="quote"', query=f"?quote={stage.session}")
    await expect(step).to_have_text("Etapa 4 de 15")
    for detail in (f"'{stage.session}'", f"{{session_id: '{stage.session}'}}", f"{{sessionId: '{stage.session}'}}"):
        await stage.open('session-from="event:quote-began"', inside="antes")
        await stage.page.evaluate("customElements.whenDefined('rpa-progress').then(() => 1)")
        await expect(step).to_have_count(0)
        await stage.page.evaluate(f"dispatchEvent(new CustomEvent('quote-began', {{detail: {detail}}}))")
        await expect(step).to_have_text("Etapa 4 de 15")
    attributes = f'data-rpa-session-id="{stage.session}" data-rpa-lang="en" data-rpa-theme="dark"'
    await stage.show(f"{stage.script.replace('<script', f'<script {attributes}')}<rpa-progress></rpa-progress>")
    await expect(step).to_have_text("Step 4 of 15")
    await expect(stage.widget).to_have_attribute("theme", "dark")


async def test_the_command_queue_takes_commands_before_and_after_the_script(stage: Stage) -> None:
    """A ``start`` command works before the script has loaded, after that, and in a page without an element."""
    await stage.run(4)
    asked = f"{{sessionId: '{stage.session}', contactUrl: 'tel:1'}}"
    await stage.page.add_init_script(f"(window.RPAProgress = window.RPAProgress || []).push(['start', {asked}])")
    await stage.show(f"{stage.script}<rpa-progress></rpa-progress>")
    await expect(stage.part("steps")).to_have_text("Etapa 4 de 15")
    await expect(stage.widget).to_have_attribute("contact-url", "tel:1")
    await stage.show(stage.script)
    await expect(stage.part("steps")).to_have_text("Etapa 4 de 15")
    first, stage.session = stage.session, f"{stage.session}b"
    await stage.run(2)
    await stage.page.evaluate(
        f"(window.RPAProgress = window.RPAProgress || []).push(['start', {{sessionId: '{stage.session}'}}])"
    )
    await expect(stage.part("steps")).to_have_text("Etapa 2 de 15")
    await expect(stage.widget).to_have_count(1)
    assert first != stage.session


@pytest.mark.parametrize("order", ["sessionId, token, baseUrl", "token, baseUrl, sessionId"])
async def test_a_command_s_options_are_all_there_when_it_begins(stage: Stage, order: str) -> None:
    """Whatever the order of a command's options, the first connection has the token and goes to the given address."""
    await stage.run(4)
    other = stage.server.replace("127.0.0.1", "localhost")
    stage.site.connect += f" {other} {other.replace('http', 'ws')}"
    sockets: list[str] = []
    stage.page.on("websocket", lambda socket: sockets.append(socket.url))
    values = {"sessionId": stage.session, "token": "abc", "baseUrl": other}
    asked = "{" + ", ".join(f"{name}: '{values[name]}'" for name in order.split(", ")) + "}"
    await stage.page.add_init_script(f"""
        window.asked = [];
        window.WebSocket = class extends WebSocket {{
          constructor(url, protocols) {{ super(url, protocols); asked.push(protocols); }}
        }};
        (window.RPAProgress = window.RPAProgress || []).push(['start', {asked}]);
    """)
    for page_has_element in (True, False):
        await stage.show(stage.script + "<rpa-progress></rpa-progress>" * page_has_element)
        await expect(stage.part("steps")).to_have_text("Etapa 4 de 15")
        await until(lambda: sockets)  # the stored state is shown before the connection opens
        assert [urlsplit(url).netloc for url in sockets] == [urlsplit(other).netloc]
        assert await stage.page.evaluate("asked") == [["rpa.v1", "token.abc"]]
        sockets.clear()


async def test_attributes_that_are_set_one_after_the_other_begin_one_run(stage: Stage) -> None:
    """Attributes set one after the other open one connection: to the last session, and in the language set last."""
    await stage.run(4)
    sockets: list[str] = []
    stage.page.on("websocket", lambda socket: sockets.append(socket.url))
    await stage.show(stage.script)
    await stage.page.evaluate("customElements.whenDefined('rpa-progress').then(() => 1)")
    await stage.page.evaluate(
        "(id) => { const node = document.body.appendChild(document.createElement('rpa-progress'));"
        " node.setAttribute('session-id', 'other'); node.setAttribute('session-id', id);"
        " node.setAttribute('lang', 'en'); }",
        stage.session,
    )
    await expect(stage.part("steps")).to_have_text("Step 4 of 15")
    assert [urlsplit(url).path for url in sockets] == [f"/rpa/{stage.session}"]


async def test_another_session_replaces_the_one_before(stage: Stage) -> None:
    """A new ``session-id`` shows the new session; once the element is removed, the server has no connection left."""
    await stage.run(4)
    await stage.open()
    await expect(stage.part("steps")).to_have_text("Etapa 4 de 15")
    stage.session += "b"
    await stage.run(1)
    closed = asyncio.Event()
    await stage.page.evaluate(f"document.querySelector('rpa-progress').setAttribute('session-id', '{stage.session}')")
    await expect(stage.part("steps")).to_have_text("Etapa 1 de 15")
    await stage.page.evaluate("document.querySelector('rpa-progress').remove()")
    async with asyncio.timeout(30):
        while not closed.is_set():
            async with stage.http.get(f"{stage.server}/status") as answer:
                if (await answer.json())["connections"] == 0:
                    closed.set()


BOUND = """
<h1 data-rpa-text="passo">—</h1><i data-rpa-text="nome">—</i><u data-rpa-text="percent">—</u>
<s data-rpa-text="nothing">—</s><b data-rpa-text="estimate.min">—</b>
<em data-rpa-text="plan.recomendado.valor">—</em><q data-rpa-text="plan.recomendado.vidros">—</q>
<div id="bar" data-rpa-width="percent" data-rpa-class="is-done:done is-on:running"></div>
<p id="running" data-rpa-show="running">r</p><p id="done" data-rpa-show="done">d</p>
<p id="error" data-rpa-show="error,offline">e</p>
"""


async def test_elements_of_the_page_s_own_follow_the_run(stage: Stage) -> None:
    """Bound elements get text, width, visibility and classes, even with a hidden widget and under a strict policy."""
    await stage.run(5)
    await stage.open("hidden", before=BOUND)
    words = stage.page.locator("body > :is(h1, i, u, s, b, em, q)")
    await expect(words).to_have_text(
        ["Etapa 5 de 15", "Passo 5", re.compile(r"^\d+%$"), "—", "R$ 1.150,00", "—", "—"]
    )
    await expect(stage.page.locator("#bar")).to_have_attribute("style", re.compile(r"width: \d+%"))
    await expect(stage.page.locator("#bar")).to_have_class("is-on")
    await expect(stage.page.locator("#running")).to_be_visible()
    await expect(stage.page.locator("#done")).to_be_hidden()
    await stage.publish({"status_final": "success", "dados_finais": PLANS})
    await expect(stage.page.locator("em")).to_have_text("R$ 2.914,35")
    await expect(stage.page.locator("q")).to_have_text("sim")
    await expect(stage.page.locator("#bar")).to_have_class("is-done")
    await expect(stage.page.locator("#running")).to_be_hidden()
    await expect(stage.page.locator("#done")).to_be_visible()
    await expect(stage.page.locator("#error")).to_be_hidden()
    await expect(stage.part("base")).to_be_hidden()


def example(server: str) -> str:
    """Return docs/webflow.rst's example of a page with bound elements, with *server* as the server's address."""
    text = (ROOT / "docs" / "webflow.rst").read_text(encoding="utf-8")
    block = re.search(r"code-block:: html\n\n((?:    <!doctype.*\n)(?:    .*\n|\n)*)", text)
    assert block is not None
    return textwrap.dedent(block[1]).replace("https://rpa.example.com", server)


#: The texts of the visible ones among the example's elements with ``data-rpa-show``.
SEEN = """[...document.querySelectorAll('[data-rpa-show]')].filter((node) => node.checkVisibility())
    .map((node) => node.innerText)"""


@pytest.mark.parametrize("state", ["no script", "no session", "run"])
async def test_the_document_s_own_elements_show_what_is_true_alone(stage: Stage, browser: Browser, state: str) -> None:
    """In the example of docs/webflow.rst elements with ``data-rpa-show`` are visible only if their condition is met."""
    context = await browser.new_context(java_script_enabled=state != "no script")
    page = await context.new_page()
    body = example(stage.server)
    await page.route("**/own?*", lambda route: route.fulfill(body=body, content_type="text/html"))
    await page.goto(f"{stage.server}/own?{f'session_id={stage.session}' if state == 'run' else ''}")
    if state == "no script":
        for words in await page.locator("[data-rpa-show]").all():
            await expect(words).to_be_hidden()
    else:
        await page.evaluate("customElements.whenDefined('rpa-progress').then(() => 1)")
        await asyncio.sleep(0.5)
        assert await page.evaluate(SEEN) == []
    for own in ("Já vai começar.", "aguardando…"):
        await expect(page.get_by_text(own)).to_be_visible()
    if state == "run":
        await stage.run(5)
        await expect(page.locator("body > p span").first).to_have_text("Etapa 5 de 15")
        assert await page.evaluate(SEEN) == [f"Primeira estimativa: a partir de R${NBSP}1.150,00"]
        await stage.publish({"status_final": "success", "dados_finais": PLANS})
        await expect(page.get_by_text("Seu plano")).to_be_visible()
        assert await page.evaluate(SEEN) == [f"Seu plano: R${NBSP}2.914,35"]
        await expect(page.get_by_text("Já vai começar.")).to_have_count(0)
    await context.close()


async def test_the_script_tag_alone_makes_the_page_s_elements_follow(stage: Stage) -> None:
    """Bound elements follow the script tag's session without a widget element; a click on retry reconnects."""
    await stage.run(4)
    sockets: list[str] = []
    stage.page.on("websocket", lambda socket: sockets.append(socket.url))
    script = f'<script data-rpa-session-id="{stage.session}" data-rpa-lang="en"'
    own = '<p data-rpa-text="passo">—</p><button data-rpa-retry>de novo</button>'
    await stage.show(stage.script.replace("<script", script) + own)
    await expect(stage.page.locator("body > p")).to_have_text("Step 4 of 15")
    await expect(stage.part("base")).to_be_hidden()
    await stage.page.get_by_text("de novo").click()
    await until(lambda: len(sockets) == 2)
    assert {urlsplit(url).path for url in sockets} == {f"/rpa/{stage.session}"}


async def test_light_or_dark_is_the_page_s_unless_it_is_said(stage: Stage) -> None:
    """In a dark system the widget is dark only if the page's color-scheme or the ``theme`` attribute allows it."""
    await stage.run(4)
    await stage.page.emulate_media(color_scheme="dark")
    light, dark = "rgb(255, 255, 255)", "rgb(23, 33, 39)"
    both = '<meta name="color-scheme" content="light dark">'
    cases = [("", "", light), ("", both, dark), ('theme="auto"', "", dark), ('theme="light"', both, light)]
    for attributes, before, ground in cases:
        await stage.open(attributes, before=before)
        await expect(stage.part("base")).to_have_css("background-color", ground)


async def test_a_page_hears_what_happens_and_may_take_it_over(stage: Stage) -> None:
    """Events bubble to the window; neither a cancelled result nor, with ``on-error="event"``, an error is shown."""
    await stage.run(5)
    await stage.open('redirect-on-success="/taken"')
    await expect(stage.part("steps")).to_have_text("Etapa 5 de 15")
    await stage.page.evaluate("addEventListener('rpa:result', (event) => event.preventDefault())")
    await stage.publish({"status_final": "success", "dados_finais": PLANS})
    await expect(stage.part("state")).to_have_text("Cotação concluída")
    await expect(stage.part("plans")).to_be_hidden()
    for kind in ("progress", "estimate", "result", "connection", "done"):
        event = (await stage.heard(kind))[0]
        assert (event["bubbles"], event["composed"], event["from"]) == (True, True, "rpa-progress"), kind
        assert event["cancelable"] == (kind == "result"), kind
    assert (await stage.heard("result"))[0]["detail"]["plano_recomendado"]["valor"] == "R$2.914,35"
    assert urlsplit(stage.page.url).path == "/"
    stage.session += "e"
    await stage.run(1, {"status_final": "error", "erro_final": "Placa recusada"})
    await stage.open('on-error="event"')
    await expect(stage.part("state")).to_have_text("Não foi possível concluir")
    await expect(stage.part("error")).to_be_hidden()
    assert (await stage.heard("error"))[0]["cancelable"] is True


async def test_a_success_may_lead_to_another_page(stage: Stage) -> None:
    """When the run ends with a quote the page opens the address in ``redirect-on-success``."""
    await stage.run(5)
    await stage.open('redirect-on-success="/obrigado"')
    await expect(stage.part("steps")).to_have_text("Etapa 5 de 15")
    stage.site.body = "<p>Obrigado"
    await stage.publish({"status_final": "success", "dados_finais": PLANS})
    await stage.page.wait_for_url("**/obrigado")
    await expect(stage.page.locator("p")).to_have_text("Obrigado")


async def test_who_goes_back_from_there_is_not_sent_there_again(stage: Stage) -> None:
    """The redirect after a quote replaces the page in the browser's history: Back leads to the page before that one."""
    await stage.run(5)
    await stage.show("<p>Formulário", "formulario")
    await stage.show(stage.element('redirect-on-success="/obrigado"'), "cotacao")
    await expect(stage.part("steps")).to_have_text("Etapa 5 de 15")
    stage.site.body = "<p>Obrigado"
    await stage.publish({"status_final": "success", "dados_finais": PLANS})
    await stage.page.wait_for_url("**/obrigado")
    await expect(stage.page.locator("p")).to_have_text("Obrigado")
    stage.site.body = "<p>Formulário"
    await stage.page.go_back()
    await expect(stage.page.locator("p")).to_have_text("Formulário")
    assert urlsplit(stage.page.url).path == "/formulario"


async def test_a_page_gives_the_widget_its_colours(context: BrowserContext, stage: Stage) -> None:
    """The page's custom properties and its ``::part`` rules apply inside the widget's shadow root."""
    await stage.run(8)
    page = await context.new_page()
    style = """<style>rpa-progress { --rpa-accent: rgb(1,2,3); --rpa-surface: rgb(4,5,6); --rpa-radius: 3px }
        rpa-progress::part(label) { color: rgb(7,8,9) }</style>"""
    await stage.open_at_home(before=style, page=page)
    await expect(page.locator("[part=bar]")).to_have_css("background-color", "rgb(1, 2, 3)")
    await expect(page.locator("[part=base]")).to_have_css("background-color", "rgb(4, 5, 6)")
    await expect(page.locator("[part=base]")).to_have_css("border-radius", "3px")
    await expect(page.locator("[part=label]")).to_have_css("color", "rgb(7, 8, 9)")
    await page.close()


@pytest.mark.parametrize(
    ("show", "hidden"),
    [
        ("bar", ["steps", "label", "elapsed", "estimate"]),
        ("steps,eta", ["percent", "track", "estimate"]),
        ("estimate", ["track", "elapsed"]),
    ],
)
async def test_a_page_chooses_what_is_shown(stage: Stage, show: str, hidden: list[str]) -> None:
    """Parts of the widget that the ``show`` attribute does not name are hidden."""
    await stage.run(8)
    await stage.open(f'show="{show}"')
    await expect(stage.part("state")).to_have_text("Em andamento")
    for name in hidden:
        await expect(stage.part(name)).to_be_hidden()


async def test_the_number_of_steps_may_be_the_page_s(stage: Stage) -> None:
    """The ``steps`` attribute replaces the number of steps that the robot reports."""
    await stage.run(4)
    await stage.open('steps="20"')
    await expect(stage.part("steps")).to_have_text("Etapa 4 de 20")


async def test_a_wrong_session_is_shown_to_the_visitor(stage: Stage) -> None:
    """For an invalid session id the widget shows an alert, and the link to a person."""
    await stage.open_at_home('session-id="..etc" contact-url="tel:1"')
    await expect(stage.page.get_by_role("alert")).to_have_text("Não foi possível acompanhar a cotação.")
    await expect(stage.part("contact")).to_be_visible()
