"""The documents name every variable, route, code and status, and nothing that isn't there."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from aiohttp import web

from rpa_server import app, config, errors
from rpa_server.delivery import websocket
from rpa_server.delivery.wire import incoming
from rpa_server.http.errors import _CODES
from tests.support.server import ROOT

README = (ROOT / "README.rst").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
DOCUMENTS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.rst")} | {"README.rst": README}
NGINX = (ROOT / "conf" / "nginx.conf").read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    """The README stays under 200 lines."""
    assert README.count("\n") < 200


def test_every_variable_is_in_the_readme() -> None:
    """The README lists every environment variable that is read."""
    missing = [name for name in (*config.ENVIRONMENT, "RPA_CONFIG", "SESSION_ID") if name not in README]
    assert missing == []


def test_every_setting_is_in_the_shipped_file() -> None:
    """conf/websocket_config.json shows every setting, with its default."""
    document = json.loads((ROOT / "conf" / "websocket_config.json").read_text())
    shown = {**document["server"], **{key: document[key] for key in ("data_dir", "exit_flush_s")}}
    shown["allowed_origins"] = (shown["allowed_origins"],)
    shown["data_dir"] = str(Path.cwd() / shown["data_dir"])
    defaults = config.Settings()
    for setting in fields(config.Settings):
        if setting.name != "redis_url":
            assert shown[setting.name] == getattr(defaults, setting.name), setting.name
    assert config.load({}) == defaults


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_document_names_is_there(name: str) -> None:
    """Every variable that a document names is read, and every file that it names exists."""
    text = DOCUMENTS[name]
    read = {*config.ENVIRONMENT, "RPA_CONFIG", "RPA_SERVER_URL"}
    assert set(re.findall(r"\b(?:RPA|REDIS)_[A-Z_]*[A-Z]\b", text)) <= read
    files = re.findall(r"\b(?:conf|docs|examples|tests|web)/[a-z_/-]+(?:\.[a-z]+)*\b", text)
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_what_is_explained_of_the_nginx_configuration_is_in_it() -> None:
    """Every directive in the table of docs/deployment.rst is in conf/nginx.conf."""
    table = DOCUMENTS["deployment.rst"].partition("What each part of nginx.conf is for")[2].partition("\n\nTwo lines")[0]
    parts = [part for line in table.split("\n") for part in re.findall(r"``(.+?)``", line[:47])]
    assert len(parts) > 15
    missing = [part for part in parts if not all(piece in NGINX for piece in re.split(r"\s*…\s*", part))]
    assert missing == []


def test_every_route_is_in_the_api_document() -> None:
    """docs/api.rst names every address."""
    names = set()
    for resource in app.build(config.Settings(redis_url=None)).router.resources():
        assert isinstance(resource, (web.PlainResource, web.DynamicResource, web.StaticResource))
        names.add(resource.canonical)
    missing = [name for name in names - {"/", "/static"} if name not in API]
    assert missing == []


def test_every_attribute_of_the_widget_is_in_its_document() -> None:
    """docs/webflow.rst lists what the element reads and binds in both languages, and its parts in Portuguese."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "web" / "src").glob("*.js")}
    document = (ROOT / "docs" / "webflow.rst").read_text(encoding="utf-8")
    portuguese, english = document.split("\nProgress on a Webflow page\n")
    asked = re.findall(r"\bget\('([\w-]+)'\)", sources["follow.js"] + sources["rpa-progress.js"])
    read = set(asked) | {"demo", "theme", "show"}
    bound = {f"data-rpa-{name}" for name in re.findall(r"each\('(\w+)'", sources["bind.js"])}
    said = set(re.findall(r"^ {4}([a-z]\w*): ", sources["view.js"].split("  return {\n")[-1], re.M)) - {"on", "value"}
    assert len(read) > 12
    assert len(bound) == 5
    assert len(said) > 8
    for language in (portuguese, english):
        assert [name for name in sorted(read | bound | said) if name not in language] == []
    parts = set(re.findall(r"^\S+ (\w+)", re.split(r"`", sources["widget-parts.js"])[1], re.M))
    assert [name for name in sorted(parts) if f"``{name}``" not in portuguese] == []


