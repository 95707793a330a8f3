"""Handlers for operators and their tools: liveness, readiness, figures."""

from aiohttp import web

from .errors import answer
from .keys import FIGURES, METRICS, SUBSCRIBER


async def live(request: web.Request) -> web.StreamResponse:
    """Answer as long as the event loop runs."""
    return answer({"status": "ok"})


async def ready(request: web.Request) -> web.StreamResponse:
    """Answer ``ok``, ``degraded`` while only files are served, or 503 if Redis refuses us, which waiting can't cure."""
    subscriber = request.app[SUBSCRIBER]
    if subscriber is None:
        return answer({"status": "ok", "redis": "none"})
    if subscriber.active.is_set() and not subscriber.refused:
        return answer({"status": "ok", "redis": "ok"})
    body = {"status": "degraded", "redis": "down", "reason": subscriber.reason}
    if subscriber.refused:
        return answer({**body, "status": "misconfigured", "redis": "refused"}, 503)
    return answer(body)


async def metrics(request: web.Request) -> web.StreamResponse:
    """Answer in the Prometheus text format."""
    return web.Response(
        body=request.app[METRICS].text(await request.app[FIGURES]()),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"},
    )


async def status(request: web.Request) -> web.StreamResponse:
    """Answer with every figure as one JSON object."""
    return answer(await request.app[FIGURES]())
