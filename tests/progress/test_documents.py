"""Building the state of a session from its stored documents."""

import copy
import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpa_server import safejson
from rpa_server.errors import BadDocument
from rpa_server.progress import documents
from rpa_server.progress.documents import from_history
from rpa_server.progress.file_documents import from_files
from rpa_server.progress.redis_documents import from_redis
from rpa_server.progress.run import Run
from rpa_server.progress.session_state import SessionState, advance
from rpa_server.progress.snapshot import is_number
from rpa_server.progress.update import HISTORY, START, Cursor
from tests.support import recordings
from tests.support.examples import examples
from tests.support.recordings import Document, any_entries, json_values
from tests.support.sessions import SESSION, Robot
from tests.support.states import assert_sound, make, seqs


def stored(made: Run) -> dict[str, Document]:
    """Return the documents as they are read back from a file or Redis."""
    data: dict[str, Document] = safejson.load_object(safejson.dumps(made.documents()))
    return data


# -- cursors


def test_cursor_of_a_writer_that_keeps_no_history_is_recovered_only_at_the_end() -> None:
    """Without a history only the last snapshot's cursor is recovered: what came before it is unknown."""
    found = from_files("s1", recordings.progress_of(recordings.ALL["success"]), None)
    assert found is not None
    assert found.sparse
    assert found.since(found.cursor) == []
    assert found.since(Cursor(found.epoch, found.seq - 1)) is None
    assert found.since(START) is None


@pytest.mark.parametrize("epoch", ["é", "²", "١", "a b", "", "a:b", "a" * 65, 5, None])
def test_an_epoch_that_no_cursor_can_carry_is_not_ours(epoch: Any) -> None:
    """An epoch that parse_cursor() would refuse is not our tracker's: clients send cursors back."""
    assert documents.own_cursor({"epoch": epoch, "seq": 1}) is None


@pytest.mark.parametrize("seq", [0, -1, 1.0, True, "1", None, 10**16])
def test_a_number_that_no_cursor_can_carry_is_not_ours(seq: Any) -> None:
    """A ``seq`` that is not an integer of at most 16 digits, from 1 on, is not our tracker's."""
    assert documents.own_cursor({"epoch": "aaaa", "seq": seq}) is None


# -- files


@pytest.mark.parametrize("name", recordings.ALL)
def test_a_deployed_history_is_numbered_by_position(name: str) -> None:
    """A deployed history's ``seq`` is its number of entries, and every read derives the same cursor."""
    history = recordings.ALL[name]
    found = from_files("s1", None, copy.deepcopy(history))
    again = from_files("s1", recordings.progress_of(history), copy.deepcopy(history))
    assert found is not None
    assert again is not None
    assert found.cursor == again.cursor
    assert found.seq == len(history["historico"])
    assert seqs(found.since(START)) == list(range(1, found.seq + 1))
    assert not found.own
    assert_sound(found)


def test_of_an_endless_deployed_history_the_last_updates_are_kept() -> None:
    """Of a long history only the last HISTORY updates are kept, so that a robot in a loop can't fill memory."""
    history = recordings.ALL["success"]
    steps = [{**history["historico"][3], "mensagem": f"Passo {number}"} for number in range(3 * HISTORY)]
    found = from_history("s1", {**history, "historico": [*history["historico"][:3], *steps]})
    assert found.seq == 3 + 3 * HISTORY
    assert seqs(found.updates) == list(range(found.seq - HISTORY + 1, found.seq + 1))
    assert found.updates[-1].data["mensagem"] == found.snapshot["mensagem"] == f"Passo {3 * HISTORY - 1}"
    assert found.since(START) is None
    assert_sound(found)


def test_a_growing_deployed_history_stays_in_its_epoch() -> None:
    """A cursor derived from any part of a growing history is recovered from the complete one."""
    history = recordings.ALL["success"]
    for length in range(1, len(history["historico"]) + 1):
        found = from_history("s1", {**history, "historico": history["historico"][:length]})
        whole = from_history("s1", history)
        assert seqs(whole.since(found.cursor)) == list(range(length + 1, whole.seq + 1))


def test_another_run_of_a_deployed_session_is_another_epoch() -> None:
    """Deployed histories that differ in their beginning or their session have different epochs."""
    history = recordings.ALL["success"]
    other = {**history, "timestamp_inicio": "2026-01-16T08:00:00"}
    assert from_history("s1", history).epoch != from_history("s1", other).epoch
    assert from_history("s1", history).epoch != from_history("s2", history).epoch


