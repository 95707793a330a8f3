"""How long it takes from the robot's call until a client has the update over WebSocket, and how long the call takes.

Run from the root with the test dependencies installed and redis-server on the path::

    python -m benchmarks.latency

For Redis, then for files, it starts a server (and a redis-server), opens 100 connections to 100 sessions, and prints
one line.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import aiohttp

from rpa_server.tracker import ProgressTracker
from tests.support.server import Server, redis_server, running

CONNECTIONS = 100
UPDATES = 500
PAUSE_S = 0.005


async def _receive(http: aiohttp.ClientSession, url: str, number: int, ages: list[float]) -> None:
    async with http.ws_connect(f"{url}/rpa/bench-{number}", protocols=["rpa.v1"]) as socket:
        async for message in socket:
            update = json.loads(message.data)
            if "sent" in update.get("dados_extra", {}):
                ages.append(time.time() - update["dados_extra"]["sent"])


async def _measure(url: str) -> tuple[list[float], list[float]]:
    ages: list[float] = []
    calls: list[float] = []
    trackers = [ProgressTracker(session_id=f"bench-{number}") for number in range(CONNECTIONS)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        tasks = [asyncio.create_task(_receive(http, url, number, ages)) for number in range(CONNECTIONS)]
        await asyncio.sleep(1)
        for count in range(UPDATES):
            began = time.perf_counter()
            tracker = trackers[count % CONNECTIONS]
            await asyncio.to_thread(tracker.update_progress, 1 + count % 14, "passo", {"sent": time.time()})
            calls.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE_S)
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return ages, calls


def _line(name: str, values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return f"{name} p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms of {len(values)}"


def main() -> None:
    """Measure with Redis as the store, then with files."""
    for store in ("redis", "files"):
        with ExitStack() as stack:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "rpa_data"
            url = stack.enter_context(redis_server()).url if store == "redis" else "none"
            os.environ.update(RPA_REDIS_URL=url, RPA_DATA_DIR=str(data_dir))
            server = stack.enter_context(running(Server(data_dir, url)))
            ages, calls = asyncio.run(_measure(server.url))
        print(f"{store}: {_line('delivery', ages)}; {_line('call', calls)}")


if __name__ == "__main__":
    main()
