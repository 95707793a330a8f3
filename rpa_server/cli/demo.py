"""The demonstration: a server, a recorded run played through the real tracker, and a page that shows the run."""

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from ..app import build as build_app
from ..config import Settings

SESSION = "demo"
RECORDING = Path(__file__).with_name("demo_history.json")

logger = logging.getLogger(__name__)


def build(settings: Settings, speed: float) -> web.Application:
    """Build an application that plays the demonstration run once, *speed* times as fast as recorded."""
    app = build_app(settings)

    async def robot(app: web.Application) -> AsyncIterator[None]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("RPA_", "REDIS_"))}
        environ = {**ours, "RPA_REDIS_URL": "none", "RPA_DATA_DIR": settings.data_dir}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rpa_server", "replay", str(RECORDING)),
            *("--session", SESSION, "--speed", str(speed)),
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=None if sys.stdout.isatty() else asyncio.subprocess.DEVNULL,  # a terminal shows the live line
        )
        yield
        if process.returncode is None:
            process.terminate()
        await process.wait()

    app.cleanup_ctx.append(robot)
    return app


def directory() -> tempfile.TemporaryDirectory[str]:
    """Create the data directory of the demonstration; leaving the context deletes the directory."""
    return tempfile.TemporaryDirectory(prefix="rpa-server-demo-")
