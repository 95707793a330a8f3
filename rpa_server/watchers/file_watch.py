"""Passes changes to the hub from a backend that reports changed sessions, but no updates: today the files."""

from contextlib import aclosing

from ..backends.base import Notifier
from ..delivery.hub import Hub


class FileWatch:
    """Makes the hub re-read watched sessions that changed in a backend.

    Args:
        notifier: the backend, which reports its changes.
        hub: has the watched sessions.
    """

    def __init__(self, notifier: Notifier, hub: Hub) -> None:
        self._notifier = notifier
        self._hub = hub

    async def run(self) -> None:
        """Pass the backend's notifications on, for ever."""
        async with aclosing(self._notifier.changes(self._watched)) as changes:
            async for session_ids in changes:
                if not session_ids:  # notifications began or resumed: earlier changes may have been missed, see Notifier
                    self._hub.all_changed()
                for session_id in session_ids:
                    self._hub.changed(session_id)

    def _watched(self) -> list[str]:
        return [session.session_id for session in self._hub.watched()]
