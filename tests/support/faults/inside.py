"""Clients inside a network namespace, in a thread: cutting their link affects nothing else."""

import asyncio
import ctypes
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.support.faults.network import Link
from tests.support.faults.viewers import Crowd

_T = TypeVar("_T")
_CLONE_NEWNET = 0x40000000


def _enter(link: Link) -> None:
    """Move this thread into the namespace for good."""
    namespace = os.open(Path("/var/run/netns") / link.prefix[-1], os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns failed")
    finally:
        os.close(namespace)


def sockets(link: Link, count: int) -> list[socket.socket]:
    """Return sockets of the namespace; they may be used anywhere."""
    with ThreadPoolExecutor(1, initializer=_enter, initargs=(link,)) as thread:
        made = [thread.submit(socket.socket).result() for _ in range(count)]
    for one in made:
        one.setblocking(False)
    return made


class Apart:
    """A crowd that watches from inside a namespace.

    Args:
        link: its connection to this side.
        crowd: may be read from outside; everything else goes through call().
    """

    def __init__(self, link: Link, crowd: Crowd) -> None:
        self._link = link
        self.crowd = crowd
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._watching = threading.Event()
        self._failure: BaseException | None = None

    def _work(self) -> None:
        try:
            _enter(self._link)
            self._loop.run_until_complete(self._watch())
        except BaseException as error:
            self._failure = error
        finally:
            self._watching.set()
            self._loop.close()

    async def _watch(self) -> None:
        async with self.crowd.watching():
            self._watching.set()
            await self._done.wait()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["Apart"]:
        """Watch during the block."""
        thread = threading.Thread(target=self._work)
        thread.start()
        await asyncio.to_thread(self._watching.wait)
        try:
            yield self
        finally:
            if thread.is_alive():
                self._loop.call_soon_threadsafe(self._done.set)
            await asyncio.to_thread(thread.join)
        if self._failure is not None:
            raise self._failure

    async def call(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Run *work* inside; return what it returns."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))
