"""FileStore reads whatever files robots leave, broken ones included, and reports when they change."""

import asyncio
import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from rpa_server.backends.files import changes as changes_module
from rpa_server.backends.files import json_files
from rpa_server.backends.files import store as store_module
from rpa_server.backends.files.names import file_name
from rpa_server.backends.files.store import FileStore
from rpa_server.errors import StorageUnavailable
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState
from rpa_server.progress.update import HISTORY, Cursor
from tests.support.server import until
from tests.support.sessions import SESSION, Robot

BEGAN, CHANGED = "2025-10-09T19:19:39.930000", "2025-10-09T19:20:39.930000"
OLD_PROGRESS = {
    "etapa_atual": 2, "total_etapas": 15, "percentual": 13.3, "status": "executando", "mensagem": "Tela 2 concluída",
    "timestamp_inicio": BEGAN, "timestamp_atualizacao": CHANGED, "dados_extra": {}, "erros": [],
}  # fmt: skip
OLD_HISTORY = {
    "session_id": SESSION, "timestamp_inicio": BEGAN, "total_etapas": 15, "historico": [
        {"etapa": number, "timestamp": CHANGED, "status": "executando", "mensagem": f"Tela {number}",
         "dados_extra": None, "erro": None} for number in (1, 2)
    ],
}  # fmt: skip


@pytest.fixture
def store(data_dir: Path) -> FileStore:
    data_dir.mkdir()
    return FileStore(data_dir)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the store retry without pauses."""
    monkeypatch.setattr(store_module, "_PAUSE_S", 0.0)


def path(data_dir: Path, kind: str, session_id: str = SESSION) -> Path:
    return data_dir / file_name(kind, session_id)


def write(data_dir: Path, robot: Robot) -> None:
    """Write the documents of the robot's run, as our tracker does."""
    json_files.write_all(data_dir, SESSION, robot.run.documents())


def put(data_dir: Path, **documents: Any) -> None:
    """Write documents by kind, as the deployed robots do: they truncate the file and rewrite it."""
    data_dir.mkdir(exist_ok=True)
    for kind, document in documents.items():
        path(data_dir, kind).write_text(json.dumps(document, ensure_ascii=False, indent=2), encoding="utf-8")


def age(file: Path, seconds: float) -> None:
    """Make *file* look as if it had been written *seconds* ago."""
    os.utime(file, (time.time() - seconds,) * 2)


async def known(store: FileStore) -> SessionState:
    state = await store.read(SESSION)
    assert state is not None
    return state


# -- reading


async def test_what_our_tracker_wrote_is_read(store: FileStore, data_dir: Path) -> None:
    """The cursor, snapshot and updates that our tracker wrote are read back unchanged."""
    robot = Robot(steps=5)
    write(data_dir, robot)
    state = await known(store)
    assert state.cursor == Cursor("aaaa", 5)
    assert state.snapshot == robot.run.snapshot
    assert [update.raw for update in state.updates] == [update.raw for update in robot.run.updates]


async def test_a_run_of_any_length_is_read(store: FileStore) -> None:
    """A run longer than HISTORY keeps its position, its snapshot and at least its last HISTORY updates."""
    robot = Robot()
    for count in (HISTORY - 1, 1, 1, 50, HISTORY):
        run = Run.resume(SESSION, robot.state()) if robot.run.seq else robot.run
        run.base = run.seq
        robot.run = run
        robot.steps(count)
        assert await store.append(run)
    state = await known(store)
    assert state.cursor == Cursor("aaaa", 2 * HISTORY + 51)
    assert state.snapshot == robot.run.snapshot
    assert len(state.updates) >= HISTORY
    assert [update.seq for update in state.updates] == list(range(state.seq - len(state.updates) + 1, state.seq + 1))


