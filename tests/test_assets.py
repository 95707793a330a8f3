"""Where the directories ``web`` and ``conf`` are found, in a checkout and in an installed package."""

from pathlib import Path

import pytest

from rpa_server import assets
from tests.support.server import ROOT


@pytest.mark.parametrize(("name", "file"), [("web", "index.html"), ("web", "page.js"), ("conf", "redis.conf")])
def test_in_a_checkout_they_lie_beside_the_package(name: str, file: str) -> None:
    """In a checkout the directory beside the package is used, so that an edit of its files shows at once."""
    assert assets.directory(name) == ROOT / name
    assert (assets.directory(name) / file).is_file()


def test_installed_they_lie_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory inside the package wins over one of the same name beside it."""
    package = tmp_path / "site-packages" / "rpa_server"
    (package / "web").mkdir(parents=True)
    (package.parent / "web").mkdir()
    monkeypatch.setattr(assets, "_PACKAGE", package)
    assert assets.directory("web") == package / "web"
