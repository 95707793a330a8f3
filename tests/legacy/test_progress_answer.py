"""The answers to ``/api/rpa/progress``, compared with the deployed ones and shown to the pages that read them.

Every intended difference from the deployed answer is listed in CORRECTIONS and in docs/migrating.rst. The tests fail for
a difference that no correction claims, and for a correction that claims no difference.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server import safejson
from rpa_server.errors import BadDocument
from rpa_server.legacy import php_json, progress_answer, reader_answer, sse_messages
from rpa_server.progress.documents import from_history
from rpa_server.progress.outcome import SILENCE_S
from rpa_server.progress.redis_documents import from_redis
from tests.support import deployed, pages, recordings
from tests.support.answers import CASES, NOW, Case, answered, ours, run_of
from tests.support.deployed import Document
from tests.support.examples import examples
from tests.support.server import ROOT

Path = tuple[str | int, ...]


#: Cases that no recording shows.
ODD = [
    Case("nothing is known", {}),
    Case("a warning", {"progress": {**recordings.progress_of(recordings.ALL["success"]), "status": "warning"}}),
    Case("a step's extra data", {"history": {**recordings.ALL["stuck"], "historico": [
        {**recordings.ALL["stuck"]["historico"][1], "dados_extra": {"cpf": "111.444.777-35"}}]}}),
    Case("an older robot", {"progress": {"session_id": "s1", "etapa_atual": 4, "total_etapas": 15, "percentual": 26.7,
                                         "status": "Tela 4 concluída", "dados_extras": None, "timestamp": 1758748127.5,
                                         "created_at": "2025-09-24T21:08:47"}}),
    Case("gone silent", {"history": recordings.ALL["stuck"]}, stale_s=SILENCE_S),
    Case("gone silent behind a failure", {"history": recordings.ALL["failed_without_end"]}, stale_s=60.0),
]  # fmt: skip


# -- the list of intended differences


class Difference(NamedTuple):
    """A path at which two answers differ; *ours* or *theirs* is MISSING if only one of them has it."""

    path: Path
    theirs: Any
    ours: Any


MISSING = "(missing)"
_NAMES = {"status", "current_phase", "mensagem", "progress_percent", "results"}
_INNER_NAMES = {"etapa", "current_etapa", "current_status", "current_mensagem", "nome", "valor_total", "valor_final"}


def _other_name(at: Difference, case: Case) -> bool:
    return at.theirs == MISSING and at.path[-1] in (_NAMES if len(at.path) == 1 else _INNER_NAMES)


def _percent(at: Difference, case: Case) -> bool:
    total = case.files.get("history", {}).get("total_etapas")
    return at.path == ("progress", "percentual") and case.source == "history" and total != 5


def _hundred(at: Difference, case: Case) -> bool:
    whole = case.source == "progress" or case.files.get("history", {}).get("total_etapas") == 5
    return at.path == ("progress", "percentual") and whole and at.theirs == 100 > at.ours and not case.quote


def _mid_run_status(at: Difference, case: Case) -> bool:
    running = case.end is None and at.ours in ("iniciando", "executando")
    return at.path == ("progress", "status") and running and at.theirs in ("completed", "concluido", "error")


def _mid_run_end(at: Difference, case: Case) -> bool:
    if case.end is not None or at.path[:2] != ("progress", "resultados_finais"):
        return False
    return (at.path[2], at.theirs, at.ours) in (("rpa_finalizado", True, False), ("dados", [], None))


def _failure_is_no_result(at: Difference, case: Case) -> bool:
    return at.path[1:] == ("resultados_finais", "rpa_finalizado") and case.end == "error" and at.ours is False


def _unpriced(at: Difference, case: Case) -> bool:
    if case.end not in ("success", "warning") or case.quote:
        return False
    expected: dict[Path, tuple[Any, Any]] = {
        ("status",): ("success", "error"),
        ("mensagem",): (at.theirs, "Cotação manual necessária"),
        ("resultados_finais", "rpa_finalizado"): (True, False),
    }
    return expected.get(at.path[1:]) == (at.theirs, at.ours)


def _first_end(at: Difference, case: Case) -> bool:
    ends = [index for index, entry in enumerate(case.entries) if entry["etapa"] == "final"]
    behind = case.end == "error" and (len(case.entries) > ends[0] + 1 if ends else case.source == "progress")
    expected: dict[Path, tuple[Any, ...]] = {("status",): ("error",), ("mensagem",): ("RPA error",)}
    if case.source == "progress" and case.files["progress"]["status"] not in ("success", "error"):
        expected |= {("etapa_atual",): (15,), ("percentual",): (99,)}
    return behind and at.ours in expected.get(at.path[1:], ()) and at.theirs != 100


def _error_on_the_way(at: Difference, case: Case) -> bool:
    last = case.entries[-1] if case.entries else {}
    return at.path == ("progress", "mensagem") and last.get("etapa") == "erro" and case.end is None


def _estimates_at_once(at: Difference, case: Case) -> bool:
    fresh = bool(case.entries) and case.entries[-1]["etapa"] == "estimativas"
    return at.path[:2] == ("progress", "estimativas") and fresh and at.theirs in (False, None)


def _snapshot_estimates(at: Difference, case: Case) -> bool:
    return at.path[:2] == ("progress", "estimativas") and case.source == "progress" and at.theirs in (False, None)


def _snapshot_result(at: Difference, case: Case) -> bool:
    ended = case.source == "progress" and case.end is not None
    return at.path[1:] == ("resultados_finais", "dados") and ended and at.theirs is None


def _nothing_attached(at: Difference, case: Case) -> bool:
    return at.path[1:2] == ("timeline",) and at.path[-1] == "dados_extra" and (at.theirs, at.ours) == ([], None)


def _steps_extra(at: Difference, case: Case) -> bool:
    if at.path[1:2] != ("timeline",) or at.path[-1] != "dados_extra" or not at.theirs:
        return False
    return not isinstance(case.entries[-10:][int(at.path[2])]["etapa"], str) and at.ours is None


def _warning(at: Difference, case: Case) -> bool:
    expected = {"status": ("warning", "success"), "rpa_finalizado": (False, True)}
    return case.end == "warning" and case.quote and expected.get(str(at.path[-1])) == (at.theirs, at.ours)


def _old_words(at: Difference, case: Case) -> bool:
    old = "timestamp" in case.files.get("progress", {})
    expected = {"status": "executando", "mensagem": case.files.get("progress", {}).get("status")}
    return old and at.path[:1] == ("progress",) and expected.get(str(at.path[1])) == at.ours


def _silence(at: Difference, case: Case) -> bool:
    expected: dict[Path, str] = {
        ("progress", "status"): "error",
        ("progress", "mensagem"): "Sem notícias do robô há mais de 5 minutos",
    }
    return case.stale_s > 0 and expected.get(at.path) == at.ours


#: For each correction, by its name in docs/migrating.rst, the function that tells whether a difference is due to it.
CORRECTIONS: dict[str, Callable[[Difference, Case], bool]] = {
    "other-names": _other_name,
    "percent-of-all-steps": _percent,
    "hundred-is-a-quote": _hundred,
    "running-while-it-runs": _mid_run_status,
    "end-at-the-end": _mid_run_end,
    "failure-is-no-result": _failure_is_no_result,
    "quote-has-a-price": _unpriced,
    "first-end-stands": _first_end,
    "error-on-the-way": _error_on_the_way,
    "estimates-at-once": _estimates_at_once,
    "estimates-without-history": _snapshot_estimates,
    "result-without-history": _snapshot_result,
    "nothing-is-null": _nothing_attached,
    "steps-keep-theirs": _steps_extra,
    "warning-is-a-success": _warning,
    "older-robots": _old_words,
    "silence": _silence,
}
#: Corrections that no single answer shows, each with the test that shows it.
BEHAVIOUR = {
    "torn-files": "legacy/test_handlers.test_a_torn_file_is_waited_out",
    "dotted-ids": "legacy/test_handlers.test_an_id_with_dots_is_served",
    "one-session": "legacy/test_handlers.test_the_older_readers_answer_for_the_session_that_was_asked_for",
    "reading-is-a-get": "legacy/test_handlers.test_the_older_addresses_are_read_and_nothing_else",
    "older-readers": "legacy/test_reader_answer.test_step_percentage_and_status_are_reported_while_the_robot_works",
    "another-runs-result": "progress/test_documents.test_the_result_of_an_earlier_run_is_not_this_ones",
    "result-alone": "progress/test_documents.test_a_result_alone_is_an_end",
    "redacted": "legacy/test_handlers.test_no_answer_holds_anything_of_the_form",
    "watching-starts-nothing": "legacy/test_handlers.test_the_event_stream_starts_nothing",
    "stream-ends-with-the-run": "legacy/test_sse_messages.test_the_page_tells_what_happened_and_not_before_it_did",
    "true-figures": "legacy/test_handlers.test_health_and_metrics_are_true_and_name_nobody",
    "left-to-php": "legacy/test_handlers.test_what_is_not_served_is_refused_in_the_deployed_words",
}


def differences(theirs: Any, mine: Any, path: Path = ()) -> Iterator[Difference]:
    """Yield every difference between two JSON values, at the deepest possible path."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        for key in [*theirs, *(key for key in mine if key not in theirs)]:
            yield from differences(theirs.get(key, MISSING), mine.get(key, MISSING), (*path, key))
    elif isinstance(theirs, list) and isinstance(mine, list) and len(theirs) == len(mine):
        for index, pair in enumerate(zip(theirs, mine, strict=True)):
            yield from differences(*pair, (*path, index))
    elif type(theirs) is not type(mine) or theirs != mine:
        yield Difference(path, theirs, mine)


