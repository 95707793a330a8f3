"""The snapshot of a run: how entries change it, how updates report it, how pages get it."""

import copy
import itertools
import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server.progress import snapshot as snapshots
from rpa_server.progress.outcome import PLAN_KEYS, SILENCE_AFTER_FAILURE_S, SILENCE_S
from rpa_server.progress.shapes import Entry, Snapshot
from tests.support import recordings
from tests.support.recordings import ENTRIES, Document, any_entries

TOTALS = st.sampled_from([1, 5, 15, 1000])


def entry(etapa: Any, **more: Any) -> Entry:
    """Return an entry with the keys of *more*; the others don't matter."""
    status = "executando" if snapshots.is_number(etapa) else "success"
    plain = {"timestamp": "2026-01-15T09:30:00", "status": status, "mensagem": "m", "dados_extra": None, "erro": None}
    return cast("Entry", {"etapa": etapa, **plain, **more})


def begin(total: int = 15) -> Snapshot:
    return snapshots.begin("s1", "2026-01-15T09:29:59", total)


def replay(entries: list[Entry], total: int = 15) -> list[Snapshot]:
    """Return the snapshots before the first entry and after each entry."""
    replayed = [begin(total)]
    for each in entries:
        replayed.append(snapshots.reduce(replayed[-1], each))
    return replayed


# -- invariants over arbitrary runs


@settings(deadline=None)
@given(any_entries, TOTALS)
def test_percentual_never_falls_and_is_100_only_at_the_end(entries: list[Entry], total: int) -> None:
    """``percentual`` never falls, and stays at 99 or below until ``final`` is true."""
    replayed = replay(entries, total)
    for before, after in itertools.pairwise(replayed):
        assert before["percentual"] <= after["percentual"]
    for snapshot in replayed:
        assert 0 <= snapshot["percentual"] <= (100 if snapshot["final"] else 99)


@settings(deadline=None)
@given(any_entries, TOTALS)
def test_final_and_its_meaning_never_go_back(entries: list[Entry], total: int) -> None:
    """Once ``final`` is true, it and ``estado`` stay, though the deployed robot writes on and may end twice."""
    replayed = replay(entries, total)
    for before, after in itertools.pairwise(replayed):
        if before["final"]:
            assert after["final"]
            assert after["estado"] == before["estado"]


@settings(deadline=None)
@given(any_entries, TOTALS)
def test_the_step_stays_between_nothing_and_the_total(entries: list[Entry], total: int) -> None:
    """``etapa_atual`` stays between 0 and the total, whatever step is reported."""
    for snapshot in replay(entries, total):
        assert 0 <= snapshot["etapa_atual"] <= total


@settings(deadline=None)
@given(any_entries)
def test_a_milestone_stays_once_it_was_seen(entries: list[Entry]) -> None:
    """Once a view has estimates or a result, every later view of the run has them, too."""
    views = [snapshots.view(snapshot, "a1", 1) for snapshot in replay(entries)]
    for before, after in itertools.pairwise(views):
        for milestone in ("estimativas", "resultado"):
            assert before.get(milestone) is None or after.get(milestone) is not None


@pytest.mark.parametrize("spoiling", [None, "indisponível", 0, []])
@pytest.mark.parametrize("etapa", [6, "final"])
def test_a_milestone_is_not_taken_back_by_extra_data_of_its_name(etapa: Any, spoiling: Any) -> None:
    """Extra data under the estimates' key that is no object does not replace the known estimates."""
    estimates: dict[str, Any] = {"coberturas_detalhadas": []}
    last = replay([entry("estimativas", dados_extra=estimates), entry(etapa, dados_extra={"estimativas_tela_5": spoiling})])
    assert snapshots.view(last[-1], "a1", 2)["estimativas"] == estimates


@settings(deadline=None)
@given(any_entries)
def test_estado_tells_waiting_from_working_from_over(entries: list[Entry]) -> None:
    """``estado`` is ``aguardando`` until the first report, then ``executando``, and one of five after the end."""
    for number, snapshot in enumerate(replay(entries)):
        if snapshot["final"]:
            assert snapshot["estado"] in {"sucesso", "cotacao_manual", "erro", "expirado", "cancelado"}
        elif all(each["etapa"] == "inicio" for each in entries[:number]):
            assert snapshot["estado"] == "aguardando"
        else:
            assert snapshot["estado"] == "executando"


