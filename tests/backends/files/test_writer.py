"""FileWriter where several processes write one session: other runs, and other writers of the same run."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rpa_server.backends.base import NotCurrent
from rpa_server.backends.files.names import KINDS, file_name, lock_name
from rpa_server.backends.files.writer import FileWriter
from rpa_server.progress.outcome import SILENCE_S
from rpa_server.progress.run import Run

SID = "s1"
STARTED = datetime(2026, 1, 15, 9, 30)
BEGAN = 1_768_480_200_000


def begun(epoch: str = "aaaa", began: int = BEGAN, steps: int = 0, writer: str = "w1") -> Run:
    """Return a run that has reported its beginning and *steps* steps."""
    run = Run(SID, epoch, STARTED, 15, began, writer)
    run.start(STARTED)
    for number in range(1, steps + 1):
        step(run, f"Tela {number}")
    return run


def step(run: Run, text: str) -> None:
    run.step(run.seq, text, STARTED + timedelta(seconds=run.seq))


def copied(run: Run, writer: str) -> Run:
    """Return the copy of a run that a forked child has."""
    copy = Run(SID, run.epoch, STARTED, 15, run.began, writer)
    for entry in run.entries:
        copy._record({**entry})
    return copy


def texts(directory: Path) -> list[str]:
    """Return the texts of the stored run, whose numbers must have no hole."""
    state = FileWriter(directory).read(SID)
    assert state is not None
    assert [update.seq for update in state.updates] == list(range(1, state.seq + 1))
    return [update.data["mensagem"] for update in state.updates][1:]


def epoch(directory: Path) -> str:
    state = FileWriter(directory).read(SID)
    assert state is not None
    return state.epoch


def test_two_writers_of_one_run_join_what_they_report(data_dir: Path) -> None:
    """A writer finds that another one has used its numbers, and takes the next free ones for its own updates."""
    one, other = FileWriter(data_dir), FileWriter(data_dir)
    mine = begun(steps=1)
    one.write(mine)
    theirs = copied(mine, "w2")
    for run, writer, text in ((mine, one, "A"), (theirs, other, "B"), (theirs, other, "C"), (mine, one, "D")):
        step(run, text)
        writer.write(run)
    assert texts(data_dir) == ["Tela 1", "A", "B", "C", "D"]
    assert (mine.seq, one.stored) == (6, 6)


def test_a_newer_run_replaces_an_older_one_and_not_the_other_way_round(data_dir: Path) -> None:
    """A run that has reported a step replaces one that began earlier; that one is refused, and its files stay away."""
    old, new = begun(steps=1), begun("bbbb", BEGAN + 1, steps=1)
    writer = FileWriter(data_dir)
    writer.write(old)
    FileWriter(data_dir).write(new)
    step(old, "tarde")
    with pytest.raises(NotCurrent) as refusal:
        writer.write(old)
    assert (refusal.value.epoch, refusal.value.waiting) == ("bbbb", False)
    assert epoch(data_dir) == "bbbb"


def test_a_run_that_has_only_begun_waits_beside_a_live_one(data_dir: Path) -> None:
    """Without a step a newer run is refused as long as the earlier one has neither ended nor been silent for long."""
    FileWriter(data_dir).write(begun(steps=1))
    writer, new = FileWriter(data_dir), begun("bbbb", BEGAN + 1)
    with pytest.raises(NotCurrent) as refusal:
        writer.write(new)
    assert (refusal.value.epoch, refusal.value.waiting) == ("aaaa", True)
    snapshot = data_dir / file_name("progress", SID)
    then_s = snapshot.stat().st_mtime - SILENCE_S - 1
    os.utime(snapshot, (then_s, then_s))
    writer.write(new)
    assert epoch(data_dir) == "bbbb"


def test_the_lock_goes_with_the_end(data_dir: Path) -> None:
    """The lock's file is there while the run goes on, and gone once it has ended, or its files were deleted."""
    run, writer = begun(steps=1), FileWriter(data_dir)
    writer.write(run)
    assert (data_dir / lock_name(SID)).exists()
    run.finish("success", STARTED)
    writer.write(run)
    assert {path.name for path in data_dir.iterdir()} == {file_name(kind, SID) for kind in KINDS}
    writer.delete(SID)
    assert list(data_dir.iterdir()) == []


def test_handing_over_waits_for_what_another_writer_has_left(data_dir: Path) -> None:
    """Files with updates of another writer of the run are not deleted before these, too, are stored elsewhere."""
    one, other = FileWriter(data_dir), FileWriter(data_dir)
    mine = begun(steps=1)
    one.write(mine)
    theirs = copied(mine, "w2")
    step(theirs, "de outro")
    other.write(theirs)
    assert not one.hand_over(mine)
    assert [entry["mensagem"] for entry in mine.entries][-1] == "de outro"
    assert texts(data_dir) == ["Tela 1", "de outro"]
    assert one.hand_over(mine)
    assert list(data_dir.iterdir()) == []


def test_what_is_settled_elsewhere_keeps_its_numbers(data_dir: Path) -> None:
    """Updates that Redis has keep their numbers; what another writer left in the files comes after them."""
    mine = begun(steps=1)
    theirs = copied(mine, "w2")
    step(theirs, "de outro")
    FileWriter(data_dir).write(theirs)
    step(mine, "em Redis")
    FileWriter(data_dir).write(mine, settled=3)
    assert texts(data_dir) == ["Tela 1", "em Redis", "de outro"]


def test_a_newer_run_keeps_its_files_from_being_handed_over(data_dir: Path) -> None:
    """Whoever hands over an older run leaves a newer run's files alone."""
    old = begun(steps=1)
    writer = FileWriter(data_dir)
    writer.write(old)
    FileWriter(data_dir).write(begun("bbbb", BEGAN + 1, steps=1))
    with pytest.raises(NotCurrent):
        writer.hand_over(old)
    assert epoch(data_dir) == "bbbb"


def test_what_a_copy_has_stored_is_not_stored_twice(data_dir: Path) -> None:
    """A run that waited, and that a forked child's step made current, begins only once when its parent goes on."""
    FileWriter(data_dir).write(begun(steps=1))
    parent, mine = FileWriter(data_dir), begun("bbbb", BEGAN + 1)
    with pytest.raises(NotCurrent):
        parent.write(mine)
    theirs = copied(mine, "w2")
    step(theirs, "filho")
    FileWriter(data_dir).write(theirs)
    step(mine, "pai")
    parent.write(mine)
    assert texts(data_dir) == ["filho", "pai"]
