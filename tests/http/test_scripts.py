"""The scripts that other sites load: which address means which file, its bytes and hash, and how it is served."""

import base64
import gzip
import hashlib
from pathlib import Path

import pytest

from rpa_server import __version__
from rpa_server.app import build
from rpa_server.config import load
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


# -- files


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_its_bytes_and_their_hash(file: str) -> None:
    """read() returns a file's bytes, their SHA-384 hash, and a packed form that unpacks to the same bytes."""
    found = scripts.read(file)
    assert found is not None
    assert found.body == (DIST / file).read_bytes()
    assert gzip.decompress(found.packed) == found.body
    assert found.integrity == "sha384-" + base64.b64encode(hashlib.sha384(found.body).digest()).decode()


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_a_newest_and_a_fixed_address(file: str) -> None:
    """The addresses with and without the version lead to the same file; only the first means that content for ever."""
    stem, _, kind = file.rpartition(".")
    newest, fixed = scripts.find(file), scripts.find(f"{stem}-{__version__}.{kind}")
    assert newest == (scripts.read(file), False)
    assert fixed == (scripts.read(file), True)


@pytest.mark.parametrize(
    "name",
    ["rpa-progress-0.0.1.js", f"rpa-progress-{__version__}0.js", f"rpa-progress-{__version__}.map", "rpa-progress-.js",
     "rpa-other.js", "rpa-progress.js/..", "../rpa-progress.js", "rpa-progress", "", "index.html"],
)  # fmt: skip
def test_any_other_address_names_nothing(name: str) -> None:
    """find() returns None for any other name or version, never this version's content."""
    assert scripts.find(name) is None


def test_a_script_names_its_fixed_address() -> None:
    """The address that versioned() returns, for snippets, is one that find() reports as fixed."""
    path = scripts.versioned("rpa-progress")
    found = scripts.find(path.removeprefix("/static/"))
    assert found is not None
    assert found[1]


def test_what_is_served_is_what_was_there_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If files are replaced under a running process, its pages and hashes still match the files that it serves."""
    for file in FILES:
        (tmp_path / file).write_text("old")
    monkeypatch.setattr(scripts, "_DIST", tmp_path)
    for cache in (scripts._files, scripts.read):
        cache.cache_clear()
    try:
        build(load({}))
        for file in FILES:
            (tmp_path / file).write_text("new")
        bodies = [found.body for found in map(scripts.read, FILES) if found]
        assert bodies == [b"old"] * len(FILES)
    finally:
        for cache in (scripts._files, scripts.read):
            cache.cache_clear()


def test_packing_is_the_same_on_every_server() -> None:
    """Reading a file twice packs it into the same bytes, so that servers behind one load balancer share its ETag."""
    found = scripts.read("rpa-progress.js")
    assert found is not None
    scripts.read.cache_clear()
    again = scripts.read("rpa-progress.js")
    assert again is not found
    assert again == found


# -- answers


@pytest.mark.parametrize(("address", "file"), [*FIXED.items(), *NEWEST.items()])
async def test_any_site_may_load_a_file(serve: Serve, address: str, file: str) -> None:
    """Pages of every origin can load every file, completely and with its type."""
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
    """An address with a version, whose content never changes, is cached for a year as immutable."""
    async with (await serve()).get(address) as response:
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("address", NEWEST)
async def test_the_newest_is_asked_for_again_soon(serve: Serve, address: str) -> None:
    """An address without a version is cached for five minutes, so that pages soon get a new release."""
    async with (await serve()).get(address) as response:
        assert response.headers["Cache-Control"] == "public, max-age=300, stale-while-revalidate=86400"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_file_that_is_known_is_not_sent_again(serve: Serve, encoding: str) -> None:
    """A browser that has a file gets 304, packed or not, with the header that lets other sites load the file."""
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
    """A client that accepts gzip gets the packed file; the two forms have different ETags."""
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
    """HEAD is answered 200 with the Content-Length of GET."""
    client = await serve()
    async with client.get(address, headers=PLAIN) as response:
        length = response.headers["Content-Length"]
    async with client.head(address, headers=PLAIN) as response:
        assert response.status == 200
        assert response.headers["Content-Length"] == length


@pytest.mark.parametrize("address", ["/static/rpa-progress-0.9.0.js", "/static/rpa-x.js", "/webflow_progress_tracker.map"])
async def test_another_version_is_not_there(serve: Serve, address: str) -> None:
    """The address of a release that is not kept is 404, never another release's script."""
    async with (await serve()).get(address) as response:
        assert response.status == 404


async def test_a_kept_release_is_served_for_ever(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An older release whose files are kept is served at its own address, so that pages which name it keep working."""
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
