"""Listing reads a directory once for all who ask, and never delays the reads of sessions."""

import asyncio
import json
import threading
from pathlib import Path

import pytest

from rpa_server.backends.files import json_files, listing
from rpa_server.backends.files.listing import Listing
from rpa_server.backends.files.names import file_name
from rpa_server.backends.files.store import FileStore
from rpa_server.backends.files.writer import FileWriter
from tests.support.sessions import SESSION, Robot


def fill(data_dir: Path, count: int) -> None:
    """Write the snapshots of *count* sessions."""
    data_dir.mkdir(exist_ok=True)
    for number in range(count):
        (data_dir / file_name("progress", f"s{number}")).write_text("{}")


async def test_b17_lists_share_one_reading(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers that ask while the directory is read get that reading's answer, each with a limit of its own."""
    fill(data_dir, 5)
    shared, reads = Listing(data_dir), 0
    read = shared._read

    def counted() -> list[tuple[str, int]]:
        nonlocal reads
        reads += 1
        return read()

    monkeypatch.setattr(shared, "_read", counted)
    answers = await asyncio.gather(*(shared.changed(limit, 1000) for limit in (1, 2, 9)))
    assert [len(answer) for answer in answers] == [1, 2, 5]
    assert reads == 1
    fill(data_dir, 6)
    assert len(await shared.changed(9, 1000)) == 6
    assert reads == 2


async def test_b17_the_answer_of_a_long_reading_is_used_again(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that took long serves those who ask soon after it, too."""
    monkeypatch.setattr(listing, "_SHORT_S", 0.0)
    monkeypatch.setattr(listing, "_WORTH", 1e6)
    fill(data_dir, 2)
    shared = Listing(data_dir)
    assert len(await shared.changed(9, 1000)) == 2
    fill(data_dir, 3)
    assert len(await shared.changed(9, 1000)) == 2


async def test_a_caller_that_leaves_does_not_stop_the_reading(data_dir: Path) -> None:
    """If one of two callers is cancelled, the other one gets the answer."""
    fill(data_dir, 2)
    shared = Listing(data_dir)
    first, second = (asyncio.create_task(shared.changed(9, 1000)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert len(await second) == 2
    assert first.cancelled() or first.done()


async def test_b17_a_session_is_read_while_lists_and_other_threads_are_busy(data_dir: Path) -> None:
    """A session is read at once while the directory is being listed and every thread of asyncio's executor is taken."""
    store, release = FileStore(data_dir), threading.Event()
    assert await store.append(Robot(steps=2).run)
    store._listing._read = lambda: release.wait(30) and []  # type: ignore[method-assign,assignment,return-value]
    lists = [asyncio.create_task(store.sessions(10)) for _ in range(8)]
    others = [asyncio.create_task(asyncio.to_thread(release.wait, 30)) for _ in range(64)]
    try:
        async with asyncio.timeout(5):
            state = await store.read(SESSION)
        assert state is not None
        assert not any(task.done() for task in lists)
    finally:
        release.set()
        await asyncio.gather(*lists, *others)


def test_b18_a_tracker_lists_no_directory(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A robot's writes look at no other session's files, however many there are: the server sweeps."""
    import os

    fill(data_dir, 2)

    def listed(*args: object) -> None:
        raise AssertionError("the directory is listed")

    with monkeypatch.context() as patch:
        for name in ("scandir", "listdir"):
            patch.setattr(os, name, listed)
        FileWriter(data_dir).write(Robot(steps=3).run)
    assert json.loads((data_dir / file_name("progress", SESSION)).read_bytes())["seq"] == 3
    assert json_files.read(data_dir / file_name("history", SESSION)) is not None
