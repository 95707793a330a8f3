"""Runs of our tracker, and a check of what holds for every SessionState."""

from datetime import datetime, timedelta

from rpa_server import safejson
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.snapshot import begin
from rpa_server.progress.update import Update, parse_cursor

BEGAN = datetime(2026, 1, 15, 9, 30)
#: The same by the store's clock.
BEGAN_MS = 1_768_480_200_000


def make(steps: int, epoch: str = "aaaa", minute: int = 0) -> Run:
    """Return a run of our tracker with *steps* updates after its first one."""
    made = Run("s1", epoch, BEGAN + timedelta(minutes=minute), 15, BEGAN_MS + minute * 60_000, "f1")
    made.start(BEGAN)
    for number in range(1, steps + 1):
        made.step(number % 15, f"Passo {number}", BEGAN + timedelta(seconds=number), {"passo": number})
    return made


def seqs(updates: list[Update] | None) -> list[int] | None:
    return None if updates is None else [update.seq for update in updates]


def assert_sound(found: SessionState, marked: bool = False) -> None:
    """Check what holds for every state.

    Args:
        marked: the snapshot has ``epoch`` and ``seq`` as our tracker writes them: its figures are then used unchecked,
            so they may be out of range.
    """
    assert parse_cursor(str(found.cursor)) == found.cursor
    numbers = [update.seq for update in found.updates]
    assert numbers == list(range(found.seq - len(numbers) + 1, found.seq + 1))
    assert all(number > 0 for number in numbers)
    assert all(update.epoch == found.epoch for update in found.updates)
    view = found.view()
    assert safejson.loads(safejson.dumps(view)) is not None
    if not marked:
        assert 0 <= view["percentual"] <= (100 if view["final"] else 99)
        assert 0 <= view["etapa_atual"] <= view["total_etapas"]
    assert set(begin("s1", "", 15)) <= set(view)
