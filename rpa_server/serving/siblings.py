"""How the server processes on one port learn each other's figures: over a unix socket each, in a directory of their own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
from aiohttp import web

from .. import safejson
from ..errors import BadDocument

logger = logging.getLogger(__name__)

_ASK_S = 0.5
_SUFFIX = ".sock"
#: Figures that are not counted together.
_LEAST = ("start_time_seconds",)


class Siblings:
    """The other server processes on this port.

    Args:
        own: returns this process's figures by name.
        place: this process's unix socket, in a directory of theirs alone; None where there are no others.
    """

    def __init__(self, own: Callable[[], dict[str, float]], place: Path | None) -> None:
        self._own = own
        self._place = place

    async def serve(self, app: web.Application) -> AsyncIterator[None]:
        """Answer the others while *app* runs; for its ``cleanup_ctx``."""
        if self._place is None:
            yield
            return
        inner = web.Application()
        inner.router.add_get("/", self._answer)
        runner = web.AppRunner(inner, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(self._place)).start()
        yield
        await runner.cleanup()
        self._place.unlink(missing_ok=True)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=safejson.dumps(self._own()))

    async def totals(self) -> dict[str, float]:
        """Return the figures of all processes together; one that does not answer is left out."""
        totals = self._own()
        if self._place is not None:
            others = sorted(self._place.parent.glob(f"*{_SUFFIX}"))
            for figures in await asyncio.gather(*(_ask(place) for place in others if place != self._place)):
                for name, value in figures.items():
                    totals[name] = min(totals[name], value) if name in _LEAST else totals[name] + value
        return totals


async def _ask(place: Path) -> dict[str, float]:
    try:
        timeout = aiohttp.ClientTimeout(total=_ASK_S)
        connector = aiohttp.UnixConnector(str(place))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
            http.get("http://sibling/") as response,
        ):
            return safejson.load_object(await response.read())
    except (aiohttp.ClientError, OSError, BadDocument) as error:
        logger.info("The process at %s does not tell its figures (%s).", place.name, error)
        return {}


def socket_path(directory: str, number: int) -> Path:
    """Name the socket of one process."""
    return Path(directory, f"{number}{_SUFFIX}")
