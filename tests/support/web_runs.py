"""Runs as the server sends them, for the tests of the JavaScript client: each update, and the view after it.

``python -m tests.support.web_runs`` writes ``web/tests/fixtures/runs.json``; a test compares the file with that output.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from rpa_server.progress.run import Run
from rpa_server.progress.snapshot import NO_AGES, entry_of, reduce, view
from rpa_server.progress.update import Update
from tests.support.server import ROOT

FILE = ROOT / "web" / "tests" / "fixtures" / "runs.json"
ESTIMATES = {"coberturas_detalhadas": [{"nome_cobertura": "Compreensiva", "valores": {"de": "R$ 1,00", "ate": "R$ 2,00"}}]}
PLANS = {"plano_recomendado": {"valor": "R$2.914,35"}, "plano_alternativo": {"valor": "R$ 3.000,00"}, "outro": 1}
Script = Callable[[Run, datetime], Iterator[Update]]


def _quote(run: Run, now: datetime) -> Iterator[Update]:
    """Play a successful run in which every field occurs."""
    yield run.step(0, "Iniciando", now)
    yield run.step(1, "Tela 1", now, {"a": 1, "b": {"c": [1]}})
    yield run.step(5, "Tela 5", now + timedelta(seconds=8))
    yield run.estimates(ESTIMATES, now + timedelta(seconds=9))
    yield run.step(5.5, "Zero KM", now, {"a": 2})
    yield run.step(4, "De novo", now)
    yield run.step(0, "Falhou", now)
    yield run.step(99, "Além do fim", now)
    yield run.step(-1, "Antes do início", now)
    yield run.error("Demorou", "tela 6", now)
    yield run.step(15, "Tela 15", now)
    yield from run.finish("success", now, PLANS)
    yield run.error("Tarde demais", "", now)
    yield from run.finish("error", now, {}, "Falhou depois do fim")


def _early(run: Run, now: datetime) -> Iterator[Update]:
    """Play a run with estimates in a step, with plans before the end, and with a manual quotation."""
    yield run.step(2, "Tela 2", now, None, ESTIMATES)
    yield run.step(3, "Tela 3", now, {"plano_recomendado": {"valor": "R$ 1,00"}})
    yield run.step(3, "", now, {"estimativas_tela_5": {"coberturas_detalhadas": []}})
    yield from run.finish("error", now, None, "Cotação manual necessária")


def _bare(run: Run, now: datetime) -> Iterator[Update]:
    """Play a run that reports nothing but its end."""
    yield from run.finish("timeout", now)


def _play(script: Script, epoch: str, total: int) -> dict[str, Any]:
    started = datetime(2025, 10, 9, 19, 19, 39)
    run = Run("2d4c17d1", epoch, started, total)
    snapshot = run.snapshot
    updates = [run.start(started), *script(run, started + timedelta(seconds=1))]
    views: list[dict[str, Any]] = []  # without their ages, which pages reckon by themselves
    for update in updates:
        snapshot = reduce(snapshot, entry_of(update.data))
        seen = view(snapshot, epoch, update.seq)
        views.append({key: value for key, value in seen.items() if key not in NO_AGES._fields})
    assert snapshot == run.snapshot
    return {"updates": [update.data for update in updates], "views": views}


def text() -> str:
    """Return what FILE should contain."""
    plays = [_play(_quote, "5f0c9a1be2d34c77", 15), _play(_early, "0123456789abcdef", 5), _play(_bare, "ffff", 15)]
    return json.dumps(plays, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