@pytest.mark.parametrize("name", recordings.ALL)
def test_a_deployed_snapshot_alone_gives_the_same_picture(name: str) -> None:
    """A snapshot alone gives the same step, percentage, texts, data and ``estado`` as the complete history."""
    history = recordings.ALL[name]
    progress = recordings.progress_of(history)
    full, brief = from_files("s1", None, history), from_files("s1", copy.deepcopy(progress), None)
    assert full is not None
    assert brief is not None
    for key in ("etapa_atual", "total_etapas", "percentual", "status", "mensagem", "dados_extra", "estado", "final"):
        assert brief.snapshot.get(key) == full.snapshot.get(key), key
    assert brief.snapshot["session_id"] == "s1"
    assert_sound(brief)


def test_a_later_deployed_snapshot_has_a_higher_number() -> None:
    """A deployed snapshot is numbered by its time of change: one changed 1 µs later has the next number."""
    progress = recordings.progress_of(recordings.ALL["failed_without_end"])
    first = from_files("s1", progress, None)
    changed = datetime.fromisoformat(progress["timestamp_atualizacao"]) + timedelta(microseconds=1)
    second = from_files("s1", {**progress, "timestamp_atualizacao": changed.isoformat()}, None)
    assert first is not None
    assert second is not None
    assert second.epoch == first.epoch
    assert second.seq == first.seq + 1


def test_a_failure_that_looks_finished_is_not_final() -> None:
    """Step 15 of 15 with "concluido", 100 % and "Tela 15 falhou" is shown at 99 % and is not final."""
    progress = {**recordings.progress_of(recordings.ALL["success"]), "status": "concluido", "mensagem": "Tela 15 falhou"}
    found = from_files("s1", progress, None)
    assert found is not None
    assert found.snapshot["final"] is False
    assert found.snapshot["percentual"] == 99.0
    assert found.snapshot["estado"] == "executando"


@pytest.mark.parametrize("name", recordings.RUNS)
def test_behind_every_entry_a_snapshot_alone_is_true(name: str) -> None:
    """Read after every entry, a snapshot alone is final exactly from the robot's first end on; nothing goes back."""
    history = recordings.RUNS[name]
    before: SessionState | None = None
    ended = False
    for part in recordings.prefixes(history):
        progress = recordings.progress_of(part, history)
        found = from_files("s1", progress, None)
        assert found is not None
        found = advance(before, found) if before else found
        ended = ended or any(error["contexto"] == "finalizacao" for error in progress["erros"])
        ended = ended or part["historico"][-1]["etapa"] == "final"
        assert found.snapshot["final"] is ended
        assert (found.snapshot["percentual"] == 100) is ended
        if before is not None:
            assert found.seq > before.seq
            assert found.snapshot["percentual"] >= before.snapshot["percentual"]
            assert found.snapshot["etapa_atual"] >= before.snapshot["etapa_atual"]
        assert_sound(found)
        before = found
    assert before is not None
    assert before.snapshot["estado"] == from_history("s1", history).snapshot["estado"]


@pytest.mark.parametrize("name", recordings.RUNS)
def test_a_snapshot_alone_is_as_final_to_who_comes_late(name: str) -> None:
    """Once a run has ended, each later snapshot is final if read alone: the error that ended the run stays in it."""
    history = recordings.RUNS[name]
    ended = False
    for part in recordings.prefixes(history):
        found = from_files("s1", recordings.progress_of(part, history), None)
        assert found is not None
        ended = ended or found.snapshot["final"]
        assert found.snapshot["final"] is ended


def test_a_result_has_the_plans_that_a_snapshot_lacks() -> None:
    """Plans that only the result document has count as an update, so that pages with the snapshot get them."""
    history = recordings.ALL["success"]
    progress, result = recordings.progress_of(history), recordings.result_of(history)
    bare = {**progress, "dados_extra": {}}
    early, late = from_files("s1", bare, None), from_files("s1", bare, None, result=result)
    assert early is not None
    assert late is not None
    assert early.view()["resultado"] is None
    assert late.view()["resultado"] == recordings.plans()
    assert late.updates[-1].data["resultado"] == recordings.plans()
    assert late.epoch == early.epoch
    assert late.seq > early.seq
    whole = from_files("s1", progress, None, result=result)
    assert whole is not None
    assert whole.cursor == early.cursor


