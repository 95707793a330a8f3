"""Turns messages published in Redis into updates for the hub.

Numbered updates are recognised by their head; any other message must pass a schema, else it is counted and dropped.
Handling a message never raises, since an exception would end the subscription.
"""

import logging
import time

from .. import safejson
from ..backends.redis.names import CHANNEL_PREFIX, session_of_channel, session_of_keyspace
from ..delivery.hub import Hub
from ..errors import BadDocument
from ..log import RateLimit
from ..progress import limits, redaction, schemas
from ..progress.update import MAX_UPDATE_BYTES, Update, own_update

logger = logging.getLogger(__name__)

#: Keys that only our own writers may set: the kind of message, its position, whether the run is over.
_RESERVED = ("type", "epoch", "seq", "final", "estado")
_PREFIX_SIZE = len(CHANNEL_PREFIX)
#: A larger message of another program is not parsed. It may be larger than an update, since escaped letters take more.
_PARSED_BYTES = 4 * MAX_UPDATE_BYTES


class Feed:
    """Passes messages from Redis to the hub.

    Attributes:
        received: number of messages that were updates.
        unnumbered: how many of these have no number: other writers' updates.
        garbage: number of dropped messages.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._dropped_log = RateLimit()
        self.received = self.unnumbered = self.garbage = 0

    def message(self, channel: bytes, raw: bytes) -> None:
        """Handle one message; never raises, whatever is in it.

        Args:
            channel: ``rpa_progress:<session>``.
            raw: the message.
        """
        try:
            if self._hub.take(channel[_PREFIX_SIZE:], raw):
                self.received += 1
            else:
                self._look(channel, raw)
        except Exception as error:
            if self._drop(f"it could not be handled ({type(error).__name__})"):
                logger.exception("A message from Redis could not be handled.")

    def _look(self, channel: bytes, raw: bytes) -> None:
        """Handle a message that is not exactly the next update of a watched session."""
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
        """Handle the notification that a snapshot was written: the deployed robot writes one and publishes nothing.

        Redis notifies about snapshots of numbered runs, too. Hub.written() ignores these during the run, since the
        same updates also come as messages.
        """
        session_id = session_of_keyspace(channel)
        if session_id is not None:
            self._hub.written(session_id)

    def _drop(self, reason: str) -> bool:
        """Count a dropped message; tell whether it was logged."""
        self.garbage += 1
        suppressed = self._dropped_log.allow(time.monotonic())
        if suppressed is not None:
            logger.warning("Dropped a message from Redis: %s (%d more before).", reason, suppressed)
        return suppressed is not None


def unnumbered_update(raw: bytes) -> Update:
    """Build an update from an unnumbered message: redacted, ``type`` added, reserved keys removed, all others kept.

    If it is larger than MAX_UPDATE_BYTES, only its short values are kept.

    Numbered messages are not redacted: whoever calls our tracker, or posts, decides what they contain.

    Raises:
        BadDocument: the message is too large, no JSON object, or not of the plan's shape.
    """
    if len(raw) > _PARSED_BYTES:
        raise BadDocument(f"It is larger than {_PARSED_BYTES} bytes.")
    data = redaction.redact(schemas.unnumbered_update(safejson.load_object(raw)))
    message = {"type": "progress_update", **{key: value for key, value in data.items() if key not in _RESERVED}}
    encoded = safejson.dumps(message)
    if len(encoded) > MAX_UPDATE_BYTES:
        encoded = safejson.dumps(limits.fitting_message(message))
    return Update(encoded, None, 0, False)
