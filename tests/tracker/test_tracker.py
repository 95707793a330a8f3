"""ProgressTracker: both styles of call, how a run ends, its lines in the log, and arguments of any type."""

import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rpa_server.backends.files import json_files
from rpa_server.progress.update import HISTORY
from rpa_server.tracker import (
    ProgressTracker,
    RedisProgressTracker,
    criar_progress_tracker,
    detectar_progress_tracker,
    verificar_redis_disponivel,
)
from tests.support.examples import examples
from tests.support.server import ROOT, RedisServer, free_port

ONLINE = "[OK] Redis conectado para comunicação real-time"
OFFLINE = "[AVISO] Redis não disponível, usando JSON Progress Tracker"
READY = "[OK] ProgressTracker ativado com comunicação real-time"


pytestmark = pytest.mark.usefixtures("robot_alone")


def stored(directory: Path, kind: str, session_id: str = "s") -> dict[str, Any]:
    """Return a JSON file of a session; fail if it is not UTF-8 or contains NaN or Infinity."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is not JSON")

    document: dict[str, Any] = json.loads(
        (directory / f"{kind}_{session_id}.json").read_bytes().decode("utf-8", "strict"), parse_constant=refuse
    )
    return document


def steps(directory: Path, session_id: str = "s") -> list[Any]:
    return [entry["etapa"] for entry in stored(directory, "history", session_id)["historico"]]


# -- how it is called, and what it writes

STYLES: dict[str, Callable[[redis.Redis], ProgressTracker]] = {
    "plan": lambda client: ProgressTracker(session_id="s", redis_client=client),
    "plan_class_positional": lambda client: RedisProgressTracker("s", client),
    "plan_class_keyword": lambda client: RedisProgressTracker(session_id="s", redis_client=client),
    "plan_class_mixed": lambda client: RedisProgressTracker("s", redis_client=client),
    "production_with_client": lambda client: ProgressTracker(15, True, "s", "auto", redis_client=client),
    "production_redis": lambda client: ProgressTracker(15, True, "s", "redis", redis_client=client),
    "both_ids": lambda client: RedisProgressTracker("other", client, "s"),
}


@pytest.mark.parametrize("style", list(STYLES))
def test_every_style_with_a_client_reports_into_its_redis(client: redis.Redis, data_dir: Path, style: str) -> None:
    """Every style of call with a client writes to the same keys of its Redis, and no files."""
    tracker = STYLES[style](client)
    tracker.update_progress(3, "Tela 3 concluída")
    assert (tracker.session_id, tracker.backend, tracker.lost) == ("s", "redis", 0)
    raw = client.get("rpa:progress:s")
    assert isinstance(raw, bytes)
    document = json.loads(raw)
    assert (document["etapa_atual"], document["total_etapas"], document["seq"]) == (3, 15, 2)
    assert not data_dir.exists()


FILE_STYLES: dict[str, tuple[Callable[[], ProgressTracker | None], int]] = {
    "plan": (lambda: ProgressTracker(session_id="s", redis_client=None), 15),
    "plan_class_positional": (lambda: RedisProgressTracker("s", None), 15),
    "plan_class_short": (lambda: RedisProgressTracker("s"), 15),
    "positional": (lambda: ProgressTracker(5, True, "s", "json"), 5),
    "positional_short": (lambda: ProgressTracker(5, True, "s"), 5),
    "keywords": (lambda: ProgressTracker(total_etapas=5, usar_arquivo=True, session_id="s", tipo="auto"), 5),
    "redis_class_of_production": (lambda: RedisProgressTracker(5, True, "s"), 5),
    "helper": (lambda: criar_progress_tracker("s", 5), 5),
    "helper_keywords": (lambda: criar_progress_tracker(session_id="s", total_etapas=5, tipo="json"), 5),
    "detected": (lambda: (detectar_progress_tracker() or pytest.fail())(session_id="s"), 15),
    "loaded": (lambda: ProgressTracker(7, session_id="s") and ProgressTracker.carregar_sessao("s"), 7),
}


@pytest.mark.parametrize("style", list(FILE_STYLES))
def test_every_style_without_redis_reports_into_files(data_dir: Path, style: str) -> None:
    """Every style of call without Redis writes the deployed files, with the given number of steps."""
    make, total = FILE_STYLES[style]
    tracker = make()
    assert tracker is not None
    tracker.update_progress(3, "Tela 3 concluída")
    assert (tracker.session_id, tracker.backend, tracker.lost) == ("s", "json", 0)
    assert stored(data_dir, "progress")["total_etapas"] == total
    assert steps(data_dir) == ["inicio", 3]


def test_positional_and_keyword_arguments_of_every_method_mean_the_same(data_dir: Path) -> None:
    """Positional and keyword arguments lead to the same documents, apart from times, epochs and session ids."""
    extra, estimates = {"placa": "x"}, {"coberturas_detalhadas": [{"nome_cobertura": "A", "valores": {"de": "1"}}]}
    one, two = ProgressTracker(session_id="one"), ProgressTracker(session_id="two")
    one.update_progress(1, "a", extra)
    two.update_progress(etapa=1, mensagem="a", dados_extra=extra)
    one.update_progress_with_estimativas(5, "b", extra, estimates)
    two.update_progress_with_estimativas(etapa=5, mensagem="b", dados_extra=extra, estimativas=estimates)
    one.add_estimativas(estimates)
    two.add_estimativas(estimativas=estimates)
    one.add_error("c", "d")
    two.add_error(erro="c", contexto="d")
    one.finalizar("warning", {"plano_recomendado": {"valor": "R$1"}}, "e")
    two.finalizar(status_final="warning", dados_finais={"plano_recomendado": {"valor": "R$1"}}, erro_final="e")

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            own = ("epoch", "session_id", "began")
            return {k: timeless(v) for k, v in value.items() if k not in own and not k.startswith("timestamp")}
        return [timeless(item) for item in value] if isinstance(value, list) else value

    for kind in ("progress", "history", "result", "session"):
        assert timeless(stored(data_dir, kind, "one")) == timeless(stored(data_dir, kind, "two")), kind
    assert stored(data_dir, "progress", "one")["erros"][0]["contexto"] == "d"


def test_defaults_of_every_method_are_those_of_the_plan(data_dir: Path) -> None:
    """``mensagem`` defaults to ``Etapa <n>``, ``status_final`` to ``success``, every other argument to nothing."""
    tracker = ProgressTracker(session_id="s")
    tracker.update_progress(4)
    tracker.update_progress_with_estimativas(5)
    tracker.add_error("x")
    tracker.finalizar()
    assert steps(data_dir) == ["inicio", 4, 5, "erro", "final"]
    entries = stored(data_dir, "history")["historico"]
    assert [entry["mensagem"] for entry in entries[1:3]] == ["Etapa 4", "Etapa 5"]
    assert stored(data_dir, "result")["status"] == "success"


def test_documents_have_the_deployed_shapes_and_the_cursor(data_dir: Path) -> None:
    """The documents have every key of the deployed files; snapshot and history have the cursor as well."""
    tracker = ProgressTracker(session_id="s")
    tracker.update_progress(5.5, "Processando Zero KM")
    tracker.finalizar("success", {"plano_recomendado": {"valor": "R$ 1"}})
    progress = stored(data_dir, "progress")
    keys = "etapa_atual total_etapas percentual status mensagem timestamp_inicio timestamp_atualizacao dados_extra erros"
    assert {*keys.split(), "session_id", "epoch", "seq"} <= set(progress)
    assert tracker.get_progress() == progress
    history = stored(data_dir, "history")
    keys = "session_id timestamp_inicio timestamp_fim status_final total_etapas historico"
    assert {*keys.split(), "epoch", "seq"} <= set(history)
    for entry in history["historico"]:
        assert {"etapa", "timestamp", "status", "mensagem", "dados_extra", "erro"} <= set(entry)
    assert {"status", "timestamp_fim", "dados_finais", "session_id"} <= set(stored(data_dir, "result"))
    session = stored(data_dir, "session")
    assert {"session_id", "timestamp_inicio", "timestamp_fim", "status", "total_etapas"} <= set(session)
    assert (progress["status"], progress["percentual"], progress["seq"]) == ("success", 100.0, 3)


def test_estimates_are_returned_once_they_were_reported() -> None:
    """get_estimativas() is None until estimates were reported, alone or with a step, and then returns them."""
    estimates = {"coberturas_detalhadas": [{"nome_cobertura": "A"}]}
    reports: list[Callable[[ProgressTracker], object]] = [
        lambda tracker: tracker.add_estimativas(estimates),
        lambda tracker: tracker.update_progress_with_estimativas(5, "x", None, estimates),
    ]
    for report in reports:
        tracker = ProgressTracker(session_id="s")
        assert tracker.get_estimativas() is None
        report(tracker)
        assert tracker.get_estimativas() == estimates


def test_what_the_robot_changes_afterwards_changes_nothing(data_dir: Path) -> None:
    """The tracker copies the objects that it is given, and returns copies of what it keeps."""
    tracker = ProgressTracker(session_id="s")
    extra: dict[str, Any] = {"list": [1]}
    tracker.update_progress(1, "a", extra)
    extra["list"].append(2)
    tracker.get_progress()["dados_extra"]["forged"] = True
    tracker.get_progress()["erros"].append("forged")
    tracker.update_progress(2, "b")
    assert stored(data_dir, "progress")["dados_extra"] == {"list": [1]}
    assert stored(data_dir, "progress")["erros"] == []


@pytest.mark.parametrize("tipo", ["json", "none"])
def test_kind_of_tracker_decides_where_it_writes(
    client: redis.Redis, data_dir: Path, monkeypatch: pytest.MonkeyPatch, backend: RedisServer, tipo: str
) -> None:
    """With ``tipo="json"`` a working Redis is not used, with ``tipo="none"`` nothing is written."""
    monkeypatch.setenv("RPA_REDIS_URL", backend.url)
    tracker = ProgressTracker(session_id="s", tipo=tipo, redis_client=client)
    tracker.update_progress(1)
    assert tracker.backend == tipo
    assert client.dbsize() == 0
    assert data_dir.exists() == (tipo == "json")
    assert detectar_progress_tracker(tipo) is (None if tipo == "none" else ProgressTracker)


def test_tracker_that_is_off_says_nothing_of_lost_updates(caplog: pytest.LogCaptureFixture) -> None:
    """With ``tipo="none"`` no warning is logged: the robot asked for a tracker that stores nothing."""
    with ProgressTracker(session_id="s", tipo="none") as tracker:
        tracker.update_progress(1)
        tracker.finalizar()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_redis_is_found_by_the_variables_of_production(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, backend: RedisServer
) -> None:
    """Without RPA_REDIS_URL the tracker takes the address from REDIS_HOST, REDIS_PORT and REDIS_DB."""
    monkeypatch.delenv("RPA_REDIS_URL")
    monkeypatch.setenv("REDIS_HOST", "127.0.0.1")
    monkeypatch.setenv("REDIS_PORT", str(backend.port))
    monkeypatch.setenv("REDIS_DB", "2")
    assert verificar_redis_disponivel()
    assert ProgressTracker(session_id="s").backend == "redis"
    with redis.Redis(port=backend.port, db=2) as second:
        assert second.exists("rpa:progress:s") == 1
    assert client.exists("rpa:progress:s") == 0
    monkeypatch.setenv("REDIS_PORT", str(free_port()))
    assert not verificar_redis_disponivel()


def test_importing_the_tracker_loads_no_server() -> None:
    """Importing the tracker loads none of aiohttp, watchfiles, click, and the server's application and hub."""
    code = (
        "import sys, rpa_server.tracker\n"
        "print(sorted({'aiohttp', 'watchfiles', 'click', 'rpa_server.app', 'rpa_server.delivery.hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


# -- which session


def test_session_comes_from_the_call_then_the_environment_then_chance(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    """The id is the given one, else SESSION_ID, and a random UUID if that is unset or empty."""
    monkeypatch.setenv("SESSION_ID", "from-env")
    assert ProgressTracker().session_id == "from-env"
    assert RedisProgressTracker().session_id == "from-env"
    assert criar_progress_tracker().session_id == "from-env"
    assert ProgressTracker(session_id="given").session_id == "given"
    assert RedisProgressTracker("given").session_id == "given"
    assert stored(data_dir, "progress", "from-env")["session_id"] == "from-env"
    for value in ("", None):
        monkeypatch.setenv("SESSION_ID", "") if value == "" else monkeypatch.delenv("SESSION_ID")
        one, two = ProgressTracker().session_id, ProgressTracker().session_id
        assert uuid.UUID(one) != uuid.UUID(two)


BAD_IDS = [
    "../x",
    "..",
    ".",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "a..b",
    "-x",
    ".x",
    "a b",
    "a\nb",
    "a\x00b",
    "a*",
    "sessão",
    "a:b",
    "x" * 129,
    "--modo-silencioso",
    "é",
    "\ud800",
    " ",
]


def _tree(directory: Path) -> set[Path]:
    return set(directory.rglob("*"))


@pytest.mark.parametrize("through", ["argument", "environment", "load"])
@pytest.mark.parametrize("session_id", BAD_IDS, ids=lambda text: ascii(text)[:20])
def test_bad_session_id_stores_nothing_and_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    client: redis.Redis,
    session_id: str,
    through: str,
) -> None:
    """With an invalid id no file, key or message is written; an error without a traceback is logged."""
    if through == "environment" and ("\x00" in session_id or "\ud800" in session_id):
        pytest.skip("no environment can hold it")
    elsewhere = tmp_path / "working" / "directory"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    before = _tree(tmp_path)
    with client.pubsub() as listener:
        listener.psubscribe("*")
        assert listener.get_message(timeout=1) is not None
        if through == "environment":
            monkeypatch.setenv("SESSION_ID", session_id)
            tracker = ProgressTracker(redis_client=client)
        elif through == "argument":
            tracker = ProgressTracker(session_id=session_id, redis_client=client)
        else:
            assert ProgressTracker.carregar_sessao(session_id, redis_client=client) is None
            assert _tree(tmp_path) == before
            return
        tracker.update_progress(1, "x")
        tracker.add_error("x")
        tracker.finalizar()
        tracker.limpar_dados()
        assert tracker.backend == "none"
        assert listener.get_message(timeout=0.01) is None
    assert _tree(tmp_path) == before
    assert client.dbsize() == 0
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert any("session id" in record.getMessage() for record in errors)
    assert not any(record.exc_info for record in errors)


# -- how a run ends


def test_exception_in_the_block_ends_the_run_as_an_error_and_goes_on(data_dir: Path) -> None:
    """An exception in the block ends the run as an error with its text, and reaches the caller."""
    error = RuntimeError("o navegador caiu")
    with pytest.raises(RuntimeError) as caught, ProgressTracker(session_id="s") as tracker:
        tracker.update_progress(3)
        raise error
    assert caught.value is error
    progress = stored(data_dir, "progress")
    assert (progress["status"], progress["estado"], progress["final"]) == ("error", "erro", True)
    assert "o navegador caiu" in progress["erros"][-1]["erro"]
    assert stored(data_dir, "result")["status"] == "error"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interruption_of_the_robot_ends_the_run_as_an_error(data_dir: Path, kind: type[BaseException]) -> None:
    """KeyboardInterrupt, SystemExit and GeneratorExit in the block end the run as an error and propagate."""
    with pytest.raises(kind), ProgressTracker(session_id="s"):
        raise kind
    assert stored(data_dir, "progress")["estado"] == "erro"


def test_exception_without_a_text_is_named(data_dir: Path) -> None:
    """An exception without a text is reported by the name of its class."""
    with pytest.raises(ValueError), ProgressTracker(session_id="s"):
        raise ValueError
    assert "ValueError" in stored(data_dir, "progress")["erros"][-1]["erro"]


def test_exception_that_cannot_be_printed_is_the_one_that_goes_on(data_dir: Path) -> None:
    """An exception whose ``__str__`` raises ends the run as an error, and is the one that the caller gets."""

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(Unprintable), ProgressTracker(session_id="s"):
        raise Unprintable
    assert stored(data_dir, "progress")["estado"] == "erro"


def test_block_left_without_finalizar_ends_as_an_error(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run whose block is left without finalizar ends as an error, and a line in the log names finalizar."""
    with ProgressTracker(session_id="s") as tracker:
        tracker.update_progress(15, "Aguardando cálculo completo")
    progress = stored(data_dir, "progress")
    assert (progress["status"], progress["estado"], progress["final"]) == ("error", "erro", True)
    assert any("finalizar" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(("word", "estado"), [("success", "sucesso"), ("warning", "sucesso"), ("error", "erro")])
def test_explicit_end_is_kept(data_dir: Path, word: str, estado: str) -> None:
    """Leaving the block adds nothing to a run that finalizar has ended, whatever its status."""
    with ProgressTracker(session_id="s") as tracker:
        tracker.update_progress(15)
        tracker.finalizar(word, {"plano_recomendado": {"valor": "R$ 1"}})
        before = (data_dir / "history_s.json").read_bytes()
    assert (data_dir / "history_s.json").read_bytes() == before
    assert (stored(data_dir, "progress")["estado"], tracker.get_progress()["seq"]) == (estado, 3)


def test_exception_behind_an_explicit_end_changes_nothing(data_dir: Path) -> None:
    """An exception after finalizar, as from a browser that fails to close, does not undo the quote."""
    with pytest.raises(OSError), ProgressTracker(session_id="s") as tracker:
        tracker.finalizar("success")
        raise OSError("close failed")
    assert stored(data_dir, "progress")["estado"] == "sucesso"


def test_finalizar_that_failed_is_no_end(data_dir: Path) -> None:
    """finalizar with a status that can't be printed ends the run, at the latest when the block is left."""
    with ProgressTracker(session_id="s") as tracker:
        tracker.finalizar(Unfriendly())  # type: ignore[arg-type]
    assert stored(data_dir, "progress")["final"] is True


# -- its lines in the log


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    words = (ONLINE, OFFLINE, READY)
    return [record.getMessage() for record in caplog.records if record.getMessage() in words]


def test_words_with_redis(client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    """With Redis the tracker logs that Redis is connected, then that it is ready, in the plan's words."""
    caplog.set_level(logging.INFO, "rpa_server")
    ProgressTracker(session_id="s", redis_client=client)
    assert _said(caplog) == [ONLINE, READY]


@pytest.mark.parametrize("url", ["none", "dead"])
def test_words_without_redis(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Without Redis the tracker logs the plan's line about files, as a warning, and nothing of real time."""
    monkeypatch.setenv("RPA_REDIS_URL", "none" if url == "none" else f"redis://127.0.0.1:{free_port()}/0")
    caplog.set_level(logging.INFO, "rpa_server")
    tracker = ProgressTracker(session_id="words")
    assert tracker.backend == "json"
    assert _said(caplog) == [OFFLINE]
    assert [record.levelno for record in caplog.records if record.getMessage() == OFFLINE] == [logging.WARNING]


@pytest.mark.parametrize("variable", ["RPA_REDIS_URL", "RPA_PORT", "RPA_CONFIG", "REDIS_PORT"])
def test_wrong_setting_costs_a_line_in_the_log_and_no_exception(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, variable: str
) -> None:
    """A wrong setting is named in the log and raises nothing; the tracker uses the default settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "no-such://thing")
    tracker = ProgressTracker(session_id="s", tipo="json")
    tracker.update_progress(1)
    assert verificar_redis_disponivel() in (True, False)
    assert any(variable in record.getMessage() for record in caplog.records)


def test_c10_a_robot_that_changes_directory_keeps_its_files_in_one_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a relative data directory every tracker of a process writes to the same one, wherever the robot goes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RPA_DATA_DIR", "files")
    (tmp_path / "downloads").mkdir()
    first = ProgressTracker(session_id="first", tipo="json")
    monkeypatch.chdir(tmp_path / "downloads")
    first.update_progress(1)
    ProgressTracker(session_id="second", tipo="json").update_progress(1)
    assert stored(tmp_path / "files", "progress", "first")["etapa_atual"] == 1
    assert stored(tmp_path / "files", "progress", "second")["etapa_atual"] == 1
    assert list((tmp_path / "downloads").iterdir()) == []


def test_c11_a_long_run_needs_no_pread(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """Where Python has no os.pread(), on Windows, a run of more than HISTORY updates is stored to its end."""
    monkeypatch.delattr(os, "pread")
    tracker = ProgressTracker(session_id="s", tipo="json")
    for number in range(HISTORY + 5):
        tracker.update_progress(1, str(number))
    tracker.finalizar("success")
    assert tracker.lost == 0
    again = ProgressTracker.carregar_sessao("s", tipo="json")
    assert again is not None
    progress = again.get_progress()
    assert (progress["seq"], progress["status"]) == (HISTORY + 7, "success")


def test_c11_what_a_writer_should_not_raise_counts_as_lost(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """An update that is stored nowhere is counted, whatever kept it from the files."""
    tracker = ProgressTracker(session_id="s", tipo="json")

    def fails(*args: object) -> None:
        raise AttributeError("there is no such function here")

    with monkeypatch.context() as patch:
        patch.setattr(json_files, "write", fails)
        tracker.update_progress(1)
        assert tracker.lost == 1
    tracker.update_progress(2)
    assert tracker.lost == 0


# -- arguments that no robot should pass


class Unfriendly:
    """An object whose methods raise, except ``__hash__``."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __int__(self) -> int:
        raise ZeroDivisionError

    def __float__(self) -> float:
        raise ZeroDivisionError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __hash__(self) -> int:
        return 1

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no attribute")


def _itself() -> dict[str, Any]:
    value: dict[str, Any] = {"a": 1}
    value["self"] = value
    value["list"] = [value]
    return value


def _deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": [value]}
    return value


ODD: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "true": lambda: True,
    "negative": lambda: -5,
    "large": lambda: 10**30,
    "larger_than_a_float": lambda: 10**400,
    "larger_than_text": lambda: 10**5000,
    "nan": lambda: math.nan,
    "infinity": lambda: math.inf,
    "minus_infinity": lambda: -math.inf,
    "decimal": lambda: Decimal("NaN"),
    "complex": lambda: 1j,
    "empty_text": lambda: "",
    "text": lambda: "cinco",
    "number_text": lambda: "5",
    "word_of_ours": lambda: "final",
    "long_text": lambda: "é" * 200_000,
    "surrogate": lambda: "a\ud800b",
    "nul": lambda: "a\x00b",
    "bytes": lambda: b"\xff\x00",
    "set": lambda: {1, "a"},
    "tuple": lambda: (1, 2),
    "list": lambda: [1, {"a": 2}],
    "dict": lambda: {"a": 1},
    "odd_keys": lambda: {None: 1, (1, 2): 2, 3: 3, math.nan: 4, b"x": 5, True: 6},
    "bad_key": lambda: {Unfriendly(): 1},
    "bad_value": lambda: {"a": Unfriendly()},
    "nan_inside": lambda: {"a": [math.nan, {"b": -math.inf}]},
    "surrogate_inside": lambda: {"a\ud800": "\udfff"},
    "huge_inside": lambda: {"a": 10**5000},
    "self": _itself,
    "deep": lambda: _deep(400),
    "very_deep": lambda: _deep(20_000),
    "date": lambda: datetime(2026, 3, 2),
    "function": lambda: print,
    "class": lambda: int,
    "generator": lambda: (number for number in range(3)),
    "object": object,
    "unfriendly": Unfriendly,
    "exception": lambda: ValueError("x"),
    "own_keys": lambda: {"type": "x", "seq": -1, "epoch": "x", "final": True, "estado": "sucesso"},
}

METHODS: dict[str, Callable[[ProgressTracker, Any], object]] = {
    "etapa": lambda tracker, odd: tracker.update_progress(odd, "passo"),
    "mensagem": lambda tracker, odd: tracker.update_progress(1, odd),
    "dados_extra": lambda tracker, odd: tracker.update_progress(1, "passo", odd),
    "estimativas": lambda tracker, odd: tracker.update_progress_with_estimativas(5, "passo", None, odd),
    "estimativas_alone": lambda tracker, odd: tracker.add_estimativas(odd),
    "erro": lambda tracker, odd: tracker.add_error(odd),
    "contexto": lambda tracker, odd: tracker.add_error("erro", odd),
    "status_final": lambda tracker, odd: tracker.finalizar(odd),
    "dados_finais": lambda tracker, odd: tracker.finalizar("success", odd),
    "erro_final": lambda tracker, odd: tracker.finalizar("error", None, odd),
}


def check_stored(directory: Path, session_id: str = "s") -> None:
    """Check that the stored documents are JSON, numbered without a gap, and of the types that readers expect."""
    progress, history = stored(directory, "progress", session_id), stored(directory, "history", session_id)
    entries = history["historico"]
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert (progress["seq"], history["seq"]) == (len(entries), len(entries))
    assert isinstance(progress["etapa_atual"], (int, float))
    assert 0 <= progress["percentual"] <= 100
    for document in (progress, *entries):
        for key in ("status", "mensagem"):
            assert isinstance(document[key], str)
    for entry in entries:
        if entry["etapa"] not in ("inicio", "estimativas", "erro", "final"):
            assert isinstance(entry["etapa"], (int, float))
    for key in ("final", "estado"):
        assert key in progress


def _end(client: redis.Redis, session_id: str) -> None:
    """Check that the stream has no gap, ends with "depois", and has the types that pages expect."""
    entries: Any = client.xrange(f"rpa:history:{session_id}")
    updates = [json.loads(fields[b"data"]) for _, fields in entries]
    assert [update["seq"] for update in updates] == list(range(1, len(updates) + 1))
    assert updates[-1]["mensagem"] == "depois"
    for update in updates:
        assert isinstance(update["etapa"], (int, float))
        assert not isinstance(update["etapa"], bool)
        assert isinstance(update["dados_extra"], dict)
        assert isinstance(update.get("estimativas", {}), dict)


@pytest.mark.parametrize("odd", list(ODD))
def test_no_method_raises_and_the_next_step_is_stored_whatever_was_passed(
    data_dir: Path, client: redis.Redis, odd: str
) -> None:
    """A strange argument may lose its own content but not the rest of the run, in files and in Redis."""
    problems = []
    for method, call in METHODS.items():
        try:
            tracker = ProgressTracker(session_id=method)
            call(tracker, ODD[odd]())
            tracker.update_progress(2, "depois")
            progress = stored(data_dir, "progress", method)
            assert (progress["mensagem"], progress["etapa_atual"]) == ("depois", 2)
            check_stored(data_dir, method)
            assert tracker.lost == 0
            assert tracker.get_progress()["mensagem"] == "depois"
            tracker.get_estimativas()

            tracker = ProgressTracker(session_id=method, redis_client=client)
            call(tracker, ODD[odd]())
            tracker.update_progress(2, "depois")
            assert (tracker.backend, tracker.lost) == ("redis", 0)
            _end(client, method)
        except Exception as error:
            problems.append(f"{method}: {type(error).__name__}: {error}")
    assert not problems


@pytest.mark.parametrize("odd", list(ODD))
def test_step_counts_whatever_is_attached_to_it(data_dir: Path, odd: str) -> None:
    """A step is stored whatever ``dados_extra`` is; values that JSON can't express are replaced."""
    tracker = ProgressTracker(session_id="s")
    tracker.update_progress(1, "passo", ODD[odd]())
    assert steps(data_dir) == ["inicio", 1]
    assert stored(data_dir, "progress")["mensagem"] == "passo"


CONSTRUCTIONS: dict[str, Callable[[Any], object]] = {
    "total_etapas": ProgressTracker,
    "usar_arquivo": lambda odd: ProgressTracker(15, odd, "s"),
    "session_id": lambda odd: ProgressTracker(15, True, odd),
    "tipo": lambda odd: ProgressTracker(15, True, "s", odd),
    "redis_client": lambda odd: ProgressTracker(session_id="s", redis_client=odd),
    "redis_class": lambda odd: RedisProgressTracker(odd, odd),
    "helper_session": criar_progress_tracker,
    "helper_total": lambda odd: criar_progress_tracker("s", odd),
    "helper_type": lambda odd: criar_progress_tracker("s", 15, odd),
    "detect": detectar_progress_tracker,
    "load_session": ProgressTracker.carregar_sessao,
    "load_type": lambda odd: ProgressTracker.carregar_sessao("s", odd),
    "load_client": lambda odd: ProgressTracker.carregar_sessao("s", "auto", odd),
}


@pytest.mark.parametrize("construction", list(CONSTRUCTIONS))
def test_no_construction_raises(tmp_path: Path, data_dir: Path, construction: str) -> None:
    """No constructor and no helper raises for a strange argument, and no file appears outside the data directory."""
    ProgressTracker(session_id="s")
    problems = []
    for odd, make in ODD.items():
        try:
            made = CONSTRUCTIONS[construction](make())
            if isinstance(made, ProgressTracker):
                made.update_progress(1, "x")
                made.finalizar()
        except Exception as error:
            problems.append(f"{odd}: {type(error).__name__}: {error}"[:200])
    assert not problems
    assert {path.parent for path in _tree(tmp_path) if path.is_file()} <= {data_dir}


@pytest.mark.parametrize("odd", ["object", "text", "list", "exception"])
def test_client_that_is_none_costs_redis_and_not_the_files(data_dir: Path, odd: str) -> None:
    """If the given Redis client can't be used, the run goes to files."""
    tracker = ProgressTracker(session_id="s", redis_client=ODD[odd]())
    tracker.update_progress(1, "x")
    assert (tracker.backend, tracker.lost) == ("json", 0)
    assert steps(data_dir) == ["inicio", 1]


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(codec=None, exclude_categories=[]), max_size=20)
    | st.binary(max_size=20)
    | st.sampled_from([ODD[name] for name in ("unfriendly", "self", "object", "huge_inside", "set", "larger_than_text")])
)
_anything = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.none() | st.binary(max_size=3), inner, max_size=4)
        | st.tuples(inner)
    ),
    max_leaves=12,
)


