"""Makes the pictures in docs/images: the real server, real runs, the real widget in a headless Chromium.

    python docs/pictures.py

Needs the package with its test extra, a Chromium, and Pillow, which makes them a third as large. Fonts are the machine's.
"""

import asyncio
import contextlib
import json
import re
import shutil
import socket
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
HISTORY = json.loads((ROOT / "rpa_server" / "cli" / "demo_history.json").read_text(encoding="utf-8"))["historico"]
STEPS = [entry for entry in HISTORY if isinstance(entry["etapa"], (int, float)) and "concluída" not in entry["mensagem"]]
PLANS = HISTORY[-1]["dados_extra"]
#: One of the two plans could not be read.
UNREAD = {**PLANS, "plano_alternativo": {
    key: False if isinstance(word, bool) else "N/A" for key, word in PLANS["plano_alternativo"].items()
}}  # fmt: skip
ESTIMATES = next(entry["dados_extra"] for entry in HISTORY if entry["etapa"] == "estimativas")

#: Seconds that each step takes, from the robot's start on.
SECONDS = [3, 1, 1, 0.1, 0.1, 8, 0.1, 6, 9, 4, 0.1, 0.1, 0.2, 8, 0.1, 80]
#: Name → last step of the run, and how it ended: status, plans, error.
RUNS: dict[str, tuple[int, tuple[str, dict[str, Any], str | None] | None]] = {
    "running": (8, None),
    "success": (15, ("success", PLANS, None)),
    "success-unread": (15, ("success", UNREAD, None)),
    "error": (2, ("error", {}, "Placa não encontrada no site da seguradora")),
    "manual": (15, ("error", {}, "Cotação manual necessária")),
    "expired": (7, ("timeout", {}, None)),
    "cancelled": (3, ("cancelado", {}, None)),
    "offline": (8, None),
    "fault": (8, None),
    "stalled": (8, None),
}
WIDTH, NARROW = 430, 288
BESIDE = """<!doctype html><html lang="{lang}"><meta charset="utf-8"><script defer src="/static/rpa-progress.js"></script>
<body style="margin:0;width:max-content;font:16px system-ui"><div id="all" style="display:flex">{widgets}</div>"""
ONE = """<div style="padding:20px;background:{ground}"><rpa-progress style="width:{width}px" theme="{theme}" {more}
  contact-url="https://wa.me/550000000000"></rpa-progress></div>"""


@contextlib.asynccontextmanager
async def server() -> AsyncIterator[tuple[str, Path]]:
    """Run the server on files alone; yields its address and where the files are."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aiohttp.web", "-H", "127.0.0.1", "-P", str(port), "rpa_server:create_app"),
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "RPA_REDIS_URL": "none", "RPA_DATA_DIR": folder},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await asyncio.sleep(2)
            yield f"http://127.0.0.1:{port}", Path(folder)
        finally:
            process.terminate()
            await process.wait()


def write_run(folder: Path, name: str) -> None:
    """Write a run of RUNS as a robot writes it, so that it comes to its present now; the session has its name."""
    last, end = RUNS[name]
    now = datetime.now()
    began = now - timedelta(seconds=sum(SECONDS[: last + 1]))
    entries: list[dict[str, Any]] = []

    def add(
        at_s: float, etapa: float | str, status: str, mensagem: str, extra: Any = None, erro: str | None = None
    ) -> None:
        stamp = (began + timedelta(seconds=at_s)).isoformat()
        entries.append({"etapa": etapa, "timestamp": stamp, "status": status, "mensagem": mensagem,
                        "dados_extra": extra, "erro": erro})  # fmt: skip

    for step in STEPS:
        if step["etapa"] <= last:
            add(sum(SECONDS[: int(step["etapa"])]), step["etapa"], "executando", step["mensagem"])
        if step["etapa"] == 5 and last >= 5:
            add(sum(SECONDS[:6]), "estimativas", "completed", "Estimativas capturadas", ESTIMATES)
    if end is not None:
        status, plans, error = end
        add(sum(SECONDS[: last + 1]), "final", status, f"RPA {status}", plans, error)
    document = {"session_id": name, "timestamp_inicio": began.isoformat(), "total_etapas": 15, "historico": entries}
    (folder / f"history_{name}.json").write_text(json.dumps(document), encoding="utf-8")


async def show(page: Page, url: str, body: str) -> None:
    """Show a page of the server's own origin that is not there."""
    await page.route("**/picture", lambda route: route.fulfill(body=body, content_type="text/html"))
    await page.goto(f"{url}/picture")
    await page.wait_for_function("!!customElements.get('rpa-progress')")
    await page.wait_for_timeout(3000)


