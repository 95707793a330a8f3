"""Whoever may write a text or a document can't make the server stand still: the cost is linear in its size."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from rpa_server import safejson
from rpa_server.backends.files import names as file_names
from rpa_server.backends.redis import names as redis_names
from rpa_server.errors import BadDocument, RequestError
from rpa_server.legacy import php_json
from rpa_server.progress import documents, outcome, redaction, schemas, session_id, update
from rpa_server.watchers import feed
from tests.support.timing import fast_enough

#: Bytes of the smaller one of two inputs.
SIZE = 64 * 1024
#: Repeated, these are the inputs that regular expressions, normalisation and number parsing like least.
PIECES = (
    *("\u0301\u0316", "a\u0301\u0316", "\u0345", "\u0344", "\u0f73\u0f81", "é", "İ", "ﷺ", "\u1100\u1161\u11a8", "\u2028"),
    *("1", "1.", "1-1", "11 ", "(11) 9", "+55 11 ", "111.111.111-1 ", "12345-67", "1234567 ", "cep ", "1a11", "ABC-12"),
    *("@", "a@", "a.b-", "a@b.", "a@b.c@", "a", "aA", "A", "A-", " ", "\n", "\0", "_", "/", '"', "\\", "[", "{", "-"),
    *("placa ", "placa da ", "tela ", "tela falhou ", "cotação ", "cotação\t"),
)


def _text_everywhere(text: str) -> dict[str, Any]:
    entry = {"etapa": text, "timestamp": text, "status": text, "mensagem": text, "dados_extra": {text: text}, "erro": text}
    return {"timestamp_inicio": text, "historico": [entry]}


def _snapshot_everywhere(text: str) -> dict[str, Any]:
    times = {"timestamp_inicio": text, "timestamp_atualizacao": text}
    return {"status": text, "mensagem": text, **times, "dados_extra": {text: text}, "erros": [{text: text, "erro": text}]}


READERS: dict[str, Callable[[str], object]] = {
    "redacted text": redaction.text,
    "redacted key": lambda text: redaction.redact({text: text}),
    "redacted keys": lambda text: redaction.redact({text[at : at + 150]: 1 for at in range(0, len(text), 149)}),
    "failure": outcome.says_failure,
    "manual": lambda text: outcome.outcome("success", f"cotação{text}", [{"erro": text}]),
    "end": lambda text: (outcome.is_end(text), outcome.price({"valor": text})),
    "id": session_id.is_session_id,
    "file name": lambda text: file_names.session_of_file(f"progress_{text}.json"),
    "channel": lambda text: redis_names.session_of_channel(f"rpa_progress:{text}".encode()),
    "head": lambda text: update.own_update(update.HEAD[:40].encode() + text.encode()),
    "cursor": update.parse_cursor,
    "json": safejson.loads,
    "json list": lambda text: safejson.loads(f"[1,{text}"),
    "json number": lambda text: safejson.loads(f"1{text}.{text}e{text}"),
    "json text": lambda text: safejson.loads(f'"{text}'),
    "encoded": lambda text: (safejson.dumps({text: text}), php_json.pretty({text: text}), php_json.compact(text)),
    "publication": lambda text: schemas.publication({"etapa": text, text: text, "mensagem": text}),
    "message": lambda text: feed.unnumbered_update(safejson.dumps({"etapa": text, text: text})),
    "snapshot": lambda text: documents.from_progress("s", _snapshot_everywhere(text)),
    "older snapshot": lambda text: documents.from_progress("s", {"timestamp": text, "status": text, "details": {text: 1}}),
    "history": lambda text: documents.from_history("s", _text_everywhere(text)),
}


def _cost_s(reader: Callable[[Any], object], given: object) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        with suppress(BadDocument, RequestError):
            reader(given)
        best = min(best, time.process_time() - began)
        if best > 0.5:
            break
    return best


def _linear(name: str, reader: Callable[[Any], object], once: object, twice: object) -> None:
    small, large = _cost_s(reader, once), _cost_s(reader, twice)
    # The constant is for pauses of the collector and the like, which don't grow with the input.
    fast_enough(large < 2.6 * small + 0.01, f"{name}: {small * 1000:.1f} ms, twice as much takes {large * 1000:.1f} ms")


@pytest.mark.parametrize("name", READERS)
def test_e1_twice_the_text_costs_twice_the_time(name: str) -> None:
    """Whatever piece a foreign text repeats, each of its readers takes time in proportion to its bytes."""
    for piece in PIECES:
        count = SIZE // len(piece.encode())
        _linear(f"{name} of {piece!r}", READERS[name], piece * count, piece * count * 2)
