"""What a page's first look at a stored session costs: opening a stream, keeping it, joining late, coming back.

Each is measured at two lengths of the stored run, and ``<name>_growth`` is the ratio of the two.
"""

import time

from .bench import LENGTHS, Bench, Figures, grown, peer, rest, storing
from .load import Load, Way
from .peers import Deployment, Options, Peer

_OWN = 5000
_JOINING = 200
_CROWD = 1000
_BACK = 500
_MISSED = 20
_WARM = 50
_PERIODS = 2


def setup_own(bench: Bench, name: str, way: str = "state") -> Figures:
    """Open 5,000 connections, each on a stored session of its own, and wait for the first message of each.

    Returns:
        By length: ``cpu_us`` and ``redis_us`` per connection, ``resident`` bytes per connection, ``per_s`` set-ups a
        second, and ``load``, the load generator's share of a core.
    """
    figures: Figures = {}
    count = bench.most_viewers(bench.count(_OWN))
    for length in LENGTHS:
        with storing(bench, name, count + 1, updates=length) as deployment:
            server, asked = deployment.server, peer(name).ways[way]
            Load(bench.load, server.port, asked, connections=min(_WARM, count), first=count, messages=1).close()
            rest(server)
            memory, cpu, redis = server.resident(), server.cpu_us(), deployment.redis_us()
            with Load(bench.load, server.port, asked, connections=count, sessions=count, messages=1) as load:
                cpu, redis = server.cpu_us() - cpu, deployment.redis_us() - redis
                rest(server)
                memory = server.resident() - memory
        figures[f"cpu_us_{length}"] = cpu / count
        figures[f"redis_us_{length}"] = redis / count
        figures[f"resident_{length}"] = memory / count
        figures[f"per_s_{length}"] = count / load.opened["wall_us"] * 1e6
        figures[f"load_{length}"] = load.opened["cpu_us"] / load.opened["wall_us"]
    return grown(figures)


def setup_own_events(bench: Bench, name: str) -> Figures:
    """Run ``setup_own`` over server-sent events."""
    return setup_own(bench, name, "state-sse")


def upkeep_own(bench: Bench, name: str, heartbeat_s: float | None = None) -> Figures:
    """Keep 5,000 idle WebSockets: on one session, then each on its own, for two heartbeats after a first one.

    Args:
        heartbeat_s: the seconds between two pings; by default those of the server, with ``quick`` a third.

    Returns:
        CPU in microseconds a second: ``one`` and ``own``; ``pinged`` is like ``own``, but with pings even of a server
        that by default sends none. ``ratio`` is that of ``own`` to ``one``.
    """
    heartbeat_s = heartbeat_s or bench.seconds(Options.heartbeat_s)
    count = bench.most_viewers(bench.count(_OWN))
    one = _upkeep(bench, name, count, 1, heartbeat_s)
    own = _upkeep(bench, name, count, count, heartbeat_s)
    pinged = _upkeep(bench, name, count, count, heartbeat_s, "pinged") if "pinged" in peer(name).ways else own
    return {"one": one, "own": own, "pinged": pinged, "ratio": own / max(one, 1e-9), "connections": count}


def _upkeep(bench: Bench, name: str, count: int, sessions: int, heartbeat_s: float, way: str = "ws") -> float:
    with storing(bench, name, sessions, updates=LENGTHS[0], heartbeat_s=heartbeat_s) as deployment:
        server = deployment.server
        with Load(bench.load, server.port, peer(name).ways[way], connections=count, sessions=sessions):
            time.sleep(heartbeat_s)  # the first pings come within a heartbeat
            began, cpu = time.monotonic(), server.cpu_us()
            time.sleep(_PERIODS * heartbeat_s)
            return (server.cpu_us() - cpu) / (time.monotonic() - began)


def late(bench: Bench, name: str) -> Figures:
    """Join stored sessions, over WebSocket.

    First 200 viewers one at a time, each on a session of its own; then 1,000 at once, all on one session.

    Returns:
        By length: ``p50_us`` and ``p99_us`` of the time from connecting to the first message and ``cpu_us`` per
        joiner; of the crowd ``crowd_ms`` until all are served, and ``crowd_cpu_us`` per joiner.
    """
    figures: Figures = {}
    count, crowd = bench.count(_JOINING), bench.count(_CROWD)
    for length in LENGTHS:
        with storing(bench, name, count + 2, updates=length) as deployment:
            server, way = deployment.server, peer(name).ways["state"]
            Load(bench.load, server.port, way, connections=1, first=count, messages=1).close()
            rest(server)
            cpu = server.cpu_us()
            with Load(bench.load, server.port, way, connections=count, sessions=count, window=1, messages=1) as load:
                one, one_us = load.opened["state_us"], server.cpu_us() - cpu
            rest(server)
            cpu = server.cpu_us()
            with Load(bench.load, server.port, way, connections=crowd, first=count + 1, window=crowd, messages=1) as load:
                all_us, crowd_us = load.opened["wall_us"], server.cpu_us() - cpu
        figures[f"p50_us_{length}"] = one["p50"]
        figures[f"p99_us_{length}"] = one["p99"]
        figures[f"cpu_us_{length}"] = one_us / count
        figures[f"crowd_ms_{length}"] = all_us / 1000
        figures[f"crowd_cpu_us_{length}"] = crowd_us / crowd
    return grown(figures)


def recover(bench: Bench, name: str, way: str = "ws") -> Figures:
    """Let 500 clients of one session come back at once, to a server that has not served it yet, only another one.

    Returns:
        By length: ``current_ms`` until all are served that have missed nothing, ``missed_ms`` until all have the 20
        updates that they had missed; ``current_cpu_us`` and ``missed_cpu_us`` per client.
    """
    figures: Figures = {}
    made, count = peer(name), bench.count(_BACK)
    for length in LENGTHS:
        with storing(bench, name, 1, updates=length) as deployment:
            Load(bench.load, deployment.server.port, made.ways[way], connections=min(_WARM, count)).close()
            for number, (key, missed) in enumerate((("current", 0), ("missed", _MISSED)), 1):
                asked = _stored_behind(made, deployment, number, way, length, missed)
                expected = made.greets + missed
                cpu = deployment.server.cpu_us()
                with Load(
                    bench.load, deployment.server.port, asked,
                    connections=count, first=number, window=count, messages=expected,
                ) as load:  # fmt: skip
                    cpu = deployment.server.cpu_us() - cpu
                figures[f"{key}_ms_{length}"] = load.opened["wall_us"] / 1000
                figures[f"{key}_cpu_us_{length}"] = cpu / count
    return grown(figures)


def _stored_behind(made: Peer, deployment: Deployment, number: int, way: str, updates: int, missed: int) -> Way:
    """Store a session; return how its clients come back that lack its last *missed* updates."""
    query = made.seed_missed(deployment, number, updates=updates, missed=missed)
    rest(deployment.server)
    asked = made.ways[way]
    return Way(asked.mode, f"{asked.path}?{query}", asked.headers)


def recover_events(bench: Bench, name: str) -> Figures:
    """Run ``recover`` over server-sent events."""
    return recover(bench, name, "sse")
