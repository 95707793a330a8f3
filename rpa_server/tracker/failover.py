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
from ..backends.files.writer import FileWriter
from ..backends.redis import append, writer
from ..backends.redis.connection import TIMEOUT_S
from ..backoff import Breaker
from ..errors import BadDocument
from ..log import RateLimit
from ..progress.run import Run
from ..progress.session_state import SAME_CLOCK_S, SessionState, later
from ..progress.update import HISTORY
from .courier import courier

logger = logging.getLogger(__name__)

ONLINE = "[OK] Redis conectado para comunicação real-time"
OFFLINE = "[AVISO] Redis não disponível, usando JSON Progress Tracker"

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
        self._redis = _writer(client)
        self._files = FileWriter(data_dir) if data_dir is not None else None
        self._breaker = Breaker(base_s=0.25, cap_s=1.0)
        self._random = random.Random().random  # not random.random: a robot may have seeded that generator
        self._run: Run | None = None
        self._released = False
        self._attempts = 0  # how often the courier has tried to reach Redis
        self._clock_ms: float | None = None  # of the clock by which the run's beginning is known, when steady time was 0
        self._asking = False  # whether the courier could be asked
        self._not_current: NotCurrent | None = None  # why no store took the updates of the last write
        self._announced = ""  # the other run that the log has told of
        self._loss_limit, self._refusal_limit = RateLimit(), RateLimit()
        self._forbidden = False  # True once it was logged that Redis forbids scripts
        self._gone = 0  # updates that will never be stored
        self._spilled = False  # the files have updates that Redis lacks
        self._doomed: str | None = None  # a session to delete in Redis once it answers
        self._renew_lock()
        _failovers.add(self)
        if self._redis is not None:
            courier.hold_sigterm()
            self._greet()

    def _renew_lock(self) -> None:
        self.lock = threading.RLock()
        self._tried = threading.Condition(self.lock)  # notified after each attempt of the courier

    @property
    def backend(self) -> str:
        """``redis``, ``json`` or ``none``: where the next update goes."""
        if self._redis is not None and self._breaker.closed:
            return "redis"
        return "json" if self._files is not None else "none"

    @property
    def session_id(self) -> str:
        """The session that is written, ``""`` before the first write."""
        return "" if self._run is None else self._run.session_id

    @property
    def lost(self) -> int:
        """How many updates are stored nowhere now; most may still be, by a later write or once Redis answers."""
        run = self._run
        if run is None or (self._redis is None and self._files is None):
            return 0
        if self._not_current is not None and self._not_current.waiting:
            return 0
        return self._gone + run.seq - self._kept()

    def _kept(self) -> int:
        """Return the number up to which some store has the run."""
        return max(0 if store is None else store.stored for store in (self._redis, self._files))

    def _count_gone(self, kept: int) -> None:
        """Count the updates that the run itself had dropped before a store took the others.

        Args:
            kept: what _kept() returned before.
        """
        if self._run is not None and self._kept() > kept:
            self._gone += max(0, self._run.seq - HISTORY - kept)

    @property
    def pending(self) -> int:
        """The number of updates that Redis lacks and would take."""
        if self._run is None or self._redis is None or self._not_current is not None:
            return 0
        return max(0, self._run.seq - self._redis.stored)

    def clock_ms(self) -> int:
        """Return the time in milliseconds since 1970 by the clock of the store in use."""
        steady_ms = time.monotonic() * 1000
        now_ms: int | None = None
        if self._redis is not None and self._breaker.closed:
            now_ms = self._redis.clock_ms()
        if now_ms is None and self._files is not None:
            with suppress(OSError):
                now_ms = self._files.clock_ms()
        now_ms = round(time.time() * 1000) if now_ms is None else now_ms
        self._clock_ms = now_ms - steady_ms
        return now_ms

    def write(self, run: Run) -> None:
        """Store everything of *run* that is not stored yet."""
        if self._redis is None and self._files is None:
            return  # there is no store: the robot asked for none, or the reason was logged at the start
        with courier.undisturbed(), self.lock:
            self._run, self._not_current = run, None
            kept = self._kept()
            if not self._write_redis(run) and not (self._not_current and self._not_current.waiting):
                self._write_files(run)
            self._count_gone(kept)

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
            self._run = None
            self._doomed = session_id if self._redis is not None else None
            for store in self._answering():
                try:
                    store.delete(session_id)
                    if store is self._redis:
                        self._doomed = None
                except writer.ERRORS as error:
                    logger.warning("Session %s can't be deleted now (%s).", session_id, error)
                    if store is self._redis:
                        self._fail()

    def _answering(self) -> list[Writer]:
        """Return the stores that the robot's thread may use now: Redis only while the breaker is closed."""
        stores: tuple[Writer | None, ...] = (self._redis if self._breaker.closed else None, self._files)
        return [store for store in stores if store is not None]

    def _greet(self) -> None:
        """Let the courier connect, and wait up to _GREETING_S: resolving the host's name may take longer."""
        with self.lock:
            self._fail()
            self._await_attempt(_GREETING_S)
        if not self._breaker.closed:
            logger.warning(OFFLINE)

    def _write_redis(self, run: Run) -> bool:
        if self._redis is None:
            return False
        if not self._breaker.closed:
            courier.run(self)
            return False
        began_s = time.monotonic()
        try:
            self._redis.write(run)
        except NotCurrent as refusal:
            self._give_way(refusal)
            return False
        except writer.ERRORS as error:
            if not self._log_forbidden(error) and (more := self._refusal_limit.allow(time.monotonic())) is not None:
                logger.warning("Redis does not take updates (%s, %d times more before); files take them.", error, more)
            self._fail()
            # Redis may answer, and only the connection be stale: then the courier's first attempt succeeds at once.
            self._await_attempt(began_s + TIMEOUT_S - time.monotonic())
            return self._breaker.closed and not self.pending and self._not_current is None
        return True

    def _await_attempt(self, patience_s: float) -> None:
        """Wait for the courier's first attempt, at most *patience_s* seconds; the lock is released meanwhile."""
        if patience_s > 0 and self._asking:
            self._tried.wait_for(lambda: self._attempts > 0, patience_s)

    def _give_way(self, refusal: NotCurrent) -> None:
        """Log, once, that another run is the current one."""
        self._not_current = refusal
        if self._announced != refusal.epoch:
            self._announced = refusal.epoch
            logger.log(
                logging.INFO if refusal.waiting else logging.WARNING,
                "Session %s: another run of it is the current one, %s.",
                self.session_id,
                "until this one reports a step" if refusal.waiting else "so pages see nothing more of this one",
            )

    def _log_forbidden(self, error: Exception) -> bool:
        """Tell whether *error* means that Redis forbids scripts; log that, once until Redis accepts updates again."""
        forbidden = append.forbids_scripts(error)
        if forbidden and not self._forbidden:
            logger.error("%s; files take the updates until then.", append.FORBIDDEN)
        self._forbidden = self._forbidden or forbidden
        return forbidden

    def _write_files(self, run: Run) -> None:
        if self._files is None:
            self._lose("there is no data directory")
            return
        try:
            self._files.write(run, 0 if self._redis is None else self._redis.stored)
            if self._redis is not None and not self._spilled:
                leftovers.mark(self._files.directory, run.session_id)
            self._spilled = True
        except NotCurrent as refusal:
            self._give_way(refusal)
        except (OSError, ValueError) as error:
            self._lose(str(error))

    def _lose(self, reason: str) -> None:
        if self._loss_limit.allow(time.monotonic()) is not None:
            logger.error("An update could not be stored anywhere (%s); %d so far. The robot goes on.", reason, self.lost)

    def _fail(self) -> None:
        """Stop using Redis in the robot's thread; the courier tries to reconnect, the first time at once."""
        self._close()
        self._breaker.failed(float("-inf"), self._random())
        self._attempts = 0
        self._asking = courier.run(self)

    def _close(self) -> None:
        """Disconnect after a failure: the address may lead to another Redis by now."""
        if self._redis is not None:
            with suppress(*writer.ERRORS):
                self._redis.close()

    # -- in the courier's thread

    def ask(self) -> bool:
        """Try to reach Redis if the next attempt is due; return whether further attempts are needed."""
        if self._breaker.allows(time.monotonic()):
            try:
                self._recover()
            except writer.ERRORS as error:
                self._close()
                self._breaker.failed(time.monotonic(), self._random())
                self._log_refusal(error)
            with self.lock:
                self._attempts += 1
                self._tried.notify_all()
            self._hand_in_leftovers()
        return not self._breaker.closed and not (self._released and not self.pending)

    def _log_refusal(self, error: Exception) -> None:
        if self._log_forbidden(error) or not isinstance(error, writer.REFUSALS):
            return
        if self._refusal_limit.allow(time.monotonic()) is not None:
            logger.error("Redis refuses this robot (%s); check RPA_REDIS_URL or REDIS_PASSWORD.", error)

    def _recover(self) -> None:
        """Connect and bring Redis up to date, then direct updates to it again."""
        assert self._redis is not None
        self._redis.open()
        if self._doomed is not None:
            self._redis.delete(self._doomed)
            self._doomed = None
        deadline_s = time.monotonic() + writer.PATIENCE_S
        kept = self._kept()
        while True:
            with self.lock:  # released while send() waits for Redis, so that the robot's thread does not wait
                self._set_clock()
                call = None if self._run is None or self._not_current else self._redis.next_call(self._run)
                if call is None and self._handed_over():
                    self._breaker.succeeded()
                    self._forbidden = False
                    self._count_gone(kept)
                    break
            if call is not None:
                try:
                    self._redis.send(call, deadline_s)
                except NotCurrent as refusal:
                    self._give_way(refusal)
        logger.info(ONLINE)

    def _hand_in_leftovers(self) -> None:
        """Once in a process, hand in what earlier robots have left in the directory, while Redis answers."""
        if self._redis is None or self._files is None or not self._breaker.closed:
            return
        directory = self._files.directory
        if (os.getpid(), directory) not in _handed_in:
            _handed_in.add((os.getpid(), directory))
            leftovers.hand_in_marked(directory, self._redis.another(), but=self.session_id)

    def _set_clock(self) -> None:
        """Tell the run's beginning by Redis' clock, if Redis has nothing of it yet and the clocks differ."""
        assert self._redis is not None
        now_ms = self._redis.clock_ms()
        if now_ms is None or self._clock_ms is None or self._run is None or self._redis.stored:
            return
        difference_ms = round(now_ms - time.monotonic() * 1000 - self._clock_ms)
        if abs(difference_ms) > SAME_CLOCK_S * 1000:
            self._clock_ms += difference_ms
            self._run.rebase(self._run.began + difference_ms)

    def _handed_over(self) -> bool:
        """Delete the files of the outage; False if another writer has left updates there that Redis lacks."""
        if not self._spilled or self._run is None or self._files is None or self._not_current is not None:
            return True
        try:
            if not self._files.hand_over(self._run):
                return False
        except (OSError, NotCurrent):
            return True
        self._spilled = False
        leftovers.unmark(self._files.directory, self._run.session_id)
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
        logger.error("The Redis client can't be used (%r), so files are: hand in a redis.Redis.", error)
        return None
