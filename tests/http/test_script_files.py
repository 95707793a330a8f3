"""The files that other sites load: addresses, hashes, bytes."""

import base64
import gzip
import hashlib
from pathlib import Path

import pytest

from rpa_server import __version__
from rpa_server.app import build
from rpa_server.config import load
from rpa_server.http import scripts
from tests.support.server import ROOT

DIST = ROOT / "web" / "dist"
FILES = ["rpa-progress.js", "rpa-progress.json", "rpa-client.js"]


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_its_bytes_and_their_hash(file: str) -> None:
    """The hash is that of the bytes, the packed bytes are the same bytes."""
    found = scripts.read(file)
    assert found is not None
    assert found.body == (DIST / file).read_bytes()
    assert gzip.decompress(found.packed) == found.body
    assert found.integrity == "sha384-" + base64.b64encode(hashlib.sha384(found.body).digest()).decode()


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_a_newest_and_a_fixed_address(file: str) -> None:
    """Both lead to the same file; only the one with the version names its content for ever."""
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
    """Another version's address is never answered with this version's content."""
    assert scripts.find(name) is None


def test_a_script_names_its_fixed_address() -> None:
    """The address in a snippet is one that find() knows as fixed."""
    path = scripts.versioned("rpa-progress")
    found = scripts.find(path.removeprefix("/static/"))
    assert found is not None
    assert found[1]


def test_what_is_served_is_what_was_there_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When files are replaced under a running process, its pages and hashes still fit the files that it serves."""
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
    """Servers behind one balancer answer with the same bytes under the same tag."""
    found = scripts.read("rpa-progress.js")
    assert found is not None
    scripts.read.cache_clear()
    again = scripts.read("rpa-progress.js")
    assert again is not found
    assert again == found