@pytest.mark.parametrize("kinds", [["progress"], ["history"], ["progress", "history"]], ids="+".join)
async def test_what_deployed_robots_wrote_is_read(store: FileStore, data_dir: Path, kinds: list[str]) -> None:
    """A snapshot alone, a history alone and both are read; two stores derive the same cursor from them."""
    put(data_dir, **{kind: {"progress": OLD_PROGRESS, "history": OLD_HISTORY}[kind] for kind in kinds})
    state = await known(store)
    assert state.snapshot["etapa_atual"] == 2
    assert not state.own
    again = await known(FileStore(data_dir))
    assert again.cursor == state.cursor


async def test_nothing_is_none(store: FileStore, data_dir: Path) -> None:
    """For a session without files, or without a directory, read() returns None and creates nothing."""
    assert await store.read(SESSION) is None
    data_dir.rmdir()
    assert await store.read(SESSION) is None
    assert not data_dir.exists()
    assert store.broken == 0


async def test_a_file_of_another_session_is_not_taken(store: FileStore, data_dir: Path) -> None:
    """One session's files are not read for another session whose id is one character shorter or longer."""
    write(data_dir, Robot(steps=2))
    assert await store.read(SESSION[:-1]) is None
    assert await store.read(SESSION + "0") is None


# -- broken files


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["progress", "history"])
@pytest.mark.parametrize("writer", ["ours", "deployed", "deployed, this file alone"])
async def test_a_file_may_be_cut_off_anywhere(store: FileStore, data_dir: Path, kind: str, writer: str) -> None:
    """A file cut off at any byte raises nothing, and the last good state is returned."""
    if writer == "ours":
        write(data_dir, Robot(steps=2))
    elif writer == "deployed":
        put(data_dir, progress=OLD_PROGRESS, history=OLD_HISTORY)
    else:
        put(data_dir, **{kind: OLD_PROGRESS if kind == "progress" else OLD_HISTORY})
    whole = path(data_dir, kind).read_bytes()
    good = await known(store)
    for size in range(len(whole.rstrip()) - 1, -1, -1):
        path(data_dir, kind).write_bytes(whole[:size])
        state = await known(store)
        assert state.cursor == good.cursor, size
        assert state.snapshot == good.snapshot, size
    path(data_dir, kind).write_bytes(whole)
    assert (await known(store)).updates[-1].raw == good.updates[-1].raw


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["progress", "history"])
async def test_a_server_may_start_over_a_cut_off_file(data_dir: Path, kind: str) -> None:
    """A store that has read nothing before reads the state from the other file while one of the two is cut off."""
    write(data_dir, Robot(steps=2))
    whole = path(data_dir, kind).read_bytes()
    for size in range(0, len(whole.rstrip()), 7):
        path(data_dir, kind).write_bytes(whole[:size])
        assert (await known(FileStore(data_dir))).cursor == Cursor("aaaa", 2), size


@pytest.mark.usefixtures("quick")
async def test_without_a_good_file_a_session_is_unknown(store: FileStore, data_dir: Path) -> None:
    """If the only file is cut off and nothing was read before, read() returns None and ``broken`` counts the read."""
    put(data_dir, progress=OLD_PROGRESS)
    whole = path(data_dir, "progress").read_bytes()
    for size in range(len(whole) - 1):
        path(data_dir, "progress").write_bytes(whole[:size])
        assert await store.read(SESSION) is None
    assert store.broken == len(whole) - 1


