"""How many polls a second a server answers; pages poll where a proxy lets no stream through."""

from rpa_server.progress.update import HISTORY

from .bench import Bench, Figures, peer
from .load import Load

_CONNECTIONS = 16


def polls(bench: Bench, name: str) -> Figures:
    """Poll a session of HISTORY updates over 16 connections that stay open; each polls again once it is answered."""
    made = peer(name)
    with made.running(bench.directory) as deployment:
        made.seed(deployment, 1, updates=HISTORY)
        with Load(bench.load, deployment.server.port, made.ways["poll"], connections=_CONNECTIONS) as load:
            load.report(limit_s=0.5)
            cpu = deployment.server.cpu_us()
            report = load.report(limit_s=bench.seconds(2))
            cpu = deployment.server.cpu_us() - cpu
    answers = report["delivered"]
    return {
        "per_s": answers / report["wall_us"] * 1e6,
        "cpu_us": cpu / max(answers, 1),
        "p50_us": report["latency_us"]["p50"],
        "p99_us": report["latency_us"]["p99"],
        "lost": report["refused"],
        "load": report["cpu_us"] / report["wall_us"],
    }
