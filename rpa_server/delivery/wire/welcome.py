"""The content of a client's first message and of a reset, before messages.py encodes it."""

from ...progress.shapes import View
from ...progress.snapshot import Ages
from ...progress.update import Cursor


class Welcome:
    """The content of the first message to a client, or of a reset after lost continuity; wire/messages.py encodes it.

    Attributes:
        session_id: the session.
        heartbeat_ms: milliseconds between two heartbeats on a stream.
        at: the position after which updates follow; None while nothing is known of the session.
        snapshot: the state at that position as pages get it; None if nothing is known, or if the client recovered.
        ages: how old the newest state is, also if the client recovered.
        recovered: True if the client lacks nothing but the updates after *at*, its own cursor, and they follow.
        messages: the encoded messages by type, filled in by wire/messages.py: clients that join within FRESH_S share
            one Welcome, which is then encoded once.
    """

    __slots__ = ("ages", "at", "heartbeat_ms", "messages", "recovered", "session_id", "snapshot")

    def __init__(
        self,
        session_id: str,
        heartbeat_ms: int,
        at: Cursor | None,
        snapshot: View | None,
        ages: Ages,
        recovered: bool = False,
    ) -> None:
        self.session_id = session_id
        self.heartbeat_ms = heartbeat_ms
        self.at = at
        self.snapshot = snapshot
        self.ages = ages
        self.recovered = recovered
        self.messages: dict[str, bytes] = {}
