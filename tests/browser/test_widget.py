"""The widget in another site's page, with a real server: every state, lost connections, a reload."""

import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from rpa_server.backends.files import json_files
from rpa_server.progress.run import Run
from tests.support.browser.stage import (
    MARKS,
    PLANS,
    PRICELESS,
    STATES,
    UNREAD,
    EmbeddingSite,
    Stage,
    findings_of_axe,
    watched,
)
from tests.support.server import Server

pytestmark = MARKS


ENDED = ["success", "unread", "error", "manual", "expired", "cancelled"]


async def bring_about(stage: Stage, state: str) -> None:
    """Bring the open page into a state of STATES that needs time, a broken network or a refusal."""
    if state == "offline":
        await stage.page.context.set_offline(True)
        await stage.run_clock(60)
    elif state == "stalled":
        await stage.run_clock(120)
    elif state == "fault":
        await stage.refuse()
        await expect(stage.page.get_by_role("alert")).to_be_visible()
        await stage.run_clock(30)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
async def test_every_state_says_what_it_is_and_axe_finds_nothing(
    stage: Stage, axe: str, state: str, theme: str
) -> None:
    """In every state, light and dark, the texts are right, axe finds no problem, and the page fits into 320 px."""
    end, last, label, words = STATES[state]
    await stage.run(last, end)
    await stage.page.clock.install()
    await stage.page.set_viewport_size({"width": 320, "height": 640})
    attributes = f'theme="{theme}" show="bar,steps,eta,estimate,plans,log" contact-url="tel:+5511"'
    if state == "fault":
        attributes += ' transport="polling"'
    await (stage.open_at_home(attributes) if state == "offline" else stage.open(attributes))
    await expect(stage.part("state")).to_have_text("Em andamento" if state == "fault" else label)
    await bring_about(stage, state)
    await expect(stage.part("state")).to_have_text(label)
    await expect(stage.widget).to_contain_text(words)
    if state == "fault":
        for part in ("hint", "status", "eta"):
            await expect(stage.part(part)).to_be_hidden()
    if (state in ENDED and state not in ("success", "unread")) or state == "fault":
        await expect(stage.part("contact")).to_have_attribute("href", "tel:+5511")
    else:
        await expect(stage.part("contact")).to_be_hidden()
    assert await stage.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = await stage.part("base").evaluate("(node) => getComputedStyle(node).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 33, 39)"}[theme]
    assert await findings_of_axe(axe, stage.page) == []
    await stage.page.context.set_offline(False)


async def test_a_run_is_followed_to_both_plans(stage: Stage) -> None:
    """The widget shows steps by name, estimates as they come, then both plans with formatted values."""
    await stage.open()
    await expect(stage.part("state")).to_have_text("Aguardando o início")
    await stage.run(5)
    await expect(stage.part("steps")).to_have_text("Etapa 5 de 15")
    await expect(stage.part("label")).to_have_text("Passo 5")
    await expect(stage.part("message")).to_have_text("Tela 5 concluída")
    tiles = stage.part("estimate").locator("[part=item]")
    await expect(tiles).to_have_text(
        ["CompreensivaDe R$ 2.350,00 até R$ 2.980,00", "RCFDe R$ 1.150,00 até não informado"]
    )
    assert await stage.part("plans").locator("*").count() == 0
    await stage.publish({"status_final": "success", "dados_finais": PLANS})
    await expect(stage.part("plan-price")).to_have_text(["R$ 2.914,35", "R$ 2.487,90"])
    best = stage.part("plan").first
    for row in ("FranquiaR$ 3.890,00", "Assistênciasim", "Carro reservanão", "Danos moraisnão informado"):
        await expect(best).to_contain_text(row)
    await expect(stage.part("percent")).to_have_text("100%")
    assert "R$ 0,00" not in await stage.widget.inner_text()


async def test_a_plan_that_was_not_read_shows_no_price(stage: Stage) -> None:
    """A price of "N/A" is shown as "não informado", never as zero; the other plan keeps its price."""
    await stage.run(15, {"status_final": "success", "dados_finais": UNREAD})
    await stage.open('contact-url="https://wa.me/55"')
    await expect(stage.part("plan-price")).to_have_count(2)
    await expect(stage.part("plan-price").nth(0)).to_contain_text("2.914,35")
    await expect(stage.part("plan-price").nth(1)).to_have_text("não informado")
    text = await stage.part("plan").nth(1).inner_text()
    assert "R$" not in text
    assert "Vidros" not in text


async def test_a_success_without_any_price_is_no_quote(stage: Stage) -> None:
    """A success without any price is shown as a manual quotation, with a link to a person and no price."""
    await stage.run(15, {"status_final": "success", "dados_finais": PRICELESS})
    await stage.open('contact-url="https://wa.me/55"')
    await expect(stage.part("state")).to_have_text("Cotação manual necessária")
    await expect(stage.part("contact")).to_be_visible()
    assert "R$" not in await stage.widget.inner_text()


async def test_a_lost_connection_is_reported_after_a_while_and_the_run_goes_on(stage: Stage) -> None:
    """The loss of a connection is mentioned after 8 s, until the connection is back; the run is not called failed."""
    await stage.run(8)
    await stage.page.clock.install()
    await stage.open_at_home()
    await expect(stage.part("steps")).to_have_text("Etapa 8 de 15")
    await stage.page.context.set_offline(True)
    await stage.page.evaluate("dispatchEvent(new Event('offline'))")
    await expect(stage.part("status")).to_be_hidden()
    await stage.run_clock(60)
    await expect(stage.part("status")).to_contain_text("Sem conexão. Reconectando…")
    await expect(stage.part("state")).to_have_text("Em andamento")
    await expect(stage.part("retry")).to_be_visible()
    box = await stage.part("retry").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 24
    await stage.part("retry").click()
    await stage.publish({"etapa": 15, "mensagem": "enquanto isso"})
    await stage.page.context.set_offline(False)
    await stage.run_clock(15)
    await expect(stage.part("steps")).to_have_text("Etapa 15 de 15")
    await stage.page.clock.run_for(1_000)
    await expect(stage.part("status")).to_be_hidden()
    await expect(stage.part("retry")).to_be_hidden()


