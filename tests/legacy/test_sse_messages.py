"""The messages of the deployed ``progress_sse.php``, as built from the state of a session."""

import json
from typing import Any

import pytest

from rpa_server.legacy import sse_messages
from rpa_server.progress.outcome import SILENCE_AFTER_FAILURE_S
from tests.support import pages, recordings
from tests.support.answers import CASES, Case, run_of, states

NOW = "2026-01-15 09:30:00"


def messages_of(case: Case) -> list[dict[str, Any]]:
    """Return the messages for the state of a case, parsed from the bytes that are sent."""
    state = states(case)
    assert state is not None
    return [
        json.loads(sse_messages.encode(message).removeprefix(b"data: "))
        for message in sse_messages.of("s1", run_of(state, case.stale_s), NOW)
    ]


def whole(name: str, **more: Any) -> list[dict[str, Any]]:
    return messages_of(Case(name, {"history": recordings.ALL[name]}, **more))


@pytest.mark.parametrize("name", recordings.ALL)
def test_the_page_tells_what_happened_and_not_before_it_did(name: str) -> None:
    """The page shows a success exactly if there is a quote, a failure exactly if the run ended without one."""
    for case in CASES[name]:
        verdicts = [pages.tracker(message).verdict for message in messages_of(case)]
        assert ("success" in verdicts) is case.quote, case.name
        assert ("failure" in verdicts) is (case.end is not None and not case.quote), case.name
        assert set(verdicts[:-1]) <= {"waits"}


def test_completed_carries_the_progress_with_the_plans() -> None:
    """``completed`` has the progress and plans under ``progresso``, without which the page reconnects for ever."""
    progress, completed = whole("success")
    assert completed["message"] == "Cotação concluída com sucesso"
    assert completed["progresso"] == progress
    assert pages.tracker(completed).prices == ("R$ 3.210,98", "R$ 2.109,87")
    assert (progress["etapa_atual"], progress["percentual"], progress["status"]) == (15, 100, "success")


def test_a_progress_message_has_the_keys_of_a_progress_file() -> None:
    """A progress message has the keys of a progress file, the time, and ``details``, where the page finds estimates."""
    message = messages_of(CASES["success"][30])[0]
    assert list(message) == [
        "etapa_atual", "total_etapas", "percentual", "status", "mensagem", "timestamp_inicio", "timestamp_atualizacao",
        "dados_extra", "erros", "session_id", "timestamp", "details",
    ]  # fmt: skip
    shown = [message for case in CASES["success"] for message in messages_of(case) if message.get("etapa_atual") == 5]
    assert any(message["details"]["estimativas"] == {"valor_estimado": "R$ 1.111,00 - R$ 1.222,00"} for message in shown)


def test_a_failure_is_reported_with_the_robots_words() -> None:
    """A run without a quote is one ``error`` with the robot's text or "Cotação manual necessária", and no progress."""
    assert whole("manual") == [{"status": "error", "session_id": "s1", "message": "RPA error"}]
    assert whole("unpriced")[0]["message"] == "Cotação manual necessária"


def test_a_silence_is_a_timeout() -> None:
    """300 s of silence before the first step are a ``timeout``, 30 s after a failure an ``error``."""
    assert [message["status"] for message in whole("stuck", stale_s=299.0)] == ["iniciando"]
    assert [message["status"] for message in whole("stuck", stale_s=300.0)] == ["timeout"]
    silent = whole("failed_without_end", stale_s=SILENCE_AFTER_FAILURE_S)
    assert silent == [{"status": "error", "session_id": "s1", "message": "Tela 2 falhou"}]


def test_the_first_messages_are_the_deployed_ones() -> None:
    """``starting`` has the deployed bytes, ``started`` the deployed text, and LAST has the three words of an end."""
    assert sse_messages.encode(sse_messages.starting("s1")) == (
        b'data: {"status":"starting","session_id":"s1","message":"Iniciando cota\\u00e7\\u00e3o..."}\n\n'
    )
    assert sse_messages.started("s1")["message"] == "RPA iniciado com sucesso"
    assert {sse_messages.timeout("s1")["status"], "completed", "error"} == set(sse_messages.LAST)
