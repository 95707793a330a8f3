"""Which module may import which: always downwards, and what is heavy only where it belongs."""

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.server import ROOT

PACKAGE = ROOT / "rpa_server"

#: From the top down; a module imports only from lines below its own.
LAYERS = """
__main__
cli
demo replay watch
rpa_server
app entrance
routes
handlers.legacy handlers.embed
handlers.legacy_status handlers.operations handlers.page handlers.sessions handlers.sse handlers.websocket
handlers.params handlers.streams handlers
cors
keys middlewares
sockets legacy_stream
recovery sweep publisher feed transports connections metrics workers
hub
session
tracker
tracker.progress
tracker.storage
stores.subscription
tracker.files tracker.redis stores.files stores.merge stores.redis
tracker.connection census listing observed
stores
append jsonfiles
run recording
legacy_full legacy_events
legacy
documents config embedded
standing
foreign
frames state schemas wsframes handshake heartbeat
private php
endings
events
wirejson naming background origins
errors version resources backoff logs
"""
LEVELS = {name: level for level, line in enumerate(reversed(LAYERS.split("\n"))) for name in line.split()}

#: Imports that point up, and why each is allowed all the same.
UPWARDS = {("session", "hub"): "for the type checker only"}
#: Modules of other packages → who may import them.
REDIS = {"stores.redis", "stores.subscription", "tracker.connection", "tracker.redis"}
AIOHTTP = {"app", "cli", "connections", "cors", "demo", "entrance", "keys", "middlewares", "routes", "watch", "workers"}
ENVIRONMENT = {"app", "cli", "demo", "tracker.progress"}
#: What a robot loads; nothing in here may need a web server.
TRACKER_SIDE = {"tracker", "tracker.progress", "tracker.storage", "tracker.files", "tracker.redis", "tracker.connection"}


class Import(NamedTuple):
    """One import statement's target.

    Attributes:
        target: of ours without the package's name, of others in full.
        ours: it is a module of rpa_server.
        typing: it is there for the type checker only.
        lazy: it runs inside a function.
    """

    target: str
    ours: bool
    typing: bool
    lazy: bool


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts) or "rpa_server"


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _imports(name: str) -> Iterator[Import]:
    path = MODULES[name]
    yield from _walk(ast.parse(path.read_bytes()), _package(name), False, False)


def _package(name: str) -> list[str]:
    parts = [] if name == "rpa_server" else name.split(".")
    return parts if MODULES[name].name == "__init__.py" else parts[:-1]