@settings(deadline=None)
@given(any_entries)
def test_reducing_leaves_what_it_was_given_as_it_was(entries: list[Entry]) -> None:
    """reduce() modifies neither the snapshot nor the entry that it is given."""
    snapshot = begin()
    for each in entries:
        before, given_entry = copy.deepcopy(snapshot), copy.deepcopy(each)
        after = snapshots.reduce(snapshot, each)
        assert snapshot == before
        assert each == given_entry
        snapshot = after


@pytest.mark.parametrize("kind", ENTRIES)
def test_an_update_reduces_to_what_its_entry_reduces_to(kind: str) -> None:
    """A server that folds updates gets the same snapshot as the tracker, which folds the entries."""

    @settings(deadline=None)
    @given(any_entries, ENTRIES[kind])
    def check(entries: list[Entry], each: Entry) -> None:
        before = replay(entries)[-1]
        after = snapshots.reduce(before, each)
        update = snapshots.describe(after, each, "a1", len(entries) + 1)
        assert snapshots.reduce(before, snapshots.entry_of(update)) == after

    check()


@settings(deadline=None)
@given(any_entries)
def test_an_update_survives_the_wire_on_its_way_to_the_snapshot(entries: list[Entry]) -> None:
    """Parsed updates lead to the same step, percentage, ``status``, ``estado`` and ``final`` as the entries."""
    snapshot = followed = begin()
    for seq, each in enumerate(entries, 1):
        snapshot = snapshots.reduce(snapshot, each)
        update = snapshots.update_of(snapshot, each, "a1", seq)
        followed = snapshots.reduce(followed, snapshots.entry_of(update.data))
        for key in ("etapa_atual", "percentual", "status", "estado", "final", "total_etapas"):
            assert followed.get(key) == snapshot.get(key)


@settings(deadline=None)
@given(any_entries, TOTALS)
def test_an_update_says_what_the_contract_says(entries: list[Entry], total: int) -> None:
    """An update's first keys, its event and the types of its values are those of docs/api.rst in any run."""
    snapshot = begin(total)
    for seq, each in enumerate(entries, 1):
        snapshot = snapshots.reduce(snapshot, each)
        update = snapshots.describe(snapshot, each, "a1", seq)
        keys = list(update)
        assert keys[:13] == [
            "type", "epoch", "seq", "final", "estado", "session_id", "evento", "etapa", "total_etapas", "percentual",
            "status", "mensagem", "timestamp",
        ]  # fmt: skip
        assert update["evento"] in {"inicio", "progresso", "estimativas", "erro", "final"}
        assert snapshots.is_number(update["etapa"])
        assert isinstance(update["dados_extra"], dict)
        assert isinstance(update.get("estimativas", {}), dict)
        assert ("resultado" in update) == (update["evento"] == "final")
        assert update.get("erro", "text")
        assert update["final"] is snapshot["final"]


# -- the rules, one by one


@pytest.mark.parametrize(
    ("etapa", "total", "percent"), [(0, 15, 0.0), (5, 15, 100 / 3), (5.5, 15, 36.667), (14, 15, 93.333), (15, 15, 99.0),
                                    (5.5, 5, 99.0), (-3, 15, 0.0), (99, 15, 99.0)],
)  # fmt: skip
def test_percentual_is_the_share_of_steps_and_99_at_most(etapa: float, total: int, percent: float) -> None:
    """A step's percentage is its share of the total, from 0 to 99: at the last step the run has not ended."""
    assert replay([entry(etapa)], total)[-1]["percentual"] == pytest.approx(percent, abs=0.001)


@pytest.mark.parametrize(
    ("etapa", "total", "word"),
    [(0, 15, "iniciando"), (-1, 15, "iniciando"), (0.5, 15, "executando"), (14, 15, "executando"),
     (15, 15, "concluido"), (5, 5, "concluido"), (5.5, 5, "concluido"), (5.5, 15, "executando")],
)  # fmt: skip
def test_the_status_word_of_a_step_is_the_deployed_one(etapa: float, total: int, word: str) -> None:
    """A step has the ``status`` that the deployed robot writes; ``concluido`` means that the last step began."""
    assert snapshots.status_of(etapa, total) == word


