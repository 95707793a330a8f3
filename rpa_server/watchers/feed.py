"""From what arrives on a channel to what the hub takes: our own updates by their cursor, others by their schema.

Garbage is counted and dropped; nothing that arrives may stop the task that reads.
"""

import logging
import time

from .. import safejson
from ..backends.redis.names import CHANNEL_PREFIX, session_of_channel, session_of_keyspace
from ..delivery.hub import Hub
from ..errors import BadDocument
from ..log import RateLimit
from ..progress import redaction, schemas
from ..progress.update import Update, own_update

logger = logging.getLogger(__name__)

#: Ten times what a robot was seen to send; anything larger on the channel is no update.
MAX_BYTES = 1024 * 1024
#: Keys that only our own writers may set: which message this is, its position, whether the run is over.
_RESERVED = ("type", "epoch", "seq", "final", "estado")
_PREFIX_SIZE = len(CHANNEL_PREFIX)


class Feed:
    """Puts messages from Redis into the hub.

    Attributes:
        received: messages that were updates.
        unnumbered: how many of them another writer made than our tracker.
        garbage: messages that were dropped.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._dropped_log = RateLimit()
        self.received = self.unnumbered = self.garbage = 0

    def message(self, channel: bytes, raw: bytes) -> None:
        """Take one message; never raises for what is in it.

        Args:
            channel: ``rpa_progress:<session>``.
        """
        if self._hub.take(channel[_PREFIX_SIZE:], raw):
            self.received += 1
            return
        session_id = session_of_channel(channel)
        if session_id is None:
            self._drop("the channel names no session")
            return
        update = own_update(raw)
        if update is None:
            try:
                update = unnumbered_update(raw)
            except BadDocument as error:
                self._drop(str(error))
                return
            self.unnumbered += 1
        self.received += 1
        self._hub.publish(session_id, update)

    def written(self, channel: bytes) -> None:
        """Take note that a snapshot was written: the deployed robot does that, and publishes nothing.

        Redis says so of our own tracker's snapshots, too; what is in those comes as a message.
        """
        session_id = session_of_keyspace(channel)
        if session_id is not None:
            self._hub.written(session_id)

    def _drop(self, reason: str) -> None:
        self.garbage += 1
        suppressed = self._dropped_log.allow(time.monotonic())
        if suppressed is not None:
            logger.warning("Dropped a message from Redis: %s (%d more before).", reason, suppressed)


def unnumbered_update(raw: bytes) -> Update:
    """Build an update from a message of another writer: flat, ``type`` added, its other keys untouched.

    What such robots write is redacted; what our tracker publishes is its caller's own choice, and stays as it is.

    Raises:
        BadDocument: it is too large, no JSON object or not of the plan's shape.
    """
    if len(raw) > MAX_BYTES:
        raise BadDocument(f"It is larger than {MAX_BYTES} bytes.")
    data = redaction.redact(schemas.unnumbered_update(safejson.load_object(raw)))
    message = {"type": "progress_update", **{key: value for key, value in data.items() if key not in _RESERVED}}
    return Update(safejson.dumps(message), None, 0, False)