async def test_what_has_been_broken_for_a_while_is_looked_at_once(
    store: FileStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that stays broken is read once, the last good state is returned, and two such files log one warning."""
    put(data_dir, progress=OLD_PROGRESS)
    good = await known(store)
    (file := path(data_dir, "progress")).write_bytes(b'{"etapa_atual": 5')
    other = path(data_dir, "history", "other")
    other.write_bytes(b"")
    for each in (file, other):
        os.utime(each, (time.time() - 2,) * 2)
    reads: list[Path] = []
    load = json_files.load

    def noted(path: Path) -> bytes | None:
        reads.append(path)
        return load(path)

    monkeypatch.setattr(json_files, "load", noted)
    for _ in range(3):
        assert await store.read(SESSION) is good
        assert await store.read("other") is None
    assert (reads.count(file), reads.count(other), store.broken) == (1, 1, 2)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert SESSION in caplog.text
    assert "JSON" in caplog.text
    put(data_dir, progress={**OLD_PROGRESS, "etapa_atual": 9})
    assert (await known(store)).snapshot["etapa_atual"] == 9


def broken_files() -> dict[str, Callable[[Path], object]]:
    """Return functions that make a file unreadable, by the name of what each of them writes."""

    def huge(file: Path) -> None:
        with file.open("wb") as opened:
            opened.truncate(json_files.MAX_BYTES + 1)

    return {
        "empty": lambda file: file.write_bytes(b""),
        "blank": lambda file: file.write_bytes(b" \n" * 100),
        "zeros": lambda file: file.write_bytes(bytes(4096)),
        "binary": lambda file: file.write_bytes(bytes(range(256)) * 16),
        "UTF-16": lambda file: file.write_text(json.dumps(OLD_PROGRESS), encoding="utf-16"),
        "latin-1": lambda file: file.write_text(json.dumps(OLD_PROGRESS, ensure_ascii=False), encoding="latin-1"),
        "a list": lambda file: file.write_text("[]"),
        "a number": lambda file: file.write_text("5"),
        "null": lambda file: file.write_text("null"),
        "NaN": lambda file: file.write_text('{"percentual": NaN}'),
        "bottomless": lambda file: file.write_text('{"a":' * 100_000),
        "two documents": lambda file: file.write_text(json.dumps(OLD_PROGRESS) * 2),
        "huge": huge,
        "a directory": lambda file: file.mkdir(),
    }


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["progress", "history"])
@pytest.mark.parametrize("spoil", broken_files().values(), ids=broken_files().keys())
async def test_an_unreadable_file_raises_nothing(
    store: FileStore, data_dir: Path, kind: str, spoil: Callable[[Path], object]
) -> None:
    """An unreadable file raises nothing: the last good state is returned, None if there is none."""
    file = path(data_dir, kind)
    spoil(file)
    assert await store.read(SESSION) is None
    (file.rmdir if file.is_dir() else file.unlink)()
    write(data_dir, Robot(steps=2))
    good = await known(store)
    file.unlink()
    spoil(file)
    state = await known(store)
    assert (state.cursor, state.snapshot) == (good.cursor, good.snapshot)
    other = "history" if kind == "progress" else "progress"
    path(data_dir, other).unlink()
    state = await known(store)
    assert (state.cursor, state.snapshot) == (good.cursor, good.snapshot)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("target", ["nothing", f"progress_{SESSION}.json"])
async def test_a_link_that_leads_nowhere_is_no_file(store: FileStore, data_dir: Path, target: str) -> None:
    """A link to nothing, or to itself, raises nothing: read() returns None."""
    path(data_dir, "progress").symlink_to(target)
    assert await store.read(SESSION) is None


# -- cached states


async def test_an_unchanged_file_is_not_read_again(
    store: FileStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state is cached until its files change."""
    write(data_dir, Robot(steps=2))
    for file in data_dir.iterdir():
        age(file, 1)
    first = await known(store)
    reads: list[Path] = []
    monkeypatch.setattr(json_files, "load", reads.append)
    assert await known(store) is first
    assert reads == []


async def test_a_history_that_stays_torn_does_not_stop_the_session(store: FileStore, data_dir: Path) -> None:
    """If the history has been torn for 6 s, by a killed writer or a full disk, the state is read from the snapshot."""
    put(data_dir, progress=OLD_PROGRESS, history=OLD_HISTORY)
    await known(store)
    torn = path(data_dir, "history")
    torn.write_bytes(torn.read_bytes()[:40])
    os.utime(torn, (time.time() - 6,) * 2)
    put(data_dir, progress={**OLD_PROGRESS, "mensagem": "Tela 9 concluída"})
    assert (await known(store)).snapshot["mensagem"] == "Tela 9 concluída"


async def test_a_history_of_an_earlier_run_does_not_hide_a_later_snapshot(store: FileStore, data_dir: Path) -> None:
    """A snapshot of a later run wins over the history of an earlier run, which may have another customer's quote."""
    put(data_dir, progress=OLD_PROGRESS, history=OLD_HISTORY)
    await known(store)
    begins = "2027-01-01T10:00:00"
    put(data_dir, progress={**OLD_PROGRESS, "timestamp_inicio": begins, "timestamp_atualizacao": begins, "mensagem": "Oi"})
    state = await known(store)
    assert (state.started, state.snapshot["mensagem"]) == (begins, "Oi")


@pytest.mark.parametrize("way", ["replaced", "truncated", "truncated, same size", "shorter", "with an old time"])
async def test_a_changed_file_is_read_again(store: FileStore, data_dir: Path, way: str) -> None:
    """A changed file is read again, whether it was replaced or truncated, and whatever its new size and time."""
    put(data_dir, progress=OLD_PROGRESS)
    await known(store)
    text = {"shorter": "x", "truncated, same size": "Tela 3 concluída"}.get(way, "something longer than it was before")
    file = path(data_dir, "progress")
    await asyncio.sleep(0.02)  # the clock of a file system advances only every few milliseconds
    document = json.dumps({**OLD_PROGRESS, "mensagem": text}, ensure_ascii=False, indent=2)
    if way == "replaced":
        other = data_dir / "other"
        other.write_text(document)
        other.replace(file)
    else:
        file.write_text(document)
    if way == "with an old time":
        os.utime(file, (1_000_000_000, 1_000_000_000))
    assert (await known(store)).snapshot["mensagem"] == text


@pytest.mark.parametrize("document", [OLD_PROGRESS, OLD_HISTORY], ids=["progress", "history"])
async def test_b5_a_first_file_is_never_of_1970(
    store: FileStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch, document: dict[str, Any]
) -> None:
    """If a session's first file appears while it is read, the state has the file's own time."""
    signature, kind = json_files.signature, "history" if document is OLD_HISTORY else "progress"
    calls = 0

    def late(directory: Path, session_id: str) -> json_files.Signature:
        nonlocal calls
        calls += 1
        found = signature(directory, session_id)
        if calls == 1:
            put(data_dir, **{kind: document})
        return found

    monkeypatch.setattr(json_files, "signature", late)
    state = await known(store)
    assert state.written_s == path(data_dir, kind).stat().st_mtime_ns / 1e9


async def test_b5_the_time_is_that_of_what_was_read(
    store: FileStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is replaced during each attempt to read it gives a state with a time no later than its content's."""
    put(data_dir, progress=OLD_PROGRESS)
    age(path(data_dir, "progress"), 100)
    load, written = json_files.load, 0

    def replaced(file: Path) -> bytes | None:
        nonlocal written
        data = load(file)
        if file.name.startswith("progress"):
            written += 1
            put(data_dir, progress={**OLD_PROGRESS, "mensagem": str(written)})
            age(file, 100 - written)
        return data

    with monkeypatch.context() as patch:
        patch.setattr(json_files, "load", replaced)
        state = await known(store)
    assert state.written_s is not None
    times: dict[str | None, int] = {str(number): 100 - number for number in range(written + 1)}
    times["Tela 2 concluída"] = 100
    assert state.written_s <= time.time() - times[state.snapshot["mensagem"]]
    assert (await known(store)).snapshot["mensagem"] == str(written)


async def test_b6_a_history_that_is_emptied_for_seconds_stays_the_same_run(store: FileStore, data_dir: Path) -> None:
    """While a robot encodes its history, having emptied the file, the run stays the one that pages know."""
    put(data_dir, progress=OLD_PROGRESS, history=OLD_HISTORY)
    good = await known(store)
    path(data_dir, "history").write_text("")
    put(data_dir, progress={**OLD_PROGRESS, "mensagem": "Tela 3", "etapa_atual": 3})
    for kind in ("history", "progress"):
        age(path(data_dir, kind), 3)
    assert (await known(store)).cursor == good.cursor
    entries: Any = OLD_HISTORY["historico"]
    third = {**entries[0], "etapa": 3, "mensagem": "Tela 3"}
    put(data_dir, history={**OLD_HISTORY, "historico": [*entries, third]})
    state = await known(store)
    assert state.cursor == Cursor(good.epoch, 3)
    assert state.since(good.cursor)


async def test_b6_a_first_read_waits_for_a_history_in_the_making(store: FileStore, data_dir: Path) -> None:
    """A first read that finds the history torn waits for it, since the snapshot alone would be another run."""
    put(data_dir, progress=OLD_PROGRESS, history=OLD_HISTORY)
    whole = path(data_dir, "history").read_bytes()
    path(data_dir, "history").write_bytes(whole[:50])
    reading = asyncio.create_task(store.read(SESSION))
    await asyncio.sleep(0.05)
    assert not reading.done()
    path(data_dir, "history").write_bytes(whole)
    state = await reading
    assert state is not None
    assert state.epoch.startswith("h")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE])