def test_a_result_has_the_plans_that_a_history_lacks() -> None:
    """Plans that a history lacks come from the result document, the only one into which some robots write them."""
    history = copy.deepcopy(recordings.ALL["success"])
    result = recordings.result_of(history)
    history["historico"][-1]["dados_extra"] = None
    found = from_files("s1", None, history, result=result)
    assert found is not None
    assert found.view()["resultado"] == recordings.plans()
    assert found.end is not None
    assert found.end.at == (result or {})["timestamp_fim"]


def test_a_result_ends_a_run_whose_snapshot_does_not() -> None:
    """A result document ends a run whose snapshot shows no end, since older robots did not write a last snapshot."""
    history = recordings.ALL["success"]
    progress = {**recordings.progress_of(history), "status": "concluido", "percentual": 99.0}
    found = from_files("s1", progress, None, result=recordings.result_of(history))
    assert found is not None
    assert found.snapshot["final"] is True
    assert found.snapshot["estado"] == "sucesso"
    assert found.snapshot["percentual"] == 100.0


@pytest.mark.parametrize("kept", ["progress", "history"])
def test_the_result_of_an_earlier_run_is_not_this_ones(kept: str) -> None:
    """A result older than the run is ignored, since all robots without an id share the session ``default``."""
    history = recordings.ALL["stuck"]
    earlier = {**(recordings.result_of(recordings.ALL["success"]) or {}), "timestamp_fim": "2026-01-15T10:59:59.999999"}
    progress = recordings.progress_of(history) if kept == "progress" else None
    found = from_files("s1", progress, history if kept == "history" else None, result=earlier)
    assert found is not None
    assert found.snapshot["final"] is False
    assert found.end is None
    assert "plano_recomendado" not in found.snapshot["dados_extra"]


def test_a_result_alone_is_an_end() -> None:
    """End documents alone make an ended run, since the deployed host deletes snapshots after a day but no results."""
    history = recordings.ALL["success"]
    session = {"timestamp_inicio": history["timestamp_inicio"], "total_etapas": 15, "status": "success"}
    found = from_files("s1", None, None, result=recordings.result_of(history), session=session)
    assert found is not None
    assert found.snapshot["estado"] == "sucesso"
    assert found.started == history["timestamp_inicio"]
    assert found.view()["resultado"] == recordings.plans()
    assert_sound(found)
    assert from_files("s1", None, None, session={**session, "status": "running"}) is None


def test_no_document_is_no_state() -> None:
    """Without any document there is no state: the session is unknown."""
    assert from_files("s1", None, None) is None


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(0, 5))
def test_our_own_files_give_the_further_position(old: int, new: int) -> None:
    """The further of history and snapshot gives the state, since our tracker writes one after the other."""
    history, progress = stored(make(old))["history"], stored(make(new))["progress"]
    found = from_files("s1", progress, history)
    assert found is not None
    assert found.cursor == Cursor("aaaa", max(old, new) + 1)
    assert found.snapshot == make(max(old, new)).snapshot
    assert_sound(found)


def test_a_new_runs_snapshot_outranks_the_old_runs_history() -> None:
    """A new run's snapshot wins over the old history, which still exists between the first update's two writes."""
    found = from_files("s1", stored(make(0, "bbbb", minute=5))["progress"], stored(make(9))["history"])
    assert found is not None
    assert found.cursor == ("bbbb", 1)


def test_a_new_runs_history_outranks_the_old_runs_snapshot() -> None:
    """A new run's history wins over the snapshot of the run before, if the history was written first."""
    found = from_files("s1", stored(make(9))["progress"], stored(make(0, "bbbb", minute=5))["history"])
    assert found is not None
    assert found.cursor == ("bbbb", 1)


def test_a_long_run_has_its_history_from_the_journal() -> None:
    """A run of over HISTORY updates is read with its journal, since its history document lacks the first ones."""
    made = make(900)
    journal = [update.raw for update in made.updates]
    found = from_files("s1", stored(made)["progress"], stored(made)["history"], journal)
    assert found is not None
    assert found.cursor == ("aaaa", 901)
    assert found.snapshot == made.snapshot
    assert seqs(found.updates) == list(range(402, 902))
    assert_sound(found)


def test_a_journal_ahead_of_the_snapshot_wins() -> None:
    """Updates in the journal that the snapshot lacks are applied to it, since the journal is written first."""
    made, before = make(600), make(598)
    journal = [update.raw for update in made.updates]
    found = from_files("s1", stored(before)["progress"], stored(before)["history"], journal)
    assert found is not None
    assert found.cursor == made.updates[-1].cursor
    assert found.snapshot == made.snapshot
    assert_sound(found)


