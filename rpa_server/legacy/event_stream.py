"""A session's client that gets the messages of the deployed ``progress_sse.php``.

Like the other streams, it depends neither on HTTP nor on aiohttp, and nothing in it awaits. Unlike them it sends the
session's current state instead of updates, so that all updates which a lagging page missed make one message.

Invariants: ``started`` is sent once, not before the robot has written something; nothing follows a last message; too
long a silence of the robot ends the stream with a last message, for which the page waits.
"""

import asyncio
from collections.abc import Callable, Sequence

from ..delivery.event_stream import EventStream
from ..delivery.session import Session
from ..delivery.wire.sse import event
from ..delivery.wire.welcome import Welcome
from ..progress import outcome
from ..progress.session_state import Document, SessionState
from ..progress.update import Cursor, Update
from . import php_json, progress_answer, sse_messages
from .digest import Digest


def _nothing(update: Update) -> bytes:
    """Encode an update as nothing: _report() builds the messages, from the session's state."""
    return b""


class DeployedEventStream(EventStream):
    """The event stream of one page that reads ``progress_sse.php``.

    Args:
        session: the session that the page watches.
        silence_s: how many seconds the robot had been silent when the page connected.
        now: returns the server's local time as ``YYYY-MM-DD HH:MM:SS``.
        transport: the connection.
    """

    __slots__ = ("_begun", "_heard_s", "_history", "_loop", "_now", "_over", "_session", "_timer")
    encode = staticmethod(_nothing)

    def __init__(self, session: Session, silence_s: float, now: Callable[[], str], transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._session = session
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._heard_s = self._loop.time() - silence_s
        self._timer: asyncio.TimerHandle | None = None
        self._begun = self._over = False
        self._history: tuple[str, Digest] | None = None  # with the run's epoch

    def write(self, frame: bytes) -> bool:
        if self._paused:
            return False
        self._heard()
        return True

    def send(self, updates: Sequence[Update]) -> None:
        if updates:
            self._heard()

    def sync(self, welcome: Welcome) -> None:
        self._write(sse_messages.starting(self._session.session_id))
        self._report()

    def reset(self, welcome: Welcome) -> None:
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
        self._report()

    def _report(self) -> None:
        """Send the messages for the current state, and restart the timer that fires after too long a silence."""
        if self._over:
            return
        state = self._session.state
        silence_s = max(0.0, self._loop.time() - self._heard_s)
        if state is None:
            self._wait(outcome.SILENCE_AT_START_S - silence_s)
            return
        for message in self._messages(state, silence_s):
            self._write(message)
        if not self._over:
            text = str(state.snapshot["mensagem"] or "")
            self._wait(outcome.patience_s(state.snapshot["etapa_atual"], text) - silence_s)

    def _messages(self, state: SessionState, silence_s: float) -> list[Document]:
        session_id = self._session.session_id
        first = [] if self._begun else [sse_messages.started(session_id)]
        self._begun = True
        run = progress_answer.look(state, silence_s, self._digest(state))
        return [*first, *sse_messages.of(session_id, run, self._now())]

    def _digest(self, state: SessionState) -> Digest:
        """Return the history up to *state*; usually only the last update is new."""
        known = self._history
        new = None if known is None or known[0] != state.epoch else state.since(Cursor(state.epoch, known[1].seq))
        if known is None or new is None or state.sparse:
            known = self._history = (state.epoch, Digest.of(state))
        else:
            for update in new:
                known[1].add(update)
        return known[1]

    def _write(self, message: Document) -> None:
        last = message["status"] in sse_messages.LAST
        # Only the last message has the cursor as id: a page that reconnects with it after the run's end gets 204, which
        # stops the page.
        self.transport.write(event(php_json.compact(message), self._session.cursor if last else None))
        if last:
            self._close()
            self.finish()

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, seconds), self._fell_silent)

    def _fell_silent(self) -> None:
        if self._session.state is None:
            self._write(sse_messages.timeout(self._session.session_id))
        else:
            self._report()
