"""The page ``/embed``, which shows how to put the widget into other sites, in a real Chromium."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.support.browser.stage import MARKS, findings_of_axe

pytestmark = MARKS


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_embed_page_shows_the_widget_and_copies_the_snippet(
    page: Page, axe: str, server: str, scheme: Any
) -> None:
    """The copied snippet has the address that the browser uses; the widget takes language and theme from the form."""
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.emulate_media(color_scheme=scheme)
    await page.clock.install()
    await page.goto(f"{server}/embed")
    live = page.locator("rpa-progress")
    await expect(live.locator("[part=state]")).to_be_visible()
    await page.clock.run_for(12_000)
    await expect(live.locator("[part=state]")).to_have_text("Em andamento")
    await page.get_by_role("button", name="Copiar código").first.click()
    await expect(page.get_by_role("status")).to_have_text("Código copiado.")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f'<script defer src="{server}/static/rpa-progress.js"></script>\n<rpa-progress ')
    await page.get_by_role("button", name="Copiar código").last.click()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert re.match(rf'<script defer src="{server}/static/rpa-progress-[\d.]+\.js"\s+integrity="sha384-', copied)
    await page.get_by_label("Idioma").select_option("en")
    await expect(live.locator("[part=title]")).to_have_text("Your quote")
    await page.get_by_label("Aparência").select_option("dark")
    await expect(live).to_have_attribute("theme", "dark")
    assert await findings_of_axe(axe, page, "html") == []
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
