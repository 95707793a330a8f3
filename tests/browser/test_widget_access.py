"""Accessibility of the widget: screen readers, keyboard, reduced motion, forced colours, languages."""

import re

import pytest
from playwright.async_api import expect

from tests.support.browser.stage import ESTIMATES, MANUAL, MARKS, PLANS, Stage

pytestmark = MARKS


async def test_the_bar_is_a_progressbar_that_admits_not_to_know(stage: Stage) -> None:
    """Before the first step the bar has only a text, after it a number, too; plans are aria-busy until the end."""
    await stage.open()
    bar = stage.page.get_by_role("progressbar", name="Sua cotação")
    await expect(bar).to_have_attribute("aria-valuetext", "Aguardando o início")
    assert await bar.get_attribute("aria-valuenow") is None
    await expect(stage.part("plans")).to_have_attribute("aria-busy", "true")
    await stage.run(5)
    await expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^\d+$"))
    await expect(bar).to_have_attribute("aria-valuetext", "Etapa 5 de 15: Tela 5 concluída")
    described = await stage.part("plans").get_attribute("aria-describedby")
    assert described == await bar.get_attribute("id")
    await stage.publish({"status_final": "success", "dados_finais": PLANS})
    await expect(stage.part("plans")).to_have_attribute("aria-busy", "false")
    await expect(bar).to_have_attribute("aria-valuenow", "100")


async def test_steps_are_announced_sparingly_and_news_at_once(stage: Stage) -> None:
    """Screen readers get a step at most every 10 s, but estimates and the result at once."""
    await stage.page.clock.install()
    await stage.open()
    live = stage.page.locator("rpa-progress [aria-live=polite]")
    assert await live.count() == 1  # it must exist before its first text, or screen readers miss that text
    await stage.run(4)
    await expect(stage.part("steps")).to_have_text("Etapa 4 de 15")
    said = await live.locator("p").all_inner_texts()
    assert len([words for words in said if words.startswith("Etapa")]) <= 1
    await stage.run_clock(15)
    await expect(live.locator("p").last).to_have_text("Etapa 4 de 15: Passo 4")
    await stage.publish({"etapa": 5, "mensagem": "Passo 5", "estimativas": ESTIMATES})
    await expect(live.locator("p").last).to_contain_text("Estimativas iniciais. Compreensiva: De R$ 2.350,00")
    await stage.publish({"status_final": "success", "dados_finais": PLANS})
    await expect(live.locator("p").last).to_have_text(
        "Cotação concluída. Plano recomendado: R$ 2.914,35. Plano alternativo: R$ 2.487,90"
    )


