"""Encoding whatever a robot passes in, and decoding whatever anybody sends."""

import datetime as dt
import enum
import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rpa_server import safejson
from rpa_server.errors import BadDocument
from tests.support.recordings import any_text, json_values
from tests.support.server import ROOT


class Raising:
    """An object whose ``__str__`` raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Colour(enum.Enum):
    RED = 1


OBJECTS: st.SearchStrategy[Any] = st.one_of(
    st.floats(),
    st.binary(max_size=4),
    st.decimals(allow_nan=False),
    st.datetimes(),
    st.complex_numbers(),
    st.builds(object),
    st.builds(Raising),
    st.sampled_from(Colour),
)
KEYS = st.one_of(any_text, st.none(), st.booleans(), st.integers(), st.floats(), st.tuples(st.integers()), OBJECTS)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for every kind of container, most of them of *inner*."""
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.sets(KEYS, max_size=3),
        st.frozensets(KEYS, max_size=3),
        st.lists(inner, max_size=2).map(_with_itself),
        st.dictionaries(any_text, inner, max_size=2).map(_with_itself),
    )


def _with_itself(container: Any) -> Any:
    if isinstance(container, list):
        container.append(container)
    else:
        container["self"] = container
    return container


ANYTHING = st.recursive(st.one_of(json_values, OBJECTS), containers, max_leaves=12)


@settings(deadline=None)
@given(ANYTHING)
@example(float("nan"))
@example({1, 2})
@example({"a": Raising()})
@example("\ud800")
@example(_with_itself({}))
def test_dumps_never_raises_and_what_it_makes_always_parses(value: Any) -> None:
    """Any value is encoded, without an exception, as one line of JSON in UTF-8 that loads() accepts."""
    data = safejson.dumps(value)
    data.decode("utf-8", "strict")
    safejson.loads(data)
    assert b"\n" not in data
    assert b"\r" not in data


@given(json_values)
def test_json_passes_unchanged(value: Any) -> None:
    """What JSON can express is unchanged; a lone surrogate, which UTF-8 can't express, becomes a question mark."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
    assert safejson.loads(safejson.dumps(value)) == json.loads(text)


def test_what_json_cannot_hold_is_replaced() -> None:
    """NaN and infinity become null, sets and tuples lists, other objects their text, or null if they have none."""
    value = {
        "nan": float("nan"),
        "infinity": [float("inf"), float("-inf")],
        "date": dt.date(2026, 1, 15),
        "price": Decimal("1234.50"),
        "tuple": (1, 2),
        "set": {3},
        "mute": Raising(),
        "nested": {"deeper": [{float("nan")}]},
    }
    assert safejson.loads(safejson.dumps(value)) == {
        "nan": None,
        "infinity": [None, None],
        "date": "2026-01-15",
        "price": "1234.50",
        "tuple": [1, 2],
        "set": [3],
        "mute": None,
        "nested": {"deeper": [[None]]},
    }


def test_umlauts_travel_as_utf8_and_without_spaces() -> None:
    """dumps() leaves letters unescaped and adds no spaces, so that frames are short."""
    assert safejson.dumps({"mensagem": "Tela 5 concluída", "n": [1, 2]}) == (
        '{"mensagem":"Tela 5 concluída","n":[1,2]}'.encode()
    )


def test_a_key_without_a_text_does_not_stop_an_update() -> None:
    """A key whose ``__str__`` raises does not make dumps() fail."""
    assert isinstance(safejson.loads(safejson.dumps({Raising(): 1, "b": 2})), dict)


class RaisingDict(dict[str, Any]):
    """A mapping that fails when its items are read, as one that loads its content lazily may."""

    def items(self) -> Any:
        raise RuntimeError("gone")


class RaisingList(list[Any]):
    """A sequence that fails when it is iterated."""

    def __iter__(self) -> Any:
        raise RuntimeError("gone")


@pytest.mark.parametrize("value", [RaisingDict(a=1), {"b": RaisingList([1]), "nan": float("nan")}])
def test_a_container_that_cannot_be_looked_into_does_not_stop_an_update(value: Any) -> None:
    """A container that raises when it is iterated, as a robot's own class may, does not make dumps() fail."""
    safejson.loads(safejson.dumps(value))


def test_a_number_too_long_to_print_does_not_stop_an_update() -> None:
    """An integer of over 4,300 digits, which Python refuses to print, does not make dumps() fail."""
    safejson.loads(safejson.dumps({"n": 10**5000}))


def test_a_key_has_one_name_whatever_else_the_object_holds() -> None:
    """Keys that are no texts get the same names whether or not another value needs the encoder's slow path."""
    good: dict[Any, Any] = {None: 1, True: 2, 1.5: 3}
    spoilt = {**good, "x": float("nan")}
    assert [*safejson.loads(safejson.dumps(good)), "x"] == list(safejson.loads(safejson.dumps(spoilt)))


def test_what_contains_itself_twice_is_encoded_at_once() -> None:
    """A container inside itself becomes null: following two such references 50 levels deep would never end."""
    program = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from rpa_server import safejson\n"
        "value = {}\n"
        "value['left'] = value['right'] = value\n"
        "assert len(safejson.dumps(value)) < 1000\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=10, stderr=subprocess.DEVNULL)


def nested(depth: int) -> Any:
    """Return null within *depth* lists, each the only item of the next."""
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [51, 60, 500])
def test_what_is_nested_deeper_than_50_levels_becomes_null(depth: int) -> None:
    """A list within 50 others becomes null, so that parsers with little stack left can read the result."""
    assert safejson.plain(nested(depth)) == nested(50)


@given(st.binary(max_size=60) | any_text | any_text.map(lambda text: text.encode("utf-16", "replace")))
@example(b"")
@example(b"\xff")
@example(b"NaN")
@example(b"[" * 100_000)
@example("[" * 100_000)
@example(b"9" * 10_000)
@example(b'{"a":')
@example(b"\xef\xbb\xbf{}")
def test_loads_raises_only_bad_document(data: bytes | str) -> None:
    """Any bytes or text are decoded or raise BadDocument with a short message, no other exception."""
    try:
        safejson.loads(data)
    except BadDocument as error:
        assert str(error).startswith("This is not valid JSON (")
        assert len(str(error)) < 300


@pytest.mark.parametrize("data", [b"NaN", b"[Infinity]", b'{"a":-Infinity}'])
def test_what_pythons_json_takes_beyond_json_is_refused(data: bytes) -> None:
    """NaN and Infinity, which Python's json accepts but no browser's parser does, raise BadDocument."""
    with pytest.raises(BadDocument):
        safejson.loads(data)


@pytest.mark.parametrize(
    "data", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', '{"a":1}'.encode("utf-16-le"), '{"a":1}'.encode("utf-32")]
)
def test_bytes_that_are_not_utf8_are_refused(data: bytes) -> None:
    """Bytes that are not UTF-8 raise BadDocument; Python's json would guess other encodings."""
    with pytest.raises(BadDocument):
        safejson.loads(data)


@pytest.mark.parametrize("data", [b"[]", b"null", b"5", b'"text"', b"true"])
def test_an_object_is_asked_for_and_nothing_else_is_taken(data: bytes) -> None:
    """load_object() refuses JSON that is not an object."""
    with pytest.raises(BadDocument, match="not an object"):
        safejson.load_object(data)


def test_an_object_is_returned() -> None:
    """load_object() returns the object of a text as well as of bytes."""
    assert safejson.load_object(b'{"a":1}') == safejson.load_object('{"a":1}') == {"a": 1}
