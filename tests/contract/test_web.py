"""The scripts for pages: their own tests in Node, their types, the built files, and the built client against a real
server.
"""

import asyncio
import base64
import gzip
import hashlib
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rpa_server import __version__
from rpa_server.tracker import ProgressTracker
from tests.support import web_runs
from tests.support.scripts import WEB, run
from tests.support.server import ROOT, Server, until

DIST = WEB / "dist"
#: The most bytes of each script after gzip -9: with headers it then fits into the ten packets that a server sends
#: before the first acknowledgement.
LIMITS = {"rpa-client.js": 7_000, "rpa-progress.js": 14_000}
#: Functions and properties that turn a string into markup, code or styles; Trusted Types forbid most of them.
SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|createContextualFragment|srcdoc"
    r"|DOMParser|setHTML|setAttribute\(['\"](on|style)|setTimeout\(['\"]|javascript:"
)


@pytest.mark.parametrize("name", sorted(path.name for path in (WEB / "tests").glob("*.test.mjs")))
def test_the_scripts_own_tests_pass(tools: Path, name: str) -> None:
    """The tests in web/tests pass in Node."""
    report = run("node", "--test", f"tests/{name}")
    assert re.search(r"^# fail 0$", report, re.M), report
    assert not re.search(r"^# pass 0$", report, re.M), report


def test_the_types_fit_how_a_page_uses_them(tools: Path) -> None:
    """tsc accepts the hand-written types and a page that uses them, and rejects that page's marked misuses."""
    run("node", str(tools / "typescript" / "bin" / "tsc"), "--project", "tests/tsconfig.json")


def test_the_built_files_are_what_the_sources_make(tools: Path, tmp_path: Path) -> None:
    """Building again gives the committed files, byte for byte."""
    run("node", "build.mjs", str(tmp_path))
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert built
    committed = [WEB / "page-outcomes.js", *(path for path in DIST.iterdir() if not re.search(r"-\d", path.name))]
    assert built == {path.name: path.read_bytes() for path in committed}


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_a_script_stays_small(name: str) -> None:
    """Compressed, the client alone is at most 7,000 bytes, and with the widget at most 14,000."""
    size = len(gzip.compress((DIST / name).read_bytes(), 9))
    assert size <= LIMITS[name], f"{name}: {size} bytes"


def test_all_that_a_page_loads_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """rpa-progress.json, which the widget loads once, is at most 4 KiB compressed; all sizes are printed."""
    sizes = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in sorted(DIST.iterdir())}
    with capsys.disabled():
        print("\ncompressed:", ", ".join(f"{name} {size}" for name, size in sizes.items()))
    assert sizes["rpa-progress.json"] <= 4 * 1024


def test_the_script_vouches_for_the_file_beside_it() -> None:
    """rpa-progress.js contains the hash of rpa-progress.json, so that the script's integrity covers both files."""
    digest = hashlib.sha256((DIST / "rpa-progress.json").read_bytes()).digest()
    assert f"sha256-{base64.b64encode(digest).decode()}" in (DIST / "rpa-progress.js").read_text(encoding="utf-8")


def test_what_a_version_holds_never_changes() -> None:
    """The built files have the hashes pinned for this version; changed files need a new version (web/release.mjs)."""
    releases = json.loads((WEB / "releases.json").read_text(encoding="utf-8"))
    assert json.loads((WEB / "package.json").read_text(encoding="utf-8"))["version"] == __version__
    assert list(releases)[-1] == __version__
    for version, files in releases.items():
        for name, integrity in files.items():
            path = DIST / (name if version == __version__ else name.replace(".", f"-{version}."))
            if version == __version__ or path.exists():
                digest = hashlib.sha384(path.read_bytes()).digest()
                assert integrity == f"sha384-{base64.b64encode(digest).decode()}", f"{version} {name}"


def test_no_script_makes_markup_or_code_of_a_string() -> None:
    """Neither the sources nor the built files turn a string into markup or code, as Trusted Types demand."""
    for path in [*(WEB / "src").rglob("*.js"), *map(DIST.joinpath, LIMITS)]:
        found = SINKS.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path.name}: {found}"


def test_the_runs_for_the_scripts_tests_are_the_servers() -> None:
    """web/tests/fixtures/runs.json is what tests/support/web_runs.py makes with the server's rules today."""
    assert web_runs.FILE.read_text(encoding="utf-8") == web_runs.text()


# -- against the real server


class Page:
    """The built client in Node, following one session.

    Attributes:
        lines: everything it printed, parsed.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[list[Any]] = []

    def said(self, kind: str) -> list[list[Any]]:
        return [line for line in self.lines if line[0] == kind]

    async def read(self) -> None:
        """Read its output until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(json.loads(line))

    async def until(self, kind: str, count: int) -> None:
        """Wait until it has printed at least *count* lines of this *kind*."""
        await until(lambda: len(self.said(kind)) >= count, 20)


