"""The page and its files as they are served."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rpa_server import __version__
from tests.support.application import Serve
from tests.support.server import ROOT

PAGES = {"/": "index.html", "/embed": "embed.html"}
TYPES = {
    ".html": {"text/html"},
    ".js": {"text/javascript", "application/javascript"},
    ".css": {"text/css"},
}
ASSETS = sorted(path.name for path in (ROOT / "web").glob("*") if path.suffix in TYPES)


class Elements(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style") and data.strip():
            self.inline.append(data)


async def elements_of(serve: Serve, address: str) -> Elements:
    async with (await serve()).get(address) as response:
        assert response.status == 200
        return Elements(await response.text())


@pytest.mark.parametrize("address", ["/", "/?session=2d4c17d1", "/?session=../x"])
async def test_the_page_is_served_whatever_session_it_is_to_show(serve: Serve, address: str) -> None:
    """The page is one file; the session in its address is read by its script alone."""
    async with (await serve()).get(address) as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        served = re.sub(r"/static/rpa-progress-[^\"]*", "/static/rpa-progress.js", await response.text())
        assert served == (ROOT / "web" / "index.html").read_text()


@pytest.mark.parametrize("address", PAGES)
async def test_the_page_may_run_its_own_script_only(serve: Serve, address: str) -> None:
    """The policy allows the page's own files and connections, no framing, no inline code, no string as markup."""
    async with (await serve()).get(address) as response:
        headers = response.headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("address", PAGES)
async def test_the_page_holds_nothing_that_its_policy_forbids(serve: Serve, address: str) -> None:
    """No inline script, style or handler, and nothing from another site."""
    elements = await elements_of(serve, address)
    assert elements.inline == []
    for tag, attributes in elements.found:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style", tag
            if name in ("src", "href", "action"):
                assert not re.match(r"[a-z]+:|//", value or "") or (value or "").startswith("data:image/"), (tag, value)


@pytest.mark.parametrize("address", PAGES)
async def test_everything_the_page_names_is_served(serve: Serve, address: str) -> None:
    """Every file that the page names is there."""
    client = await serve()
    elements = await elements_of(serve, address)
    names = {attributes.get("src") or attributes.get("href") for _, attributes in elements.found}
    files = sorted(name for name in names if name and name.startswith("/static/"))
    assert len(files) >= 3
    for name in files:
        async with client.get(name) as response:
            assert response.status == 200, name


@pytest.mark.parametrize("name", ASSETS)
async def test_a_file_is_served_with_its_type(serve: Serve, name: str) -> None:
    """Every file of the pages is served as it is, as what it is, and never guessed at."""
    async with (await serve()).get(f"/static/{name}") as response:
        assert response.status == 200
        assert response.content_type in TYPES[Path(name).suffix]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert await response.read() == (ROOT / "web" / name).read_bytes()


@pytest.mark.parametrize("name", ASSETS)
async def test_a_file_that_is_known_is_not_sent_again(serve: Serve, name: str) -> None:
    """A browser that has a file is answered 304."""
    client = await serve()
    async with client.get(f"/static/{name}") as response:
        tag = response.headers["ETag"]
    async with client.get(f"/static/{name}", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert await response.read() == b""


@pytest.mark.parametrize("address", [*PAGES, *(f"/static/{name}" for name in ASSETS)])
async def test_a_head_request_is_the_same_without_the_body(serve: Serve, address: str) -> None:
    """HEAD tells what GET would send."""
    client = await serve()
    async with client.get(address) as response:
        length = response.headers["Content-Length"]
    async with client.head(address) as response:
        assert response.status == 200
        assert response.headers["Content-Length"] == length
        assert await response.read() == b""


@pytest.mark.parametrize("address", [*PAGES, *(f"/static/{name}" for name in ASSETS)])
async def test_a_new_release_is_seen_at_once(serve: Serve, address: str) -> None:
    """Every file is asked for anew at every visit, so that the page never runs with another release's script."""
    async with (await serve()).get(address) as response:
        assert response.headers.get("Cache-Control") == "no-cache"


@pytest.mark.parametrize("name", ["src/index.js", "tests/x.mjs", "dist/rpa-client.js", "package.json", "../setup.py"])
async def test_what_is_no_file_of_the_pages_is_not_there(serve: Serve, name: str) -> None:
    """Sources, tests and tools stay at home."""
    async with (await serve()).get(f"/static/{name}") as response:
        assert response.status == 404


@pytest.mark.parametrize("address", PAGES)
async def test_the_page_loads_the_widget_of_its_own_release(serve: Serve, address: str) -> None:
    """The widget's address names its very content, so that no cache can put another beside the page."""
    client = await serve()
    elements = await elements_of(serve, address)
    [script] = [a["src"] for tag, a in elements.found if tag == "script" and "rpa-progress" in (a.get("src") or "")]
    assert script is not None
    async with client.get("/static/rpa-progress.js") as response:
        body, tag = await response.read(), response.headers["ETag"].strip('"').removesuffix("-gz")
    assert script == f"/static/rpa-progress-{__version__}.js?{tag}"
    async with client.get(script) as response:
        assert await response.read() == body
