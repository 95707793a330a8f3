"""The tracker as a robot's programmer meets it: both styles of call, no exception, no wait."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis as redis_py

from rpa_server.tracker import ProgressTracker, RedisProgressTracker, criar_progress_tracker, verificar_redis_disponivel

from .support import ROOT, RedisServer, wait_until

ESTIMATES = {"coberturas_detalhadas": [{"nome_cobertura": "X", "valores": {"de": "1", "ate": "2"}}]}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """No Redis unless a test names one; files in a directory of the test's own."""
    monkeypatch.setenv("RPA_DATA_DIR", str(data_dir))
    monkeypatch.setenv("RPA_REDIS_URL", "none")
    monkeypatch.delenv("SESSION_ID", raising=False)


def stored(redis: RedisServer, session_id: str) -> list[int]:
    """Return the numbers in the stream of a session."""
    with redis.client() as client:
        entries: Any = client.xrange(f"rpa:history:{session_id}")
    return [int(name.split(b"-")[0]) for name, _ in entries]


def timed(worst: list[float], call: Callable[..., Any], *arguments: Any) -> None:
    """Call, and keep how long it took."""
    began = time.monotonic()
    call(*arguments)
    worst.append(time.monotonic() - began)


def test_both_styles_of_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions and names of the plan and of the robots in production mean what they meant there."""
    client = fakeredis.FakeRedis()
    assert ProgressTracker(5, True, "a", "json").get_progress()["total_etapas"] == 5
    assert ProgressTracker(session_id="b", redis_client=client).backend == "redis"
    assert RedisProgressTracker("c", client).session_id == "c"
    assert RedisProgressTracker("c", client).backend == "redis"
    assert RedisProgressTracker(session_id="d").backend == "json"
    assert ProgressTracker(usar_arquivo=False, session_id="e").backend == "none"
    assert ProgressTracker(tipo="none").backend == "none"
    assert criar_progress_tracker("f").session_id == "f"
    assert len(ProgressTracker().session_id) == 36
    monkeypatch.setenv("SESSION_ID", "from-environment")
    assert ProgressTracker().session_id == "from-environment"
    assert ProgressTracker(session_id="given").session_id == "given"
    assert not verificar_redis_disponivel()


def test_the_plans_words_are_logged(
    redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Which store is used is told in the plan's words."""
    with caplog.at_level(logging.INFO):
        ProgressTracker(session_id="a")
        assert "[AVISO] Redis não disponível, usando JSON Progress Tracker" in caplog.text
        monkeypatch.setenv("RPA_REDIS_URL", redis_process.url)
        ProgressTracker(session_id="b")
    assert "[OK] Redis conectado para comunicação real-time" in caplog.text
    assert "[OK] ProgressTracker ativado com comunicação real-time" in caplog.text
    assert verificar_redis_disponivel()


def test_files_have_the_deployed_shapes(data_dir: Path) -> None:
    """All four documents, with the cursor in each."""
    tracker = ProgressTracker(session_id="a")
    tracker.update_progress_with_estimativas(5, "Tela 5", {"x": 1}, ESTIMATES)
    tracker.add_error("Placa recusada", "tela 5")
    tracker.finalizar("success", {"plano_recomendado": {"valor": "R$1"}})
    kinds = ("progress", "history", "result", "session")
    documents = {kind: json.loads((data_dir / f"{kind}_a.json").read_text()) for kind in kinds}
    assert {(document["epoch"], document["seq"]) for document in documents.values()} == {(tracker._run.epoch, 5)}
    assert [entry["etapa"] for entry in documents["history"]["historico"]] == ["inicio", 5, "estimativas", "erro", "final"]
    progress = documents["progress"]
    assert progress["dados_extra"] == {"x": 1, "estimativas_tela_5": ESTIMATES, "plano_recomendado": {"valor": "R$1"}}
    assert (progress["status"], progress["percentual"], progress["erros"][0]["contexto"]) == ("success", 100.0, "tela 5")
    assert documents["result"]["dados_finais"] == {"plano_recomendado": {"valor": "R$1"}}
    assert tracker.get_estimativas() == ESTIMATES
    tracker.limpar_dados()
    assert list(data_dir.iterdir()) == []


