"""Cursors as text, and updates as bytes."""

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rpa_server import safejson
from rpa_server.errors import BadCursor, BadDocument
from rpa_server.progress import update as update_module
from rpa_server.progress.shapes import Entry, UpdateMessage
from rpa_server.progress.snapshot import begin, describe, reduce, update_of
from rpa_server.progress.update import HEAD, START, Cursor, Update, head, make_update, own_update, parse_cursor
from tests.support.recordings import ENTRIES

EPOCHS = st.from_regex(r"[0-9A-Za-z]{1,64}", fullmatch=True)
SEQS = st.integers(1, 10**16 - 1)


@given(st.builds(Cursor, EPOCHS, st.integers(0, 10**16 - 1)))
def test_a_cursor_that_was_handed_out_is_read_back_as_it_was(cursor: Cursor) -> None:
    """parse_cursor() is the inverse of str(), for every cursor that the server may hand out."""
    assert parse_cursor(str(cursor)) == cursor


def test_zero_is_the_beginning_of_whatever_run_is_current() -> None:
    """The text ``0`` is parsed as START, the only cursor that a client makes up itself."""
    assert parse_cursor("0") is START
    assert START.epoch == ""
    assert START.seq == 0


@given(st.text(max_size=90) | st.from_regex(r"[0-9A-Za-z]{0,66}:?-?[0-9]{0,18}", fullmatch=True))
@example("")
@example("00")
@example(":1")
@example("a:")
@example("a:-1")
@example("a:+1")
@example("a: 1")
@example("a:1\n")
@example("a:١")
@example("é:1")
@example("a:12345678901234567")
@example("a" * 65 + ":1")
def test_anything_else_is_a_bad_cursor(text: str) -> None:
    """Any text is parsed into its epoch and number, or raises BadCursor, no other exception."""
    try:
        cursor = parse_cursor(text)
    except BadCursor:
        return
    if cursor != START:
        epoch, _, seq = text.partition(":")
        assert cursor == (epoch, int(seq))
        assert parse_cursor(str(cursor)) == cursor


@settings(deadline=None)
@given(st.one_of(*ENTRIES.values()), EPOCHS, SEQS)
def test_what_state_describes_is_read_back_as_our_own(entry: Entry, epoch: str, seq: int) -> None:
    """own_update() reads the cursor, ``final`` and data that update_of() encoded."""
    after = reduce(begin("s1", "2026-01-15T09:30:00", 15), entry)
    data = describe(after, entry, epoch, seq)
    made = update_of(after, entry, epoch, seq)
    read = own_update(made.raw)
    assert read is not None
    assert read.cursor == made.cursor == Cursor(epoch, seq)
    assert read.final is made.final is data["final"]
    assert read.data == made.data == safejson.loads(safejson.dumps(data))
    assert made.raw == safejson.dumps(data)
    assert made.raw.startswith(head(epoch, seq, data["final"]))


def test_an_update_with_not_a_number_is_still_our_own() -> None:
    """An update with NaN takes the slow path of the encoder, and own_update() still recognises its head."""
    extra = {"n": float("nan")}
    entry: Entry = {"etapa": 1, "timestamp": "t", "status": "executando", "mensagem": "m", "dados_extra": extra}
    after = reduce(begin("s1", "t", 15), entry)
    read = own_update(update_of(after, entry, "a1", 7).raw)
    assert read is not None
    assert read.cursor == ("a1", 7)
    assert read.data["dados_extra"] == {"n": None}


HEAD_OF_7 = b'{"type":"progress_update","epoch":"a1","seq":7,"final":false,'


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b'{"etapa": 5, "mensagem": "Tela 5"}',
        HEAD_OF_7,
        HEAD_OF_7 + b'"x":1',
        HEAD_OF_7 + b'"x":1}\n',
        b" " + HEAD_OF_7 + b'"x":1}',
        HEAD_OF_7.replace(b'"seq":7', b'"seq":0') + b'"x":1}',
        HEAD_OF_7.replace(b'"seq":7', b'"seq":-7') + b'"x":1}',
        HEAD_OF_7.replace(b'"seq":7', b'"seq":07') + b'"x":1}',
        HEAD_OF_7.replace(b'"seq":7', b'"seq":7.0') + b'"x":1}',
        HEAD_OF_7.replace(b'"a1"', b'""') + b'"x":1}',
        HEAD_OF_7.replace(b'"a1"', b'"a-1"') + b'"x":1}',
        HEAD_OF_7.replace(b'"a1"', b'"' + b"a" * 65 + b'"') + b'"x":1}',
        HEAD_OF_7.replace(b"false", b"null") + b'"x":1}',
        HEAD_OF_7.replace(b":", b": ") + b'"x":1}',
    ],
)
def test_an_update_of_somebody_elses_is_not_taken_for_ours(raw: bytes) -> None:
    """own_update() is None if the bytes begin with another head and lack a key, or are not one line ending in ``}``."""
    assert own_update(raw) is None


