"""Handlers for operators and their tools: liveness, readiness, figures."""

from aiohttp import web

from ..backends.redis.subscription import Subscriber
from .errors import answer
from .keys import FIGURES, FILES, METRICS, SUBSCRIBER


async def live(request: web.Request) -> web.StreamResponse:
    """Answer as long as the event loop runs."""
    return answer({"status": "ok"})


async def ready(request: web.Request) -> web.StreamResponse:
    """Tell of Redis and of the files whether they work.

    The status is ``ok``; ``degraded`` if something else serves in place of what fails; or 503: ``misconfigured`` if Redis
    refuses us, which waiting can't cure, ``unavailable`` if neither Redis nor files can be read.
    """
    subscriber, files = request.app[SUBSCRIBER], await request.app[FILES].health()
    redis = "none" if subscriber is None else _redis(subscriber)
    failures = [subscriber.reason] if subscriber is not None and redis != "ok" else []
    failures += [reason for reason in files.values() if reason != "ok"]
    body = {"status": "degraded" if failures else "ok", "redis": redis, "files": files}
    if failures:
        body["reason"] = " ".join(failures)
    if redis == "refused":
        return answer({**body, "status": "misconfigured"}, 503)
    if redis != "ok" and files["reading"] != "ok":
        return answer({**body, "status": "unavailable"}, 503)
    return answer(body)


def _redis(subscriber: Subscriber) -> str:
    if subscriber.refused:
        return "refused"
    return "ok" if subscriber.active.is_set() else "down"


async def metrics(request: web.Request) -> web.StreamResponse:
    """Answer in the Prometheus text format."""
    return web.Response(
        body=request.app[METRICS].text(await request.app[FIGURES]()),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"},
    )


async def status(request: web.Request) -> web.StreamResponse:
    """Answer with every figure as one JSON object."""
    return answer(await request.app[FIGURES]())
