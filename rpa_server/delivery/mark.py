"""What is remembered of a watched session for the comparison of its position with that in Redis."""


class Mark:
    """What watchers/position_check.py remembers about a session.

    Attributes:
        heard: an update came since the last check.
        seen: when the session was last written, as Redis reported it at an earlier check: seconds since 1970, None if
            Redis has no such time; ``...`` before the first check.
        verified: the value of *seen* at the last comparison that found the session up to date; ``...`` before one.
    """

    __slots__ = ("heard", "seen", "verified")

    def __init__(self) -> None:
        self.heard = False
        self.seen: object = ...
        self.verified: object = ...