def claimed(case: Case) -> Counter[str]:
    """Check that exactly one correction claims each difference; return how many each correction claims."""
    count: Counter[str] = Counter()
    theirs = deployed.progress("s1", case.files, NOW)
    for at in differences(theirs, ours(case)):
        names = [name for name, claims in CORRECTIONS.items() if claims(at, case)]
        assert len(names) == 1, (case.name, at, names)
        count[names[0]] += 1
    return count


@pytest.mark.parametrize("name", CASES)
def test_every_answer_is_the_deployed_one_but_for_the_corrections(name: str) -> None:
    """After every entry, with and without a history, the answer differs from the deployed one only by corrections."""
    for case in CASES[name]:
        claimed(case)


@pytest.mark.parametrize("case", ODD, ids=lambda case: case.name)
def test_what_no_recording_shows_is_the_deployed_answer_but_for_the_corrections(case: Case) -> None:
    """In the cases of ODD, too, the answer differs from the deployed one only by listed corrections."""
    claimed(case)


def test_every_correction_corrects_something() -> None:
    """Each correction claims at least one difference in the recordings or in ODD; the real samples are not needed."""
    count: Counter[str] = Counter()
    for name in recordings.ALL:
        for case in CASES[name]:
            count += claimed(case)
    for case in ODD:
        count += claimed(case)
    assert set(count) == set(CORRECTIONS)


