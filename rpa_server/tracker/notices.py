"""What the robot's log is told about the stores: each thing once, or seldom, whatever happens how often.

The logger is that of the tracker, so that a robot's programmer can find and silence it under one name.
"""

import logging
import time

from ..backends.base import NotCurrent
from ..backends.redis import append, writer
from ..log import RateLimit
from ..progress.update import MAX_UPDATE_BYTES

logger = logging.getLogger(__name__)

ONLINE = "[OK] Redis conectado para comunicação real-time"
OFFLINE = "[AVISO] Redis não disponível, usando JSON Progress Tracker"


class Notices:
    """The notices of one tracker."""

    def __init__(self) -> None:
        self._losses, self._failures, self._refusals = RateLimit(), RateLimit(), RateLimit()
        self._cuts, self._cut = RateLimit(), 0
        self._forbidden = False  # True once it was logged that Redis forbids scripts
        self._other_run = ""  # the run that was reported to be the current one

    def offline(self) -> None:
        """Redis did not answer a new tracker."""
        logger.warning(OFFLINE)

    def online(self) -> None:
        """Redis answers, and has everything."""
        self._forbidden = False
        logger.info(ONLINE)

    def not_written(self, error: Exception) -> None:
        """Redis did not take an update."""
        if not self._forbids(error) and (more := self._failures.allow(time.monotonic())) is not None:
            logger.warning("Redis does not take updates (%s, %d times more before); files take them.", error, more)

    def not_reached(self, error: Exception) -> None:
        """An attempt to reach Redis has failed; only refusals are reported, which a changed setting has to end."""
        if self._forbids(error) or not isinstance(error, writer.REFUSALS):
            return
        if self._refusals.allow(time.monotonic()) is not None:
            logger.error("Redis refuses this robot (%s); check RPA_REDIS_URL or REDIS_PASSWORD.", error)

    def _forbids(self, error: Exception) -> bool:
        """Tell whether *error* means that Redis forbids scripts; log that, once until Redis answers."""
        forbidden = append.forbids_scripts(error)
        if forbidden and not self._forbidden:
            logger.error("%s; files take the updates until then.", append.FORBIDDEN)
        self._forbidden = self._forbidden or forbidden
        return forbidden

    def cut(self, count: int) -> None:
        """Updates were cut; *count*: how many were so far."""
        told, self._cut = self._cut, count
        if count > told and self._cuts.allow(time.monotonic()) is not None:
            logger.warning(
                "An update was larger than %d bytes and was cut to its short values (%d so far); keep large data away.",
                MAX_UPDATE_BYTES,
                count,
            )

    def lost(self, reason: str, count: int) -> None:
        """An update is stored nowhere; *count*: how many are."""
        if self._losses.allow(time.monotonic()) is not None:
            logger.error("An update could not be stored anywhere (%s); %d so far. The robot goes on.", reason, count)

    def not_current(self, session_id: str, refusal: NotCurrent) -> None:
        """Another run of the session is the current one."""
        if self._other_run == refusal.epoch:
            return
        self._other_run = refusal.epoch
        if refusal.waiting:
            logger.info("Session %s: another robot works on it; this run begins with its first step.", session_id)
        else:
            logger.warning(
                "Session %s: a newer run has begun, so pages see nothing more of this one, which only its files keep.",
                session_id,
            )