def test_leaving_the_block_ends_the_run() -> None:
    """An exception ends it as an error and goes on; leaving without an end is an error too; a given end stays."""
    with pytest.raises(KeyError), ProgressTracker(session_id="a") as failing:
        raise KeyError("gone")
    assert failing.get_progress()["estado"] == "erro"
    assert "gone" in failing.get_progress()["erros"][0]["erro"]
    with ProgressTracker(session_id="b") as silent:
        silent.update_progress(1)
    assert silent.get_progress()["estado"] == "erro"
    with ProgressTracker(session_id="c") as done:
        done.finalizar("success")
    assert done.get_progress()["estado"] == "sucesso"


@pytest.mark.parametrize("backed", [False, True], ids=["files", "redis"])
def test_loading_changes_nothing_and_goes_on_counting(
    redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch, data_dir: Path, backed: bool
) -> None:
    """carregar_sessao reads; the next update has the next number."""
    if backed:
        monkeypatch.setenv("RPA_REDIS_URL", redis_process.url)

    def everything() -> list[bytes]:
        with redis_process.client() as client:
            keys: Any = client.keys("rpa:*")
            kept = [bytes(client.dump(key) or b"") for key in sorted(keys)]
        return kept + [path.read_bytes() for path in sorted(data_dir.glob("*"))]

    first = ProgressTracker(session_id="a")
    first.update_progress(3, "Tela 3")
    before = everything()
    loaded = ProgressTracker.carregar_sessao("a")
    assert everything() == before
    assert loaded is not None
    assert loaded.get_progress()["mensagem"] == "Tela 3"
    loaded.update_progress(4, "Tela 4")
    assert (loaded.get_progress()["seq"], loaded.get_progress()["epoch"]) == (3, first.get_progress()["epoch"])
    assert ProgressTracker.carregar_sessao("nobody") is None
    assert ProgressTracker.carregar_sessao("../x") is None


class Hostile:
    """An object that fails at everything."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    def __bool__(self) -> bool:
        raise RuntimeError("no")


def test_nothing_raises_into_the_robot(data_dir: Path) -> None:
    """Whatever is handed in, the robot goes on, and what is stored is JSON."""
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    tracker = ProgressTracker(session_id="a")
    odd: list[Any] = [None, "5", float("nan"), float("inf"), -3, 10**30, b"x", {1}, Hostile(), loop, "\ud800", [], True]
    for thing in odd:
        tracker.update_progress(thing, thing, thing)
        tracker.update_progress_with_estimativas(5, thing, thing, thing)
        tracker.add_estimativas(thing)
        tracker.add_error(thing, thing)
    extra: dict[Any, Any] = {1: {2, 3}, "x": Hostile(), "deep": loop, "nan": float("nan")}
    tracker.update_progress(6, "m", extra)
    tracker.finalizar(Hostile(), Hostile(), Hostile())  # type: ignore[arg-type]
    document = json.loads((data_dir / "history_a.json").read_text())
    assert [entry["seq"] for entry in document["historico"]] == list(range(1, len(document["historico"]) + 1))
    assert ProgressTracker("x" * 500, object(), object(), "odd").backend in ("none", "json")  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["../x", "a/b", "*", "", " ", "a" * 200, "\0", "-x"])
def test_a_bad_session_id_stores_nothing(data_dir: Path, bad: str) -> None:
    """The tracker says so in the log and works on, without a file."""
    tracker = ProgressTracker(session_id=bad) if bad else ProgressTracker(5, True, "../y")
    tracker.update_progress(1)
    assert tracker.backend == "none"
    assert not data_dir.exists()


def test_a_disk_that_takes_nothing_is_counted_and_told_once(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be stored the robot goes on; the loss is counted, and logged once."""
    data_dir.write_text("a file where the directory should be")
    tracker = ProgressTracker(session_id="a")
    for step in range(10):
        tracker.update_progress(step)
    assert tracker.lost == 11
    assert caplog.text.count("could not be stored anywhere") == 1


