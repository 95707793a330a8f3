"""The pages and their files as they are served."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rpa_server import __version__
from rpa_server.http import scripts
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
    """Every element of a page with its attributes, and the text inside its scripts and styles."""

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
    """The page is the same whatever session the address names: only the page's script reads that."""
    async with (await serve()).get(address) as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        served = re.sub(r"/static/rpa-progress-[^\"]*", "/static/rpa-progress.js", await response.text())
        assert served == (ROOT / "web" / "index.html").read_text()


@pytest.mark.parametrize("address", PAGES)
async def test_the_page_may_run_its_own_script_only(serve: Serve, address: str) -> None:
    """The policy allows scripts and styles of this server only: no inline code, no framing, no text as markup."""
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
    """The page has no inline script, style or handler, and nothing from another site."""
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
    """Every file of the server that the page refers to is served."""
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
    """Every file of the pages is served unchanged and with its type, which browsers may not guess."""
    async with (await serve()).get(f"/static/{name}") as response:
        assert response.status == 200
        assert response.content_type in TYPES[Path(name).suffix]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert await response.read() == (ROOT / "web" / name).read_bytes()


@pytest.mark.parametrize("name", ASSETS)
async def test_a_file_that_is_known_is_not_sent_again(serve: Serve, name: str) -> None:
    """A browser that already has a file gets 304."""
    client = await serve()
    async with client.get(f"/static/{name}") as response:
        tag = response.headers["ETag"]
    async with client.get(f"/static/{name}", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert await response.read() == b""


@pytest.mark.parametrize("address", [*PAGES, *(f"/static/{name}" for name in ASSETS)])
async def test_a_head_request_is_the_same_without_the_body(serve: Serve, address: str) -> None:
    """HEAD is answered 200 with the Content-Length of GET and no body."""
    client = await serve()
    async with client.get(address) as response:
        length = response.headers["Content-Length"]
    async with client.head(address) as response:
        assert response.status == 200
        assert response.headers["Content-Length"] == length
        assert await response.read() == b""


@pytest.mark.parametrize("address", [*PAGES, *(f"/static/{name}" for name in ASSETS)])
async def test_a_new_release_is_seen_at_once(serve: Serve, address: str) -> None:
    """Browsers revalidate every file at every visit (``no-cache``): no page runs with another release's script."""
    async with (await serve()).get(address) as response:
        assert response.headers.get("Cache-Control") == "no-cache"


@pytest.mark.parametrize("name", ["src/client.js", "tests/x.mjs", "dist/rpa-client.js", "package.json", "../setup.py"])
async def test_what_is_no_file_of_the_pages_is_not_there(serve: Serve, name: str) -> None:
    """Sources, tests and tools in ``web/`` are not served."""
    async with (await serve()).get(f"/static/{name}") as response:
        assert response.status == 404


@pytest.mark.parametrize("address", PAGES)
async def test_the_page_loads_the_widget_of_its_own_release(serve: Serve, address: str) -> None:
    """The page names the widget by version and hash, so that no cache supplies another release's widget for it."""
    client = await serve()
    elements = await elements_of(serve, address)
    [script] = [a["src"] for tag, a in elements.found if tag == "script" and "rpa-progress" in (a.get("src") or "")]
    assert script is not None
    async with client.get("/static/rpa-progress.js") as response:
        body, tag = await response.read(), response.headers["ETag"].strip('"').removesuffix("-gz")
    assert script == f"/static/rpa-progress-{__version__}.js?{tag}"
    async with client.get(script) as response:
        assert await response.read() == body


# -- the snippet


async def test_the_snippet_that_comes_first_survives_every_update(serve: Serve) -> None:
    """The first snippet on /embed names no version and no hash, so that it still works after updates of the server."""
    client = await serve()
    async with client.get("/embed") as response:
        text = html.unescape(await response.text())
    first = re.search(r'<script defer src="([^"]+)"([^>]*)></script>\s*<rpa-progress session-param', text)
    assert first is not None
    assert first[1] == f"{str(client.make_url('/')).rstrip('/')}/static/rpa-progress.js"
    assert first[2] == ""
    assert text.index("integrity=") > first.end()


async def test_the_snippet_names_this_server_this_version_and_its_hash(serve: Serve) -> None:
    """The snippet with a hash names this server and version, and its hash is that of the script served there."""
    client = await serve()
    async with client.get("/embed") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        text = html.unescape(await response.text())
    origin = str(client.make_url("/")).rstrip("/")
    match = re.search(r'<script defer src="([^"]+)"\s+integrity="([^"]+)"\s+crossorigin="anonymous"></script>', text)
    assert match is not None
    assert match[1] == origin + scripts.versioned("rpa-progress")
    async with client.get(match[1].removeprefix(origin)) as response:
        body = await response.read()
    content = scripts.read("rpa-progress.js")
    assert content is not None
    assert (content.body, content.integrity) == (body, match[2])
    assert len(match[0]) < 1000


@pytest.mark.parametrize(
    ("forwarded", "scheme"), [("https", "https"), ("https, http", "https"), ("http", "http"), ("x", "http")]
)
async def test_behind_tls_the_snippet_is_https_without_javascript_too(serve: Serve, forwarded: str, scheme: str) -> None:
    """Behind a proxy with TLS the snippets have https addresses, even in a browser that runs no script."""
    headers = {"Host": "rpa.example.com", "X-Forwarded-Proto": forwarded}
    async with (await serve()).get("/embed", headers=headers) as response:
        text = html.unescape(await response.text())
    assert set(re.findall(r'src="([^"]+)/static/rpa-progress', text)) - {""} == {f"{scheme}://rpa.example.com"}


async def test_a_forged_host_stays_text(serve: Serve) -> None:
    """The Host header of a request can't become markup of the page."""
    async with (await serve()).get("/embed", headers={"Host": 'a"><img src=x>'}) as response:
        if response.status == 200:
            assert "<img src=x>" not in await response.text()
        else:
            assert response.status == 400
