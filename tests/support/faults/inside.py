"""Runs clients in a thread inside a network namespace, so that cutting the namespace's link affects only them."""

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
    """Move the calling thread into the namespace of *link*; it stays there until it ends."""
    namespace = os.open(Path("/var/run/netns") / link.prefix[-1], os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns failed")
    finally:
        os.close(namespace)


def sockets(link: Link, count: int) -> list[socket.socket]:
    """Return *count* non-blocking TCP sockets made inside the namespace; any thread may use them."""
    with ThreadPoolExecutor(1, initializer=_enter, initargs=(link,)) as thread:
        made = [thread.submit(socket.socket).result() for _ in range(count)]
    for one in made:
        one.setblocking(False)
    return made


class Apart:
    """A crowd that watches from inside a network namespace, on an event loop in a thread of its own.

    Args:
        link: the link to the namespace.
        crowd: the viewers; the test may read their attributes, but must run their coroutines by call().
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
        """Run the crowd during the block; afterwards raise what it raised."""
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
        """Run the coroutine function *work* on the crowd's event loop; return its result."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))
