"""Handles updates that robots publish over HTTP because they can't reach Redis.

The server numbers them as the tracker would: it resumes the stored run, adds the update and stores the run, and starts
over if another writer stored something first. It keeps nothing in between, so any server can handle the next update.

A live session that a tracker or another system's robot is writing is refused: nobody may speak for another's robot.
"""

import asyncio
import random
import secrets
import time
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

from ..backends.base import Store
from ..errors import Conflict, StorageUnavailable
from ..progress.outcome import Estado
from ..progress.run import Run
from ..progress.session_state import SessionState
from ..progress.snapshot import estado
from ..progress.update import Cursor

_TRIES = 20
#: How the ids of servers begin as writers of runs; a tracker's are hexadecimal.
_HTTP = "http"
#: The longest pause between two attempts, in seconds; random, so that two servers do not collide again.
_PAUSE_S = 0.02


class Publisher:
    """Adds what robots publish over HTTP to stored runs.

    Args:
        store: where runs are stored.

    Attributes:
        cut: number of updates that were too large together with their run, and were cut to their short values.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.cut = 0
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._writer = _HTTP + secrets.token_hex(4)

    async def publish(self, session_id: str, publication: dict[str, Any]) -> Cursor:
        """Store one publication (see schemas.PublicationSchema) and return its position.

        A publication begins a new run if there is none, and a step does if the stored one was not published over HTTP;
        step 0 also does if the stored run has ended.

        Args:
            session_id: a checked session id.
            publication: as schemas.publication() returns it.

        Raises:
            Conflict: another robot has written the session, and has not ended it or ends it in this way; nothing is
                stored.
            StorageUnavailable: the stores can't be read or written, or other writers were first _TRIES times in a row.
        """
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        async with lock:
            for _ in range(_TRIES):
                state = await self._store.read(session_id)
                if state is not None and _is_taken(state, publication):
                    raise Conflict("Another robot has written this session, not over HTTP; take an id of your own.")
                run = await self._run(session_id, state, publication)
                _add(run, publication)
                if await self._store.append(run):
                    self.cut += run.cut
                    return Cursor(run.epoch, run.seq)
                await asyncio.sleep(random.random() * _PAUSE_S)
        raise StorageUnavailable("Other writers keep writing this session; one robot should.")

    async def _run(self, session_id: str, state: SessionState | None, publication: dict[str, Any]) -> Run:
        """Return the run to which a publication belongs, the stored one or a new one."""
        begins = publication.get("etapa") == 0
        if state is not None and _is_ours(state) and not (begins and state.snapshot["final"]):
            return Run.resume(session_id, state, self._writer)
        began_ms = round((time.time() + await self._store.clock_ahead_s()) * 1000)
        if state is not None:
            began_ms = max(began_ms, (state.began or 0) + 1)
        now = datetime.now()
        run = Run(session_id, secrets.token_hex(8), now, publication["total_etapas"], began_ms, self._writer)
        run.follows = "" if state is None else state.epoch
        run.start(now)
        return run


def _is_ours(state: SessionState) -> bool:
    """Tell whether the run was published over HTTP, here or at another server."""
    return state.own and state.writer.startswith(_HTTP)


def _is_taken(state: SessionState, publication: dict[str, Any]) -> bool:
    """Tell whether another robot's run forbids a publication.

    It does until it has ended or expired by silence; and then, too, unless the publication begins a run with a step: an
    end or an error alone would replace the other run's result.
    """
    if _is_ours(state):
        return False
    meaning = estado(state.snapshot, state.silence_s(time.time()))
    alive = not state.snapshot["final"] and meaning in (Estado.AGUARDANDO, Estado.EXECUTANDO)
    return alive or "etapa" not in publication


def _add(run: Run, publication: dict[str, Any]) -> None:
    now = datetime.now()
    if "etapa" in publication:
        number = publication["etapa"]
        number = int(number) if number.is_integer() else number
        text = publication["mensagem"] or f"Etapa {number}"
        run.step(number, text, now, publication["dados_extra"], publication["estimativas"])
        if publication["estimativas"]:
            run.estimates(publication["estimativas"], now)
    elif "erro" in publication:
        run.error(publication["erro"], publication["contexto"], now)
    else:
        run.finish(publication["status_final"], now, publication["dados_finais"], publication["erro_final"])
