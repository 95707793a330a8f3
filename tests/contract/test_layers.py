"""Who may import whom: the contracts in setup.cfg, each broken on purpose, and rules that they can't express."""

import ast
import configparser
import graphlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import grimp
import importlinter.cli
import pytest

from tests.support.server import ROOT

PACKAGE = ROOT / "rpa_server"
SETUP = ROOT / "setup.cfg"
CONTRACTS = [
    "floors", "no circles", "tracker", "robots", "backends", "threads", "aiohttp", "redis", "watchfiles", "terminal",
]  # fmt: skip

#: Modules that may read the environment; all others get settings as arguments.
ENVIRONMENT = {"app", "cli.commands", "cli.demo", "tracker.choice", "tracker.tracker"}
#: Modules without a clock, socket, file or randomness of their own; a package means all modules in it.
PURE = [
    "progress", "delivery.wire", "legacy.php_json", "legacy.progress_answer", "legacy.reader_answer",
    "legacy.sse_messages", "legacy.last_seen", "backends.redis.names", "backends.files.names",
    "cli.recording", "backoff", "errors", "origins", "safejson", "http.admission", "delivery.timeline",
]  # fmt: skip


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def graph() -> grimp.ImportGraph:
    """Return the graph of imports, with those in functions and those for the type checker alone."""
    return grimp.build_graph("rpa_server", include_external_packages=True, cache_dir=None)


# -- the contracts


@pytest.fixture(autouse=True)
def logging_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep import-linter from configuring logging, which would silence our loggers for the tests that follow."""
    monkeypatch.setattr("logging.config.dictConfig", lambda config: None)


def lint(capsys: pytest.CaptureFixture[str]) -> str:
    """Check the contracts of setup.cfg on the ``rpa_server`` that ``sys.path`` finds first; return the report."""
    importlinter.cli.lint_imports(config_filename=str(SETUP), no_cache=True, no_logo=True)
    return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)


def test_the_package_keeps_every_contract(capsys: pytest.CaptureFixture[str]) -> None:
    """The package keeps every contract in setup.cfg, and the contracts there are those in CONTRACTS."""
    report = lint(capsys)
    assert re.findall(r"^(.+) (?:KEPT|BROKEN)$", report, re.M) == CONTRACTS
    assert "BROKEN" not in report, report


class Breach(NamedTuple):
    """One import that a contract forbids.

    Attributes:
        contract: the name of the contract that must be reported as broken.
        importer: a module of ours, to the end of whose file *line* is appended.
        imported: what the report must name beside the importer.
        line: the import statement.
    """

    contract: str
    importer: str
    imported: str
    line: str


_TYPING = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
_LAZY = "def _later() -> None:\n    "

BREACHES = [
    Breach("floors", "progress.update", "backends.base", "import rpa_server.backends.base"),
    Breach("floors", "backends.base", "delivery.poll", "import rpa_server.delivery.poll"),
    Breach("floors", "delivery.poll", "backends.base", "from rpa_server.backends import base"),
    Breach("floors", "delivery.poll", "watchers.feed", _TYPING + "from rpa_server.watchers import feed"),
    Breach("floors", "watchers.feed", "http.cors", "from rpa_server.http.cors import CORS"),
    Breach("floors", "http.cors", "legacy.status", _LAZY + "from rpa_server.legacy import status"),
    Breach("floors", "http.cors", "serving.bind", "from rpa_server.serving import bind"),
    Breach("floors", "legacy.keys", "routes", "from rpa_server import routes"),
    Breach("floors", "legacy.keys", "app", "from rpa_server import app"),
    Breach("floors", "app", "tracker", "from rpa_server.tracker import ProgressTracker"),
    Breach("floors", "serving.bind", "cli.watch", "from rpa_server.cli import watch"),
    Breach("floors", "cli.watch", "__main__", "import rpa_server.__main__"),
    Breach("floors", "errors", "progress.run", _LAZY + "from rpa_server.progress import run"),
    Breach("no circles", "errors", "safejson", "from rpa_server import safejson"),
    Breach("no circles", "errors", "safejson", _TYPING + "from rpa_server import safejson"),
    Breach("no circles", "progress.outcome", "progress.snapshot", "from rpa_server.progress import snapshot"),
    Breach("no circles", "delivery.session", "delivery.hub", _TYPING + "from rpa_server.delivery.hub import Hub"),
    Breach("no circles", "backoff", "tasks", _LAZY + "from rpa_server import tasks"),
    Breach("no circles", "serving.bind", "app", "from rpa_server import app"),
    Breach("tracker", "tracker.failover", "serving.bind", "from rpa_server.serving import bind"),
    Breach("tracker", "tracker.failover", "delivery.hub", _TYPING + "from rpa_server.delivery import hub"),
    Breach("tracker", "tracker.tracker", "watchers.feed", "from rpa_server.watchers import feed"),
    Breach("robots", "cli.watch", "tracker", "from rpa_server import tracker"),
    Breach("backends", "backends.files.store", "backends.redis.names", "from rpa_server.backends.redis import names"),
    Breach("backends", "backends.redis.store", "backends.files.names", "from rpa_server.backends.files import names"),
    Breach("tracker", "tracker.failover", "backends.redis.store", "from rpa_server.backends.redis import store"),
    Breach("threads", "tracker.failover", "asyncio", _LAZY + "import asyncio"),
    Breach("threads", "backends.files.writer", "asyncio", "import asyncio"),
    Breach("aiohttp", "legacy.progress_answer", "aiohttp", "from aiohttp import web"),
    Breach("aiohttp", "delivery.hub", "aiohttp", _LAZY + "import aiohttp.web"),
    Breach("redis", "watchers.feed", "redis", "from redis.asyncio import Redis"),
    Breach("redis", "backends.files.store", "hiredis", "import hiredis"),
    Breach("watchfiles", "watchers.feed", "watchfiles", "import watchfiles"),
    Breach("terminal", "serving.supervisor", "click", "import click"),
]  # fmt: skip


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a copy of the package, which tests may change."""
    directory = tmp_path_factory.mktemp("copied")
    shutil.copytree(PACKAGE, directory / "rpa_server", ignore=shutil.ignore_patterns("__pycache__"))
    return directory


