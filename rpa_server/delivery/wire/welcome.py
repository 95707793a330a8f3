"""What a client is sent first, and when it has lost continuity: the data of which messages.py makes a message."""

from ...progress.shapes import View
from ...progress.update import Cursor


class Welcome:
    """The first message of a client that begins to watch, or that has lost continuity; wire/messages.py puts it into words.

    Attributes:
        session_id: the session.
        heartbeat_ms: how often the server gives a sign of life.
        at: the position; updates behind it follow. None while nothing is known of the session.
        snapshot: the state at that position as pages get it; None where nothing is known, or where it is not needed.
        recovered: the client's cursor was found, so that the updates behind *at* are all that it lacks.
        messages: what wire/messages.py made of it, by type: a crowd that comes at once shares one Welcome.
    """

    __slots__ = ("at", "heartbeat_ms", "messages", "recovered", "session_id", "snapshot")

    def __init__(
        self, session_id: str, heartbeat_ms: int, at: Cursor | None, snapshot: View | None, recovered: bool = False
    ) -> None:
        self.session_id = session_id
        self.heartbeat_ms = heartbeat_ms
        self.at = at
        self.snapshot = snapshot
        self.recovered = recovered
        self.messages: dict[str, bytes] = {}
