"""Where the files are that are not Python."""

from pathlib import Path

import pytest

from rpa_server import assets
from tests.support.server import ROOT


@pytest.mark.parametrize(("name", "file"), [("web", "index.html"), ("web", "page.js"), ("conf", "redis.conf")])
def test_in_a_checkout_they_lie_beside_the_package(name: str, file: str) -> None:
    """In a checkout the files of the checkout are used, so that an edit shows at once."""
    assert assets.directory(name) == ROOT / name
    assert (assets.directory(name) / file).is_file()


def test_installed_they_lie_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package has a directory of that name it wins over one beside the package."""
    package = tmp_path / "site-packages" / "rpa_server"
    (package / "web").mkdir(parents=True)
    (package.parent / "web").mkdir()
    monkeypatch.setattr(assets, "_PACKAGE", package)
    assert assets.directory("web") == package / "web"
