"""Collects the figures of the fault scenarios and prints them as one table after the tests.

The name of a test has its scenario's id: R for Redis, L for the server's life cycle, C for clients, H for files. With
``--faults-full`` (tests/conftest.py) every scenario runs at full length; without it most run in a short form, and those
marked ``faults_full`` do not run.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.faults.table import Row, render

#: Key of the user properties that carry a test's rows: pytest-xdist passes these on from its processes.
_ROWS = "faults"
_HERE = Path(__file__).parent
#: Seconds that a scenario may take at full length; the longest takes ten minutes, plus its start and end.
_FULL_TIMEOUT_S = 1200


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faults_full: a fault scenario that has no short form")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mine = [item for item in items if _HERE in item.path.parents]
    if config.getoption("--faults-full"):
        for item in mine:
            item.add_marker(pytest.mark.timeout(_FULL_TIMEOUT_S))
        return
    left_out = [item for item in mine if item.get_closest_marker("faults_full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def without_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no coverage in the scenarios' many processes: it would take a third of the CPU time."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]:
        monkeypatch.delenv(name)


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Row], None]:
    """A function that adds a row to the table printed after the tests; called before the asserts, which may fail."""
    return lambda row: request.node.user_properties.append((_ROWS, asdict(row)))


def _recorded(terminalreporter: pytest.TerminalReporter) -> Iterator[Row]:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            if report.when == "call":
                yield from (Row(**row) for name, row in report.user_properties if name == _ROWS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = list({row.scenario: row for row in _recorded(terminalreporter)}.values())  # of a rerun test, the last row
    if rows:
        terminalreporter.section("faults")
        for line in render(rows):
            terminalreporter.write_line(line)