def test_two_journal_lines_that_were_torn_into_one_are_none() -> None:
    """A torn line that runs into the next begins and ends like an update but is no JSON, so it is dropped."""
    made = make(600)
    journal = [update.raw for update in made.updates][-8:]
    journal[3:5] = [journal[3][:200] + journal[4]]
    found = from_files("s1", stored(made)["progress"], None, journal)
    assert found is not None
    assert (found.seq, len(found.updates)) == (601, 3)
    assert all(safejson.loads(update.raw) for update in found.updates)


@pytest.mark.parametrize("torn", [0, 3, 7])
def test_a_torn_journal_line_leaves_the_rest(torn: int) -> None:
    """A torn journal line is dropped, and only the updates after it remain."""
    made = make(600)
    journal = [update.raw for update in made.updates][-8:]
    journal[torn] = journal[torn][:40]
    found = from_files("s1", stored(made)["progress"], None, journal)
    assert found is not None
    assert found.seq == 601
    assert_sound(found)


# -- Redis


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(0, 13))
def test_snapshot_and_stream_give_the_state(steps: int, kept: int) -> None:
    """The state has the snapshot's position and as many updates as the stream still has."""
    made = make(steps)
    stream = [update.raw for update in made.updates][made.seq - min(kept, made.seq) :]
    found = from_redis("s1", safejson.dumps(made.documents()["progress"]), stream)
    assert found is not None
    assert found.cursor == ("aaaa", steps + 1)
    assert found.snapshot == made.snapshot
    assert seqs(found.updates) == list(range(made.seq - len(stream) + 1, made.seq + 1))
    assert_sound(found)


def test_a_stream_of_another_run_is_no_history() -> None:
    """Updates of another run are not used as history, nor are those before a gap in the stream."""
    made, other = make(5), make(5, "bbbb")
    raw = safejson.dumps(made.documents()["progress"])
    found = from_redis("s1", raw, [update.raw for update in other.updates])
    assert found is not None
    assert found.updates == []
    holed = [update.raw for update in made.updates if update.seq != 4]
    found = from_redis("s1", raw, holed)
    assert found is not None
    assert seqs(found.updates) == [5, 6]


def test_b7_a_stream_ahead_of_the_snapshot_gives_the_snapshots_position() -> None:
    """A stream that was read after the snapshot, and has later updates, gives those that led to the snapshot."""
    robot = Robot(steps=5)
    raw = safejson.dumps(robot.run.documents()["progress"])
    robot.steps(3)
    state = from_redis(SESSION, raw, [update.raw for update in robot.run.updates])
    assert state is not None
    assert state.cursor == Cursor("aaaa", 5)
    assert [update.seq for update in state.updates] == [1, 2, 3, 4, 5]


def test_an_evicted_snapshot_is_rebuilt_from_a_whole_stream_only() -> None:
    """An evicted snapshot is rebuilt from the stream only if the stream begins with the run's first update."""
    made = make(5)
    stream = [update.raw for update in made.updates]
    found = from_redis("s1", None, stream)
    assert found is not None
    assert found.cursor == ("aaaa", 6)
    assert found.snapshot == made.snapshot
    assert from_redis("s1", None, stream[1:]) is None
    assert from_redis("s1", None, []) is None


def test_a_deployed_snapshot_in_redis_is_understood() -> None:
    """A deployed robot's snapshot under the same Redis key is read as a state without a history."""
    progress = recordings.progress_of(recordings.ALL["manual"])
    found = from_redis("s1", safejson.dumps(progress), [])
    assert found is not None
    assert found.sparse
    assert found.snapshot["estado"] == "cotacao_manual"
    assert_sound(found)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"total_etapas":0}', b'{"dados_extra":5}'])
def test_a_snapshot_that_is_none_is_a_bad_document(raw: bytes) -> None:
    """A value in Redis that is not JSON, no object or not a valid snapshot raises BadDocument."""
    with pytest.raises(BadDocument):
        from_redis("s1", raw, [])


# -- arbitrary documents


def _document(keys: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Document]:
    """Return a strategy for documents in which any key may be missing, plausible, or any JSON value."""
    optional: Any = {key: plausible | json_values for key, plausible in keys.items()}
    return st.fixed_dictionaries({}, optional=optional)


