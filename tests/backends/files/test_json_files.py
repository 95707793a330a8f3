"""Reading and writing the JSON files and the journal of a session."""

import asyncio
import contextlib
import errno
import json
import os
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server import safejson
from rpa_server.backends.files import json_files
from rpa_server.backends.files.names import KINDS, file_name, journal_name, session_of_file
from rpa_server.backends.files.store import FileStore
from rpa_server.errors import BadDocument
from rpa_server.progress.limits import HISTORY_BYTES
from tests.support.recordings import json_objects
from tests.support.server import until


@pytest.fixture(params=[False, True], ids=["", "no O_NOFOLLOW"])
def without_nofollow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run the test twice, the second time as on a platform without O_NOFOLLOW."""
    if request.param:
        monkeypatch.setattr(json_files, "_FLAGS", json_files._FLAGS & ~json_files._NOFOLLOW)
        monkeypatch.setattr(json_files, "_NOFOLLOW", 0)
    return bool(request.param)


def names(directory: Path) -> list[str]:
    """Return the names of the files in *directory*."""
    return sorted(path.name for path in directory.iterdir())


def test_a_document_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """A document is written as UTF-8, non-ASCII unescaped, and read back unchanged; no temporary file is left."""
    path = tmp_path / "progress_s1.json"
    json_files.write(path, {"mensagem": "Tela 5 concluída", "n": [1, 2.5, None]})
    assert json_files.read(path) == {"mensagem": "Tela 5 concluída", "n": [1, 2.5, None]}
    assert "concluída" in path.read_text(encoding="utf-8")
    assert names(tmp_path) == ["progress_s1.json"]


@settings(deadline=None)
@given(json_objects)
def test_any_document_can_be_read_back(document: dict[str, Any]) -> None:
    """Any JSON object that a robot may attach is written as valid JSON and can be read back."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "progress_s1.json")
        json_files.write(path, document)
        assert json.loads(path.read_bytes()) == json_files.read(path)


@given(json_objects, st.lists(json_objects, max_size=4))
def test_a_history_of_encoded_entries_is_the_same_document(head: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    """A history made of entries that are already encoded equals the history encoded as a whole, but for line breaks."""
    head = {**head, "session_id": "s1"}
    data = json_files.encode_history(head, [safejson.dumps(entry) for entry in entries])
    expected = {**head, "historico": entries}
    assert json.loads(data) == safejson.loads(safejson.dumps(expected))


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    """read() returns None if the file, or its directory, does not exist."""
    assert json_files.read(tmp_path / "progress_s1.json") is None
    assert json_files.read(tmp_path / "nowhere" / "progress_s1.json") is None


@pytest.mark.parametrize("data", [b"", b"{", b'{"a": 1', b"[]", b"null", b"\xff\xfe", b'{"a": NaN}', b"\0" * 100])
def test_an_empty_or_torn_file_is_a_bad_document(tmp_path: Path, data: bytes) -> None:
    """An empty, torn or invalid file raises BadDocument: deployed robots truncate their files before they write."""
    path = tmp_path / "progress_s1.json"
    path.write_bytes(data)
    with pytest.raises(BadDocument):
        json_files.read(path)


def test_what_cannot_be_read_is_a_bad_document(tmp_path: Path) -> None:
    """A directory with the file's name, and a file where the directory should be, raise BadDocument."""
    (tmp_path / "progress_s1.json").mkdir()
    with pytest.raises(BadDocument, match=r"progress_s1\.json"):
        json_files.read(tmp_path / "progress_s1.json")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadDocument):
        json_files.read(tmp_path / "file" / "progress_s1.json")


@pytest.mark.timeout(5)
def test_a_pipe_is_a_bad_document_and_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe without a writer does not block a reader: for a document and for a journal it raises BadDocument."""
    path = tmp_path / "progress_s1.json"
    os.mkfifo(path)
    for read in (json_files.read, json_files.last_lines):
        with pytest.raises(BadDocument, match="not a regular file"):
            read(path)


def test_a_file_too_large_is_a_bad_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of MAX_BYTES is read, one byte more raises BadDocument, so that no program's file can fill the memory."""
    monkeypatch.setattr(json_files, "MAX_BYTES", 100)
    path = tmp_path / "progress_s1.json"
    path.write_bytes(b'{"a": "' + b"x" * 91 + b'"}')
    assert json_files.read(path) is not None
    path.write_bytes(b'{"a": "' + b"x" * 92 + b'"}')
    with pytest.raises(BadDocument, match="larger"):
        json_files.read(path)