def full(**changes: Any) -> dict[str, Any]:
    """Return an update of our tracker with *changes*; a key that becomes ``...`` is left out."""
    entry: Entry = {"etapa": 3, "timestamp": "t", "status": "executando", "mensagem": "Tela 3", "dados_extra": None}
    data: dict[str, Any] = {**describe(reduce(begin("s1", "t", 15), entry), entry, "a1", 7), **changes}
    return {key: value for key, value in data.items() if value is not ...}


ANEW = {
    "a key in front": safejson.dumps({"writer": "w", **full()}),
    "a key in the head": safejson.dumps({"type": 0, "epoch": 0, "writer": "w", "seq": 0, **full()}),
    "another order": safejson.dumps(dict(reversed(full().items()))),
    "blanks": json.dumps(full()).encode(),
    "blanks around": b" " + safejson.dumps(full()),
    "no text": safejson.dumps({"v": 2, **full(mensagem=None)}),
    "the end": safejson.dumps({"v": 2, **full(final=True, evento="final", resultado={})}),
}


@pytest.mark.parametrize("raw", ANEW.values(), ids=ANEW.keys())
def test_b20_an_update_with_another_head_is_still_ours(raw: bytes) -> None:
    """Whatever stands before or between the keys of the head, an update with all required keys is read as ours."""
    update = own_update(raw)
    assert update is not None
    assert update.cursor == ("a1", 7)
    assert update.final is (b'"final":true' in raw)
    assert update.raw is raw


@pytest.mark.parametrize("key", sorted(UpdateMessage.__required_keys__))
def test_b20_with_another_head_every_key_must_be_right(key: str) -> None:
    """With another head an update that lacks a required key, or has one of a wrong type, is another writer's."""
    wrong: tuple[Any, ...] = (..., [], 1 if key == "final" else True)
    for value in wrong:
        assert own_update(safejson.dumps({"v": 2, **full(**{key: value})})) is None


@pytest.mark.parametrize(
    "changes",
    [{"epoch": ""}, {"epoch": "a-1"}, {"epoch": "a" * 65}, {"epoch": "\u00e9"}, {"epoch": 5}, {"seq": 0}, {"seq": -7},
     {"seq": 7.0}, {"seq": "7"}, {"seq": 10**16}, {"seq": True}, {"type": "reset"}],
)  # fmt: skip
def test_b20_with_another_head_the_cursor_must_be_one(changes: dict[str, Any]) -> None:
    """With another head a position that no cursor can carry makes an update another writer's."""
    assert own_update(safejson.dumps({"v": 2, **full(**changes)})) is None


def test_b20_new_keys_stand_behind_the_head() -> None:
    """The head is the first keys of UpdateMessage and of each update; any key that is added stands behind ``final``."""
    keys = list(UpdateMessage.__annotations__)
    assert keys[:4] == list(full())[:4] == re.findall(r'"(\w+)":', HEAD) == ["type", "epoch", "seq", "final"]
    assert make_update({"new": 1, **full()}).raw.startswith(head("a1", 7))
    assert UpdateMessage.__required_keys__ == {*keys[:4], *update_module._TYPES}


@given(st.binary(max_size=80) | st.binary(max_size=20).map(lambda tail: HEAD_OF_7 + tail + b"}"))
def test_reading_our_own_never_raises(raw: bytes) -> None:
    """own_update() never raises: damage after the head raises BadDocument only when ``data`` is read."""
    update = own_update(raw)
    if update is None:
        return
    assert update.raw is raw
    assert update.cursor == ("a1", 7)
    with contextlib.suppress(BadDocument):
        assert isinstance(update.data, dict)


def test_the_bytes_of_the_writer_are_kept_untouched() -> None:
    """An update keeps the bytes that the tracker published, so that they are relayed without a new encoding."""
    raw = HEAD_OF_7 + b'"mensagem":"\\u00e9  \\/"}'
    update = own_update(raw)
    assert update is not None
    assert update.raw is raw
    assert update.data["mensagem"] == "é  /"


def test_an_update_without_a_number_has_no_cursor() -> None:
    """An update from a writer that does not number its updates has None as cursor."""
    update = Update(b'{"type":"progress_update","etapa":5}', None, 0, False)
    assert update.cursor is None


def test_an_update_prints_its_cursor_and_not_its_content() -> None:
    """The repr of an update has its cursor and size; prices and names don't belong in a log."""
    assert repr(Update(b"{}", "a1", 7, True)) == "<Update a1:7 final, 2 bytes>"
    assert str(Cursor("a1", 7)) == "a1:7"