_moments = st.sampled_from(["2026-01-15T09:30:00", "2026-01-15T09:30:00Z", "0001-01-01T00:00:00", "ontem", "", "\ud800"])
_numbers = st.sampled_from([0, 1, 5, 5.5, 15, -1, 1e300, float("inf"), 10**400, 1e20])
_marks = {"epoch": st.sampled_from(["aaaa", "é", "h0"]), "seq": st.integers(-1, 6) | _numbers}
_words = st.sampled_from(["inicio", "estimativas", "erro", "final", "pausa", "success", "error"])
_entries = _document({
    "etapa": _numbers | _words,
    "timestamp": _moments,
    "status": _words,
    "mensagem": st.sampled_from(["m", "", None]),
    "dados_extra": st.none() | recordings.json_objects,
    "erro": st.sampled_from(["e", "", None]),
    "contexto": st.just("c"),
    "estimativas": recordings.json_objects,
    "seq": st.integers(-1, 6),
})  # fmt: skip
HISTORIES = _document({
    "session_id": st.just("s1"),
    "timestamp_inicio": _moments,
    "timestamp_fim": _moments,
    "total_etapas": st.sampled_from([15, 5, 0, -1, True, 10**400]),
    "historico": st.lists(_entries, max_size=3) | any_entries,
    **_marks,
})  # fmt: skip
PROGRESSES = _document({
    "session_id": st.just("s1"),
    "etapa_atual": _numbers,
    "total_etapas": st.sampled_from([15, 5, 0, -1, 10**400]),
    "percentual": _numbers,
    "status": _words,
    "mensagem": st.sampled_from(["m", "", None]),
    "timestamp_inicio": _moments,
    "timestamp_atualizacao": _moments,
    "timestamp": _numbers,
    "created_at": _moments,
    "dados_extra": recordings.json_objects,
    "erros": st.lists(json_values, max_size=2),
    "final": st.booleans(),
    "estado": _words,
    **_marks,
})  # fmt: skip


def _own_line(content: Document, seq: int) -> bytes:
    """Return a line that has the head of our tracker's updates and arbitrary content."""
    head = f'{{"type":"progress_update","epoch":"aaaa","seq":{seq},"final":false,'
    return head.encode() + (safejson.dumps({"evento": "progresso", **content})[1:])


JOURNALS = st.lists(
    st.binary(max_size=20) | st.builds(_own_line, _entries | st.just({}), st.integers(1, 6)),
    max_size=3,
)


def _marked(document: Document | None) -> bool:
    return document is not None and "epoch" in document and "seq" in document


@settings(deadline=None, max_examples=examples(300))
@given(PROGRESSES | st.none(), HISTORIES | st.none(), JOURNALS)
def test_any_json_object_is_a_state_or_a_bad_document(
    progress: Document | None, history: Document | None, journal: list[bytes]
) -> None:
    """Whatever JSON objects the files contain, from_files() returns a sound state or raises BadDocument."""
    try:
        found = from_files("s1", progress, history, journal)
    except BadDocument:
        return
    if found is not None:
        assert_sound(found, _marked(progress))


@settings(deadline=None, max_examples=examples(200))
@given(PROGRESSES.map(safejson.dumps) | st.binary(max_size=20) | st.none(), JOURNALS)
def test_any_value_in_redis_is_a_state_or_a_bad_document(raw: bytes | None, stream: list[bytes]) -> None:
    """Whatever other programs wrote into Redis, from_redis() returns a sound state or raises BadDocument."""
    try:
        found = from_redis("s1", raw, stream)
    except BadDocument:
        return
    if found is not None:
        assert_sound(found, raw is not None and _marked(safejson.loads(raw)))


STEP = {"etapa": 5.5, "timestamp": "t", "status": "executando", "mensagem": "m"}


