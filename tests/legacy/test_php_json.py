"""JSON as PHP writes it."""

import json
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given

from rpa_server.legacy import php_json
from tests.support.recordings import json_values

VALUES: list[Any] = [
    {"a": [], "b": {"c": "é/\u2028\"\\"}, "d": None, "e": True, "f": 33.333333333333336, "g": -1, "h": "R$\xa04.025,00"},
    [1, [2, [3, {}]]],
    "texto",
    {},
    [],
]  # fmt: skip


@given(json_values)
def test_what_is_written_is_read_back(value: Any) -> None:
    """What compact() and pretty() write is parsed back; pretty() writes "?" for what UTF-8 can't encode."""
    assert json.loads(php_json.compact(value)) == json.loads(json.dumps(value))
    pretty = json.loads(php_json.pretty(value))
    assert pretty == json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def test_letters_are_readable_in_answers_and_escaped_in_streams() -> None:
    """pretty() leaves letters unescaped, compact() escapes those beyond ASCII; both escape slashes."""
    value = {"mensagem": "Cotação 1/2"}
    assert php_json.pretty(value).decode() == '{\n    "mensagem": "Cotação 1\\/2"\n}'
    assert php_json.compact(value) == b'{"mensagem":"Cota\\u00e7\\u00e3o 1\\/2"}'


def test_an_empty_object_that_was_read_is_an_empty_list() -> None:
    """decoded() makes an empty object an empty list and a whole float an integer, as PHP does after parsing."""
    assert php_json.decoded({"a": {}, "b": [{}], "c": 5.0, "d": 5.5}) == {"a": [], "b": [[]], "c": 5, "d": 5.5}
    assert type(php_json.number(100.0)) is int
    assert php_json.number(99.5) == 99.5


@pytest.mark.skipif(shutil.which("php") is None, reason="no php here")
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_php_itself_writes_the_same_bytes(value: Any) -> None:
    """PHP decodes and encodes each value; decoded() with pretty() or compact() writes the same bytes."""
    program = """
        $read = json_decode(stream_get_contents(STDIN), true);
        echo json_encode($read, JSON_PRETTY_PRINT | JSON_UNESCAPED_UNICODE), "\\0", json_encode($read);
    """
    given = json.dumps(value).encode()
    done = subprocess.run(["php", "-r", program], input=given, capture_output=True, check=True, timeout=20)
    pretty, compact = done.stdout.split(b"\0")
    assert php_json.pretty(php_json.decoded(value)) == pretty
    assert php_json.compact(php_json.decoded(value)) == compact