@pytest.fixture
def copy(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy of the package, which import-linter finds instead of the original."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "rpa_server"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.chdir(copied)
    monkeypatch.syspath_prepend(str(copied))
    return copied / "rpa_server"


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: f"{breach.importer} imports {breach.imported}")
def test_a_breach_is_reported(copy: Path, capsys: pytest.CaptureFixture[str], breach: Breach) -> None:
    """A forbidden import breaks its contract; the report names both modules or, for a circle, their common package."""
    file = copy / MODULES[breach.importer].relative_to(PACKAGE)
    sound = file.read_text(encoding="utf-8")
    file.write_text(f"{sound}\n{breach.line}\n", encoding="utf-8")
    try:
        report = lint(capsys)
    finally:
        file.write_text(sound, encoding="utf-8")
    assert f"{breach.contract} BROKEN" in report
    _, _, explained = report.partition(f"\n{breach.contract}\n{'-' * len(breach.contract)}\n")
    if breach.contract == "no circles":
        assert f"No cycles are allowed in {_common_package(breach)}.\n" in explained, report
    else:
        ends = map(re.escape, (breach.importer, breach.imported))
        assert re.search(r"rpa_server\.{} -> (?:rpa_server\.)?{}\b".format(*ends), explained), report


def _common_package(breach: Breach) -> str:
    """Return the smallest package with both modules in it, which a report about a circle names."""
    ends = (name.split(".")[:-1] for name in (breach.importer, breach.imported))
    return ".".join(["rpa_server", *(one for one, other in zip(*ends, strict=False) if one == other)])


def test_a_package_without_a_floor_is_reported(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new module in the package's root is reported until setup.cfg lists it on a floor."""
    new = copy / "new_room.py"
    new.touch()
    try:
        assert "new_room" in lint(capsys)
    finally:
        new.unlink()


def circle(imports: grimp.ImportGraph) -> list[str]:
    """Return the modules of one circle of imports, first and last the same; empty if there is none."""
    ours = {name for name in imports.modules if name.partition(".")[0] == "rpa_server"}
    try:
        graphlib.TopologicalSorter(
            {name: imports.find_modules_directly_imported_by(name) & ours for name in ours}
        ).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_is_in_a_circle_with_its_package() -> None:
    """There is no circle of imports, not even through a package's ``__init__``, where "no circles" sees none."""
    imports = graph()
    assert circle(imports) == []
    imports.add_import(importer="rpa_server.errors", imported="rpa_server")
    assert "rpa_server.errors" in circle(imports)


# -- the environment


def _environment_users(modules: dict[str, Path]) -> set[str]:
    return {name for name, path in modules.items() if _touches_environment(ast.parse(path.read_bytes()))}


def _touches_environment(module: ast.Module) -> bool:
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr in names:
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names}:
            return True
    return False


def test_only_the_edges_touch_the_environment() -> None:
    """Only the modules in ENVIRONMENT use the process's environment; all others get settings as arguments."""
    assert _environment_users(MODULES) <= ENVIRONMENT


@pytest.mark.parametrize(
    "text",
    ["import os\nos.environ['A']", "import os as o\nx = o.getenv('A')", "from os import environ as e"],
)
def test_reading_the_environment_is_noticed(tmp_path: Path, text: str) -> None:
    """Access to the environment is found through ``os``, through an alias of it, and by a name imported from it."""
    (tmp_path / "module.py").write_text(text)
    assert _environment_users({"module": tmp_path / "module.py"}) == {"module"}


# -- pure modules

_IMPURE = {
    "asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "subprocess", "sys", "tempfile",
    "threading", "time", "uuid",
}  # fmt: skip