async def test_a_late_step_is_shown_and_the_bar_still_waits_for_it(stage: Stage) -> None:
    """A step that takes longer than usual is called late, without a time left; the next does not move the bar back."""
    await stage.run(8)
    await stage.page.clock.install()
    await stage.open()
    await expect(stage.part("eta")).to_have_text(re.compile(r"^Faltam cerca de \d+ min$"))
    await stage.run_clock(120)
    await expect(stage.part("status")).to_contain_text("Está demorando mais que o normal")
    await expect(stage.part("eta")).to_be_hidden()
    late = int((await stage.part("percent").inner_text()).rstrip("%"))
    await stage.publish({"etapa": 9, "mensagem": "Passo 9"})
    await expect(stage.part("steps")).to_have_text("Etapa 9 de 15")
    await expect(stage.part("status")).not_to_contain_text("etapa 8")
    assert late <= int((await stage.part("percent").inner_text()).rstrip("%"))


def write_run(data_dir: Path, session: str, ago_s: float, silent_s: float) -> None:
    """Write the files of a robot in UTC whose run began *ago_s* ago, and that is silent for *silent_s*, in step 8."""
    now_s = time.time()
    began = datetime.fromtimestamp(now_s - ago_s, UTC).replace(tzinfo=None)
    run = Run(session, "a1", began, began=round((now_s - ago_s) * 1000))
    run.start(began)
    last = ago_s - silent_s
    for step, seconds in enumerate([1, 2, 3, 4, 4.1, 4.2, last - 8, last - 7]):
        run.step(step, f"Passo {step}", began + timedelta(seconds=seconds))
    run.step(8, "Passo 8", began + timedelta(seconds=last - 6))
    run.step(8, "Ainda no passo 8", began + timedelta(seconds=last))
    data_dir.mkdir(exist_ok=True)
    json_files.write_all(data_dir, session, run.documents())
    for path in data_dir.iterdir():
        os.utime(path, (now_s - silent_s, now_s - silent_s))


async def shown(stage: Stage) -> tuple[int, int]:
    """Return what the page shows: the bar's percentage, and the seconds of the run."""
    await expect(stage.part("steps")).to_have_text("Etapa 8 de 15")
    clock = re.findall(r"\d+", await stage.part("elapsed").inner_text())
    seconds = sum(int(part) * unit for part, unit in zip(reversed(clock), (1, 60, 3600), strict=False))
    return int((await stage.part("percent").inner_text()).rstrip("%")), seconds


@pytest.mark.parametrize("transport", ["websocket", "sse", "polling"])
@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Asia/Tokyo"])
async def test_a12_a_reload_in_mid_step_takes_nothing_back(
    browser: Browser, http: aiohttp.ClientSession, tmp_path: Path, zone: str, transport: str
) -> None:
    """With robot and server in UTC and the visitor elsewhere, a page that comes 25 s into a silence shows the run's true
    time, and after a reload neither its time nor its bar has gone back.
    """
    server = Server(tmp_path / "rpa_data", RPA_ALLOWED_ORIGINS="*", TZ="UTC").start()
    site = EmbeddingSite(server.url)
    await site.start()
    context = await browser.new_context(viewport={"width": 640, "height": 400}, timezone_id=zone)
    try:
        async with watched(context) as page:
            stage = Stage(http, site, page)
            write_run(tmp_path / "rpa_data", stage.session, 61, 25)
            await stage.open(f'show="bar,steps,eta" transport="{transport}"')
            percent, seconds = await shown(stage)
            await page.screenshot(path=tmp_path / "before.png")
            assert 61 <= seconds < 76
            for _ in range(2):
                await page.reload()
                again, later = await shown(stage)
                assert percent <= again < 70 and seconds <= later < 90
            await page.screenshot(path=tmp_path / "after.png")
            await page.evaluate("sessionStorage.clear()")
            await page.reload()
            again, later = await shown(stage)
            assert percent <= again < 70 and seconds <= later < 90
    finally:
        await context.close()
        await site.stop()
        server.stop()


async def test_a_reload_goes_on_where_it_was(stage: Stage) -> None:
    """After a reload the widget continues at its cursor over one connection, and reports no update twice."""
    await stage.run(5)
    await stage.open('show="bar,steps,log"')
    await expect(stage.part("steps")).to_have_text("Etapa 5 de 15")
    sockets: list[str] = []
    stage.page.on("websocket", lambda socket: sockets.append(socket.url))
    await stage.page.reload()
    await expect(stage.part("steps")).to_have_text("Etapa 5 de 15")
    await stage.publish({"etapa": 6, "mensagem": "depois"}, {"status_final": "success", "dados_finais": PLANS})
    await expect(stage.part("state")).to_have_text("Cotação concluída")
    after = parse_qs(urlsplit(sockets[0]).query)["after"][0]
    assert re.fullmatch(r"\w+:\d+", after)
    seqs = [event["detail"]["seq"] for event in await stage.heard("progress")]
    assert seqs == sorted(set(seqs))
    assert len(sockets) == 1
