"""Collects the figures of the fault scenarios and prints them as one table behind the run."""

from collections.abc import Callable

import pytest

from .table import Row, render

ROWS = pytest.StashKey[list[Row]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.fixture
def record(pytestconfig: pytest.Config) -> Callable[[Row], None]:
    """Put one row into the table that is printed behind the run; call it before asserting."""
    return pytestconfig.stash[ROWS].append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[ROWS]
    if rows:
        terminalreporter.section("faults")
        for line in render(rows):
            terminalreporter.write_line(line)
