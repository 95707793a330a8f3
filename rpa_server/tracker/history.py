"""The history document of a run, written a moment after the updates that it tells, by a thread of its own.

It grows with the run, and what an update says is in the journal and in the snapshot before the robot goes on: so the
robot does not wait for it. PHP reads it, which looks every second or two.

Invariants: the newest document that was owed is written, also where the robot's process ends or the tracker is dropped;
an older one never replaces a newer one.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import jsonfiles, wirejson
from ..events import HISTORY
from ..logs import Brake
from ..state import Entry

logger = logging.getLogger(__name__)

#: How long after its update the document is written, so that a burst of updates costs one.
LATER_S = 0.05
#: The same of a run that has outgrown its history, whose document is hundreds of kilobytes.
_LARGE_LATER_S = 1.0
#: How long the end of the robot waits for a document that is just being written.
_CLOSING_S = 1.0

Head = dict[str, Any]


class HistoryFollower:
    """Writes what it is owed: the head of a history document, see Run.history_head, and its entries.

    Args:
        directory: made where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._brake = Brake()
        self._closed = False
        self._epoch = ""
        self._encoded: deque[bytes] = deque(maxlen=HISTORY)  # so that each entry is encoded once
        self._encoded_seq = 0
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()  # held while a document is made and written
        self._owed: deque[tuple[str, Head, Sequence[Entry]]] = deque(maxlen=1)
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def owe(self, session_id: str, head: Head, entries: Sequence[Entry]) -> None:
        """See to it that this document is written soon; never waits."""
        self._look_for_fork()
        self._owed.append((session_id, head, entries))
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="rpa-tracker-history", daemon=True)
            self._thread.start()
        if self._closed:  # the interpreter ends
            self._settle()
        elif not self._wanted.is_set():
            self._wanted.set()

    @contextmanager
    def replaced(self) -> Iterator[Callable[[Head, Sequence[Entry]], bytes]]:
        """Forget what is owed, for who writes or deletes the document itself within the block; yield what encodes it."""
        self._look_for_fork()
        with self._lock:
            self._owed.clear()
            yield self._encode

    def close(self) -> None:
        """Write what is owed now, and end the thread; may be called from within anything, as collectors do."""
        self._closed = True
        self._wanted.set()
        if self._process == os.getpid():  # else it is the parent's to write
            self._settle(_CLOSING_S)

    def _look_for_fork(self) -> None:
        """Begin anew in a robot that has forked: there the thread is gone, and so may be who holds the lock."""
        if self._process != os.getpid():
            self._begin()

    def _encode(self, head: Head, entries: Sequence[Entry]) -> bytes:
        if head["epoch"] != self._epoch:
            self._epoch, self._encoded_seq = head["epoch"], 0
            self._encoded.clear()
        lacking = min(head["seq"] - self._encoded_seq, len(entries))
        self._encoded.extend(wirejson.dumps(entries[place]) for place in range(-lacking, 0))
        self._encoded_seq = head["seq"]
        return jsonfiles.encode_history(head, self._encoded)

    # -- in the thread

    def _run(self) -> None:
        while not self._closed:
            self._wanted.wait()
            if not self._closed:
                time.sleep(_LARGE_LATER_S if self._is_large() else LATER_S)
            self._wanted.clear()
            self._settle()

    def _is_large(self) -> bool:
        try:
            return int(self._owed[0][1]["seq"]) > HISTORY
        except IndexError:  # another one has written it meanwhile
            return False

    def _settle(self, patience_s: float = -1) -> None:
        if not self._lock.acquire(timeout=patience_s):
            return  # whoever writes now looks again
        try:
            session_id, head, entries = self._owed.pop()
            jsonfiles.write_all(self._directory, session_id, {"history": self._encode(head, entries)})
        except IndexError:
            return  # nothing is owed any more
        except OSError as error:
            if (held := self._brake.passes(time.monotonic())) is not None:
                logger.warning("A history can't be written (%s, %d times more before); the journal has it.", error, held)
        finally:
            self._lock.release()