def test_a_black_hole_costs_one_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that accepts and never answers: the first call under a second, the next ones at once."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        port = hole.getsockname()[1]
        monkeypatch.setenv("RPA_REDIS_URL", f"redis://127.0.0.1:{port}/0")
        worst: list[float] = []
        made: list[ProgressTracker] = []
        timed(worst, lambda: made.append(ProgressTracker(session_id="a")))
        for step in range(20):
            timed(worst, made[0].update_progress, step)
        slow = redis_py.Redis(host="127.0.0.1", port=port)  # a minute, as it comes
        timed(worst, lambda: ProgressTracker(session_id="b", redis_client=slow))
        slow.close()
    print(f"R5: first {worst[0]:.3f} s, next at worst {max(worst[1:-1]) * 1000:.1f} ms, own client {worst[-1]:.3f} s")
    assert max(worst[0], worst[-1]) < 1.0
    assert max(worst[1:-1]) < 0.1


def test_redis_gone_and_back_in_mid_run(
    redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    """Files from the failing call on; then what is missing goes in, in order, once, and the files go."""
    monkeypatch.setenv("RPA_REDIS_URL", redis_process.url)
    tracker = ProgressTracker(session_id="a")
    worst: list[float] = []
    for step in range(5):
        timed(worst, tracker.update_progress, step)
    redis_process.kill()
    for step in range(5):
        timed(worst, tracker.update_progress, step)
    assert tracker.backend == "json"
    assert json.loads((data_dir / "history_a.json").read_text())["seq"] == 11
    redis_process.start()
    wait_until(lambda: tracker.backend == "redis")
    redis_process.signal(signal.SIGSTOP)
    for step in range(5):
        timed(worst, tracker.update_progress, step)
    redis_process.signal(signal.SIGCONT)
    wait_until(lambda: tracker.backend == "redis")
    timed(worst, tracker.finalizar, "success")
    assert stored(redis_process, "a") == list(range(1, 18))
    wait_until(lambda: list(data_dir.glob("*_a.json*")) == [])
    print(f"worst call {max(worst):.3f} s")
    assert max(worst) < 1.0


def test_a_redis_without_scripts_is_written_to_all_the_same(
    redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where EVAL is forbidden a transaction does what the script does, also for a run in mid-way."""
    with redis_process.client() as client:
        client.execute_command("ACL", "SETUSER", "robot", "on", ">p", "~*", "&*", "+@all", "-@scripting")
    monkeypatch.setenv("RPA_REDIS_URL", f"redis://robot:p@127.0.0.1:{redis_process.port}/0")
    tracker = ProgressTracker(session_id="a")
    for step in range(5):
        tracker.update_progress(step)
    assert tracker.backend == "redis"
    assert stored(redis_process, "a") == list(range(1, 7))
    with redis_process.client() as client:
        client.flushall()
    tracker.update_progress(6)
    assert stored(redis_process, "a") == list(range(1, 8))


def test_two_threads_number_without_holes(redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracker may be used from several threads."""
    monkeypatch.setenv("RPA_REDIS_URL", redis_process.url)
    tracker = ProgressTracker(session_id="a")

    def report() -> None:
        for step in range(50):
            tracker.update_progress(step % 15)

    threads = [threading.Thread(target=report) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored(redis_process, "a") == list(range(1, 102))


def test_a_run_longer_than_its_history_stays_cheap(data_dir: Path) -> None:
    """Beyond 500 updates the files go on in a journal; what is stored can be read and gone on with."""
    tracker = ProgressTracker(session_id="a")
    for step in range(1200):
        tracker.update_progress(7, f"passo {step}")
    loaded = ProgressTracker.carregar_sessao("a")
    assert loaded is not None
    assert (loaded.get_progress()["seq"], loaded.get_progress()["mensagem"]) == (1201, "passo 1199")
    loaded.finalizar("success")
    assert json.loads((data_dir / "progress_a.json").read_text())["estado"] == "sucesso"
    assert (data_dir / "history_a.json").stat().st_size < 500_000


def test_the_tracker_loads_neither_aiohttp_nor_the_server() -> None:
    """A robot pays for what it uses."""
    heavy = ("aiohttp", "rpa_server.app", "rpa_server.hub")
    code = f"import sys, rpa_server.tracker; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, check=False).returncode == 0
