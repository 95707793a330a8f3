"""A client of a session that gets the messages of the deployed ``progress_sse.php``.

Like the streams in transports.py it knows neither HTTP nor aiohttp, and nothing in it awaits. Unlike them it speaks of
the state, not of updates: what lies between two messages is left out.

Invariants: ``started`` is said once the robot has been heard of; nothing follows a last message; a silence
ends the stream, since its page waits for a word.
"""

import asyncio
from collections.abc import Callable, Sequence

from ..delivery.event_stream import EventStream
from ..delivery.session import Session
from ..delivery.wire.sse import sse_event
from ..progress import outcome
from ..progress.session_state import Document, SessionState
from ..progress.update import Cursor, Update
from . import php_json, sse_messages


class DeployedEventStream(EventStream):
    """The stream of one page.

    Args:
        session_id: what the page watches.
        silence_s: how long its robot had said nothing when the page came.
        now: returns the server's local time as ``YYYY-MM-DD HH:MM:SS``.
        transport, chunked: see EventStream.
    """

    __slots__ = ("_begun", "_heard_s", "_loop", "_now", "_over", "_session", "_session_id", "_timer")

    def __init__(
        self,
        session_id: str,
        silence_s: float,
        now: Callable[[], str],
        transport: asyncio.Transport,
        chunked: bool,
    ) -> None:
        super().__init__(transport, chunked)
        self._session_id = session_id
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._heard_s = self._loop.time() - silence_s
        self._session: Session | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._begun = self._over = False

    def push(self, update: Update) -> bool:
        if self._paused:
            return False
        self._heard()
        return True

    def send(self, updates: Sequence[Update]) -> None:
        if updates:
            self._heard()

    def sync(self, session: Session, since: Cursor | None) -> None:
        self._session = session
        self._write(sse_messages.starting(self._session_id))
        self._tell()

    def reset(self, session: Session) -> None:
        self._heard()

    def connection_lost(self, error: Exception | None) -> None:
        self._close()
        super().connection_lost(error)

    def _close(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()

    def _heard(self) -> None:
        self._heard_s = self._loop.time()
        self._tell()

    def _tell(self) -> None:
        """Say what is to be said now, and see to it that a silence is noticed."""
        if self._over or self._session is None:
            return
        held = self._session.state
        silence_s = max(0.0, self._loop.time() - self._heard_s)
        if held is None:
            self._wait(outcome.SILENCE_AT_START_S - silence_s)
            return
        for message in self._messages(held, silence_s):
            self._write(message)
        if not self._over:
            text = str(held.snapshot["mensagem"] or "")
            self._wait(outcome.patience_s(held.snapshot["etapa_atual"], text) - silence_s)

    def _messages(self, held: SessionState, silence_s: float) -> list[Document]:
        first = [] if self._begun else [sse_messages.started(self._session_id)]
        self._begun = True
        return [*first, *sse_messages.of(self._session_id, held, silence_s, self._now())]

    def _write(self, message: Document) -> None:
        last = message["status"] in sse_messages.LAST
        # With the position, a page that comes back all the same is told that there is nothing more.
        at = self._session.cursor if last and self._session is not None else None
        self.write(sse_event(php_json.compact(message), at))
        if last:
            self._close()
            self.finish()

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, seconds), self._fell_silent)

    def _fell_silent(self) -> None:
        if self._session is not None and self._session.state is None:
            self._write(sse_messages.timeout(self._session_id))
        else:
            self._tell()
