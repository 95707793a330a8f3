"""The package as setup.py builds it: used without the checkout, it has all files and its programs run.

No registry is needed: required packages come from this Python, and test_layers checks that setup.cfg lists them all.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rpa_server.assets import __version__
from tests.support.server import ROOT, free_port, get, wait_until

#: Does the same as the script ``rpa-server`` that pip would write.
PROGRAM = """
import sys
from importlib.metadata import distribution
(script,) = distribution("rpa-server").entry_points.select(group="console_scripts", name="rpa-server")
sys.argv[0] = "rpa-server"
sys.exit(script.load()())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a build: the package, its metadata and nothing else."""
    directory = tmp_path_factory.mktemp("install")
    source, built = directory / "source", directory / "built"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    command = ("setup.py", "-q", "build", "--build-lib", built, "egg_info", "--egg-base", built)
    done = subprocess.run([sys.executable, *command], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture
def environment(installed: Path) -> dict[str, str]:
    """The environment variables of somebody who has only installed the package."""
    not_ours = ("RPA_", "REDIS_", "PYTHON", "COV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(not_ours)}
    return {**kept, "PYTHONPATH": str(installed)}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An empty working directory, so that nothing is imported from the checkout."""
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    return directory


def output(*arguments: str, cwd: Path, env: dict[str, str]) -> str:
    """Run Python, which must end with status 0; return its output."""
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def started(*arguments: str, cwd: Path, env: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Run a server for the duration of the block; SIGTERM must then end it with status 0 within 10 s."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_program_is_there(installed: Path, elsewhere: Path, environment: dict[str, str]) -> None:
    """``rpa-server`` runs from anywhere, and what runs is the installed package."""
    assert output("-c", PROGRAM, "--version", cwd=elsewhere, env=environment) == f"rpa-server, version {__version__}\n"
    where = output("-c", "import rpa_server; print(rpa_server.__file__)", cwd=elsewhere, env=environment)
    assert Path(where.strip()) == installed / "rpa_server" / "__init__.py"
    assert list(elsewhere.iterdir()) == []


def test_the_package_is_whole(installed: Path) -> None:
    """The package has its types, pages, settings, demonstration and modules; only its metadata is beside it."""
    package = installed / "rpa_server"
    for name in ("py.typed", "cli/demo_history.json", "conf/websocket_config.json", "conf/redis.conf"):
        assert (package / name).is_file(), name
    pages = [file for file in (ROOT / "web").iterdir() if file.suffix in (".html", ".css", ".js", ".ts")]
    for file in [*pages, *(ROOT / "web" / "dist").iterdir(), *(ROOT / "web" / "php").iterdir()]:
        assert (package / "web" / file.relative_to(ROOT / "web")).read_bytes() == file.read_bytes()
    modules = {path.relative_to(ROOT) for path in (ROOT / "rpa_server").rglob("*.py")}
    assert modules - {path.relative_to(installed) for path in package.rglob("*.py")} == set()
    assert {path.name for path in installed.iterdir()} == {"rpa_server", "rpa_server.egg-info"}


def test_the_defaults_are_found(elsewhere: Path, environment: dict[str, str]) -> None:
    """Without any setting the packaged settings file is read, and its values are the defaults."""
    code = "from rpa_server import config; print(config.load({}) == config.Settings())"
    assert output("-c", code, cwd=elsewhere, env=environment) == "True\n"


def test_the_tracker_needs_no_server(elsewhere: Path, environment: dict[str, str]) -> None:
    """A tracker writes its files, and loads none of aiohttp, watchfiles and prometheus_client."""
    code = (
        "import sys; from rpa_server.tracker import ProgressTracker\n"
        "with ProgressTracker(session_id='s', tipo='json') as t: t.update_progress(1); t.finalizar('success')\n"
        "print(sorted(n for n in sys.modules if n.split('.')[0] in ('aiohttp', 'watchfiles', 'prometheus_client')))"
    )
    assert output("-c", code, cwd=elsewhere, env=environment) == "[]\n"
    assert json.loads((elsewhere / "rpa_data" / "progress_s.json").read_text())["final"] is True


def test_the_demo_runs(elsewhere: Path, environment: dict[str, str]) -> None:
    """``rpa-server demo`` serves the page, all files that it refers to, and its run from the installed package."""
    with started("-c", PROGRAM, "demo", "--port", "0", "--speed", "1000", cwd=elsewhere, env=environment) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        base = address.partition("/?")[0]
        named = re.findall(r'"(/static/[^"]+)"', get(address)[1])
        assert len(named) >= 2
        assert [get(base + name)[0] for name in named] == [200] * len(named)
        script = (ROOT / "web" / "dist" / "rpa-progress.js").read_text(encoding="utf-8")
        assert get(base + f"/static/rpa-progress-{__version__}.js")[1] == script
        assert get(base + "/static/page.js")[1].encode() == (ROOT / "web" / "page.js").read_bytes()

        def final() -> bool:
            sessions = json.loads(get(base + "/api/sessions")[1])["sessions"]
            return any(session["final"] for session in sessions)

        wait_until(final)
    assert list(elsewhere.iterdir()) == []


def test_aiohttp_web_starts_it(elsewhere: Path, environment: dict[str, str]) -> None:
    """``python -m aiohttp.web rpa_server:create_app`` starts the server with the settings of the environment."""
    port = free_port()
    arguments = ("-m", "aiohttp.web", "-H", "127.0.0.1", "-P", str(port), "rpa_server:create_app")
    with started(*arguments, cwd=elsewhere, env={**environment, "RPA_REDIS_URL": "none"}) as process:

        def answers() -> bool:
            assert process.poll() is None
            try:
                return get(f"http://127.0.0.1:{port}/health/ready")[0] == 200
            except OSError:
                time.sleep(0.05)
                return False

        wait_until(answers)
        assert "<html" in get(f"http://127.0.0.1:{port}/")[1]