def test_a_file_far_too_large_is_not_read(tmp_path: Path) -> None:
    """A file larger than MAX_BYTES is refused by its size alone, without reading it into memory."""
    path = tmp_path / "progress_s1.json"
    with path.open("wb") as file:
        file.truncate(json_files.MAX_BYTES + 1)
    tracemalloc.start()
    try:
        with pytest.raises(BadDocument, match="larger"):
            json_files.read(path)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


def test_readers_see_the_old_document_or_the_new_one(tmp_path: Path) -> None:
    """No reader sees a partial or a missing file while a writer replaces it a hundred times."""
    path = tmp_path / "progress_s1.json"
    json_files.write(path, {"n": 0, "filling": ["x" * 1000] * 100})
    done = threading.Event()
    seen: list[Any] = []

    def look() -> None:
        while not done.is_set():
            try:
                seen.append(json_files.read(path))
            except BadDocument as error:
                seen.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(1, 101):
        json_files.write(path, {"n": number, "filling": ["x" * 1000] * 100})
    done.set()
    reader.join()
    assert seen
    assert all(isinstance(each, dict) and len(each["filling"]) == 100 for each in seen)
    numbers = [each["n"] for each in seen]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_failed_write_leaves_the_old_document_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """If the disk is full, write() raises OSError, the old document stays, and no temporary file is left."""
    path = tmp_path / "progress_s1.json"
    json_files.write(path, {"n": 1})

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, step, full)
        json_files.write(path, {"n": 2})
    assert json_files.read(path) == {"n": 1}
    assert names(tmp_path) == ["progress_s1.json"]


def test_two_writers_of_one_file_do_not_take_each_others_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers of one file at the same time use different temporary files: the result is one complete document."""
    path = tmp_path / "progress_s1.json"
    replace = os.replace
    others = [{"n": 2}]

    def interrupted(temporary: str, target: Path) -> None:
        if others:
            json_files.write(path, others.pop())
        replace(temporary, target)

    monkeypatch.setattr(os, "replace", interrupted)
    json_files.write(path, {"n": 1})
    assert json_files.read(path) == {"n": 1}
    assert names(tmp_path) == ["progress_s1.json"]


def test_the_temporary_file_is_no_file_of_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a temporary file belongs to no session, so that watchers of the directory ignore it."""
    seen: list[str] = []
    replace = os.replace

    def listening(temporary: str, target: Path) -> None:
        seen.append(Path(temporary).name)
        replace(temporary, target)

    monkeypatch.setattr(os, "replace", listening)
    json_files.write(tmp_path / "progress_s1.json", {})
    assert len(seen) == 1
    assert session_of_file(seen[0]) is None


