"""The files that other sites load: addresses, hashes, bytes."""

import base64
import gzip
import hashlib
from pathlib import Path

import pytest

from rpa_server import __version__, embedded
from rpa_server.app import build
from rpa_server.config import load

from .support import ROOT

DIST = ROOT / "web" / "dist"
FILES = ["rpa-progress.js", "rpa-progress.json", "rpa-client.js"]


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_its_bytes_and_their_hash(file: str) -> None:
    """The hash is that of the bytes, the packed bytes are the same bytes."""
    found = embedded.read(file)
    assert found is not None
    assert found.body == (DIST / file).read_bytes()
    assert gzip.decompress(found.packed) == found.body
    assert found.integrity == "sha384-" + base64.b64encode(hashlib.sha384(found.body).digest()).decode()


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_a_newest_and_a_fixed_address(file: str) -> None:
    """Both lead to the same file; only the one with the version names its content for ever."""
    stem, _, kind = file.rpartition(".")
    newest, fixed = embedded.find(file), embedded.find(f"{stem}-{__version__}.{kind}")
    assert newest == (embedded.read(file), False)
    assert fixed == (embedded.read(file), True)


@pytest.mark.parametrize(
    "name",
    ["rpa-progress-0.0.1.js", f"rpa-progress-{__version__}0.js", f"rpa-progress-{__version__}.map", "rpa-progress-.js",
     "rpa-other.js", "rpa-progress.js/..", "../rpa-progress.js", "rpa-progress", "", "index.html"],
)  # fmt: skip
def test_any_other_address_names_nothing(name: str) -> None:
    """Another version's address is never answered with this version's content."""
    assert embedded.find(name) is None


def test_a_script_names_its_fixed_address() -> None:
    """The address in a snippet is one that find() knows as fixed."""
    path = embedded.versioned("rpa-progress")
    found = embedded.find(path.removeprefix("/static/"))
    assert found is not None
    assert found[1]


def test_what_is_served_is_what_was_there_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An update beside a process that goes on running mixes nothing: pages and hashes fit together until it ends."""
    for file in FILES:
        (tmp_path / file).write_text("old")
    monkeypatch.setattr(embedded, "_DIST", tmp_path)
    for cache in (embedded._files, embedded.read):
        cache.cache_clear()
    try:
        build(load({}))
        for file in FILES:
            (tmp_path / file).write_text("new")
        bodies = [found.body for found in map(embedded.read, FILES) if found]
        assert bodies == [b"old"] * len(FILES)
    finally:
        for cache in (embedded._files, embedded.read):
            cache.cache_clear()


def test_packing_is_the_same_on_every_server() -> None:
    """Servers behind one balancer answer with the same bytes under the same tag."""
    found = embedded.read("rpa-progress.js")
    assert found is not None
    embedded.read.cache_clear()
    again = embedded.read("rpa-progress.js")
    assert again is not found
    assert again == found