async def test_an_error_is_an_alert_and_a_manual_quotation_is_none(stage: Stage) -> None:
    """A failed run is announced as an alert; a manual quotation is not."""
    await stage.run(2, {"status_final": "error", "erro_final": "Placa recusada"})
    await stage.open()
    await expect(stage.page.get_by_role("alert")).to_have_text("Placa recusada")
    stage.session += "m"
    await stage.run(2, MANUAL)
    await stage.open()
    await expect(stage.part("state")).to_have_text("Cotação manual necessária")
    await expect(stage.page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("inside", [True, False])
async def test_the_result_takes_the_focus_of_who_is_inside_alone(stage: Stage, inside: bool) -> None:
    """The result gets the focus when it comes only if the focus was inside the widget."""
    await stage.run(5)
    await stage.open('show="bar,plans,log"', before="<button>fora</button>")
    await expect(stage.part("log")).to_be_visible()
    await (stage.part("log").locator("summary") if inside else stage.page.get_by_text("fora")).focus()
    await stage.publish({"status_final": "success", "dados_finais": PLANS})
    await expect(stage.part("state")).to_have_text("Cotação concluída")
    heading = stage.part("plans").locator("h3")
    await (expect(heading).to_be_focused() if inside else expect(stage.page.get_by_text("fora")).to_be_focused())


async def test_a_connection_that_is_back_is_said_and_nothing_stays_to_be_read(stage: Stage) -> None:
    """The return of a connection is announced for a while, and the focus moves from the retry button to the state."""
    await stage.run(8)
    await stage.page.clock.install()
    await stage.open_at_home()
    live = stage.page.locator("rpa-progress [aria-live=polite]")
    await expect(stage.part("steps")).to_have_text("Etapa 8 de 15")
    await stage.page.context.set_offline(True)
    await stage.page.evaluate("dispatchEvent(new Event('offline'))")
    await stage.run_clock(60)
    await expect(stage.part("retry")).to_be_visible()
    await stage.part("retry").focus()
    await stage.page.context.set_offline(False)
    await stage.page.keyboard.press("Enter")
    await expect(stage.part("retry")).to_be_hidden()
    await expect(live.locator("p").last).to_have_text("Conexão restabelecida.")
    await expect(stage.part("state")).to_be_focused()
    await stage.run_clock(30)
    await expect(live).not_to_contain_text(re.compile("conexão", re.I))


async def test_the_steps_are_opened_by_keyboard_and_keep_the_focus(stage: Stage) -> None:
    """Tab reaches the log's summary, Enter opens the log, and an update keeps the focus and the items shown before."""
    await stage.run(5)
    await stage.open('show="bar,plans,log"', before="<button>fora</button>")
    summary = stage.part("log").locator("summary")
    await expect(summary).to_be_visible()
    await stage.page.get_by_text("fora").focus()
    await stage.page.keyboard.press("Tab")
    await expect(summary).to_be_focused()
    await stage.page.keyboard.press("Enter")
    await stage.part("log").locator("[part=item]").first.evaluate("(node) => { node.mine = 1; }")
    await stage.publish({"etapa": 6, "mensagem": "Passo 6"})
    await expect(stage.part("log").locator("[part=item]").last).to_contain_text("Passo 6")
    await expect(summary).to_be_focused()
    assert await stage.part("log").locator("[part=item]").first.evaluate("(node) => node.mine") == 1


async def test_what_a_plan_has_is_a_list_of_names_and_values(stage: Stage) -> None:
    """A plan is a description list, so that a screen reader pairs names and values."""
    await stage.run(15, {"status_final": "success", "dados_finais": PLANS})
    await stage.open()
    best = stage.part("plan").first
    await expect(best.locator("dl > div").filter(has_text="Franquia").first).to_have_text("FranquiaR$ 3.890,00")
    names = await best.locator("dl > div > dt").count()
    assert names > 4
    await expect(best.locator("dl > div > dd")).to_have_count(names)


async def test_nothing_moves_for_who_does_not_want_it(stage: Stage) -> None:
    """With reduced motion the bar is not animated; otherwise its animation ends within 5 s."""
    await stage.open()
    bar = stage.part("bar")
    style = "(node) => { const { %s } = getComputedStyle(node); return [%s]; }"
    moving = style.replace("%s", "animationDuration, animationIterationCount")
    seconds, times = await bar.evaluate(moving)
    assert 0 < float(seconds.rstrip("s")) * int(times) <= 5
    await stage.page.emulate_media(reduced_motion="reduce")
    assert await bar.evaluate(style.replace("%s", "animationName, transitionProperty")) == ["none", "none"]


async def test_the_bar_is_seen_in_forced_colors(stage: Stage) -> None:
    """With forced colours the bar has another colour than its track."""
    await stage.run(8)
    await stage.page.emulate_media(forced_colors="active")
    await stage.open()
    await expect(stage.part("percent")).to_have_text(re.compile("%"))
    colors = await stage.part("track").evaluate(
        "(node) => [node, node.firstChild].map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert colors[0] != colors[1]


async def test_english_is_spoken_where_the_page_is_english(stage: Stage) -> None:
    """The element's ``lang`` wins over the page's; for any language but English the widget is in Portuguese."""
    await stage.run(15, {"status_final": "success", "dados_finais": PLANS})
    spoken = {
        ("en", ""): "Quote ready", ("en-US", ""): "Quote ready", ("pt-BR", 'lang="en"'): "Quote ready",
        ("en", 'lang="pt-BR"'): "Cotação concluída", ("fr", ""): "Cotação concluída", ("", ""): "Cotação concluída",
    }  # fmt: skip
    for (of_page, attribute), words in spoken.items():
        attributes = f'{attribute} session-id="{stage.session}"'
        await stage.show(f'<!doctype html><html lang="{of_page}"><title>x</title>{stage.element(attributes)}')
        await expect(stage.part("state")).to_have_text(words)
        await expect(stage.part("base")).to_have_attribute("lang", "en" if words == "Quote ready" else "pt-BR")
    await stage.open('lang="en"')
    await expect(stage.part("plan-price").first).to_have_text("R$2,914.35")
    await expect(stage.part("plans")).to_contain_text("Deductible")