def litter(directory: Path, monkeypatch: pytest.MonkeyPatch, age_s: float) -> Path:
    """Return the temporary file, *age_s* seconds old, of a writer that was killed before it replaced the document."""

    class Killed(BaseException):
        pass

    def kill(temporary: str, target: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", kill)
        json_files.write(directory / "progress_s1.json", {"n": 1})
    (left,) = directory.glob(".*.tmp")
    then = time.time() - age_s
    os.utime(left, (then, then))
    return left


def test_what_killed_writers_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """remove_abandoned() deletes only temporary files that are old and have a name that our writers use."""
    litter(tmp_path, monkeypatch, json_files.ABANDONED_S + 5)
    json_files.remove_abandoned(tmp_path)
    assert names(tmp_path) == []
    fresh = litter(tmp_path, monkeypatch, json_files.ABANDONED_S - 60)
    others = [".x.tmp", "progress_s1.json.0a1b.tmp", ".progress_s1.txt.0a1b.tmp", "progress_s1.json"]
    for name in others:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    json_files.remove_abandoned(tmp_path)
    assert names(tmp_path) == sorted([fresh.name, *others])
    json_files.remove_abandoned(tmp_path / "nowhere")


def test_the_clock_is_the_file_systems_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """clock_ms() tells the time at which the file system would date a file; what a killed process left is swept."""
    assert abs(json_files.clock_ms(tmp_path) / 1000 - time.time()) < 30
    assert names(tmp_path) == []
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", lambda path: None)
        json_files.clock_ms(tmp_path)
    (left,) = tmp_path.glob(".*.tmp")
    json_files.remove_abandoned(tmp_path)
    assert names(tmp_path) == [left.name]
    os.utime(left, (0, 0))
    json_files.remove_abandoned(tmp_path)
    assert names(tmp_path) == []


def test_the_server_cleans_a_directory_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's first watch of a directory deletes abandoned temporary files in it."""
    litter(tmp_path, monkeypatch, json_files.ABANDONED_S + 5)

    async def watch() -> None:
        async with contextlib.aclosing(FileStore(tmp_path).changes(list)) as changes:
            await anext(changes)
            await until(lambda: not list(tmp_path.glob(".*")))

    asyncio.run(watch())


def test_the_longest_session_id_makes_a_file_name_that_fits(tmp_path: Path) -> None:
    """With a session id of 128 characters the temporary file's name, the longest, still fits into 255 bytes."""
    session_id = "s" * 128
    json_files.write_all(tmp_path, session_id, {"progress": {}, "history": {}})
    assert json_files.read(tmp_path / file_name("progress", session_id)) == {}


def test_the_snapshot_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot is written last, so that whoever reads it finds the session's other documents at least as new."""
    order: list[str] = []
    monkeypatch.setattr(json_files, "write", lambda path, document: order.append(Path(path).name))
    json_files.write_all(tmp_path / "new", "s1", {kind: {} for kind in KINDS})
    assert order[0] == "history_s1.json"
    assert order[-1] == "progress_s1.json"
    assert sorted(order) == sorted(file_name(kind, "s1") for kind in KINDS)


def test_the_directory_is_made_when_it_is_needed(tmp_path: Path) -> None:
    """write_all() creates the directory with its parents, and accepts an existing one."""
    directory = tmp_path / "a" / "b"
    for _ in range(2):
        json_files.write_all(directory, "s1", {"progress": {"n": 1}})
    assert json_files.read(directory / "progress_s1.json") == {"n": 1}


def test_removing_takes_every_file_of_the_session_and_no_other(tmp_path: Path) -> None:
    """remove_all() deletes a session's documents and journal, and no other session's; a missing file is no error."""
    for session_id in ("s1", "s10"):
        json_files.write_all(tmp_path, session_id, {kind: {} for kind in KINDS})
        json_files.append_lines(tmp_path / journal_name(session_id), [b"{}"])
    for _ in range(2):
        json_files.remove_all(tmp_path, "s1")
        assert len(names(tmp_path)) == 5
        assert all("s10" in name for name in names(tmp_path))


# -- journals


def test_c6_a_journal_that_is_a_link_is_not_appended_to(tmp_path: Path, without_nofollow: bool) -> None:
    """A link in the journal's place is neither read nor appended to, but replaced by a file."""
    (target := tmp_path / "target").write_bytes(b"theirs\n")
    path = tmp_path / "updates_s1.jsonl"
    path.symlink_to(target)
    with pytest.raises(BadDocument, match="link"):
        json_files.last_lines(path)
    json_files.append_lines(path, [b"ours"])
    assert target.read_bytes() == b"theirs\n"
    assert json_files.last_lines(path) == [b"ours"]
    assert not path.is_symlink()


def test_c6_a_document_that_is_a_link_is_not_read(tmp_path: Path, without_nofollow: bool) -> None:
    """A link to a document elsewhere is a BadDocument that says so, and write() replaces the link, not its target."""
    (target := tmp_path / "target").write_bytes(b'{"n": 1}')
    path = tmp_path / "progress_s1.json"
    path.symlink_to(target)
    with pytest.raises(BadDocument, match="link"):
        json_files.read(path)
    json_files.write(path, {"n": 2})
    assert (json_files.read(path), target.read_bytes()) == ({"n": 2}, b'{"n": 1}')


def test_c11_lines_are_appended_without_pread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python has no os.pread(), on Windows, lines are appended, and half a line is ended."""
    monkeypatch.delattr(os, "pread")
    path = tmp_path / "updates_s1.jsonl"
    json_files.append_lines(path, [b"one"])
    path.write_bytes(path.read_bytes() + b"tw")
    json_files.append_lines(path, [b"three"])
    assert json_files.last_lines(path) == [b"one", b"tw", b"three"]


def test_b4_of_a_journal_with_large_lines_more_is_read(tmp_path: Path) -> None:
    """Of a journal whose last USUAL_BYTES have few lines, JOURNAL_BYTES are read."""
    path = tmp_path / "updates_s1.jsonl"
    lines = [b"%d" % number + b"x" * 300_000 for number in range(20)]
    json_files.append_lines(path, lines)
    found = json_files.last_lines(path)
    assert len(found) == json_files.JOURNAL_BYTES // 300_004
    assert found == lines[-len(found) :]


@pytest.mark.parametrize("size", [10, 100_000, 3_000_000, 5_000_000])
def test_b4_a_history_is_never_larger_than_what_is_read(tmp_path: Path, size: int) -> None:
    """A history leaves out its oldest entries beyond HISTORY_BYTES, and is valid even if it has none left."""
    entries = [b'{"n": %d, "x": "%b"}' % (number, b"x" * size) for number in range(50)]
    path = tmp_path / "history_s1.json"
    json_files.write(path, json_files.encode_history({"session_id": "s1"}, entries))
    document = json_files.read(path)
    assert document is not None
    numbers = [entry["n"] for entry in document["historico"]]
    assert numbers == list(range(50))[50 - len(numbers) :]
    assert len(numbers) == min(50, HISTORY_BYTES // len(entries[-1]))


def test_lines_are_read_back_in_order(tmp_path: Path) -> None:
    """append_lines() adds lines at the end; last_lines() returns all lines in order, none if there is no file."""
    path = tmp_path / "updates_s1.jsonl"
    assert json_files.last_lines(path) == []
    json_files.append_lines(path, [b'{"n":1}', b'{"n":2}'])
    json_files.append_lines(path, [])
    json_files.append_lines(path, [b'{"n":3}'])
    assert json_files.last_lines(path) == [b'{"n":1}', b'{"n":2}', b'{"n":3}']


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    """last_lines() leaves out a last line without a line feed, since it is still being written."""
    path = tmp_path / "updates_s1.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":2')
    assert json_files.last_lines(path) == [b'{"n":1}']


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), max_size=12))
def test_of_a_long_journal_only_whole_lines_of_its_end_are_read(lengths: list[int]) -> None:
    """Of a long journal the last lines that together take less than JOURNAL_BYTES are read, and no part of a line."""
    import tempfile

    lines = [b"%d" % number + b"x" * length for number, length in enumerate(lengths)]
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_files, "JOURNAL_BYTES", 100)
        path = Path(directory, "updates_s1.jsonl")
        json_files.append_lines(path, lines)
        found = json_files.last_lines(path)
    assert lines[len(lines) - len(found) :] == found
    size = sum(len(line) + 1 for line in lines)
    if size <= 100:
        assert found == lines
    else:
        next_longer = sum(len(line) + 1 for line in lines[len(lines) - len(found) - 1 :])
        assert next_longer >= 100


def test_a_journal_that_cannot_be_read_is_a_bad_document(tmp_path: Path) -> None:
    """A directory with the journal's name raises BadDocument."""
    path = tmp_path / "updates_s1.jsonl"
    path.mkdir()
    with pytest.raises(BadDocument):
        json_files.last_lines(path)


def test_half_a_line_is_taken_back_or_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line is removed at once if the disk is full, and ended by the next append if its writer was killed."""
    path = tmp_path / "updates_s1.jsonl"
    json_files.append_lines(path, [b"one"])
    pieces = iter([2, OSError(errno.ENOSPC, "No space left on device")])
    write = os.write

    def full(descriptor: int, data: Any) -> int:
        piece = next(pieces)
        if isinstance(piece, OSError):
            raise piece
        return write(descriptor, data[:piece])

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "write", full)
        json_files.append_lines(path, [b"two"])
    assert path.read_bytes() == b"one\n"
    with path.open("ab") as file:
        file.write(b"thr")
    json_files.append_lines(path, [b"four"])
    assert json_files.last_lines(path) == [b"one", b"thr", b"four"]