def beside(more: str, width: int = WIDTH, lang: str = "pt-BR") -> str:
    """Put a light and a dark widget side by side."""
    themes = [("light", "#f3f6f7"), ("dark", "#0e1519")]
    widgets = "".join(ONE.format(theme=theme, ground=ground, more=more, width=width) for theme, ground in themes)
    return BESIDE.format(widgets=widgets, lang=lang)


async def state(browser: Browser, url: str, name: str, **how: Any) -> None:
    """Picture the widget in one state."""
    context = await browser.new_context(viewport={"width": 1100, "height": 700})
    page = await context.new_page()
    if name in ("offline", "stalled"):
        await page.clock.install()
    session = "nobody" if name == "waiting" else how.pop("session", name)
    more = ' transport="polling"' if name == "fault" else ""
    await show(page, url, beside(f'session-id="{session}"{more}', **how))
    if name == "fault":
        await refuse(page)
    if name == "offline":
        await context.set_offline(True)
        await page.clock.run_for(40_000)
        await page.clock.run_for(10_000)
    if name == "stalled":
        for _ in range(5):
            await page.clock.run_for(20_000)
    if name in ("offline", "stalled"):
        await page.wait_for_timeout(1500)
    await page.locator("#all").screenshot(path=IMAGES / f"widget-{name}.png")
    await context.close()


async def refuse(page: Page) -> None:
    """Answer the page's next poll as the server answers whom it does not let in; the one that waits ends within 10 s."""
    refusal = {"type": "error", "code": "forbidden", "message": "", "temporary": False}
    await page.route("**/api/sessions/**", lambda route: route.fulfill(status=403, json=refusal))
    await page.locator("rpa-progress [role=alert]:not(:empty)").last.wait_for()
    await page.wait_for_timeout(1500)


async def embed_page(browser: Browser, url: str) -> None:
    """Picture the page that shows how to embed."""
    page = await browser.new_page(viewport={"width": 1120, "height": 760})
    await page.clock.install()
    await page.goto(f"{url}/embed")
    await page.wait_for_timeout(1000)
    await page.clock.run_for(14_000)
    # Readers have another address.
    await page.evaluate("for (const n of document.querySelectorAll('.snippet')) "
                        "n.textContent = n.textContent.replace(/http:..127[^/]*/, 'https://rpa.example.com')")  # fmt: skip
    await page.wait_for_timeout(1500)
    await page.screenshot(path=IMAGES / "embed-page.png")
    await page.close()


async def own_elements(browser: Browser, url: str) -> None:
    """Picture elements that a designer drew, bound to a run: the example of docs/webflow.rst."""
    text = (ROOT / "docs" / "webflow.rst").read_text(encoding="utf-8")
    block = re.search(r"code-block:: html\n\n((?:    <!doctype.*\n)(?:    .*\n|\n)*)", text)
    assert block is not None
    example = textwrap.dedent(block[1])
    page = await browser.new_page(viewport={"width": 700, "height": 420})
    await page.clock.install()
    body = example.replace("https://rpa.example.com", "").replace('session-param="session_id"', 'session-id="running"')
    await show(page, url, body)
    await page.wait_for_timeout(1500)
    await page.screenshot(path=IMAGES / "own-elements.png")
    await page.close()


async def main() -> None:
    """Make all pictures."""
    IMAGES.mkdir(exist_ok=True)
    async with server() as (url, folder), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-lcd-text"])
        for name in ["waiting", *RUNS]:
            if name in RUNS:
                write_run(folder, name)
            await state(browser, url, name)
        await state(browser, url, "english", session="success", lang="en")
        await state(browser, url, "narrow", session="success", width=NARROW)
        write_run(folder, "running")
        await own_elements(browser, url)
        await embed_page(browser, url)
        await browser.close()
    for path in IMAGES.glob("*.png"):
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


asyncio.run(main())
