"""Handlers for operators and their tools: liveness, readiness, figures."""

from aiohttp import web

from ..backends.redis.store import RedisStore
from ..backends.redis.subscription import Subscriber
from ..errors import StorageUnavailable
from .errors import answer
from .keys import FIGURES, FILES, METRICS, REDIS, SUBSCRIBER


async def live(request: web.Request) -> web.StreamResponse:
    """Answer as long as the event loop runs."""
    return answer({"status": "ok"})


async def ready(request: web.Request) -> web.StreamResponse:
    """Tell of Redis and of the files whether they work.

    The status is ``ok``; ``degraded`` if something else serves in place of what fails; or 503: ``misconfigured`` if Redis
    refuses us, which waiting can't cure, ``unavailable`` if neither Redis nor files can be read.
    """
    files = await request.app[FILES].health()
    redis, reason = await _redis(request.app[SUBSCRIBER], request.app[REDIS])
    failures = [reason] if reason else []
    failures += [reason for reason in files.values() if reason != "ok"]
    body = {"status": "degraded" if failures else "ok", "redis": redis, "files": files}
    if failures:
        body["reason"] = " ".join(failures)
    if redis == "refused":
        return answer({**body, "status": "misconfigured"}, 503)
    if redis in ("none", "down") and files["reading"] != "ok":
        return answer({**body, "status": "unavailable"}, 503)
    return answer(body)


async def _redis(subscriber: Subscriber | None, redis: RedisStore | None) -> tuple[str, str]:
    """Return a word for the state of Redis, and what is wrong, ``""`` if nothing is."""
    if subscriber is None or redis is None:
        return "none", ""
    if subscriber.refused:
        return "refused", subscriber.reason
    if not subscriber.active.is_set():
        return "down", subscriber.reason
    try:
        refusal = await redis.refusal()
    except StorageUnavailable as error:
        return "down", str(error)
    return ("ok", "") if refusal is None else ("read_only", refusal)


async def metrics(request: web.Request) -> web.StreamResponse:
    """Answer in the Prometheus text format."""
    return web.Response(
        body=request.app[METRICS].text(await request.app[FIGURES]()),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"},
    )


async def status(request: web.Request) -> web.StreamResponse:
    """Answer with every figure as one JSON object."""
    return answer(await request.app[FIGURES]())
