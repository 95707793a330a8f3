"""Tells the hub which sessions changed in a backend that notifies, but delivers no updates: today the files."""

from ..backends.base import Notifier
from ..delivery.hub import Hub


class FileWatch:
    """Has changed sessions read again.

    Args:
        notifier: the backend.
        hub: what is watched.
    """

    def __init__(self, notifier: Notifier, hub: Hub) -> None:
        self._notifier = notifier
        self._hub = hub

    async def run(self) -> None:
        """Follow the backend's notifications, for ever."""
        async for session_ids in self._notifier.changes():
            if not session_ids:  # notifications have begun, see Notifier
                self._hub.all_changed()
            for session_id in session_ids:
                self._hub.changed(session_id)