def test_the_corrections_are_those_of_the_document() -> None:
    """The table in docs/migrating.rst names every correction and nothing else."""
    text = (ROOT / "docs" / "migrating.rst").read_text(encoding="utf-8")
    table = text.partition("\nCorrections\n")[2].partition("\nWhat a client")[0]
    assert sorted(re.findall(r"^``([a-z-]+)``", table, re.MULTILINE)) == sorted({**CORRECTIONS, **BEHAVIOUR})


@pytest.mark.parametrize("name", BEHAVIOUR)
def test_a_correction_that_no_single_answer_shows_has_its_test(name: str) -> None:
    """Every test that BEHAVIOUR names exists."""
    module, _, function = BEHAVIOUR[name].partition(".")
    source = (ROOT / "tests" / f"{module}.py").read_text(encoding="utf-8")
    assert f"def {function}(" in source


def test_the_deployed_keys_come_in_the_deployed_order_and_first() -> None:
    """The deployed keys come first, in the deployed order, so that people can compare the answers."""
    for case in [*CASES["success"], *ODD]:
        theirs, mine = deployed.progress("s1", case.files, NOW), ours(case)
        assert list(mine)[: len(theirs)] == list(theirs)
        assert list(mine["progress"])[: len(theirs["progress"])] == list(theirs["progress"])


# -- what pages show


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.__name__)
def test_no_page_tells_a_success_before_there_is_a_quote(page: Callable[[Document], pages.Shown]) -> None:
    """Every page shows a success exactly for the answers of a run that has ended with a quote."""
    for case, answer in answered():
        assert (page(answer).verdict == "success") is case.quote, case.name


@pytest.mark.parametrize("page", [page for page, fails in pages.PAGES.items() if fails], ids=lambda page: page.__name__)
def test_no_page_tells_a_failure_before_the_robot_did(page: Callable[[Document], pages.Shown]) -> None:
    """A page shows a failure only after the robot reported one, and always once a run ended without a quote."""
    for case, answer in answered():
        shown = page(answer)
        assert shown.verdict != "failure" or case.gave_up, case.name
        if case.end is not None and not case.quote:
            assert shown.verdict == "failure", case.name


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.__name__)
def test_no_page_prints_nothing_for_a_quote(page: Callable[[Document], pages.Shown]) -> None:
    """No page shows ``R$ 0,00`` or ``N/A`` as a price of a quote that has plans."""
    for case, answer in answered():
        if case.quote and case.plans:
            assert not {pages.NOTHING, "N/A"} & set(page(answer).prices), case.name