async def test_a_failure_to_read_is_not_taken_for_an_answer(
    store: FileStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """If a file can't be read now, read() raises or returns the last good state, and reads it anew the next time."""
    put(data_dir, progress=OLD_PROGRESS)
    age(path(data_dir, "progress"), 100)

    def fails(*args: Any) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fails)
        with pytest.raises(StorageUnavailable):
            await store.read(SESSION)
    good = await known(store)
    put(data_dir, progress={**OLD_PROGRESS, "mensagem": "Tela 3"})
    age(path(data_dir, "progress"), 99)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fails)
        assert await store.read(SESSION) is good
    assert (await known(store)).snapshot["mensagem"] == "Tela 3"


@pytest.mark.parametrize("kind", ["progress", "history", "result", "session"])
async def test_c6_a_link_is_not_followed(store: FileStore, data_dir: Path, tmp_path: Path, kind: str) -> None:
    """A link to a file elsewhere is neither read nor listed; the session's other files are."""
    (elsewhere := tmp_path / "elsewhere.json").write_text(json.dumps(OLD_HISTORY if kind == "history" else OLD_PROGRESS))
    path(data_dir, kind).symlink_to(elsewhere)
    os.utime(path(data_dir, kind), (time.time() - 9,) * 2, follow_symlinks=False)
    assert await store.read(SESSION) is None
    assert await store.sessions(10) == []
    if kind != "progress":
        put(data_dir, progress={**OLD_PROGRESS, "mensagem": "ours"})
        assert (await known(store)).snapshot["mensagem"] == "ours"


