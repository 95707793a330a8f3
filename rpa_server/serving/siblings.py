"""Sums the figures of all server processes on one port: each answers the others on a unix socket of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
from aiohttp import web

from .. import safejson
from ..errors import BadDocument

logger = logging.getLogger(__name__)

#: Seconds that another process may take to answer.
_TIMEOUT_S = 0.5
_SUFFIX = ".sock"
#: Figures that are combined across processes by min(), not by sum().
_MINIMA = ("start_time_seconds",)


class Siblings:
    """The other server processes on this port.

    Args:
        own: returns this process's figures by name.
        path: this process's unix socket, in a directory that contains only such sockets; None if there are no other
            processes.
    """

    def __init__(self, own: Callable[[], dict[str, float]], path: Path | None) -> None:
        self._own = own
        self._path = path

    async def serve(self, app: web.Application) -> AsyncIterator[None]:
        """Answer the other processes while *app* runs; for its ``cleanup_ctx``."""
        if self._path is None:
            yield
            return
        inner = web.Application()
        inner.router.add_get("/", self._answer)
        runner = web.AppRunner(inner, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(self._path)).start()
        yield
        await runner.cleanup()
        self._path.unlink(missing_ok=True)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=safejson.dumps(self._own()))

    async def totals(self) -> dict[str, float]:
        """Return the figures of all processes combined; processes that do not answer within _TIMEOUT_S are left out."""
        totals = self._own()
        if self._path is not None:
            others = sorted(self._path.parent.glob(f"*{_SUFFIX}"))
            for figures in await asyncio.gather(*(_ask(path) for path in others if path != self._path)):
                for name, value in figures.items():
                    totals[name] = min(totals[name], value) if name in _MINIMA else totals[name] + value
        return totals


async def _ask(path: Path) -> dict[str, float]:
    try:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        connector = aiohttp.UnixConnector(str(path))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
            http.get("http://sibling/") as response,
        ):
            return safejson.load_object(await response.read())
    except (aiohttp.ClientError, OSError, BadDocument) as error:
        logger.info("The process at %s does not answer with its figures (%s).", path.name, error)
        return {}


def socket_path(directory: str, number: int) -> Path:
    """Return the path of the socket of process *number*, in the *directory* that all of the port's processes share."""
    return Path(directory, f"{number}{_SUFFIX}")
