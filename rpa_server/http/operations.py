"""Handlers for operators and their tools: liveness, readiness, figures."""

from aiohttp import web

from ..errors import StorageUnavailable
from .errors import answer
from .keys import FIGURES, METRICS, REDIS, SUBSCRIBER


async def live(request: web.Request) -> web.StreamResponse:
    """Answer as long as the event loop runs."""
    return answer({"status": "ok"})


async def ready(request: web.Request) -> web.StreamResponse:
    """Answer ``ok``, ``degraded`` while files do what Redis can't, or 503 if Redis refuses us, which waiting can't cure."""
    subscriber, redis = request.app[SUBSCRIBER], request.app[REDIS]
    if subscriber is None or redis is None:
        return answer({"status": "ok", "redis": "none"})
    if subscriber.active.is_set() and not subscriber.refused:
        try:
            refusal = await redis.refusal()
        except StorageUnavailable as error:
            return answer({"status": "degraded", "redis": "down", "reason": str(error)})
        if refusal is not None:
            return answer({"status": "degraded", "redis": "read_only", "reason": refusal})
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
