"""Writes a run to Redis while Redis answers, to files otherwise.

The choice is made anew at every write. While Redis does not answer, the courier's thread tries to reach Redis, so that
the robot waits for a single timeout; once Redis answers, the thread sends the missed updates, in order and each once.

Invariants: no method raises; in the robot's thread each waits less than a second for Redis. The lock guards the run and
the choice; the courier's thread never waits for Redis while it has the lock. The robot's thread uses Redis while the
breaker is closed, the courier's thread while the breaker is open.
"""

import logging
import os
import random
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..backends import leftovers
from ..backends.base import NotCurrent, Writer
from ..backends.redis import writer
from ..backends.redis.connection import TIMEOUT_S
from ..backoff import Breaker
from ..errors import BadDocument
from ..progress.run import Run
from ..progress.session_state import SessionState, later
from .courier import courier
from .notices import Notices
from .run_stores import RunStores

logger = logging.getLogger(__name__)

#: How many seconds a new tracker waits for its first connection to Redis.
_GREETING_S = 0.8


class Failover:
    """The stores of one tracker, Redis and files, and the choice between them.

    Args:
        client: a ``redis.Redis`` or None.
        data_dir: directory of the JSON files, None for no files.

    Attributes:
        lock: must be acquired to change the run or write it.
    """

    def __init__(self, client: Any, data_dir: Path | None) -> None:
        self._stores = RunStores(_writer(client), data_dir)
        self._breaker = Breaker(base_s=0.25, cap_s=1.0)
        self._random = random.Random().random  # not random.random: a robot may have seeded that generator
        self._released = False
        self._attempts = 0  # how often the courier has tried to reach Redis
        self._asking = False  # whether the courier could be asked
        self._notices = Notices()
        self._spilled = False  # the files have updates that Redis lacks
        self._doomed: str | None = None  # a session to delete in Redis once it answers
        self._renew_lock()
        _failovers.add(self)
        if self._stores.redis is not None:
            courier.hold_sigterm()
            self._greet()

    def _renew_lock(self) -> None:
        self.lock = threading.RLock()
        self._tried = threading.Condition(self.lock)  # notified after each attempt of the courier

    @property
    def backend(self) -> str:
        """``redis``, ``json`` or ``none``: where the next update goes."""
        if self._stores.redis is not None and self._breaker.closed:
            return "redis"
        return "json" if self._stores.files is not None else "none"

    @property
    def session_id(self) -> str:
        """The session that is written, ``""`` before the first write."""
        return "" if self._stores.run is None else self._stores.run.session_id

    @property
    def lost(self) -> int:
        """How many updates are stored nowhere now; most may still be, by a later write or once Redis answers."""
        return self._stores.lost

    @property
    def pending(self) -> int:
        """How many updates Redis lacks and would take."""
        return self._stores.pending

    def clock_ms(self) -> int:
        """Return the time in milliseconds since 1970 by the clock of the store in use; a new run begins by this clock."""
        return self._stores.clock_ms(self._breaker.closed)

    def write(self, run: Run) -> None:
        """Store everything of *run* that is not stored yet."""
        self._notices.cut(run.cut)
        if not self._stores.any:
            return  # there is no store: the robot asked for none, or the reason was logged at the start
        with courier.undisturbed(), self.lock:
            self._stores.run, self._stores.not_current = run, None
            kept = self._stores.kept()
            if not self._write_redis(run) and not self._stores.waiting:
                self._write_files(run)
            self._stores.count_gone(kept)

    def release(self) -> None:
        """Let the courier end once nothing is pending: the tracker is gone."""
        self._released = True

    def read(self, session_id: str) -> SessionState | None:
        """Return the current state of a session, None if nothing is stored."""
        state: SessionState | None = None
        for store in self._answering():
            try:
                state = later(state, store.read(session_id))
            except (*writer.ERRORS, BadDocument) as error:
                logger.warning("Session %s can't be read from %s (%s).", session_id, type(store).__name__, error)
        return state

    def delete(self, session_id: str) -> None:
        """Delete everything stored of a session; while Redis does not answer, deleting there is left to ask()."""
        with self.lock:
            self._stores.run = None
            self._doomed = session_id if self._stores.redis is not None else None
            for store in self._answering():
                try:
                    store.delete(session_id)
                    if store is self._stores.redis:
                        self._doomed = None
                except writer.ERRORS as error:
                    logger.warning("Session %s can't be deleted now (%s).", session_id, error)
                    if store is self._stores.redis:
                        self._fail()

    def _answering(self) -> list[Writer]:
        """Return the stores that the robot's thread may use now: Redis only while the breaker is closed."""
        stores: tuple[Writer | None, ...] = (self._stores.redis if self._breaker.closed else None, self._stores.files)
        return [store for store in stores if store is not None]

    def _greet(self) -> None:
        """Let the courier connect, and wait up to _GREETING_S: resolving the host's name may take longer."""
        with self.lock:
            self._fail()
            self._await_attempt(_GREETING_S)
        if not self._breaker.closed:
            self._notices.offline()

    def _write_redis(self, run: Run) -> bool:
        if self._stores.redis is None:
            return False
        if not self._breaker.closed:
            courier.run(self)
            return False
        began_s = time.monotonic()
        try:
            self._stores.redis.write(run)
        except NotCurrent as refusal:
            self._give_way(refusal)
            return False
        except writer.ERRORS as error:
            self._fail()
            # Redis may answer, and only the connection be stale: then the courier's first attempt succeeds at once.
            self._await_attempt(began_s + TIMEOUT_S - time.monotonic())
            if self._breaker.closed and not self.pending:
                return self._stores.not_current is None
            self._notices.not_written(error)
            return False
        return True

    def _await_attempt(self, patience_s: float) -> None:
        """Wait for the courier's first attempt, at most *patience_s* seconds; the lock is released meanwhile."""
        if patience_s > 0 and self._asking:
            self._tried.wait_for(lambda: self._attempts > 0, patience_s)

    def _give_way(self, refusal: NotCurrent) -> None:
        self._stores.not_current = refusal
        self._notices.not_current(self.session_id, refusal)

    def _write_files(self, run: Run) -> None:
        if self._stores.files is None:
            self._notices.lost("there is no data directory", self.lost)
            return
        try:
            self._stores.files.write(run, 0 if self._stores.redis is None else self._stores.redis.stored)
            if self._stores.redis is not None and not self._spilled:
                leftovers.mark(self._stores.files.directory, run.session_id)
            self._spilled = True
        except NotCurrent as refusal:
            self._give_way(refusal)
        except (OSError, ValueError) as error:
            self._notices.lost(str(error), self.lost)

    def _fail(self) -> None:
        """Stop using Redis in the robot's thread; the courier tries to reconnect, the first time at once."""
        self._close()
        self._breaker.failed(float("-inf"), self._random())
        self._attempts = 0
        self._asking = courier.run(self)

    def _close(self) -> None:
        """Disconnect after a failure: the address may lead to another Redis by now."""
        if self._stores.redis is not None:
            with suppress(*writer.ERRORS):
                self._stores.redis.close()

    # -- in the courier's thread

    def ask(self) -> bool:
        """Try to reach Redis if the next attempt is due; return whether further attempts are needed."""
        if self._breaker.allows(time.monotonic()):
            try:
                self._recover()
            except writer.ERRORS as error:
                self._close()
                self._breaker.failed(time.monotonic(), self._random())
                self._notices.not_reached(error)
            with self.lock:
                self._attempts += 1
                self._tried.notify_all()
            self._hand_in_leftovers()
        return not self._breaker.closed and not (self._released and not self.pending)

    def _recover(self) -> None:
        """Connect and bring Redis up to date, then direct updates to it again."""
        stores, redis = self._stores, self._stores.redis
        assert redis is not None
        redis.open()
        if self._doomed is not None:
            redis.delete(self._doomed)
            self._doomed = None
        deadline_s = time.monotonic() + writer.PATIENCE_S
        kept = stores.kept()
        while True:
            with self.lock:  # released while send() waits for Redis, so that the robot's thread does not wait
                stores.follow_redis_clock()
                call = None if stores.run is None or stores.not_current else redis.next_call(stores.run)
                if call is None and self._handed_over():
                    self._breaker.succeeded()
                    stores.count_gone(kept)
                    break
            if call is not None:
                try:
                    redis.send(call, deadline_s)
                except NotCurrent as refusal:
                    self._give_way(refusal)
        self._notices.online()

    def _hand_in_leftovers(self) -> None:
        """Once in a process, hand in what earlier robots have left in the directory, while Redis answers."""
        if self._stores.redis is None or self._stores.files is None or not self._breaker.closed:
            return
        directory = self._stores.files.directory
        if (os.getpid(), directory) not in _handed_in:
            _handed_in.add((os.getpid(), directory))
            leftovers.hand_in_marked(directory, self._stores.redis.another(), but=self.session_id)

    def _handed_over(self) -> bool:
        """Delete the files of the outage; False if another writer has left updates there that Redis lacks."""
        run, files = self._stores.run, self._stores.files
        if not self._spilled or run is None or files is None or self._stores.not_current is not None:
            return True
        try:
            if not files.hand_over(run):
                return False
        except (OSError, NotCurrent):
            return True
        self._spilled = False
        leftovers.unmark(files.directory, run.session_id)
        return True


#: The processes and directories whose leftovers were handed in.
_handed_in: set[tuple[int, Path]] = set()
_failovers: weakref.WeakSet[Failover] = weakref.WeakSet()


def _renew_locks() -> None:
    """Make new locks in a forked child: a thread that has locked an old one exists only in the parent."""
    for failover in tuple(_failovers):
        failover._renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _writer(client: Any) -> writer.RedisWriter | None:
    if client is None:
        return None
    try:
        return writer.RedisWriter(client)
    except writer.ERRORS as error:
        logger.error("The Redis client can't be used (%s), so files are: hand in a redis.Redis.", error)
        return None