def test_concluido_does_not_mean_finished() -> None:
    """Step 15 of 15 with "concluido" ends nothing: robots write it with the text "Tela 15 falhou", too."""
    last = replay([entry(15, status="concluido", mensagem="Tela 15 falhou")])[-1]
    assert last["status"] == "concluido"
    assert last["final"] is False
    assert last["estado"] == "executando"


def test_a_second_end_changes_the_status_and_not_the_meaning() -> None:
    """A second end changes ``status`` but not ``estado``: the first end decides what the run means."""
    *_, first, second = replay([entry("final", status="success"), entry("final", status="error", erro="tarde")])
    assert first["estado"] == second["estado"] == "sucesso"
    assert second["status"] == "error"


def test_a_step_of_zero_does_not_take_the_run_back() -> None:
    """Step 0 leaves ``etapa_atual`` as it is: the deployed robot's exception handler writes it in mid-run."""
    last = replay([entry(7), entry(0, mensagem="RPA interrompido por erro: x")])[-1]
    assert last["etapa_atual"] == 7
    assert last["mensagem"] == "RPA interrompido por erro: x"


@pytest.mark.parametrize(("given", "shown"), [(20, 15), (-1, 0), (5.5, 5.5)])
def test_a_step_beyond_the_scale_is_put_on_it(given: float, shown: float) -> None:
    """A step above the total becomes the total, a negative one becomes 0, and a fraction stays."""
    assert replay([entry(given)])[-1]["etapa_atual"] == shown


def test_a_success_whose_plans_have_no_price_is_none() -> None:
    """A success whose plans have no price means ``cotacao_manual``, whichever entry brought the plans."""
    unread = {"plano_recomendado": {"valor": "N/A"}}
    at_the_end = replay([entry("final", dados_extra=unread)])[-1]
    before = replay([entry(15, dados_extra=unread), entry("final")])[-1]
    assert at_the_end["estado"] == before["estado"] == "cotacao_manual"


@settings(deadline=None)
@given(any_entries, st.floats(0, 1e6))
def test_silence_is_reported_and_ends_nothing(entries: list[Entry], silence_s: float) -> None:
    """A long silence changes ``estado`` in the view of an unfinished run, never ``final`` or ``percentual``."""
    for snapshot in replay(entries):
        view = snapshots.view(snapshot, "a1", 1, silence_s)
        assert view["final"] is snapshot["final"]
        assert view["percentual"] == snapshot["percentual"]
        if snapshot["final"] or silence_s < SILENCE_AFTER_FAILURE_S:
            assert view["estado"] == snapshot["estado"]
        if not snapshot["final"] and silence_s >= SILENCE_S:
            assert view["estado"] in {"expirado", "erro", "cotacao_manual"}


def test_an_error_is_kept_with_its_context_and_ends_nothing() -> None:
    """An error is added to ``erros`` with its context and time; it changes neither ``final`` nor ``mensagem``."""
    last = replay([entry("erro", mensagem="Erro: x", erro="x", contexto="tela 2", timestamp="t9")])[-1]
    assert last["erros"] == [{"erro": "x", "contexto": "tela 2", "timestamp": "t9"}]
    assert last["final"] is False
    assert last["mensagem"] == ""


def test_extra_data_is_merged_and_estimates_keep_their_key() -> None:
    """``dados_extra`` collects everything attached, the estimates under their key; a later value wins."""
    last = replay([
        entry(1, dados_extra={"a": 1, "b": 1}),
        entry("estimativas", dados_extra={"coberturas_detalhadas": [1]}),
        entry(2, dados_extra={"b": 2}),
        entry("final", dados_extra={"plano_recomendado": {"valor": "x"}}),
    ])[-1]  # fmt: skip
    assert last["dados_extra"] == {
        "a": 1,
        "b": 2,
        "estimativas_tela_5": {"coberturas_detalhadas": [1]},
        "plano_recomendado": {"valor": "x"},
    }


def test_estimates_that_came_with_a_step_are_estimates() -> None:
    """Estimates reported with a step appear in the view just like estimates reported alone."""
    estimates: dict[str, Any] = {"coberturas_detalhadas": []}
    alone = replay([entry("estimativas", dados_extra=estimates)])[-1]
    carried = replay([entry(5, estimativas=estimates)])[-1]
    assert snapshots.view(alone, "a1", 1)["estimativas"] == snapshots.view(carried, "a1", 1)["estimativas"] == estimates