def _walk(node: ast.AST, package: list[str], typing: bool, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                target = alias.name.removeprefix("rpa_server.")
                yield Import(target, alias.name.split(".")[0] == "rpa_server", typing, lazy)
        elif isinstance(child, ast.ImportFrom):
            for target, ours in _targets(child, package):
                yield Import(target, ours, typing, lazy)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            yield from _walk(child, package, True, lazy)
        else:
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _walk(child, package, typing, lazy or inside)


def _targets(statement: ast.ImportFrom, package: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield what ``from … import …`` names: modules where the names are modules."""
    module = statement.module or ""
    if statement.level:
        base = package[: len(package) - statement.level + 1]
    elif module.split(".")[0] == "rpa_server":
        base, module = [], module.removeprefix("rpa_server").removeprefix(".")
    else:
        yield module, False
        return
    whole = ".".join([*base, *module.split(".")]).strip(".")
    for alias in statement.names:
        inner = f"{whole}.{alias.name}".strip(".")
        yield (inner if inner in MODULES else whole or "rpa_server"), True


def _of_others(name: str) -> set[str]:
    return {found.target.split(".")[0] for found in _imports(name) if not found.ours}


def test_every_module_has_its_place() -> None:
    """A new module is put into the table, one that is gone is taken out."""
    assert sorted(LEVELS) == sorted(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_imports_only_point_down(name: str) -> None:
    """Whoever changes a module need only look above it."""
    upwards = {
        found.target
        for found in _imports(name)
        if found.ours and LEVELS[found.target] >= LEVELS[name] and (name, found.target) not in UPWARDS
    }
    assert not upwards


def test_an_import_that_points_up_is_for_the_type_checker_only() -> None:
    """Nothing is excused that isn't there, and nothing that runs."""
    for name, target in UPWARDS:
        found = [each for each in _imports(name) if each.ours and each.target == target]
        assert found, (name, target)
        assert all(each.typing for each in found)


def test_the_packages_root_loads_nothing_of_ours_but_its_version() -> None:
    """Importing any module runs it first; the application is only loaded when it is built."""
    assert {found.target for found in _imports("rpa_server") if found.ours and not found.lazy} == {"version"}


def test_only_the_two_redis_modules_know_redis() -> None:
    """Everything else speaks to a store."""
    assert {name for name in MODULES if _of_others(name) & {"redis", "hiredis"}} == REDIS


def test_only_the_outermost_modules_know_aiohttp() -> None:
    """Sessions, transports and stores work without a web framework."""
    found = {name for name in MODULES if _of_others(name) & {"aiohttp", "aiohttp_sse"}}
    assert {name for name in found if not name.startswith("handlers.")} == AIOHTTP


def test_the_server_never_imports_the_tracker() -> None:
    """They share a wire, not objects; only what plays recordings may."""
    users = {name for name in MODULES if any(f.ours and f.target in TRACKER_SIDE for f in _imports(name))}
    assert users - TRACKER_SIDE <= {"cli", "replay"}


def test_the_tracker_never_imports_the_server() -> None:
    """Nothing above the stores, and no asyncio: it works in a robot's thread."""
    for name in TRACKER_SIDE:
        for found in _imports(name):
            assert not found.ours or found.target in TRACKER_SIDE or LEVELS[found.target] < LEVELS["stores"]
            assert found.target.split(".")[0] != "asyncio"


def _touches_environment(name: str) -> bool:
    for node in ast.walk(ast.parse(MODULES[name].read_bytes())):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "putenv"):
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os" and "env" in ast.dump(node):
            return True
    return False


def test_only_the_edges_touch_the_environment() -> None:
    """Everything else gets settings handed in."""
    assert {name for name in MODULES if _touches_environment(name)} == ENVIRONMENT


#: No clock, socket, file or randomness of their own.
PURE = [
    "append", "backoff", "documents", "endings", "errors", "events", "foreign", "frames", "legacy", "legacy_events",
    "legacy_full", "naming", "observed", "origins", "php", "private", "recording", "run", "schemas", "state", "wirejson",
]  # fmt: skip


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_no_clock_socket_or_file(name: str) -> None:
    """What they say of themselves."""
    impure = {"asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "sys", "threading", "time"}
    assert not _of_others(name) & impure
    source = MODULES[name].read_text(encoding="utf-8")
    for call in (".now(", ".today(", ".utcnow(", "open("):
        assert call not in source


def loaded(program: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after *program*."""
    print_them = "\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program + print_them], cwd=ROOT, check=True, capture_output=True, text=True, timeout=30
    )
    return set(done.stdout.split())


def test_importing_the_tracker_loads_no_web_server() -> None:
    """A robot pays for what it uses."""
    modules = loaded("import rpa_server.tracker")
    assert "rpa_server.tracker.progress" in modules
    assert not {name for name in modules if name.split(".")[0] in ("aiohttp", "aiohttp_sse", "watchfiles", "click")}
    assert not {"rpa_server.app", "rpa_server.hub", "rpa_server.stores", "rpa_server.handlers"} & modules
    assert not {name for name in modules if name.startswith("prometheus_client")}


def test_importing_the_package_loads_nothing_heavy() -> None:
    """``import rpa_server`` comes before everything else."""
    modules = loaded("import rpa_server")
    assert {name for name in modules if name.startswith("rpa_server")} == {"rpa_server", "rpa_server.version"}


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__main__"])
def test_every_module_can_be_imported_first(name: str) -> None:
    """No circle that only works when somebody else was there before."""
    loaded("import rpa_server" + ("" if name == "rpa_server" else f".{name}"))


def test_every_package_that_is_imported_is_required() -> None:
    """pip installs what is imported, and nothing more but what makes it faster."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    required = [re.findall(r"[\w-]+", line.split(">")[0]) for line in setup["options"]["install_requires"].split()]
    optional = [re.findall(r"[\w-]+", line.split(">")[0]) for line in setup["options.extras_require"]["speed"].split()]
    imported = {other for name in MODULES for other in _of_others(name)} - sys.stdlib_module_names
    installed = packages_distributions()
    found = {name.replace("_", "-").lower() for other in imported for name in installed.get(other, [other])}
    assert found - {name for names in required + optional for name in names} == set()
    assert {names[0] for names in required} - found == set()
