"""What a robot imports: ``from rpa_server.tracker import ProgressTracker``.

Loads neither aiohttp nor the server. No call raises into the robot, and none blocks it for a second.
"""

from .tracker import (
    ProgressTracker,
    RedisProgressTracker,
    criar_progress_tracker,
    detectar_progress_tracker,
    verificar_redis_disponivel,
)

__all__ = [
    "ProgressTracker",
    "RedisProgressTracker",
    "criar_progress_tracker",
    "detectar_progress_tracker",
    "verificar_redis_disponivel",
]
