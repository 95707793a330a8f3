"""Tasks that run as long as the application and are restarted when they fail."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from rpa_server import tasks
from rpa_server.tasks import background
from tests.support.server import until


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The attempt numbers for which a delay was requested; every delay is 1 ms."""
    asked: list[int] = []

    def delay(attempt: int, *_: object) -> float:
        asked.append(attempt)
        return 0.001

    monkeypatch.setattr(tasks, "delay", delay)
    return asked


def failing(calls: list[str], result: Callable[[], None]) -> Callable[[], "asyncio.Future[None]"]:
    """Return work that appends to *calls* and then calls *result*."""

    async def work() -> None:
        calls.append("called")
        result()

    return lambda: asyncio.ensure_future(work())


def fail() -> None:
    raise ZeroDivisionError("on purpose")


async def test_work_runs_beside_the_block_and_ends_with_it() -> None:
    """The work runs during the block; after the block it has been cancelled and has ended."""
    events: list[str] = []

    async def work() -> None:
        events.append("began")
        try:
            await asyncio.Event().wait()
        finally:
            events.append("ended")

    async with background(work, "test"):
        await until(lambda: events)
        assert events == ["began"]
    assert events == ["began", "ended"]
    assert all(task.get_name() != "test" for task in asyncio.all_tasks())


async def test_work_that_fails_is_logged_and_started_again(delays: list[int], caplog: pytest.LogCaptureFixture) -> None:
    """A failure is logged with its traceback, and does not end the task."""
    calls: list[str] = []
    async with background(failing(calls, fail), "unlucky"):
        await until(lambda: len(calls) >= 3)
    assert "unlucky" in caplog.text
    assert "on purpose" in caplog.text
    assert caplog.records[0].exc_info is not None
    assert delays[:2] == [1, 2]


@pytest.mark.usefixtures("delays")
async def test_work_that_ends_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """Work that returns counts as failed, since it should run for ever."""
    calls: list[str] = []
    async with background(failing(calls, lambda: None), "brief"):
        await until(lambda: len(calls) >= 3)
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert "brief" in caplog.text


async def test_failures_far_apart_are_not_counted_together(delays: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that ran steadily before it failed is restarted after the first, short delay."""
    monkeypatch.setattr(tasks, "_STEADY_S", -1.0)
    calls: list[str] = []
    async with background(failing(calls, fail), "steady"):
        await until(lambda: len(calls) >= 4)
    assert set(delays) == {1}


async def test_a_failing_block_ends_the_work_and_its_failure_goes_on() -> None:
    """After a block that raised, the work has ended, too, and the block's exception propagates."""
    with pytest.raises(KeyError):
        async with background(asyncio.Event().wait, "test"):  # type: ignore[arg-type]
            raise KeyError("x")
    assert all(task.get_name() != "test" for task in asyncio.all_tasks())


async def test_work_that_was_just_failing_is_cancelled_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """A block that ends during the pause before a restart does not wait for the restart."""
    calls: list[str] = []
    async with asyncio.timeout(1), background(failing(calls, fail), "test"):
        await until(lambda: caplog.records)
    assert calls == ["called"]


# -- a cancellation that gets lost


async def _loses_a_cancellation(events: list[str]) -> None:
    """Swallow the first cancellation, as asyncio.wait_for() in Python 3.11 does if its result comes in the same turn."""
    try:
        events.append("began")
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        events.append("lost")
    await asyncio.Event().wait()


async def test_background_work_that_loses_a_cancellation_is_cancelled_again() -> None:
    """The block is left within 2 s although the work swallowed the first cancellation; else the server never stops."""
    events: list[str] = []
    async with asyncio.timeout(2):
        async with background(lambda: _loses_a_cancellation(events), "test"):
            await until(lambda: events)
    assert events == ["began", "lost"]
    assert all(task.get_name() != "test" for task in asyncio.all_tasks())


async def test_one_off_tasks_that_lose_a_cancellation_are_cancelled_again() -> None:
    """close() ends within 2 s although a task swallowed the first cancellation."""
    events: list[str] = []
    running = tasks.Tasks()
    task = running.spawn(_loses_a_cancellation(events))
    await until(lambda: events)
    async with asyncio.timeout(2):
        await running.close()
    assert events == ["began", "lost"]
    assert task.done()
