"""ProgressTracker, the class that robots use.

Accepts both styles of call: that of the plan with which this project began (``session_id=``, ``redis_client=``) and
that of the robots in production (``total_etapas=15, usar_arquivo=True, session_id=None, tipo='auto'``). Our failures
are logged, never raised, so that the robot goes on whatever happens in here.
"""

import functools
import logging
import os
import secrets
import time
import uuid
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from .. import safejson
from ..backends.redis import writer
from ..progress.run import Run
from ..progress.session_id import is_session_id
from ..progress.snapshot import ESTIMATES_KEY
from . import arguments, choice
from .failover import Failover

logger = logging.getLogger(__name__)

READY = "[OK] ProgressTracker ativado com comunicação real-time"
UNFINISHED = "A execução terminou sem informar um resultado"

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _never_raises(method: _Method) -> _Method:
    """Make *method* log its exceptions and return None instead of raising them into the robot."""

    @functools.wraps(method)
    def safe(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception:
            logger.exception("The progress tracker failed in %s; the robot goes on.", method.__name__)
            return None

    return safe  # type: ignore[return-value]


class ProgressTracker:
    """Reports the steps, the estimates, the errors and the end of a robot's run.

    As a context manager it ends the run: an exception in the block ends the run as an error (and propagates). Leaving
    the block without a call of finalizar ends the run as an error, too, since the robot has reported no quote.

    Args:
        total_etapas: number of steps; a text is used as the session id, as in the plan's
            ``RedisProgressTracker(session_id, redis_client)``.
        usar_arquivo: write JSON files while Redis does not answer; None means True. Anything but a bool, an int or None
            is used as the Redis client.
        session_id: the session; by default ``SESSION_ID`` from the environment, else a random UUID. With an invalid id
            the tracker logs that and stores nothing.
        tipo: ``auto`` and ``redis`` (Redis while it answers, else files), ``json`` (files), ``none`` (nothing).
        redis_client: a ``redis.Redis`` with the address and the credentials to use; by default the settings
            ``RPA_REDIS_URL`` or ``REDIS_HOST`` … name the Redis.

    Attributes:
        session_id: the session that the tracker writes.
    """

    def __init__(
        self,
        total_etapas: int | str = 15,
        usar_arquivo: Any = True,
        session_id: str | None = None,
        tipo: str = "auto",
        *,
        redis_client: Any = None,
    ) -> None:
        began_s, started = time.monotonic(), datetime.now()
        total, files, session_id, client = arguments.sort_out(total_etapas, usar_arquivo, session_id, redis_client)
        self._open(files, session_id, client, tipo)
        began_ms = self._failover.clock_ms() - round((time.monotonic() - began_s) * 1000)
        self._run = Run(self.session_id, secrets.token_hex(8), started, total, began_ms, _writer_id())
        self._begin()

    def _open(self, files: bool, session_id: str | None, client: Any, tipo: str) -> None:
        self._finished = False
        given = session_id is not None and not (isinstance(session_id, str) and not session_id)
        self.session_id = arguments.text_of(session_id) if given else os.environ.get("SESSION_ID") or str(uuid.uuid4())
        self._failover = choice.choose(self.session_id, files, client, tipo)
        weakref.finalize(self, self._failover.release).atexit = False

    @property
    def _lock(self) -> AbstractContextManager[object]:
        self._run.writer = _writer_id()  # a forked child is another writer
        return self._failover.lock

    @_never_raises
    def _begin(self) -> None:
        with self._lock:
            self._run.start(datetime.now())
            self._failover.write(self._run)
        if self.backend == "redis":
            logger.info(READY)

    @property
    def backend(self) -> str:
        """``redis``, ``json`` or ``none``: where the next update goes."""
        return self._failover.backend

    @property
    def lost(self) -> int:
        """How many updates are stored nowhere, neither in Redis nor in files; 0 if there is to be no store."""
        return self._failover.lost

    @property
    def cut(self) -> int:
        """How many updates of the run were too large to be stored whole; only their short values were."""
        return self._run.cut

    @_never_raises
    def update_progress(self, etapa: float, mensagem: str = "", dados_extra: dict[str, Any] | None = None) -> None:
        """Report a step.

        Args:
            etapa: the step's number; fractions such as 5.5 are fine.
            mensagem: what the visitor reads; if empty, ``Etapa <n>``.
            dados_extra: any JSON object; merged into the extra data of earlier steps. Of more than 256 kB, alone or with
                what was merged before, only the short values are kept. Pages get it unchanged (only the deployed
                addresses redact it), so it must not contain the visitor's form data.
        """
        with self._lock:
            self._run.step(etapa, arguments.message(mensagem, etapa), datetime.now(), arguments.plain_object(dados_extra))
            self._failover.write(self._run)

    @_never_raises
    def update_progress_with_estimativas(
        self,
        etapa: float,
        mensagem: str = "",
        dados_extra: dict[str, Any] | None = None,
        estimativas: dict[str, Any] | None = None,
    ) -> None:
        """Report a step together with the estimates of step 5, ``{"coberturas_detalhadas": [...]}``.

        The other arguments are those of update_progress().
        """
        with self._lock:
            now, estimates = datetime.now(), arguments.plain_object(estimativas)
            self._run.step(etapa, arguments.message(mensagem, etapa), now, arguments.plain_object(dados_extra), estimates)
            if estimates:
                self._run.estimates(estimates, now)
            self._failover.write(self._run)

    @_never_raises
    def add_estimativas(self, estimativas: dict[str, Any]) -> None:
        """Report the estimates of step 5, ``{"coberturas_detalhadas": [...]}``."""
        with self._lock:
            self._run.estimates(arguments.plain_object(estimativas) or {}, datetime.now())
            self._failover.write(self._run)

    @_never_raises
    def add_error(self, erro: str, contexto: str = "") -> None:
        """Report an error, and in *contexto* where it happened. The run goes on: only finalizar ends the run."""
        with self._lock:
            self._run.error(arguments.text_of(erro), "" if contexto == "" else arguments.text_of(contexto), datetime.now())
            self._failover.write(self._run)

    @_never_raises
    def finalizar(
        self,
        status_final: str = "success",
        dados_finais: dict[str, Any] | None = None,
        erro_final: str | None = None,
    ) -> None:
        """End the run; without this call pages wait until the robot has been silent for too long.

        Args:
            status_final: ``success``, ``warning``, ``error`` or another word of progress/outcome.py, such as
                ``cancelado``; any other text means a failure.
            dados_finais: ``{"plano_recomendado": {...}, "plano_alternativo": {...}}``.
            erro_final: the text of the error that ended the run; recorded as an error, too.
        """
        with self._lock:
            error = None if erro_final is None else arguments.text_of(erro_final)
            self._run.finish(arguments.text_of(status_final), datetime.now(), arguments.plain_object(dados_finais), error)
            self._finished = True
            self._failover.write(self._run)

    def get_progress(self) -> dict[str, Any]:
        """Return the current snapshot, in the shape of ``progress_<sid>.json``."""
        with self._lock:
            snapshot: dict[str, Any] = safejson.plain(self._run.documents()["progress"])
        return snapshot

    def get_estimativas(self) -> dict[str, Any] | None:
        """Return the estimates, None until the robot has reported some."""
        estimates = self._run.snapshot["dados_extra"].get(ESTIMATES_KEY)
        return safejson.plain(estimates) if isinstance(estimates, dict) else None

    @_never_raises
    def limpar_dados(self) -> None:
        """Delete everything that is stored of this session; the next update begins a new run."""
        with self._lock:
            self._failover.delete(self.session_id)
            total, began_ms = self._run.snapshot["total_etapas"], self._failover.clock_ms()
            self._run = Run(self.session_id, secrets.token_hex(8), datetime.now(), total, began_ms, _writer_id())

    limpar_arquivos = limpar_dados

    @classmethod
    @_never_raises
    def carregar_sessao(cls, session_id: str, tipo: str = "auto", redis_client: Any = None) -> Self | None:
        """Return a tracker that continues a stored session, None if nothing is stored of it.

        This writes nothing; the first update reported is numbered after the last stored one.
        """
        tracker = cls.__new__(cls)
        tracker._open(True, session_id, redis_client, tipo)
        state = tracker._failover.read(session_id) if is_session_id(session_id) else None
        if state is None:
            return None
        tracker._run = Run.resume(session_id, state, _writer_id())
        tracker._finished = bool(state.snapshot["final"])
        return tracker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._finished:
            return
        if error is not None:
            self.finalizar("error", erro_final=f"RPA interrompido por erro: {arguments.text_of(error)}")
            return
        logger.warning("The run of session %s ended without finalizar(); it counts as failed.", self.session_id)
        self.finalizar("error", erro_final=UNFINISHED)


class RedisProgressTracker(ProgressTracker):
    """ProgressTracker under the name that the plan gives it: ``RedisProgressTracker(session_id, redis_client)``."""


@functools.cache
def _writer_of(pid: int) -> str:
    return secrets.token_hex(4)


def _writer_id() -> str:
    """Return the id under which this process writes; a forked child has another one."""
    return _writer_of(os.getpid())


def detectar_progress_tracker(tipo: str = "auto") -> type[ProgressTracker] | None:
    """Return the tracker class for *tipo*: None for ``none``, ProgressTracker for anything else."""
    return None if isinstance(tipo, str) and tipo == "none" else ProgressTracker


def criar_progress_tracker(session_id: str | None = None, total_etapas: int = 15, tipo: str = "auto") -> ProgressTracker:
    """Return a ProgressTracker; the same as calling the class."""
    return ProgressTracker(total_etapas=total_etapas, session_id=session_id, tipo=tipo)


def verificar_redis_disponivel() -> bool:
    """Tell whether a Redis is configured and can be used within 0.8 s."""
    url = choice.settings().redis_url
    if url is None:
        return False
    return Failover(writer.connect(url), None).backend == "redis"
