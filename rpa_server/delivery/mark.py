"""What is remembered with a watched session for the comparison of its position with the store's."""


class Mark:
    """What watchers/position_check.py remembers about a session.

    Attributes:
        heard: an update came since the last check.
        seen, verified: when the session was last written according to Redis, at the last check and at the last
            comparison; ``...`` before the first one.
    """

    __slots__ = ("heard", "seen", "verified")

    def __init__(self) -> None:
        self.heard = False
        self.seen: object = ...
        self.verified: object = ...