def _impurities(source: str) -> list[str]:
    """Return the imports and calls in *source* that give it a clock, a socket, a file or randomness."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in _IMPURE]
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] in _IMPURE:
            found.append(node.module or "")
    return found + [call for call in (".now(", ".today(", ".utcnow(", "open(") if call in source]


def _below(prefixes: list[str]) -> list[str]:
    return [name for name in MODULES if any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes)]


@pytest.mark.parametrize("name", _below(PURE))
def test_a_pure_module_imports_no_clock_socket_or_file(name: str) -> None:
    """A pure module uses no clock, socket, file or randomness; it takes times and random numbers as arguments."""
    assert _impurities(MODULES[name].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("source", ["import time", "from os import path", "datetime.now()", "def f(): import asyncio.log"])
def test_an_impure_module_is_noticed(source: str) -> None:
    """Each of these sources is found to be impure, by an import, an import within a function, or a call."""
    assert len(_impurities(source)) == 1


# -- what imports load and require


def run(program: str) -> str:
    """Return what a fresh interpreter prints; it measures no coverage, which would load modules of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, check=False, capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(program: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after *program*."""
    return set(run(program + "\nimport sys; print('\\n'.join(sys.modules))").split())


def test_importing_the_tracker_loads_no_web_server() -> None:
    """Importing the tracker loads no web server, no command line and no package that only the server uses."""
    modules = loaded("import rpa_server.tracker")
    assert "rpa_server.tracker.tracker" in modules
    heavy = {"aiohttp", "watchfiles", "click", "rich", "prometheus_client", "uvloop"}
    assert not {name for name in modules if name.split(".")[0] in heavy}
    server = ("app", "routes", "delivery", "http", "legacy", "serving", "watchers", "cli")
    assert not {name for name in modules if name.startswith(tuple(f"rpa_server.{part}" for part in server))}


def test_importing_the_package_loads_nothing_heavy() -> None:
    """``import rpa_server`` loads no module of ours but rpa_server.assets."""
    modules = loaded("import rpa_server")
    assert {name for name in modules if name.startswith("rpa_server")} == {"rpa_server", "rpa_server.assets"}


_IMPORT_EACH = """
import os, sys, traceback
import aiohttp.web, asyncio, click, marshmallow, redis.asyncio  # once for all: only ours are imported anew
for name in sys.argv[1:] or {names!r}:
    child = os.fork()
    if not child:
        try:
            __import__(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{{name}} can't be imported first")
print("all")
"""


def test_every_module_can_be_imported_first() -> None:
    """Each module can be imported before any other of ours, so none depends on the order of imports."""
    names = [f"rpa_server.{name}".rstrip(".") for name in MODULES if name != "__main__"]
    assert run(_IMPORT_EACH.format(names=names)) == "all\n"


def test_every_package_that_is_imported_is_required() -> None:
    """install_requires lists exactly the imported packages, apart from those in the extra ``speed``."""
    setup = configparser.ConfigParser()
    setup.read(SETUP, encoding="utf-8")
    required = [re.findall(r"[\w-]+", line.split(">")[0]) for line in setup["options"]["install_requires"].split()]
    optional = [re.findall(r"[\w-]+", line.split(">")[0]) for line in setup["options.extras_require"]["speed"].split()]
    imported = {name.partition(".")[0] for name in graph().modules} - {"rpa_server"} - sys.stdlib_module_names
    installed = packages_distributions()
    found = {name.replace("_", "-").lower() for other in imported for name in installed.get(other, [other])}
    assert found - {name for names in required + optional for name in names} == set()
    assert {names[0] for names in required} - found == set()


# -- the tests themselves


def _imported_by(path: Path) -> set[str]:
    """Return the modules that a file of the tests imports; fail for a relative import."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return found


def test_no_test_module_imports_another() -> None:
    """No test module imports another one or a conftest; what two of them need is in tests/support or a fixture."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for name in _imported_by(path):
            parts = name.split(".")
            if parts[0] == "tests":
                assert not [part for part in parts if part.startswith("test_") or part == "conftest"], path


#: Functions and classes that many tests need, each defined in one file of tests/ only.
ONCE = ["serve", "Robot", "Viewer", "Site", "Stack"]


def test_what_many_tests_need_is_written_once() -> None:
    """Each name in ONCE is defined once in tests/; a test module that needs another thing names it otherwise."""
    found = [
        node.name
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert {name: found.count(name) for name in ONCE} == dict.fromkeys(ONCE, 1)


# -- sizes


def test_the_root_holds_a_dozen_files() -> None:
    """The package's root has 12 modules at most; everything else is in a package."""
    assert len(list(PACKAGE.glob("*.py"))) <= 12


@pytest.mark.parametrize("name", MODULES)
def test_modules_and_functions_stay_short(name: str) -> None:
    """No module is longer than 300 lines, no function longer than 50."""
    source = MODULES[name].read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 300
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 50] == []
