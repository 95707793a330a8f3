"""Health tells whether a directory can be read and written, without saying where it is."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rpa_server.backends.files import health, json_files
from rpa_server.backends.files.health import Health


async def check(directory: Path) -> dict[str, str]:
    with ThreadPoolExecutor(1) as threads:
        return await Health(directory, threads).check()


async def test_a_good_directory_is_ok_and_left_as_it_was(tmp_path: Path) -> None:
    """A directory that can be read and written is ``ok`` twice; nothing is left in it."""
    assert await check(tmp_path) == {"reading": "ok", "writing": "ok"}
    assert list(tmp_path.iterdir()) == []


async def test_a_missing_directory_is_named_without_its_path(tmp_path: Path) -> None:
    """Of a directory that does not exist each part says that it fails, and why, but not the path."""
    found = await check(tmp_path / "nowhere")
    assert found["reading"] == "The data directory can't be listed (No such file or directory)."
    assert found["writing"] == "The data directory can't be written (No such file or directory)."


async def test_a_full_disk_can_be_read_but_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without room fails in ``writing`` alone, and no empty file is left."""

    def full(*args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    found = await check(tmp_path)
    assert found == {"reading": "ok", "writing": "The data directory can't be written (No space left on device)."}
    assert list(tmp_path.iterdir()) == []


async def test_many_who_ask_share_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests within _FRESH_S share one check; a later one checks again."""
    checks = 0

    def counted(directory: Path) -> None:
        nonlocal checks
        checks += 1

    monkeypatch.setattr(json_files, "check_writable", counted)
    with ThreadPoolExecutor(1) as threads:
        shared = Health(tmp_path, threads)
        await asyncio.gather(*(shared.check() for _ in range(5)))
        await shared.check()
        assert checks == 1
        monkeypatch.setattr(health, "_FRESH_S", 0.0)
        await shared.check()
        assert checks == 2
