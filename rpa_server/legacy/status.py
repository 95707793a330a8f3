"""The server's health and figures, in the shapes that the deployed dashboard reads.

All numbers are measured. Nothing in the answers names a session, a process or a person.
"""

import asyncio
import os
import re
import shutil
from collections import Counter
from pathlib import Path

from aiohttp import web

from ..http.keys import SETTINGS, SUBSCRIBER
from ..progress.outcome import Estado
from . import php_json
from .keys import SESSION_COUNTS
from .outcomes import deployed_words
from .progress_answer import Answer

_FULL_PERCENT = 90
_MEMORY = Path("/proc/meminfo")


async def health(app: web.Application, now: str) -> Answer:
    """Return the value of ``health``: a ``status`` (``healthy``, ``degraded`` or ``unhealthy``) and the ``checks``.

    Args:
        now: ``YYYY-MM-DD HH:MM:SS``, the server's local time.
    """
    running = (await app[SESSION_COUNTS].count())[Estado.EXECUTANDO]
    directory = Path(app[SETTINGS].data_dir)
    checks = await asyncio.to_thread(_machine, directory)
    checks["python_processes"] = {"status": "ok", "count": running, "processes": []}
    checks["redis"] = {"status": _redis(app)}
    order = ("sessions", "data", "scripts", "logs", "python_processes", "disk_space", "memory", "redis")
    return {
        "status": _worst(checks),
        "timestamp": now,
        "checks": {name: checks[name] for name in order if name in checks},
    }


def _machine(directory: Path) -> Answer:
    checks = {"sessions": _directory(directory), "data": _directory(directory)}
    # The deployed server has two more directories, which this one does not need: it runs no scripts, and logs to
    # standard error. Their checks are always "ok".
    checks |= {name: {"status": "ok", "path": "", "writable": False} for name in ("scripts", "logs")}
    try:
        disk = shutil.disk_usage(directory)
        used = (disk.total - disk.free) / disk.total * 100
        checks["disk_space"] = {"status": _full(used), "free_bytes": disk.free, "total_bytes": disk.total}
        checks["disk_space"]["used_percent"] = php_json.number(round(used, 2))
        checks["memory"] = _memory(_MEMORY.read_text())
    except (OSError, LookupError, ZeroDivisionError):  # no directory or /proc/meminfo: later figures are left out
        pass
    return checks


def _directory(path: Path) -> Answer:
    writable = os.access(path, os.W_OK)
    return {"status": "ok" if path.is_dir() and writable else "error", "path": str(path), "writable": writable}


def _memory(text: str) -> Answer:
    total, free = (re.findall(rf"{name}:\s+(\d+)", text)[0] for name in ("MemTotal", "MemAvailable"))
    used = (int(total) - int(free)) / int(total) * 100
    figures = {"total_kb": total, "available_kb": free, "used_percent": php_json.number(round(used, 2))}
    return {"status": _full(used), **figures}


def _full(used_percent: float) -> str:
    return "ok" if used_percent < _FULL_PERCENT else "warning"


def _redis(app: web.Application) -> str:
    subscriber = app[SUBSCRIBER]
    if subscriber is None or subscriber.active.is_set():
        return "ok"
    return "error" if subscriber.refused else "warning"


def _worst(checks: Answer) -> str:
    found = {check["status"] for check in checks.values()}
    return "unhealthy" if "error" in found else "degraded" if "warning" in found else "healthy"


async def metrics(app: web.Application, now: str) -> Answer:
    """Return the value of ``metrics``: counts of the sessions of the last 24 hours.

    Args:
        now: ``YYYY-MM-DD HH:MM:SS``, the server's local time.
    """
    counted = await app[SESSION_COUNTS].count()
    words: Counter[str] = Counter()
    for estado, number in counted.items():
        words[deployed_words(estado).dashboard] += number
    total, completed = words.total(), words["completed"]
    rates = {
        "sessions_24h": total,
        "completed_24h": completed,
        "success_rate": php_json.number(round(completed / total * 100, 2)) if total else 0,
    }
    return {
        "timestamp": now,
        "sessions": {"total": total, "by_status": dict(words) or []},
        "performance": rates if total else [],
    }
