"""From what arrives on a channel to what the hub takes: ours by its cursor, foreign by its schema.

Garbage is counted and dropped; nothing that arrives may stop the task that reads.
"""

import logging
import time

from .. import safejson
from ..backends.redis.names import session_of_channel, session_of_keyspace
from ..delivery.hub import Hub
from ..errors import BadDocument
from ..log import RateLimit
from ..progress import redaction, schemas
from ..progress.update import Update, own_update

logger = logging.getLogger(__name__)

#: Ten times what a robot was seen to send; more on the channel is no update.
MAX_BYTES = 1024 * 1024
#: What only our own writers may say: which message this is, where it stands, whether the run is over.
_OURS = ("type", "epoch", "seq", "final", "estado")


class Feed:
    """Puts messages from Redis into the hub.

    Attributes:
        received: messages that were updates.
        foreign: how many of them another writer made.
        garbage: messages that were dropped.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._brake = RateLimit()
        self.received = self.foreign = self.garbage = 0

    def message(self, channel: bytes, raw: bytes) -> None:
        """Take one message; never raises for what is in it."""
        if self._hub.take(channel, raw):
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
            self.foreign += 1
        self.received += 1
        self._hub.publish(session_id, update)

    def written(self, channel: bytes) -> None:
        """Take note that a snapshot was written: the deployed robot does that, and publishes nothing.

        Our own tracker's writes are told, too; what they say comes as a message.
        """
        session_id = session_of_keyspace(channel)
        if session_id is not None:
            self._hub.written(session_id)

    def _drop(self, reason: str) -> None:
        self.garbage += 1
        held = self._brake.allow(time.monotonic())
        if held is not None:
            logger.warning("Dropped a message from Redis: %s (%d more before).", reason, held)


def unnumbered_update(raw: bytes) -> Update:
    """Build an update from a foreign message: flat, ``type`` added, its keys untouched but for _OURS.

    As in everything that foreign robots write, nothing of the form is left; what our tracker publishes is the
    caller's own choice, and stays as it is.

    Raises:
        BadDocument: it is too large, no JSON object or not of the plan's shape.
    """
    if len(raw) > MAX_BYTES:
        raise BadDocument(f"It is larger than {MAX_BYTES} bytes.")
    data = redaction.redact(schemas.unnumbered_update(safejson.load_object(raw)))
    kept = {key: value for key, value in data.items() if key not in _OURS}
    return Update(safejson.dumps({"type": "progress_update", **kept}), None, 0, False)