@pytest.mark.parametrize("etapa", [True, False, float("nan"), None, "5", [5]])
def test_what_is_no_number_is_no_step(etapa: object) -> None:
    """Booleans, NaN, null, texts and lists are not step numbers."""
    assert not snapshots.is_number(etapa)


@pytest.mark.parametrize("etapa", [float("inf"), float("-inf")])
def test_infinity_is_no_step(etapa: float) -> None:
    """Infinity is not a step number: JSON has no infinity, so the update would have no step at all."""
    assert not snapshots.is_number(etapa)


def test_a_result_is_shown_only_when_the_run_has_ended() -> None:
    """Plans that a step attached are shown as the result only once the run has ended."""
    plans = recordings.plans()
    on_the_way, ended = replay([entry(15, dados_extra=plans), entry("final")])[1:]
    assert snapshots.view(on_the_way, "a1", 1)["resultado"] is None
    assert snapshots.view(ended, "a1", 2)["resultado"] == plans


def test_a_view_has_the_keys_of_the_contract() -> None:
    """A view has exactly the keys that docs/api.rst gives for ``snapshot``."""
    assert set(snapshots.view(begin(), None, 0)) == {
        "session_id", "etapa_atual", "total_etapas", "percentual", "status", "mensagem", "timestamp_inicio",
        "timestamp_atualizacao", "dados_extra", "erros", "epoch", "seq", "estado", "final", "estimativas", "resultado",
        "idade_ms", "duracao_ms",
    }  # fmt: skip


# -- recorded runs


@pytest.mark.parametrize("name", recordings.ALL)
def test_a_recorded_run_adds_up_to_the_robots_own_snapshot(name: str) -> None:
    """Folding a recorded history gives step, percentage, texts, data and errors of the robot's own last snapshot."""
    history = recordings.ALL[name]
    last = replay(history["historico"], history["total_etapas"])[-1]
    expected = recordings.progress_of(history)
    keys = ["etapa_atual", "total_etapas", "percentual", "status", "mensagem", "dados_extra"]
    assert {key: last.get(key) for key in keys} == {key: expected[key] for key in keys}
    assert [each["erro"] for each in last["erros"]] == [each["erro"] for each in expected["erros"]]


@pytest.mark.parametrize(
    ("name", "final", "estado"),
    [("success", True, "sucesso"), ("manual", True, "cotacao_manual"), ("stuck", False, "executando"),
     ("failed_without_end", False, "executando"), ("five_steps", True, "sucesso"), ("interrupted", True, "erro"),
     ("unpriced", True, "cotacao_manual"), ("hiccup", True, "sucesso")],
)  # fmt: skip
def test_a_recorded_run_means_what_it_meant(name: str, final: bool, estado: str) -> None:
    """Each recording ends with the ``final`` and ``estado`` that the run had: quote, failure or no end at all."""
    history = recordings.ALL[name]
    last = replay(history["historico"], history["total_etapas"])[-1]
    assert (last["final"], last["estado"]) == (final, estado)


@pytest.mark.parametrize("name", recordings.RUNS)
def test_behind_every_entry_of_a_recorded_run_the_state_is_true(name: str) -> None:
    """A recorded run is final and at 100 % exactly from the robot's first end on, and its step never falls."""
    history = recordings.RUNS[name]
    snapshots = replay(history["historico"], history["total_etapas"])[1:]
    ended = False
    for each, before, after in zip(history["historico"], [begin(), *snapshots], snapshots, strict=False):
        ended = ended or each["etapa"] == "final"
        assert after["final"] is ended
        assert after["percentual"] >= before["percentual"]
        assert (after["percentual"] == 100) is ended
        assert after["etapa_atual"] >= before["etapa_atual"]
        assert (after["estado"] in {"aguardando", "executando"}) is not ended


def test_the_demonstrations_recording_ends_well() -> None:
    """The recording that ``rpa-server demo`` replays ends with a quote, estimates and both plans."""
    from rpa_server.cli.demo import RECORDING

    history: Document = json.loads(RECORDING.read_bytes())
    view = snapshots.view(replay(history["historico"], history["total_etapas"])[-1], "a1", 1)
    assert view["estado"] == "sucesso"
    assert (view["estimativas"] or {})["coberturas_detalhadas"]
    assert set(view["resultado"] or {}) == set(PLAN_KEYS)
