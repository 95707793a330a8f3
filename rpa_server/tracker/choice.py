"""Chooses where a tracker writes: Redis, files, both or nothing, by its arguments and the settings."""

import logging
import os
from pathlib import Path
from typing import Any

from .. import config
from ..backends.redis import writer
from ..errors import ConfigError
from ..progress.session_id import is_session_id
from .courier import courier
from .failover import Failover
from .notices import OFFLINE

logger = logging.getLogger(__name__)


def choose(session_id: str, files: bool, client: Any, tipo: str) -> Failover:
    """Choose the stores for the arguments of ProgressTracker and the settings; never raises."""
    try:
        if not is_session_id(session_id):
            logger.error("The session id is not valid, so nothing is reported: use A-Z a-z 0-9 . _ - only.")
            tipo = "none"
        chosen = settings()
        courier.patience_s = chosen.exit_flush_s
        data_dir = Path(chosen.data_dir) if files and tipo != "none" else None
        if tipo in ("none", "json"):
            return Failover(None, data_dir)
        if client is not None:
            return Failover(client, data_dir)
        if chosen.redis_url is None:
            logger.warning(OFFLINE)
            return Failover(None, data_dir)
        return Failover(writer.connect(chosen.redis_url), data_dir)
    except Exception:
        logger.exception("The progress tracker can't be set up; the robot goes on without it.")
        return Failover(None, None)


def settings() -> config.Settings:
    """Return the settings of the environment, the defaults if one of them is wrong; never raises."""
    try:
        return config.load(os.environ)
    except ConfigError as error:
        logger.error("%s The tracker uses the defaults.", error)
        return config.Settings()
