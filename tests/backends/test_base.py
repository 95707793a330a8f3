"""The stores implement the protocols of base.py: mypy compares the signatures in the assignments below."""

import inspect
from pathlib import Path

from rpa_server.backends.base import Notifier, Store
from rpa_server.backends.files.store import FileStore
from rpa_server.backends.merged import MergedStore
from rpa_server.backends.redis.store import RedisStore, client

METHODS = ("read", "sessions", "append", "clock_ahead_s")


async def test_every_store_can_stand_for_another(tmp_path: Path) -> None:
    """FileStore, RedisStore and MergedStore are stores: the methods of each are coroutine functions."""
    files: Store = FileStore(tmp_path)
    redis: Store = RedisStore(client("redis://127.0.0.1:1/0"))
    merged: Store = MergedStore([redis, files])
    for store in (files, redis, merged):
        assert all(inspect.iscoroutinefunction(getattr(store, name)) for name in METHODS)


async def test_files_notify(tmp_path: Path) -> None:
    """FileStore is a Notifier: changes() first yields an empty set, which means that every session must be read."""
    notifier: Notifier = FileStore(tmp_path / "rpa_data")
    changes = notifier.changes(list)
    assert await anext(changes) == set()