async def test_c6_the_directory_may_be_a_link(data_dir: Path, tmp_path: Path) -> None:
    """Files are read, written and listed in a directory that is a link."""
    (tmp_path / "real").mkdir()
    data_dir.symlink_to(tmp_path / "real")
    store = FileStore(data_dir)
    assert await store.append(Robot(steps=2).run)
    assert (await known(store)).seq == 2
    assert await store.sessions(10) == [SESSION]


async def test_deleted_files_are_forgotten(store: FileStore, data_dir: Path) -> None:
    """After a session's files were deleted read() returns None, although the state was cached."""
    write(data_dir, Robot(steps=2))
    await known(store)
    json_files.remove_all(data_dir, SESSION)
    assert await store.read(SESSION) is None


async def test_a_new_run_replaces_the_old_one(store: FileStore, data_dir: Path) -> None:
    """The files of a new run are read as the new run, even if it is shorter."""
    write(data_dir, Robot(steps=9))
    await known(store)
    write(data_dir, Robot("bbbb", steps=2, minute=5))
    assert (await known(store)).cursor == Cursor("bbbb", 2)


async def test_only_so_many_states_are_kept(
    store: FileStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the sessions that were read last are cached; an earlier one is read from its files again."""
    monkeypatch.setattr(store_module, "_KEPT", 3)
    for number in range(5):
        (file := path(data_dir, "progress", f"s{number}")).write_text(json.dumps(OLD_PROGRESS))
        age(file, 1)
        await store.read(f"s{number}")
    reads: list[str] = []

    def load(file: Path) -> bytes:
        reads.append(file.name)
        return json.dumps(OLD_PROGRESS).encode()

    monkeypatch.setattr(json_files, "load", load)
    for number in (4, 3, 2):
        await store.read(f"s{number}")
    assert reads == []
    await store.read("s0")
    assert reads


async def test_many_reads_at_once_agree(store: FileStore, data_dir: Path) -> None:
    """Each of a hundred reads during a robot's writes returns a state; after the last write the newest is returned."""
    robot = Robot(steps=1)
    write(data_dir, robot)
    seen = []
    for _ in range(20):
        robot.step()
        reading = [asyncio.create_task(known(store)) for _ in range(5)]
        await asyncio.to_thread(write, data_dir, robot)
        seen += [state.seq for state in await asyncio.gather(*reading)]
    assert seen[-1] <= 21
    assert (await known(store)).seq == 21


# -- the list of sessions


async def test_sessions_are_listed_newest_first(store: FileStore, data_dir: Path) -> None:
    """sessions() returns each session once, the last changed first, and none older than *newer_than_s*."""
    for age, (kind, name) in enumerate(
        [("history", "c"), ("progress", "b"), ("history", "a"), ("progress", "a"), ("progress", "c")]
    ):
        file = path(data_dir, kind, name)
        file.write_text("{}")
        os.utime(file, (time.time() - age, time.time() - age))
    assert await store.sessions(10) == ["c", "b", "a"]
    assert await store.sessions(2) == ["c", "b"]
    assert await store.sessions(10, newer_than_s=0.5) == ["c"]


async def test_only_sessions_are_listed(store: FileStore, data_dir: Path) -> None:
    """sessions() leaves out other programs' files, temporary files, session documents alone and invalid ids."""
    path(data_dir, "progress").write_text("{}")
    for name in ("notes.txt", "progress_.json", "progress_x.txt", "progress_..x.json", ".progress_x.json.5.tmp",
                 "progress_a b.json", "session_only.json", "xprogress_x.json"):  # fmt: skip
        (data_dir / name).write_text("{}")
    assert await store.sessions(10) == [SESSION]


async def test_a_missing_directory_has_no_sessions(data_dir: Path) -> None:
    """If the directory does not exist yet, sessions() returns nothing."""
    assert await FileStore(data_dir).sessions(10) == []


async def test_a_directory_that_is_none_is_reported(data_dir: Path) -> None:
    """If the directory is a file, sessions() and append() raise StorageUnavailable, and read() returns None."""
    data_dir.write_text("")
    store = FileStore(data_dir)
    with pytest.raises(StorageUnavailable):
        await store.sessions(10)
    with pytest.raises(StorageUnavailable):
        await store.append(Robot(steps=1).run)
    assert await store.read(SESSION) is None


# -- writing


async def test_what_is_appended_is_read(data_dir: Path) -> None:
    """append() creates the directory and writes all four documents of an ended run, which read() returns."""
    store, robot = FileStore(data_dir), Robot(steps=2)
    robot.finish()
    assert await store.append(robot.run)
    assert (await known(store)).cursor == robot.state().cursor
    assert sorted(file.name for file in data_dir.iterdir()) == [
        file_name(kind, SESSION) for kind in ("history", "progress", "result", "session")
    ]


async def test_numbers_that_are_taken_are_refused(store: FileStore) -> None:
    """If another writer has continued the run since it was resumed, append() returns False and writes nothing."""
    robot = Robot(steps=2)
    assert await store.append(robot.run)
    mine, theirs = Run.resume(SESSION, robot.state()), Run.resume(SESSION, robot.state())
    for run in (mine, theirs):
        run.step(3, "x", robot.run_time())
    assert await store.append(theirs)
    assert not await store.append(mine)
    assert (await known(store)).seq == 3


async def test_b4_a_large_run_is_continued_in_the_journal(store: FileStore, data_dir: Path) -> None:
    """Of 20 updates of 1 MB each, published one by one, every one is read, and no document is larger than readers take."""
    robot = Robot()
    for number in range(1, 21):
        run = Run.resume(SESSION, state) if (state := await store.read(SESSION)) is not None else robot.run
        run.step(number % 15, "x" * 1_000_000, robot.run_time())
        before = None if state is None else state.cursor
        assert await store.append(run)
        found = await known(store)
        assert found.seq == number
        assert before is None or len(found.since(before) or ()) == 1
    assert max(file.stat().st_size for file in data_dir.glob("*.json")) < json_files.MAX_BYTES // 2


# -- changes


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check every 50 ms, not every second, whether the path still leads to the watched directory."""
    monkeypatch.setattr(changes_module, "_LOOK_MS", 50)


@contextlib.asynccontextmanager
async def changes(data_dir: Path) -> AsyncIterator[list[set[str]]]:
    """Yield a list to which every report of FileStore.changes() is added; it has the first report already."""
    found: list[set[str]] = []

    async def collect() -> None:
        async for names in FileStore(data_dir).changes(list):
            found.append(names)

    task = asyncio.create_task(collect())
    try:
        await until(lambda: task.done() or found)
        yield found
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.usefixtures("looked")
async def test_changes_are_noticed_by_session(data_dir: Path) -> None:
    """The first report means "read all"; later ones have the ids of sessions whose files changed, and no other name."""
    async with changes(data_dir) as found:
        assert found == [set()]
        (data_dir / "notes.txt").write_text("x")
        write(data_dir, Robot(steps=1))
        await until(lambda: len(found) > 1)
        assert found[1] == {SESSION}
        path(data_dir, "progress", "other").write_text("{}")
        await until(lambda: {"other"} in found)
        count = len(found)
        path(data_dir, "progress", "other").unlink()
        await until(lambda: {"other"} in found[count:])


@pytest.mark.usefixtures("looked")
async def test_a_change_in_place_is_noticed(data_dir: Path) -> None:
    """A file that a robot truncates and rewrites is reported."""
    put(data_dir, progress=OLD_PROGRESS)
    async with changes(data_dir) as found:
        put(data_dir, progress={**OLD_PROGRESS, "mensagem": "x"})
        await until(lambda: {SESSION} in found)


@pytest.mark.usefixtures("looked")
async def test_the_directory_may_be_missing(data_dir: Path) -> None:
    """changes() creates a directory that does not exist yet, and watches it."""
    async with changes(data_dir / "deeper") as found:
        path(data_dir / "deeper", "progress").write_text("{}")
        await until(lambda: {SESSION} in found)


@pytest.mark.usefixtures("looked")
@pytest.mark.parametrize("way", ["removed and made anew", "exchanged"])
async def test_the_directory_may_be_replaced(data_dir: Path, way: str) -> None:
    """If the watched directory is replaced the new one is watched, and files written in between are reported."""
    async with changes(data_dir) as found:
        count = len(found)
        if way == "exchanged":
            data_dir.rename(data_dir.with_name("old"))
        else:
            shutil.rmtree(data_dir)
        data_dir.mkdir()
        path(data_dir, "progress", "missed").write_text("{}")
        await until(lambda: any(not names or "missed" in names for names in found[count:]), 6)
        count = len(found)
        path(data_dir, "progress").write_text("{}")
        await until(lambda: any(SESSION in names for names in found[count:]))


@pytest.mark.usefixtures("looked")
async def test_what_was_missed_is_read_however_busy_the_new_directory_is(data_dir: Path) -> None:
    """A file written while the directory was replaced is reported even if another session changes all the time."""
    async with changes(data_dir) as found:
        count = len(found)
        data_dir.rename(data_dir.with_name("old"))
        data_dir.mkdir()
        path(data_dir, "progress", "missed").write_text("{}")
        for number in range(300):
            path(data_dir, "progress", "busy").write_text(str(number))
            await asyncio.sleep(0.01)
            if set() in found[count:] or {"missed"} in found[count:]:
                break
        missed = [names for names in found[count:] if not names or "missed" in names]
        assert missed