@pytest.mark.parametrize(
    "history",
    [
        {"timestamp_inicio": "\ud800", "historico": []},
        {"timestamp_inicio": "t", "total_etapas": 10**400, "historico": [STEP]},
        {"timestamp_inicio": "t", "historico": [{**STEP, "etapa": float("inf")}]},
        {"epoch": "aaaa", "seq": 1, "timestamp_inicio": "t", "total_etapas": 15, "historico": [{**STEP, "etapa": []}]},
        {"epoch": "aaaa", "seq": 1, "timestamp_inicio": "t", "total_etapas": 15,
         "historico": [{**STEP, "etapa": "final", "status": 5}]},
        {"epoch": "aaaa", "seq": 1, "timestamp_inicio": "t", "total_etapas": 0, "historico": [STEP]},
        {"epoch": "aaaa", "seq": 0, "timestamp_inicio": "t", "total_etapas": 15, "historico": []},
        {"epoch": "aaaa", "seq": 3, "timestamp_inicio": "t", "total_etapas": 15, "historico": []},
        {"epoch": "aaaa", "seq": 1, "timestamp_inicio": "t", "total_etapas": -1, "historico": []},
        {"epoch": "aaaa", "seq": 1, "timestamp_inicio": "t", "total_etapas": -1, "historico": [STEP]},
    ],
    ids=["surrogate", "endless total", "infinite step", "list for a step", "number for a word", "no steps",
         "empty", "empty but numbered", "less than no steps, empty", "less than no steps"],
)  # fmt: skip
def test_a_strange_history_is_a_state_or_a_bad_document(history: Document) -> None:
    """A history with one strange value gives updates whose step is a number, or raises BadDocument."""
    try:
        found = from_files("s1", None, history)
    except BadDocument:
        return
    if found is not None:
        for update in found.updates:
            assert is_number(json.loads(update.raw)["etapa"])
        assert found.seq > 0 or not found.updates
        assert found.view()["total_etapas"] > 0


@pytest.mark.parametrize(
    "progress",
    [
        {"timestamp": 1e20},
        {"timestamp": float("inf")},
        {"timestamp": -(10**400)},
        {"timestamp_inicio": "\ud800"},
        {"etapa_atual": 5.5, "total_etapas": 10**400},
        {"percentual": 250.0},
        {"percentual": -5.0, "etapa_atual": 99},
        {"epoch": "é", "seq": 3},
        {"epoch": "aaaa", "seq": 10**20},
        {"timestamp_inicio": "0001-01-01T00:00:00", "timestamp_atualizacao": "2026-01-15T09:30:00"},
    ],
    ids=["late", "never", "early", "surrogate", "endless total", "too much", "too little", "epoch", "number", "long ago"],
)
def test_a_strange_snapshot_is_a_state_or_a_bad_document(progress: Document) -> None:
    """A snapshot with one strange value gives a sound state or raises BadDocument."""
    try:
        found = from_files("s1", progress, None)
    except BadDocument:
        return
    assert found is not None
    assert_sound(found)


@pytest.mark.parametrize("content", [b'"x":1}', b'"evento":"final"}', b'"evento":5}', b"}", b'"x":}'])
def test_a_forged_update_is_dropped_or_a_bad_document(content: bytes) -> None:
    """An update that only begins like one of our tracker's is dropped or raises BadDocument, nothing else."""
    line = b'{"type":"progress_update","epoch":"aaaa","seq":1,"final":false,' + content
    ahead = line.replace(b'"seq":1', b'"seq":2')
    try:
        from_redis("s1", None, [line])
        from_files("s1", {"epoch": "aaaa", "seq": 1}, None, [ahead])
    except BadDocument:
        pass


# -- personal data of the visitor's form

_FORM = {"cpf": "111.444.777-35", "nome": "Maria de Teste", "placa": "ABC1D23"}
_SAID = "CPF 111.444.777-35, placa ABC1D23"


def _texts_of(state: SessionState | None) -> str:
    assert state is not None
    return f"{state.view()} {[update.raw for update in state.updates]}"


def test_nothing_of_the_form_is_taken_from_a_deployed_robots_files() -> None:
    """Form data in old or new deployed documents, in fields or in texts, reaches neither the view nor an update."""
    history: Document = json.loads(json.dumps(recordings.ALL["hiccup"]))
    for entry in history["historico"]:
        entry["mensagem"] += _SAID
        entry["erro"] = entry["erro"] and _SAID
        entry["dados_extra"] = {**(entry["dados_extra"] or {}), "parametros_entrada": _FORM, **_FORM}
    snapshot = recordings.progress_of(history)
    oldest = {
        "timestamp": "2026-01-15T09:30:00", "etapa_atual": 5, "total_etapas": 15, "percentual": 33.3, "status": _SAID,
        "details": {"parametros_entrada": _FORM}, "json_retorno": {"dados": {"parametros_entrada": _FORM}},
    }  # fmt: skip
    result = {"status": "success", "timestamp_fim": "2099-01-01T00:00:00", "dados_finais": {**recordings.plans(), **_FORM}}
    read = [
        from_files("s", None, history),
        from_files("s", snapshot, None),
        from_files("s", oldest, None, result=result),
        from_redis("s", json.dumps(snapshot).encode(), []),
    ]
    for state in read:
        assert not re.search("444.777|Maria|ABC1D23", _texts_of(state))