@asynccontextmanager
async def pages(url: str, session_id: str, *transports: list[str]) -> AsyncIterator[list[Page]]:
    """Open one page for each list of transports; after the block wait up to 30 s until all have ended."""
    node = shutil.which("node")
    assert node, "node is not installed"
    processes = [
        await asyncio.create_subprocess_exec(
            node, "tests/watch.mjs", url, session_id, *names, cwd=WEB, stdout=asyncio.subprocess.PIPE
        )
        for names in transports
    ]
    opened = [Page(process) for process in processes]
    readers = [asyncio.create_task(page.read()) for page in opened]
    try:
        yield opened
        async with asyncio.timeout(30):
            await asyncio.gather(*readers)
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await asyncio.gather(*readers, return_exceptions=True)


async def test_every_update_reaches_every_page_once_though_the_server_is_killed_in_mid_run(
    tools: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over every transport a page gets the whole run, each update once and in order, despite a killed server."""
    for name, value in {"RPA_DATA_DIR": str(data_dir), "RPA_REDIS_URL": "none"}.items():
        monkeypatch.setenv(name, value)
    server = await asyncio.to_thread(Server(data_dir).start)
    transports: list[list[str]] = [[], ["websocket"], ["sse"], ["polling"], ["poll"]]
    try:
        async with pages(server.url, "corrida", *transports) as opened:
            with ProgressTracker(total_etapas=15, session_id="corrida", tipo="json") as tracker:
                for step in range(1, 6):
                    tracker.update_progress(step, f"Tela {step}")
                for page in opened:
                    await page.until("progress", 6)
                server.kill()
                for step in range(6, 9):
                    tracker.update_progress(step, f"Tela {step}")
                await asyncio.to_thread(server.start)
                for step in range(9, 15):
                    tracker.update_progress(step, f"Tela {step}")
                    await asyncio.sleep(0.05)
                tracker.finalizar("success", {"plano_recomendado": {"valor": "R$ 1,00"}})
        for names, page in zip(transports, opened, strict=True):
            updates = page.said("progress")
            assert [line[2] for line in updates] == list(range(1, 17)), names
            assert len({line[1] for line in updates}) == 1, names
            assert page.said("done")[0][1]["estado"] == "sucesso", names
            assert page.said("result") == [["result", {"plano_recomendado": {"valor": "R$ 1,00"}}]], names
            assert page.lines[-2][:2] == ["connection", "closed"], names
            stats = page.lines[-1][1]
            assert (stats["live"], stats["probing"], stats["timers"]) == (0, 0, 0), names
    finally:
        await asyncio.to_thread(server.stop)


def _names(declaration: str, pattern: str) -> set[str]:
    """Return the matches of *pattern* in the part of rpa-progress.d.ts that begins with *declaration*."""
    types = (WEB / "rpa-progress.d.ts").read_text(encoding="utf-8")
    part = types.split(declaration, 1)[1]
    return set(re.findall(pattern, re.split(r"\n}\n|;\n\n", part)[0]))


@pytest.mark.parametrize(
    ("declaration", "pattern"),
    [
        ("interface RPAOptions ", r"\n  (\w+)\?:"),
        ("interface RPACallbacks ", r"\n  (\w+)\?:"),
        ("interface RPAEventMap ", r"'(rpa:\w+)'"),
        ("interface RPAStats ", r"\n  (\w+):"),
        ("type RPAErrorCode =", r"'(\w+)'"),
        ("type RPAConnectionState =", r"'(\w+)'"),
        ("declare class RPAProgressClient ", r"\n  (?:readonly )?([a-z]\w+)(?:[(:])"),
    ],
)
def test_the_document_tells_everything_that_the_types_have(declaration: str, pattern: str) -> None:
    """docs/javascript.rst names every option, callback, event, statistic, error code, state and method."""
    document = (ROOT / "docs" / "javascript.rst").read_text(encoding="utf-8")
    names = _names(declaration, pattern) - {"constructor", "sessionId", "addEventListener", "removeEventListener"}
    assert len(names) > 4
    assert [name for name in sorted(names) if not re.search(rf"``(?:\w+ )?{name}\b", document)] == []


def test_every_error_code_of_the_sources_is_one_of_the_types() -> None:
    """The type RPAErrorCode has every error code that the sources in web/src use."""
    known = _names("type RPAErrorCode =", r"'(\w+)'")
    texts = [path.read_text(encoding="utf-8") for path in (WEB / "src").glob("*.js")]
    made = {code for text in texts for code in re.findall(r"new RPAError\('(\w+)'", text)}
    assert made
    assert made <= known
