"""How long a server takes from its start until it listens, and until it has answered a first request."""

import contextlib
import statistics
import time

from .bench import LENGTHS, Bench, Figures, grown, peer, storing
from .client import Client
from .messages import session_id
from .peers import Deployment, Ours

_STARTS = 7


def start(bench: Bench, name: str) -> Figures:
    """Start the server 7 times and poll a session that is stored; nchan, which stores none, answers that there is none.

    Returns:
        Medians in milliseconds: ``listens_ms``; by length ``answers_ms``, both since the start of the process.
        ``cpu_ms`` is its CPU until then.
    """
    figures: Figures = {}
    listens: list[float] = []
    spent: list[float] = []
    for length in LENGTHS:
        with storing(bench, name, 1, updates=length) as deployment:
            starts = [_started(deployment, name) for _ in range(bench.count(_STARTS))]
        listens += [one["listens"] for one in starts]
        spent += [one["cpu"] for one in starts]
        figures[f"answers_ms_{length}"] = statistics.median(one["answers"] for one in starts)
    return grown(figures | {"listens_ms": statistics.median(listens), "cpu_ms": statistics.median(spent)})


def _started(deployment: Deployment, name: str) -> Figures:
    ours = isinstance(peer(name), Ours)
    path, status = ("/api/sessions/", 200) if ours else ("/pub/", 404)
    server = deployment.start()
    with contextlib.closing(Client(server.port)) as client:
        answer = client.call(f"GET {path}{session_id(0)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answers = time.perf_counter() - server.began_s
    if answer.status != status:
        raise RuntimeError(f"{name} answered its first request with {answer.status}: {answer.body[:200]!r}")
    return {"listens": server.listens_s * 1e3, "answers": answers * 1e3, "cpu": server.cpu_us() / 1e3}