def test_a_page_that_drops_the_cents_elsewhere_prints_them() -> None:
    """modal-progress-v6.3.0.js takes a dot for a decimal point, but shows whole prices, as ``valor_total`` has none."""
    answer = ours(CASES["success"][-1])
    assert pages.modal_v63(answer).prices == ("R$ 3.210,98", "R$ 2.109,87")


@pytest.mark.parametrize("name", recordings.ALL)
def test_a_page_that_looks_for_other_names_shows_the_step(name: str) -> None:
    """modal-progress-v6.3.0.js finds the step; in the deployed answers it finds none and shows "Fase 0 de 16"."""
    for case in CASES[name]:
        answer = ours(case)
        assert pages.modal_v63_phase(answer) == answer["progress"]["etapa_atual"]


def test_the_deployed_answers_mislead_these_pages() -> None:
    """The checks of what pages show can fail: they find the known defects of the deployed answers."""
    misled: dict[str, set[str]] = {}
    for name in recordings.ALL:
        for case in CASES[name]:
            answer = deployed.progress("s1", case.files, NOW)
            for page, fails in pages.PAGES.items():
                shown = page(answer)
                found = misled.setdefault(page.__name__, set())
                if shown.verdict == "success" and not case.quote:
                    found.add("success before a quote")
                if fails and shown.verdict == "failure" and not case.gave_up:
                    found.add("failure in mid-run")
                if case.quote and case.plans and {pages.NOTHING, "N/A"} & set(shown.prices):
                    found.add("no price for a quote")
    assert "success before a quote" in misled["webflow_v4"] & misled["integration"] & misled["modal_v6"]
    assert "failure in mid-run" in misled["production"] & misled["modal_v62"]
    assert "no price for a quote" in misled["production"] & misled["modal_v63"] & misled["integration"]


# -- extra keys, and what must not be in the answers


def _walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _walk(item, (*path, key))


def test_what_confuses_a_page_is_not_in_the_answer() -> None:
    """``progress`` lacks the keys that mislead a page; its percentage and status are among the expected values."""
    for progress in [answer["progress"] for _, answer in answered()] + [ours(case)["progress"] for case in ODD]:
        assert not {"dados_extra", "fase_atual", "progress", "error_code", "status_code"} & set(progress)
        assert 0 <= progress["percentual"] <= 100
        assert progress["status"] in {"waiting", "iniciando", "executando", "success", "error"}


def test_every_coverage_and_every_plan_has_both_of_its_names() -> None:
    """Coverages, plans and the price have every name under which some page looks for them."""
    answer = ours(CASES["success"][-1])
    items = answer["progress"]["estimativas"]["dados"]["coberturas_detalhadas"]
    assert [item["nome"] for item in items] == [item["nome_cobertura"] for item in items] == ["Básica", "Média", "Ampla"]
    data = answer["progress"]["resultados_finais"]["dados"]
    assert data["valor_final"] == data["dados_finais"]["plano_recomendado"]["valor"] == "R$ 3.210,98"
    assert data["dados_finais"]["plano_alternativo"]["valor_total"] == "R$ 2109,87"
    assert answer["results"] == {"premio_seguro": "R$ 3.210,98", "premio_total": "R$ 3.210,98"}


@pytest.mark.parametrize("estado", ["", "sucesso", "cotacao_manual", "erro"])
def test_the_top_level_says_what_the_page_that_looks_there_expects(estado: str) -> None:
    """The top-level ``status`` tells quotes, manual quotations and failures apart, for the one page that reads it."""
    name = {"": "stuck", "sucesso": "success", "cotacao_manual": "manual", "erro": "interrupted"}[estado]
    word = {"": "iniciando", "sucesso": "success", "cotacao_manual": "manual_quotation", "erro": "error"}[estado]
    assert ours(Case(name, {"history": recordings.ALL[name]}))["status"] == word


def test_texts_made_here_hold_no_word_that_a_page_takes_for_a_failure() -> None:
    """No text of progress_answer or reader_answer but refusals has a word that a page takes for a failure ("erro")."""
    texts = [*_texts("progress_answer"), *_texts("reader_answer")]
    made = {text for text in texts if " " in text and text[0].isupper()}
    assert {progress_answer.WAITING, "Cotação manual necessária", "Sem notícias do robô há mais de "} <= made
    for text in made - {progress_answer.BAD_ID, progress_answer.NOT_FOUND, progress_answer.NOT_ALLOWED}:
        assert not any(word in text.lower() for word in pages.FATAL), text


