"""What operators and their tools ask: alive, ready, figures."""

from aiohttp import web

from .. import keys
from ..middlewares import answer


async def live(request: web.Request) -> web.StreamResponse:
    """Answer as long as the process turns."""
    return answer({"status": "ok"})


async def ready(request: web.Request) -> web.StreamResponse:
    """Answer ``ok``, ``degraded`` while only files are served, 503 where Redis refuses us: waiting mends nothing."""
    subscriber = request.app[keys.SUBSCRIBER]
    if subscriber is None:
        return answer({"status": "ok", "redis": "none"})
    if subscriber.active.is_set():
        return answer({"status": "ok", "redis": "ok"})
    body = {"status": "degraded", "redis": "down", "reason": subscriber.reason}
    if subscriber.refused:
        return answer({**body, "status": "misconfigured", "redis": "refused"}, 503)
    return answer(body)


async def metrics(request: web.Request) -> web.StreamResponse:
    """Answer in the Prometheus text format."""
    return web.Response(
        body=request.app[keys.METRICS].text(await request.app[keys.SIBLINGS].totals()),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"},
    )


async def status(request: web.Request) -> web.StreamResponse:
    """Answer with every figure as one JSON object."""
    return answer(await request.app[keys.SIBLINGS].totals())
