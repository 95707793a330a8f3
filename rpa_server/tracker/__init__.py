"""What a robot imports: ``from rpa_server.tracker import ProgressTracker``.

Loads neither aiohttp nor the server. No call raises into the robot. A new tracker waits up to 0.8 s for its connection
to Redis; after that a call waits up to 0.5 s for Redis.
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
