"""What single HTTP requests cost the server: a poll, deployed or native, and an update that a robot posts.

One client sends one request at a time. Each figure is taken at two lengths of the stored run, and ``<name>_growth`` is
the ratio of the two.
"""

import contextlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .bench import LENGTHS, Bench, Figures, grown, peer, rest, storing
from .client import Client
from .messages import EPOCH, session_id
from .peers import Deployment, Ours

_POLLED = 100
_POSTED = 50
_BEHIND = 20
_SERVER = "rpa-uvloop"


class _Kind(NamedTuple):
    """One way to ask for a session.

    Attributes:
        path: with ``{name}``, the session's id.
        headers: further ones, each ended with CR LF. They and the path may have ``{seq}``, the last update's number, and
            ``{behind}``, which is _BEHIND less, and ``{epoch}``.
        status: of the answer while nothing has changed.
    """

    path: str
    headers: str = ""
    status: int = 200

    def request(self, number: int, seq: int) -> bytes:
        """Return the request for session *number*, whose last update has the number *seq*."""
        text = f"GET {self.path} HTTP/1.1\r\nHost: x\r\n{self.headers}\r\n"
        return text.format(name=session_id(number), epoch=EPOCH, seq=seq, behind=seq - _BEHIND).encode()


_KINDS = {
    "get_progress.php": _Kind("/get_progress.php?session={name}"),
    "progress": _Kind("/progress/{name}"),
    "native": _Kind("/api/sessions/{name}"),
    "native, ETag": _Kind("/api/sessions/{name}", 'If-None-Match: W/"{epoch}:{seq}"\r\n', 304),
    f"native, {_BEHIND} behind": _Kind("/api/sessions/{name}?after={epoch}:{behind}"),
}
_NCHAN = _Kind("/poll/{name}")
POLLS = ("nchan", *_KINDS)


def deployed_poll(bench: Bench, name: str) -> Figures:
    """Poll 100 stored sessions one after the other, three times: never polled, unchanged, and after one update more.

    Args:
        name: one of POLLS: ``nchan`` (its newest message), or how rpa-server is asked.

    Returns:
        By length: ``first_us``, ``again_us`` and ``after_us``, CPU of the server per poll; ``redis_us`` is that of Redis
        per first poll.
    """
    kind, server = (_NCHAN, name) if name == "nchan" else (_KINDS[name], _SERVER)
    figures: Figures = {}
    count = bench.count(_POLLED)
    for length in LENGTHS:
        with storing(bench, server, count + 1, updates=length) as deployment:
            requests = [kind.request(number, length) for number in range(count)]
            _cost(deployment, [kind.request(count, length)], {kind.status})
            redis = deployment.redis_us()
            figures[f"first_us_{length}"] = _cost(deployment, requests, {kind.status})
            figures[f"redis_us_{length}"] = (deployment.redis_us() - redis) / count
            figures[f"again_us_{length}"] = _cost(deployment, requests, {kind.status})
            made = peer(server)
            if isinstance(made, Ours):
                made.add(deployment, count, updates=length)
            else:
                _cost(deployment, map(made.publication, range(count)), {201, 202})
            figures[f"after_us_{length}"] = _cost(deployment, requests, {200})
    return grown(figures)


def publish_http(bench: Bench, name: str) -> Figures:
    """Post an update to each of 50 stored sessions, and then another one.

    Returns:
        By length: ``first_us`` and ``next_us``, CPU of the server per update; ``redis_us`` is that of Redis per first
        update.
    """
    figures: Figures = {}
    count = bench.count(_POSTED)
    request: Callable[[int], bytes] = peer(name).publication
    for length in LENGTHS:
        with storing(bench, name, count + 1, updates=length) as deployment:
            _cost(deployment, [request(count)], {201, 202})
            redis = deployment.redis_us()
            figures[f"first_us_{length}"] = _cost(deployment, map(request, range(count)), {201, 202})
            figures[f"redis_us_{length}"] = (deployment.redis_us() - redis) / count
            figures[f"next_us_{length}"] = _cost(deployment, map(request, range(count)), {201, 202})
    return grown(figures)


def _cost(deployment: Deployment, requests: Iterable[bytes], statuses: set[int]) -> float:
    """Send *requests* once the server is at rest; return its CPU per request, in microseconds.

    Raises:
        RuntimeError: an answer has another status than *statuses*.
    """
    rest(deployment.server)
    with contextlib.closing(Client(deployment.server.port)) as client:
        cpu, count = deployment.server.cpu_us(), 0
        for request in requests:
            answer = client.call(request)
            if answer.status not in statuses:
                raise RuntimeError(f"{request[:200]!r} was answered with {answer.status}: {answer.body[:200]!r}")
            count += 1
        return (deployment.server.cpu_us() - cpu) / count
