"""The rate limit for repeated messages, and the logging set-up."""

import logging
from collections.abc import Iterator

import pytest

from rpa_server import log as log_module
from rpa_server.log import RateLimit


def test_the_first_message_passes_and_the_next_is_suppressed() -> None:
    """The first message is logged, and further ones within the period are suppressed."""
    limit = RateLimit(30.0)
    assert limit.allow(0.0) == 0
    assert limit.allow(0.0) is None
    assert limit.allow(29.9) is None


def test_the_message_behind_the_period_tells_how_many_were_suppressed() -> None:
    """For the first message after the period allow() returns how many were suppressed, each counted once."""
    limit = RateLimit(30.0)
    limit.allow(100.0)
    for second in range(101, 130):
        assert limit.allow(float(second)) is None
    assert limit.allow(130.0) == 29
    assert limit.allow(160.0) == 0


def test_a_quiet_time_does_not_save_up_messages() -> None:
    """After an hour without messages one is logged, and the next within the period is suppressed."""
    limit = RateLimit(30.0)
    limit.allow(0.0)
    assert limit.allow(3600.0) == 0
    assert limit.allow(3600.1) is None


def test_the_first_message_passes_on_any_steady_clock() -> None:
    """The first message is logged even at a negative time, since a steady clock may begin anywhere."""
    assert RateLimit().allow(-1e9) == 0


@pytest.fixture
def log() -> Iterator[None]:
    """Restore the loggers' handlers and levels after the test."""
    root, access = logging.getLogger(), logging.getLogger("aiohttp.access")
    before = root.handlers[:], root.level, access.level
    yield
    root.handlers[:], level, access.level = before
    root.setLevel(level)


@pytest.mark.usefixtures("log")
def test_the_log_goes_to_standard_error_a_line_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    """Each record from INFO on is one line on standard error; standard output is left to the command."""
    log_module.configure()
    logging.getLogger("rpa_server.test").info("tudo certo")
    logging.getLogger("rpa_server.test").debug("nunca")
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith(" INFO rpa_server.test: tudo certo")


@pytest.mark.usefixtures("log")
def test_requests_are_not_logged_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    """aiohttp's access log is silenced at INFO, so that a thousand polls a second don't fill the disk."""
    log_module.configure()
    logging.getLogger("aiohttp.access").info("GET /")
    assert capsys.readouterr().err == ""
