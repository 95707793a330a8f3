"""What operators and their tools ask: alive, ready, figures."""

from aiohttp import web

from .. import keys
from ..middlewares import answer


async def live(request: web.Request) -> web.StreamResponse:
    """Answer as long as the process turns."""
    return answer({"status": "ok"})


async def ready(request: web.Request) -> web.StreamResponse:
    """Answer 200, with ``degraded`` and the reason where only files are served."""
    subscriber = request.app[keys.SUBSCRIBER]
    redis = "none" if subscriber is None else ("ok" if subscriber.active.is_set() else "down")
    body = {"status": "degraded" if redis == "down" else "ok", "redis": redis, "files": "ok"}
    if subscriber is not None and subscriber.reason:
        body["reason"] = subscriber.reason
    return answer(body)


async def metrics(request: web.Request) -> web.StreamResponse:
    """Answer in the Prometheus text format."""
    return web.Response(
        body=request.app[keys.METRICS].text(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"},
    )


async def status(request: web.Request) -> web.StreamResponse:
    """Answer with every figure as one JSON object."""
    return answer(request.app[keys.METRICS].values())
