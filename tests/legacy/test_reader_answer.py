"""The answer of the older readers, which take the session id as a parameter."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server.errors import BadDocument
from rpa_server.legacy import php_json, reader_answer
from rpa_server.progress.documents import from_history
from tests.support import pages, recordings
from tests.support.answers import CASES, Case, answered, run_of, states
from tests.support.examples import examples
from tests.support.recordings import Document

NOW = datetime(2026, 1, 15, 9, 30)
AT = "2026-01-15 09:30:00"
#: The keys under ``data`` in the answer of ``get_progress_completo.php``, in order.
KEYS = [
    "etapa_atual", "total_etapas", "percentual", "status", "mensagem", "timestamp_inicio", "timestamp_atualizacao",
    "dados_extra", "erros", "session_id", "historico", "timeline", "historico_count", "estimativas", "resultados_finais",
    "source", "file_used",
]  # fmt: skip
PLAN = [
    "tipo", "nome", "valor", "forma_pagamento", "parcelamento", "valor_franquia", "valor_mercado", "coberturas", "limites",
    "franquia",
]  # fmt: skip


def ours(case: Case) -> Document:
    """Return the server's answer for a case, decoded from its bytes."""
    state = states(case)
    if state is None:
        made = reader_answer.waiting("s1", NOW)
    else:
        made = reader_answer.progress("s1", run_of(state, case.stale_s), AT)
    answer: Document = json.loads(php_json.pretty(made))
    return answer


def last(name: str) -> Document:
    """Return ``data`` of the answer for a complete recorded run."""
    data: Document = ours(Case(name, {"history": recordings.ALL[name]}))["data"]
    return data


def test_the_keys_are_the_deployed_ones_in_their_order() -> None:
    """``data`` has the deployed keys in their order, then ``tempo_decorrido``, which a page reads, and the time."""
    for case in CASES["success"]:
        assert list(ours(case)["data"]) == [*KEYS, "tempo_decorrido", "timestamp"]


def test_a_session_that_nobody_has_written_is_waiting() -> None:
    """An unknown session is "waiting"; the answer has its time beside ``data`` and no count of entries."""
    answer = ours(Case("nothing", {}))
    assert (answer["success"], answer["timestamp"]) == (True, "2026-01-15 09:30:00")
    assert set(answer["data"]) == {*KEYS, "tempo_decorrido"} - {"historico_count"}
    assert (answer["data"]["status"], answer["data"]["source"]) == ("waiting", "none")
    assert answer["data"]["mensagem"] == "Aguardando início..."


@pytest.mark.parametrize("page", pages.FULL_PAGES, ids=lambda page: page.__name__)
def test_no_page_of_this_shape_tells_a_success_before_there_is_a_quote(page: Callable[[Document], pages.Shown]) -> None:
    """Pages that take 100 % or the last step for a success show one exactly for a run that has ended with a quote."""
    for case, _ in answered():
        assert (page(ours(case)).verdict == "success") is case.quote, case.name


def test_step_percentage_and_status_are_reported_while_the_robot_works() -> None:
    """Step and percentage grow with the run; the deployed reader reports step 0 and 0 % from beginning to end."""
    steps = [ours(case)["data"] for case in CASES["success"] if "history" in case.files]
    assert [data["etapa_atual"] for data in steps] == sorted(data["etapa_atual"] for data in steps)
    assert {data["etapa_atual"] for data in steps} == {*range(15), 15}
    assert [data["percentual"] for data in steps] == sorted(data["percentual"] for data in steps)
    assert {data["status"] for data in steps} == {"iniciando", "executando", "success"}


def test_estimates_are_reported_in_this_readers_words_and_in_the_robots() -> None:
    """Coverages have ``nome`` under ``estimativas``, and the robot's ``nome_cobertura`` under ``dados_extra``."""
    data = last("success")
    found = data["estimativas"]
    assert (found["capturadas"], found["encontradas"]) == (True, True)
    assert list(found["dados"]) == ["coberturas", "resumo", "timestamp", "status", "mensagem"]
    assert [list(item) for item in found["dados"]["coberturas"]] == [["nome", "valores", "beneficios", "indice"]] * 3
    assert found["dados"]["coberturas"][0]["nome"] == "Básica"
    assert data["dados_extra"]["estimativas_tela_5"]["coberturas_detalhadas"][0]["nome_cobertura"] == "Básica"
    assert data["dados_extra"]["coberturas_detalhadas"][0]["nome_cobertura"] == "Básica"


def test_the_plans_of_a_quote_are_reported_in_this_readers_words() -> None:
    """The plans are called ``recomendado`` and ``alternativo``, with their fields in the deployed reader's groups."""
    results = last("success")["resultados_finais"]
    assert (results["rpa_finalizado"], results["status_final"]) == (True, "success")
    assert results["arquivo_resultado"] == "result_s1.json"
    assert list(results["dados"]) == ["recomendado", "alternativo"]
    plan = results["dados"]["recomendado"]
    assert list(plan) == PLAN
    assert (plan["nome"], plan["valor"]) == ("Plano recomendado", "R$ 3.210,98")
    assert plan["coberturas"] == {"assistencia": True, "vidros": True, "carro_reserva": False}
    assert plan["franquia"] == {"tipo": "N/A"}


@pytest.mark.parametrize(("name", "word"), [("stuck", "running"), ("manual", "error"), ("unpriced", "error")])
def test_a_run_without_a_quote_has_no_result(name: str, word: str) -> None:
    """Without a quote there are no plans and ``rpa_finalizado`` is false, during the run and after its end."""
    results = last(name)["resultados_finais"]
    assert (results["rpa_finalizado"], results["status_final"], results["dados"]) == (False, word, None)
    assert (results["timestamp_fim"] is None) is (word == "running")


def test_the_time_that_has_passed_is_a_number() -> None:
    """``tempo_decorrido`` is the run's duration in seconds; without a number a page would print "NaNs"."""
    assert last("success")["tempo_decorrido"] == pytest.approx(219.5, abs=10)
    assert last("stuck")["tempo_decorrido"] < 1


@settings(deadline=None, max_examples=examples(100))
@given(recordings.any_entries, st.sampled_from([1, 5, 15]))
def test_any_run_is_answered_in_this_shape(entries: list[Any], total: int) -> None:
    """For any run the keys are the same, and step and percentage stay between 0 and their maximum."""
    try:
        state = from_history("s1", {"timestamp_inicio": "2026-01-15T09:30:00", "total_etapas": total, "historico": entries})
    except BadDocument:
        return
    data = json.loads(php_json.pretty(reader_answer.progress("s1", run_of(state), AT)))["data"]
    assert list(data) == [*KEYS, "tempo_decorrido", "timestamp"]
    assert 0 <= data["etapa_atual"] <= total
    assert 0 <= data["percentual"] <= 100
