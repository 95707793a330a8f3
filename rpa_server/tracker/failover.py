"""Writes a run to Redis while Redis answers, to files otherwise.

The choice is made anew at every write. While Redis does not answer, a background thread tries to reach Redis, so that
the robot waits for a single timeout; once Redis answers, the thread sends the missed updates, in order and each once.

Invariants: no method raises; in the robot's thread each waits less than a second for Redis. The lock guards the run and
the choice; the background thread never waits for Redis while it has the lock. The robot's thread uses Redis while the
breaker is closed, the background thread while the breaker is open.
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

from ..backends.base import Writer
from ..backends.files.writer import FileWriter
from ..backends.redis import append, writer
from ..backoff import Breaker
from ..errors import BadDocument
from ..log import RateLimit
from ..progress.run import Run
from ..progress.session_state import SessionState, later
from ..progress.update import MAX_UPDATE_BYTES

logger = logging.getLogger(__name__)

ONLINE = "[OK] Redis conectado para comunicação real-time"
OFFLINE = "[AVISO] Redis não disponível, usando JSON Progress Tracker"

#: How many seconds a new tracker waits for its first connection to Redis.
_GREETING_S = 0.8
#: Seconds between two looks of the background thread at whether the next attempt to reach Redis is due.
_LOOK_S = 0.05


class Failover:
    """The stores of one tracker, Redis and files, and the choice between them.

    Args:
        client: a ``redis.Redis`` or None.
        data_dir: directory of the JSON files, None for no files.

    Attributes:
        lock: must be acquired to change the run or write it.
        lost: number of writes that no store accepted; Redis may still get their updates later.
    """

    def __init__(self, client: Any, data_dir: Path | None) -> None:
        self.lock = threading.RLock()
        self.lost = 0
        self._redis = _writer(client)
        self._files = FileWriter(data_dir) if data_dir is not None else None
        self._breaker = Breaker(base_s=0.25, cap_s=1.0)
        self._random = random.Random().random  # not random.random: a robot may have seeded that generator
        self._run: Run | None = None
        self._asking: threading.Thread | None = None
        self._loss_limit, self._refusal_limit, self._cut_limit = RateLimit(), RateLimit(), RateLimit()
        self._cut = 0  # how many updates of the run had been cut at the last write
        self._forbidden = False  # True once it was logged that Redis forbids scripts
        self._spilled = False  # the files have updates that Redis lacks
        self._doomed: str | None = None  # a session to delete in Redis once it answers
        _failovers.add(self)
        if self._redis is not None:
            self._greet()

    @property
    def backend(self) -> str:
        """``redis``, ``json`` or ``none``: where the next update goes."""
        if self._redis is not None and self._breaker.closed:
            return "redis"
        return "json" if self._files is not None else "none"

    def write(self, run: Run) -> None:
        """Store everything of *run* that is not stored yet."""
        self._tell_cut(run)
        if self._redis is None and self._files is None:
            return  # there is no store: the robot asked for none, or the reason was logged at the start
        with self.lock:
            self._run = run
            if not self._write_redis(run):
                self._write_files(run)

    def _tell_cut(self, run: Run) -> None:
        told, self._cut = self._cut, run.cut
        if run.cut > told and self._cut_limit.allow(time.monotonic()) is not None:
            logger.warning(
                "An update was larger than %d bytes and was cut to its short values (%d so far); keep large data away.",
                MAX_UPDATE_BYTES,
                run.cut,
            )

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
        """Let the background thread connect, and wait up to _GREETING_S: resolving the host's name may take longer."""
        self._fail()
        assert self._asking is not None
        self._asking.join(_GREETING_S)
        if not self._breaker.closed:
            logger.warning(OFFLINE)

    def _write_redis(self, run: Run) -> bool:
        if self._redis is None:
            return False
        if not self._breaker.closed:
            self._ask_on()
            return False
        try:
            self._redis.write(run)
        except writer.ERRORS as error:
            if not self._log_forbidden(error) and (more := self._refusal_limit.allow(time.monotonic())) is not None:
                logger.warning("Redis does not take updates (%s, %d times more before); files take them.", error, more)
            self._fail()
            return False
        return True

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
            self._files.write(run)
            self._spilled = True
        except (OSError, ValueError) as error:
            self._lose(str(error))

    def _lose(self, reason: str) -> None:
        self.lost += 1
        if self._loss_limit.allow(time.monotonic()) is not None:
            logger.error(
                "An update could not be stored anywhere (%s); %d so far. The robot goes on.", reason, self.lost
            )

    def _fail(self) -> None:
        """Stop using Redis in the robot's thread; the background thread tries to reconnect, the first time at once."""
        self._close()
        self._breaker.failed(float("-inf"), self._random())
        self._ask_on()

    def _close(self) -> None:
        """Disconnect after a failure: the address may lead to another Redis by now."""
        if self._redis is not None:
            with suppress(*writer.ERRORS):
                self._redis.close()

    def _ask_on(self) -> None:
        """Start the background thread unless it is running; a forked child has none."""
        if self._asking is None or not self._asking.is_alive():
            asking = threading.Thread(target=_ask, args=(weakref.ref(self),), name="rpa-tracker-redis", daemon=True)
            self._asking = asking
            asking.start()

    # -- in the background thread

    def ask(self) -> bool:
        """Try to reach Redis if the next attempt is due; return whether further attempts are needed."""
        if self._breaker.allows(time.monotonic()):
            try:
                self._recover()
            except writer.ERRORS as error:
                self._close()
                self._breaker.failed(time.monotonic(), self._random())
                if self._log_forbidden(error) or not isinstance(error, writer.REFUSALS):
                    return True
                if self._refusal_limit.allow(time.monotonic()) is not None:
                    logger.error("Redis refuses this robot (%s); check RPA_REDIS_URL or REDIS_PASSWORD.", error)
        return not self._breaker.closed

    def _recover(self) -> None:
        """Connect and bring Redis up to date, then direct updates to it again."""
        assert self._redis is not None
        self._redis.open()
        if self._doomed is not None:
            self._redis.delete(self._doomed)
            self._doomed = None
        deadline_s = time.monotonic() + writer.PATIENCE_S
        while True:
            with self.lock:  # released while send() waits for Redis, so that the robot's thread does not wait
                call = None if self._run is None else self._redis.next_call(self._run)
                if call is None:
                    self._breaker.succeeded()
                    self._forbidden = False
                    self._clean_up()
                    break
            self._redis.send(call, deadline_s)
        logger.info(ONLINE)

    def _clean_up(self) -> None:
        """Delete the files that the run was written to during an outage: Redis has all of its updates now."""
        if self._spilled and self._run is not None and self._files is not None:
            self._spilled = False
            with suppress(OSError):
                self._files.delete(self._run.session_id)


_failovers: weakref.WeakSet[Failover] = weakref.WeakSet()


def _renew_locks() -> None:
    """Make new locks in a forked child: a thread that has locked an old one exists only in the parent."""
    for failover in tuple(_failovers):
        failover.lock = threading.RLock()


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


def _ask(failover: "weakref.ref[Failover]") -> None:
    """Retry until Redis answers or the tracker is gone; watchers/adoption.py copies the files of a gone tracker."""
    while True:
        alive = failover()
        if alive is None or not alive.ask():
            return
        del alive  # a reference here would keep the tracker alive while the thread sleeps
        time.sleep(_LOOK_S)
