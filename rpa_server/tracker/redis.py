"""The tracker's way into Redis: bounded in time, never retried, replayed from where Redis is.

Blocking, called in the robot's thread. A dead or frozen Redis costs one short timeout, after which the tracker
asks again only as often as its breaker allows.
"""

import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .. import append, naming
from ..documents import State, from_redis
from ..run import Run

CONNECT_TIMEOUT_S = 0.3
TIMEOUT_S = 0.5

#: What a broken, refusing or vanished Redis may raise, or a client that is none.
ERRORS = (redis.RedisError, OSError, ValueError, TypeError, AttributeError)


class RedisWriter:
    """Stores one run in Redis.

    Args:
        client: a ``redis.Redis``; its own time limits and retries are not used (see bounded).
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._scripts = True
        self._stored = 0

    def ping(self) -> None:
        """Raise one of ERRORS where Redis does not answer."""
        self._client.ping()

    def write(self, run: Run) -> None:
        """Bring Redis up to the run's last update, replaying what it lacks.

        Raises:
            One of ERRORS; it is not known then whether Redis has the update, and calling again is safe.
        """
        began = time.monotonic()
        while time.monotonic() - began < TIMEOUT_S:
            missing = [update for update in run.updates if update.seq > self._stored]
            if not missing:
                return
            mode: append.Mode = "over" if missing[0].seq > self._stored + 1 else "repeat"
            call = append.call(run.session_id, missing, run.documents(), time.time(), mode)
            answer = self._call(call)
            self._stored = answer.held
            if not answer.gap:
                return
        raise redis.TimeoutError("Redis is too slow, or keeps losing what was just written")

    def _call(self, call: append.Call) -> append.Answer:
        if self._scripts:
            try:
                return append.answer(self._evaluate(call))
            except redis.ResponseError as error:
                if not append.forbids_scripts(error):
                    raise
                self._scripts = False
        answer: append.Answer = self._client.transaction(
            lambda pipeline: _planned(pipeline, call), call.keys[0], value_from_callable=True
        )
        return answer

    def _evaluate(self, call: append.Call) -> Any:
        """Run the script; a Redis that does not know it costs one trip more, not two."""
        try:
            return self._client.evalsha(append.SHA, len(call.keys), *call.keys, *call.args)
        except redis.exceptions.NoScriptError:
            return self._client.eval(append.SCRIPT, len(call.keys), *call.keys, *call.args)

    def read(self, session_id: str) -> State | None:
        """Return what Redis holds of a session, None for nothing."""
        pipeline = self._client.pipeline()
        pipeline.get(naming.progress_key(session_id))
        pipeline.xrange(naming.history_key(session_id))
        raw, stream = pipeline.execute()
        return from_redis(session_id, raw, [_data(fields) for _, fields in stream])

    def delete(self, session_id: str) -> None:
        """Delete every key of a session."""
        keys = (naming.progress_key, naming.history_key, naming.result_key, naming.session_key)
        pipeline = self._client.pipeline()
        pipeline.delete(*(key(session_id) for key in keys))
        pipeline.zrem(naming.SESSIONS_KEY, session_id)
        pipeline.execute()
        self._stored = 0


def _planned(pipeline: Any, call: append.Call) -> append.Answer:
    """Queue what the script would do; the pipeline watches the stream."""
    plan = append.plan(call, pipeline.xrevrange(call.keys[0], count=1))
    pipeline.multi()
    for command in plan.commands:
        pipeline.execute_command(*command)
    return plan.answer


def _data(fields: dict[Any, Any]) -> bytes:
    data = fields.get(b"data", fields.get("data", b""))
    return data.encode() if isinstance(data, str) else data


def connect(url: str) -> Any:
    """Return a client for *url* with the tracker's time limits; nothing is sent yet."""
    return redis.Redis.from_url(url, **_limits())


def bounded(client: Any) -> Any:
    """Return a client to the same server as *client*, with the tracker's time limits.

    A robot's own ``redis.Redis(host=...)`` may block for a minute when the host is gone. Where a client can't be
    rebuilt (a cluster, a sentinel) it is used as it is.
    """
    try:
        pool = client.connection_pool
        settings = {**pool.connection_kwargs, **_limits(), "decode_responses": False}
        return redis.Redis(connection_pool=type(pool)(connection_class=pool.connection_class, **settings))
    except (AttributeError, TypeError, redis.RedisError):
        return client


def _limits() -> dict[str, Any]:
    return {
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "health_check_interval": 0,
    }