def _made(value: Any) -> Any:
    """Replace the makers of strange objects inside *value* by what they make: new objects for each example."""
    if isinstance(value, dict):
        return {key: _made(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_made(item) for item in value)
    return value() if callable(value) else value


@settings(
    max_examples=examples(80), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(calls=st.lists(st.tuples(st.sampled_from(sorted(METHODS)), _anything), min_size=1, max_size=6))
def test_any_sequence_of_odd_calls_leaves_a_sound_run(calls: list[tuple[str, Any]]) -> None:
    """Any calls with any arguments raise nothing and leave valid documents without a gap, and the run ends."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RPA_DATA_DIR", directory)
        with ProgressTracker(session_id="s") as tracker:
            for method, value in calls:
                METHODS[method](tracker, _made(value))
            tracker.update_progress(2, "depois")
            assert stored(Path(directory), "progress")["mensagem"] == "depois"
        check_stored(Path(directory))
        assert stored(Path(directory), "progress")["final"] is True
        assert tracker.lost == 0


# -- what is too large


@pytest.mark.parametrize("with_redis", [True, False])
def test_c4_a_huge_update_is_cut_counted_and_told(
    client: redis.Redis, data_dir: Path, caplog: pytest.LogCaptureFixture, with_redis: bool
) -> None:
    """Of 10 MB only the short values are stored, ``cut`` counts that, the log has one line, and the run goes on."""
    tracker = ProgressTracker(session_id="s", redis_client=client if with_redis else None, tipo="auto")
    for step in (1, 2, 3):
        tracker.update_progress(step, f"Tela {step}", {"html": "x" * 10_000_000, "numero": step})
    tracker.update_progress(4, "Tela 4", {"numero": 4})
    assert (tracker.cut, tracker.lost) == (3, 0)
    assert (tracker.get_progress()["mensagem"], tracker.get_progress()["dados_extra"]["numero"]) == ("Tela 4", 4)
    told = [record for record in caplog.records if "was cut" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.WARNING]
    if with_redis:
        entries: Any = client.xrange("rpa:history:s")
        assert max(len(fields[b"data"]) for _, fields in entries) < 2000
        assert len(entries) == 5
    else:
        assert steps(data_dir) == ["inicio", 1, 2, 3, 4]
