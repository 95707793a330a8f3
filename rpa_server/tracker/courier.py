"""The one thread of a robot's process that brings Redis up to date after a failure, and the last seconds of the process.

The thread is no daemon, so Python waits for it when the program ends: after the last line, ``sys.exit``, an exception,
and in children of a fork, too. From then on it has a few seconds to hand in what Redis lacks; then it gives up, and
what is in the files stays there. A process that SIGTERM ends would not wait, so while its handler is the system's
default one, ours takes its place: it waits in the same way, then ends the process as the default one would.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

logger = logging.getLogger(__name__)

#: Seconds between two rounds through the errands.
_LOOK_S = 0.05


class Errand(Protocol):
    """What the courier does for one tracker."""

    def ask(self) -> bool:
        """Make an attempt if one is due; tell whether further ones are needed."""

    @property
    def pending(self) -> int:
        """The number of updates that Redis lacks and would take."""

    @property
    def session_id(self) -> str:
        """The session, for the log."""


class Courier:
    """Runs errands in a thread of their own, which lives as long as there are any.

    Attributes:
        patience_s: how many seconds pending errands may take once the process ends; 0 for none.
    """

    def __init__(self) -> None:
        self.patience_s = 5.0
        self._renew()

    def _renew(self) -> None:
        """Begin anew in a forked child, which has no thread."""
        self._lock = threading.RLock()  # a signal handler may interrupt the thread that has it
        self._calls = 0  # of the tracker, under way in the main thread
        self._signal = 0  # the signal that waits for the end of such a call
        self._added = threading.Event()
        self._again: set[int] = set()  # the errands given since the last look at them
        self._errands: dict[int, Errand] = {}  # by id(): an errand lives at least until it is done
        self._thread: threading.Thread | None = None
        self._deadline_s: float | None = None  # set once the process ends

    def run(self, errand: Errand) -> bool:
        """Make attempts for *errand* until it needs none; False if no thread can be started now."""
        with self._lock:
            self._errands[id(errand)] = errand
            self._again.add(id(errand))
            self._added.set()
            if self._thread is not None and self._thread.is_alive():
                return True
            thread = threading.Thread(target=self._work, name="rpa-tracker-redis")
            try:
                thread.start()
            except RuntimeError as error:  # a limit of the system, or the interpreter is ending
                del self._errands[id(errand)]
                self._again.discard(id(errand))
                logger.warning("Redis can't be asked again now, because no thread can be started (%s).", error)
                return False
            self._thread = thread
            return True

    def _work(self) -> None:
        while errands := self._left():
            for errand in errands:
                with self._lock:
                    self._again.discard(id(errand))
                needed = not self._is_over() and errand.ask()
                with self._lock:
                    if not needed and id(errand) not in self._again:  # not given again since ask() began
                        self._errands.pop(id(errand), None)
            self._added.wait(_LOOK_S)  # a new errand is begun at once: its robot waits for the first attempt
            self._added.clear()

    def _left(self) -> list[Errand]:
        """Return the errands to run; none once the process ends and its time is up, or nothing is pending."""
        with self._lock:
            if self._deadline_s is None and not threading.main_thread().is_alive():
                self._deadline_s = time.monotonic() + self.patience_s
            errands = list(self._errands.values())
            if self._deadline_s is not None:
                pending = [errand for errand in errands if errand.pending]
                if pending and self._is_over():
                    self._give_up(pending)
                    pending = []
                errands = pending
            if not errands:
                self._thread = None
            return errands

    def _is_over(self) -> bool:
        return self._deadline_s is not None and time.monotonic() >= self._deadline_s

    def _give_up(self, errands: list[Errand]) -> None:
        for errand in errands:
            logger.error(
                "The process ends before Redis has %d updates of session %s; if they are in files, the next robot "
                "there, a server that reads them, or `rpa-server flush` hands them in.",
                errand.pending,
                errand.session_id,
            )

    def finish(self) -> None:
        """Wait until nothing is pending, at most ``patience_s``."""
        with self._lock:
            thread, self._deadline_s = self._thread, time.monotonic() + self.patience_s
        if thread is not None:
            thread.join(self.patience_s + 1)

    # -- SIGTERM

    def hold_sigterm(self) -> None:
        """Let SIGTERM wait for the courier, too; only in the main thread, and only in place of the default handler."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: object) -> None:
        if self._calls:  # the call has the lock that the courier needs; it takes less than a second
            self._signal = number
            return
        self.finish()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Let a call of the tracker end before SIGTERM is obeyed."""
        main = threading.current_thread() is threading.main_thread()
        self._calls += main
        try:
            yield
        finally:
            self._calls -= main
            if main and self._signal and not self._calls:
                self._terminate(self._signal, None)


courier = Courier()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=courier._renew)