def _texts(name: str) -> Iterator[str]:
    """Yield the string constants of a module, without docstrings."""
    tree = ast.parse((ROOT / "rpa_server" / "legacy" / f"{name}.py").read_bytes())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value and id(node) not in docs:
            yield node.value


# -- silence


def test_a_silent_run_is_reported_as_such_and_taken_back() -> None:
    """After SILENCE_S the answer reports the silence as an error; once the robot reports again it is as before."""
    history = recordings.ALL["success"]
    part = recordings.prefixes(history)[20]
    silent = ours(Case("silent", {"history": part}, stale_s=SILENCE_S))
    assert silent["progress"]["status"] == "error"
    assert silent["mensagem"] == "Sem notícias do robô há mais de 15 minutos"
    assert silent["progress"]["percentual"] < 100
    assert ours(Case("back", {"history": recordings.prefixes(history)[21]}))["progress"]["status"] == "executando"


def test_a_pause_of_a_healthy_run_is_no_silence() -> None:
    """After 336 s, the longest recorded pause of a healthy run, the answer still is ``executando``."""
    part = recordings.prefixes(recordings.ALL["success"])[-4]
    assert ours(Case("pause", {"history": part}, stale_s=336.0))["progress"]["status"] == "executando"


# -- arbitrary runs


@settings(deadline=None, max_examples=examples(200))
@given(recordings.any_entries, st.sampled_from([1, 5, 15]), st.floats(0, 1000))
def test_any_run_is_answered_in_the_deployed_shape(entries: list[Document], total: int, silence_s: float) -> None:
    """For any run, keys and types are the deployed ones, and status, percentage and result agree."""
    document = {"timestamp_inicio": "2026-01-15T09:30:00", "total_etapas": total, "historico": entries}
    try:
        state = from_history("s1", document)
    except BadDocument:
        return
    answer = json.loads(php_json.pretty(progress_answer.progress("s1", run_of(state, silence_s), NOW)))
    progress = answer["progress"]
    assert list(progress)[:9] == [
        "etapa_atual", "total_etapas", "percentual", "status", "mensagem", "estimativas", "resultados_finais", "timeline",
        "source",
    ]  # fmt: skip
    assert type(progress["etapa_atual"]) is int
    assert 0 <= progress["etapa_atual"] <= total
    assert 0 <= progress["percentual"] <= (100 if progress["status"] == "success" else 99)
    assert isinstance(progress["mensagem"], str)
    assert (progress["estimativas"]["dados"] is not None) is progress["estimativas"]["capturadas"]
    assert progress["resultados_finais"]["rpa_finalizado"] is (progress["status"] == "success")
    assert len(progress["timeline"]) == min(len(entries), 10)
    for entry in progress["timeline"]:
        assert list(entry) == ["etapa", "timestamp", "status", "mensagem", "dados_extra", "erro"]
    assert not any(path and path[-1] == "cpf" for path, _ in _walk(answer))


def _anything(*keys: str) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, recordings.json_values))


_strange = _anything(
    "evento", "etapa", "mensagem", "status", "timestamp", "dados_extra", "resultado", "estimativas", "erro"
)


def _forged(content: Document, seq: int) -> bytes:
    """Return an update that has the head of our tracker's updates and arbitrary content."""
    head = f'{{"type":"progress_update","epoch":"aaaa","seq":{seq},"final":false,'
    return head.encode() + safejson.dumps({"evento": "progresso", **content})[1:]


@settings(deadline=None, max_examples=examples(200))
@given(
    _anything("estado", "final", "erros", "mensagem", "dados_extra", "percentual"),
    st.integers(1, 4),
    st.lists(_strange, max_size=4),
)
def test_what_only_looks_like_ours_is_answered_all_the_same(
    snapshot: Document, seq: int, contents: list[Document]
) -> None:
    """Arbitrary content after our tracker's head, as other programs may write it, breaks no answer and no message."""
    stream = [_forged(content, number) for number, content in enumerate(contents, 1)]
    try:
        state = from_redis("s1", safejson.dumps({**snapshot, "epoch": "aaaa", "seq": seq}), stream)
    except BadDocument:
        return
    assert state is not None
    assert json.loads(php_json.pretty(progress_answer.progress("s1", run_of(state), NOW)))["success"] is True
    assert json.loads(php_json.pretty(reader_answer.progress("s1", run_of(state), NOW)))["success"] is True
    for message in sse_messages.of("s1", run_of(state), NOW):
        assert json.loads(php_json.compact(message))["session_id"] == "s1"