def test_every_error_code_is_in_the_api_document() -> None:
    """docs/api.rst names every code that an error body may carry."""
    sources = [path.read_text() for path in (ROOT / "rpa_server").rglob("*.py")]
    codes = {code for text in sources for code in re.findall(r'code = "([a-z_]+)"', text)}
    codes |= {code for text in sources for code in re.findall(r'errors\.body\("([a-z_]+)"', text)}
    missing = [code for code in codes if f"``{code}``" not in API]
    assert missing == []


def test_every_close_code_is_in_the_api_document_and_no_other() -> None:
    """docs/api.rst names the close codes that the server sends, and 1006, which nobody can send, but no other."""
    documented = API.partition("\nClose codes:\n")[2].partition("\nWithout the subprotocol")[0]
    names = {name: value for module in (websocket, incoming) for name, value in vars(module).items() if name.isupper()}
    sent = {value for value in names.values() if isinstance(value, int) and 1000 <= value < 5000}
    refusals = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RequestError)]
    sent |= {kind.close_code for kind in refusals}
    assert len(sent) > 5
    assert set(map(int, re.findall(r"\b\d{4}\b", documented))) - {1006} == sent


def test_every_status_is_in_the_api_document_and_no_other() -> None:
    """The list at the end of docs/api.rst has every status that the server sends, and no other."""
    documented = set(map(int, re.findall(r"[;-] +(\d{3})\b", API.rpartition("\nStatuses\n")[2].replace("\n", " "))))
    sources = [path.read_text() for path in (ROOT / "rpa_server").rglob("*.py")]
    sent = {int(code) for text in sources for code in re.findall(r"(?:status=|HTTP/1\.1 |answer\(.*, )(\d{3})\b", text)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RpaError)]
    assert documented == sent | {kind.status for kind in kinds} | set(_CODES)


ARCHITECTURE = DOCUMENTS["architecture.rst"]
_PATH = re.compile(r"``((?:[a-z_-]+/)*[a-z_.-]+\.(?:py|js|ts|lua|json|conf|php|cfg|css))``")
#: Files that docs/architecture.rst names as new ones to be made; they don't exist.
_NEW = {"http/commands.py"}


def _file(path: str) -> Path:
    """Return the file that docs/architecture.rst calls *path*: in the package, else in the checkout."""
    inside = ROOT / "rpa_server" / path
    return inside if inside.exists() else ROOT / path


def test_every_file_of_the_architecture_is_there() -> None:
    """Every file that docs/architecture.rst names exists, except for those in _NEW."""
    assert [path for path in _PATH.findall(ARCHITECTURE) if path not in _NEW and not _file(path).exists()] == []


def test_every_name_of_the_architecture_is_there() -> None:
    """Names in the numbered steps of docs/architecture.rst are in the step's file, other classes in the package."""
    steps = re.findall(r"^ ?\d+ +``(\S+\.py)`` +(.+)$", ARCHITECTURE, re.MULTILINE)
    assert len(steps) == 23
    for path, words in steps:
        for name in re.findall(r"``(?:[A-Za-z]+\.)?(\w+)``", words):
            assert re.search(rf"\b{name}\b", _file(path).read_text(encoding="utf-8")), (path, name)
    package = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rpa_server").rglob("*.py"))
    for name in re.findall(r"``([A-Z]\w+|[A-Z]\w+\.\w+)``", ARCHITECTURE):
        last = name.rpartition(".")[2]
        assert re.search(rf"\b(class|def) {last}\b|\b{last} =", package), name


def test_no_change_touches_more_than_four_files() -> None:
    """No change in the last table of docs/architecture.rst needs more than four files, without tests and documents."""
    table = ARCHITECTURE.partition("To change …")[2]
    rows = re.split(r"\n   \* - ", table)[2:]
    assert len(rows) >= 15
    for row in rows:
        assert 1 <= len(set(_PATH.findall(row))) <= 4, row
