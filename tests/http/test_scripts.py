"""The scripts that other sites embed, as they are served, and the page that shows how."""

import html
import re
from pathlib import Path

import pytest

from rpa_server import __version__
from rpa_server.http import scripts
from tests.support.application import Serve
from tests.support.server import ROOT

DIST = ROOT / "web" / "dist"
FILES = ["rpa-progress.js", "rpa-progress.json", "rpa-client.js"]
TRACKER = "/webflow_progress_tracker"
FIXED = {f"/static/{file.replace('.', f'-{__version__}.')}": file for file in FILES} | {
    f"{TRACKER}-{__version__}.json": "rpa-progress.json"
}
NEWEST = {f"/static/{file}": file for file in FILES} | {f"{TRACKER}.js": "rpa-progress.js"}
TYPES = {".js": "text/javascript", ".json": "application/json"}
PLAIN = {"Accept-Encoding": "identity"}


@pytest.mark.parametrize(("address", "file"), [*FIXED.items(), *NEWEST.items()])
async def test_any_site_may_load_a_file(serve: Serve, address: str, file: str) -> None:
    """Every file comes whole, as what it is, to pages of every origin."""
    async with (await serve()).get(address) as response:
        assert response.status == 200
        assert response.content_type == TYPES[Path(file).suffix]
        assert response.charset == "utf-8"
        assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert await response.read() == (DIST / file).read_bytes()


@pytest.mark.parametrize("address", FIXED)
async def test_a_fixed_address_is_kept_for_ever(serve: Serve, address: str) -> None:
    """What a version's address holds never changes, so nobody has to ask again."""
    async with (await serve()).get(address) as response:
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("address", NEWEST)
async def test_the_newest_is_asked_for_again_soon(serve: Serve, address: str) -> None:
    """An address without a version follows releases within minutes."""
    async with (await serve()).get(address) as response:
        assert response.headers["Cache-Control"] == "public, max-age=300, stale-while-revalidate=86400"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_file_that_is_known_is_not_sent_again(serve: Serve, encoding: str) -> None:
    """A browser that has a file is answered 304, packed or not, and other sites are still allowed."""
    client = await serve()
    headers = {"Accept-Encoding": encoding}
    async with client.get("/static/rpa-progress.js", headers=headers) as response:
        tag = response.headers["ETag"]
    async with client.get("/static/rpa-progress.js", headers={**headers, "If-None-Match": tag}) as response:
        assert response.status == 304
        assert response.headers["ETag"] == tag
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert await response.read() == b""
    async with client.get("/static/rpa-progress.js", headers={**headers, "If-None-Match": '"other"'}) as response:
        assert response.status == 200


async def test_a_file_is_packed_for_who_can_unpack_it(serve: Serve) -> None:
    """What crosses the network is the packed size, and the two forms have different tags."""
    client = await serve()
    async with client.get("/static/rpa-progress.js", headers=PLAIN) as response:
        plain = response.headers
    async with client.get("/static/rpa-progress.js", headers={"Accept-Encoding": "gzip"}) as response:
        packed = response.headers
    assert "Content-Encoding" not in plain
    assert packed["Content-Encoding"] == "gzip"
    assert int(packed["Content-Length"]) < int(plain["Content-Length"]) / 1.8
    assert plain["ETag"] != packed["ETag"]
    assert plain["Vary"] == packed["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("address", [*FIXED, *NEWEST])
async def test_a_head_request_is_the_same_without_the_body(serve: Serve, address: str) -> None:
    """HEAD tells what GET would send."""
    client = await serve()
    async with client.get(address, headers=PLAIN) as response:
        length = response.headers["Content-Length"]
    async with client.head(address, headers=PLAIN) as response:
        assert response.status == 200
        assert response.headers["Content-Length"] == length


@pytest.mark.parametrize("address", ["/static/rpa-progress-0.9.0.js", "/static/rpa-x.js", "/webflow_progress_tracker.map"])
async def test_another_version_is_not_there(serve: Serve, address: str) -> None:
    """A page that names a release that is not kept gets nothing rather than something else."""
    async with (await serve()).get(address) as response:
        assert response.status == 404


async def test_a_kept_release_is_served_for_ever(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A page that named an older release with its hash goes on working after the server was updated."""
    for file in FILES:
        (tmp_path / file).write_text("new")
        (tmp_path / file.replace(".", "-0.9.0.")).write_text("old")
    monkeypatch.setattr(scripts, "_DIST", tmp_path)
    for cache in (scripts._files, scripts.read):
        cache.cache_clear()
    try:
        client = await serve()
        for address in ("/static/rpa-progress-0.9.0.js", f"{TRACKER}-0.9.0.json"):
            async with client.get(address) as response:
                assert await response.text() == "old"
                assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        async with client.get(f"/static/rpa-progress-{__version__}.js") as response:
            assert await response.text() == "new"
        async with client.get("/static/rpa-progress-0.8.0.js") as response:
            assert response.status == 404
    finally:
        for cache in (scripts._files, scripts.read):
            cache.cache_clear()


async def test_the_snippet_that_comes_first_survives_every_update(serve: Serve) -> None:
    """It names no version and no hash, so a page that was never touched again does not go dark."""
    client = await serve()
    async with client.get("/embed") as response:
        text = html.unescape(await response.text())
    first = re.search(r'<script defer src="([^"]+)"([^>]*)></script>\s*<rpa-progress session-param', text)
    assert first is not None
    assert first[1] == f"{str(client.make_url('/')).rstrip('/')}/static/rpa-progress.js"
    assert first[2] == ""
    assert text.index("integrity=") > first.end()


async def test_the_snippet_names_this_server_this_version_and_its_hash(serve: Serve) -> None:
    """What is copied from the page loads from here, and the browser accepts it."""
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
    """A browser that runs no script still shows an address that pages on https may load."""
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
