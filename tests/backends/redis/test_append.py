"""append.lua, the only Redis script, and append.py, which builds its calls: both on a real redis-server."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis

from rpa_server import safejson
from rpa_server.backends.base import TTL_S
from rpa_server.backends.redis import append, names
from rpa_server.backends.redis.append import Answer, Mode
from rpa_server.progress.run import Run
from rpa_server.progress.update import HISTORY, Update
from tests.support.server import RedisServer, redis_server

BEGAN = datetime(2026, 1, 15, 9, 30)
NOW_S = 1_768_469_400.125
STREAM, PROGRESS = names.history_key("s1"), names.progress_key("s1")

@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    """A connection to a redis-server of this module's own."""
    with redis_server() as server, server.client() as connection:
        yield connection


@pytest.fixture(autouse=True)
def empty(client: redis.Redis) -> None:
    """Every test begins with an empty Redis."""
    client.flushall()


def put(client: redis.Redis, call: append.Call) -> Answer:
    """Run the script with the keys and arguments of *call* and return its answer."""
    reply: Any = client.eval(append.SCRIPT, len(call.keys), *call.keys, *call.args)
    return append.answer(reply)


def make(updates: int, epoch: str = "aaaa", end: bool = False) -> Run:
    """Return a run with *updates* updates; with *end* the last of them ends the run as a success."""
    made = Run("s1", epoch, BEGAN)
    for number in range(1, updates + (not end)):
        made.step(number % 15, f"Passo {number}", BEGAN + timedelta(seconds=number))
    if end:
        made.finish("success", BEGAN + timedelta(seconds=updates), {"plano_recomendado": {}})
    return made


def part(made: Run, first: int, last: int) -> list[Update]:
    return [update for update in made.updates if first <= update.seq <= last]


def call(made: Run, first: int, last: int, mode: Mode | int = "repeat", now_s: float = NOW_S) -> append.Call:
    """Build the call that sends updates *first* to *last* of a run."""
    return append.call("s1", part(made, first, last), make(last, made.epoch).documents(), now_s, mode)


def stored(client: redis.Redis) -> list[tuple[str, str, bytes]]:
    """Return (id, epoch, update) of each entry in the stream."""
    entries: Any = client.xrange(STREAM)
    return [(name.decode(), fields[b"epoch"].decode(), fields[b"data"]) for name, fields in entries]


def expected(made: Run, first: int, last: int) -> list[tuple[str, str, bytes]]:
    return [(f"{update.seq}-0", made.epoch, update.raw) for update in part(made, first, last)]


def snapshot(client: redis.Redis) -> dict[str, Any]:
    raw: Any = client.get(PROGRESS)
    return safejson.load_object(raw)


def test_updates_are_stored_under_their_numbers(client: redis.Redis) -> None:
    """The stream has each update unchanged, with the id ``<seq>-0``; the snapshot is the one after the last update."""
    made = make(5)
    assert put(client, call(made, 1, 3)) == Answer(False, 3)
    assert put(client, call(made, 4, 4)) == Answer(False, 4)
    assert stored(client) == expected(made, 1, 4)
    assert snapshot(client)["seq"] == 4


def test_a_repeated_call_changes_nothing(client: redis.Redis) -> None:
    """A repeated call changes no key: after a timeout a writer repeats a call that Redis may have executed."""
    made = make(5)
    put(client, call(made, 1, 3))
    before: Any = {key: client.dump(key) for key in (STREAM, PROGRESS, names.SESSIONS_KEY)}
    assert put(client, call(made, 1, 3, now_s=NOW_S + 60)) == Answer(False, 3)
    assert {key: client.dump(key) for key in before} == before


def test_a_late_repetition_does_not_take_the_snapshot_back(client: redis.Redis) -> None:
    """A repeated call whose updates are all stored writes neither these updates nor their older snapshot."""
    made = make(5)
    put(client, call(made, 1, 5))
    assert put(client, call(made, 1, 2)) == Answer(False, 5)
    assert snapshot(client)["seq"] == 5
    assert stored(client) == expected(made, 1, 5)


def test_of_updates_that_overlap_only_the_new_ones_are_added(client: redis.Redis) -> None:
    """Stored updates are skipped, newer ones added: a tracker repeats whatever Redis has not confirmed."""
    made = make(6)
    put(client, call(made, 1, 3))
    assert put(client, call(made, 2, 6)) == Answer(False, 6)
    assert stored(client) == expected(made, 1, 6)


def test_a_gap_is_refused_and_nothing_is_written(client: redis.Redis) -> None:
    """Updates after a gap are not stored; the answer has the last stored seq, so that a writer can fill the gap."""
    made = make(6)
    put(client, call(made, 1, 2))
    assert put(client, call(made, 4, 6)) == Answer(True, 2)
    assert stored(client) == expected(made, 1, 2)
    assert snapshot(client)["seq"] == 2
    client.flushall()
    assert put(client, call(made, 4, 6)) == Answer(True, 0)
    assert client.dbsize() == 0


def test_over_a_gap_the_history_starts_again(client: redis.Redis) -> None:
    """Mode ``over`` stores updates after a gap, which the writer can't fill, and deletes the stored ones before it."""
    made = make(6)
    put(client, call(made, 1, 2))
    assert put(client, call(made, 4, 6, "over")) == Answer(False, 6)
    assert stored(client) == expected(made, 4, 6)
    assert snapshot(client)["seq"] == 6
    client.flushall()
    assert put(client, call(made, 4, 6, "over")) == Answer(False, 6)
    assert stored(client) == expected(made, 4, 6)


def test_over_drops_nothing_where_there_is_no_gap(client: redis.Redis) -> None:
    """Without a gap mode ``over`` works like ``repeat`` and deletes no stored update."""
    made = make(6)
    put(client, call(made, 1, 4))
    assert put(client, call(made, 3, 6, "over")) == Answer(False, 6)
    assert stored(client) == expected(made, 1, 6)
    assert put(client, call(made, 3, 5, "over")) == Answer(False, 6)
    assert stored(client) == expected(made, 1, 6)


def test_exact_refuses_a_number_that_somebody_else_took(client: redis.Redis) -> None:
    """Of two servers that resumed one run, mode ``exact`` refuses the second: it has to read the run again."""
    mine, theirs = make(3), make(3)
    theirs.step(9, "outro", BEGAN)
    mine.step(8, "meu", BEGAN)
    put(client, call(mine, 1, 3))
    assert put(client, append.call("s1", part(theirs, 4, 4), theirs.documents(), NOW_S, "exact")) == Answer(False, 4)
    assert put(client, append.call("s1", part(mine, 4, 4), mine.documents(), NOW_S, "exact")) == Answer(True, 4)
    assert stored(client)[-1][2] == part(theirs, 4, 4)[0].raw
    assert snapshot(client)["etapa_atual"] == 9


def test_exact_refuses_a_gap(client: redis.Redis) -> None:
    """Mode ``exact`` refuses updates that do not begin right after the last stored one."""
    made = make(6)
    put(client, call(made, 1, 2))
    assert put(client, call(made, 4, 4, "exact")) == Answer(True, 2)
    assert put(client, call(made, 3, 4, "exact")) == Answer(False, 4)
    assert stored(client) == expected(made, 1, 4)


@pytest.mark.parametrize("mode", ["repeat", "exact", "over"])
def test_another_run_starts_the_history_over(client: redis.Redis, mode: Mode) -> None:
    """If a robot starts a new run, the modes ``repeat``, ``exact`` and ``over`` delete the old run's updates."""
    old, new = make(6), make(2, "bbbb")
    put(client, call(old, 1, 6))
    assert put(client, call(new, 1, 2, mode)) == Answer(False, 2)
    assert stored(client) == expected(new, 1, 2)
    assert snapshot(client)["epoch"] == "bbbb"


def test_the_middle_of_another_run_is_a_gap(client: redis.Redis) -> None:
    """Updates 4 and 5 of a new run don't continue updates 1 to 3 of the old run: only mode ``over`` stores them."""
    old, new = make(3), make(5, "bbbb")
    put(client, call(old, 1, 3))
    for mode in ("repeat", "exact"):
        assert put(client, call(new, 4, 5, mode)) == Answer(True, 0)
    assert stored(client) == expected(old, 1, 3)
    assert put(client, call(new, 4, 5, "over")) == Answer(False, 5)
    assert stored(client) == expected(new, 4, 5)


def test_a_long_run_keeps_at_least_its_newest_updates_and_not_many_more(client: redis.Redis) -> None:
    """The stream keeps HISTORY to HISTORY + 100 updates, because Redis trims it by whole nodes of 100 entries."""
    made = Run("s1", "aaaa", BEGAN)
    for number in range(1, 1201):
        made.step(number % 15, f"Passo {number}", BEGAN)
        if number % 100 == 0:
            updates = part(made, number - 99, number)
            put(client, append.call("s1", updates, made.documents(), NOW_S))
    length = len(stored(client))
    assert HISTORY <= length <= HISTORY + 100
    assert stored(client)[-HISTORY:] == expected(made, 1200 - HISTORY + 1, 1200)


def test_b16_every_key_is_gone_a_day_after_the_last_update(client: redis.Redis) -> None:
    """Each call, of one update or of several, renews the expiry of every key to a day."""
    made = make(24, end=True)
    for first, last in ((1, 1), (2, 2), (3, 3), (4, 10), (11, 11), (12, 13), (14, 14), (15, 15), (16, 20), (21, 21)):
        put(client, append.call("s1", part(made, first, last), made.documents(), NOW_S))
        keys: Any = client.keys("*")
        assert len(keys) == 5
        for key in keys:
            left: Any = client.ttl(key)
            assert TTL_S - 60 <= left <= TTL_S
            client.expire(key, 100)


def test_result_and_session_are_stored_under_the_deployed_names(client: redis.Redis) -> None:
    """Snapshot, result and session document have the deployed keys; the stream is the only key with the history."""
    made = make(3, end=True)
    put(client, append.call("s1", part(made, 1, 3), made.documents(), NOW_S))
    keys: Any = client.keys("*")
    assert sorted(key.decode() for key in keys) == sorted([
        STREAM, PROGRESS, names.result_key("s1"), names.session_key("s1"), names.SESSIONS_KEY,
    ])  # fmt: skip
    for kind, key in (("result", names.result_key("s1")), ("session", names.session_key("s1"))):
        raw: Any = client.get(key)
        assert safejson.load_object(raw) == made.documents()[kind]


def test_the_sorted_set_lists_the_sessions_of_a_day_by_their_last_update(client: redis.Redis) -> None:
    """Sessions are scored by the time of their last update; adding one removes those older than a day."""
    for number, session_id in enumerate(("old", "edge", "s1", "s2")):
        made = Run(session_id, "aaaa", BEGAN)
        made.start(BEGAN)
        now_s = NOW_S + (0.0, 10.0, TTL_S + 5.0, TTL_S + 6.0)[number]
        put(client, append.call(session_id, list(made.updates), made.documents(), now_s))
    listed: Any = client.zrange(names.SESSIONS_KEY, 0, -1, withscores=True)
    assert listed == [(b"edge", NOW_S + 10), (b"s1", NOW_S + TTL_S + 5), (b"s2", NOW_S + TTL_S + 6)]


def published(listener: Any) -> list[bytes]:
    """Return what *listener* received up to the message ``mark``, which the test publishes last."""
    found = []
    while (message := listener.get_message(timeout=30.0)) is not None and message["data"] != b"mark":
        if message["type"] == "message":
            found.append((message["channel"], message["data"]))
    assert message is not None
    assert {channel for channel, _ in found} <= {names.channel("s1").encode()}
    return [data for _, data in found]


def test_every_update_is_published_once_and_in_order(client: redis.Redis) -> None:
    """Each update is published once, when it is stored; a repeated or refused update is not published."""
    made, other = make(6), make(2, "bbbb")
    with client.pubsub() as listener:
        listener.subscribe(names.channel("s1"), "marks")
        for _ in range(2):
            confirmed = listener.get_message(timeout=30.0)
            assert confirmed is not None
            assert confirmed["type"] == "subscribe"
        put(client, call(made, 1, 3))
        put(client, call(made, 1, 3))
        put(client, call(made, 5, 6))
        put(client, call(made, 2, 4, "exact"))
        put(client, call(made, 2, 5))
        put(client, call(made, 6, 6, "exact"))
        put(client, call(other, 1, 2))
        client.publish("marks", b"mark")
        heard = published(listener)
    assert heard == [update.raw for update in (*made.updates, *other.updates)]


def test_a_payload_of_any_bytes_arrives_as_it_was(client: redis.Redis) -> None:
    """An update with quotes, line ends, NUL, accents and ``%d`` in its text is stored unchanged."""
    made = make(0)
    made.step(1, "aspas \" ' \\ %d %s \0 \r\n ção $ KEYS[1]", BEGAN)
    put(client, append.call("s1", list(made.updates), made.documents(), NOW_S))
    assert stored(client) == expected(made, 1, 1)


@pytest.mark.parametrize("seq", [2**31, 2**32 + 1, 10**14])
def test_large_numbers_are_kept_exactly(client: redis.Redis, seq: int) -> None:
    """A seq of up to 10**14 is stored exactly: a resumed run of a deployed robot is numbered in microseconds."""
    raw = b'{"type":"progress_update","epoch":"s1","seq":%d,"final":false,"x":1}'
    updates = [Update(raw % number, "s1", number, False) for number in (seq, seq + 1)]
    documents: dict[str, dict[str, Any]] = {"progress": {"seq": seq}}
    assert put(client, append.call("s1", updates, documents, NOW_S, "over")) == Answer(False, seq + 1)
    assert [name for name, _, _ in stored(client)] == [f"{seq}-0", f"{seq + 1}-0"]
    assert put(client, append.call("s1", updates, documents, NOW_S)) == Answer(False, seq + 1)


def test_a_call_leaves_out_the_history_and_takes_documents_in_a_fixed_order() -> None:
    """call() builds keys and documents in the same order, and leaves out the history, which the stream replaces."""
    made = make(3, end=True)
    built = append.call("s1", part(made, 2, 3), made.documents(), 5.25, "exact")
    assert built.keys == [STREAM, names.SESSIONS_KEY, PROGRESS, names.result_key("s1"), names.session_key("s1")]
    assert built.args[:8] == ["aaaa", 2, "exact", TTL_S, HISTORY, "5.25", "s1", names.channel("s1")]
    assert [safejson.loads(each) for each in built.args[8:11]] == [
        made.documents()[kind] for kind in ("progress", "result", "session")
    ]
    assert built.args[11:] == [update.raw for update in part(made, 2, 3)]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [([b"ok", 5], Answer(False, 5)), (["ok", 5], Answer(False, 5)), ([b"gap", 0], Answer(True, 0)),
     (["gap", b"3"], Answer(True, 3))],
)  # fmt: skip
def test_an_answer_is_read_from_bytes_and_from_text(reply: list[Any], answer: Answer) -> None:
    """answer() accepts a reply as bytes and as text, since a robot's Redis client may decode replies."""
    assert append.answer(reply) == answer


@pytest.mark.parametrize("rule", ["-eval", "-evalsha", "-@scripting"])
def test_a_redis_that_forbids_scripts_is_recognised(client: redis.Redis, rule: str) -> None:
    """If an ACL forbids scripts, the error of a probe shows that; otherwise the only error is NOSCRIPT."""
    client.execute_command("ACL", "SETUSER", "robot", "reset", "on", "nopass", "~*", "&*", "+@all", rule)
    settings_of: dict[str, Any] = client.connection_pool.connection_kwargs
    with redis.Redis(host=settings_of["host"], port=settings_of["port"], username="robot", password="x") as robot:
        assert any(append.forbids_scripts(error) for error in refusals(robot))
    assert [type(error) for error in refusals(client)] == [redis.exceptions.NoScriptError]
    assert not append.forbids_scripts(refusals(client)[0])


def refusals(client: redis.Redis) -> list[redis.ResponseError]:
    """Return the error replies to the probes of append.py."""
    found = []
    for probe in append.PROBES:
        try:
            client.execute_command(*probe)
        except redis.ResponseError as error:
            found.append(error)
    return found


def test_a_renamed_command_counts_as_forbidden() -> None:
    """A Redis that disables EVALSHA by ``rename-command EVALSHA ""`` is recognised as one that forbids scripts."""
    server = RedisServer().start("--rename-command", "EVALSHA", "")
    try:
        with server.client() as client:
            assert any(map(append.forbids_scripts, refusals(client)))
    finally:
        server.kill()


@pytest.mark.parametrize(
    "error",
    [
        redis.ResponseError("NOSCRIPT No matching script. Please use EVAL."),
        redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'."),
        redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis.ConnectionError("Connection refused"),
        redis.TimeoutError("Timeout reading from socket"),
    ],
)
def test_another_failure_is_not_taken_for_forbidden_scripts(error: Exception) -> None:
    """NOSCRIPT, and the errors of a full, misused or unreachable Redis, are not taken for forbidden scripts."""
    assert not append.forbids_scripts(error)


def test_a_key_that_belongs_to_another_program_is_left_alone(client: redis.Redis) -> None:
    """If the stream's key is another program's string, the call raises ResponseError and writes nothing."""
    client.set(STREAM, "mine")
    with pytest.raises(redis.ResponseError):
        put(client, call(make(1), 1, 1))
    assert client.get(STREAM) == b"mine"
    assert client.dbsize() == 1


def test_a_number_refuses_what_somebody_else_numbered(client: redis.Redis) -> None:
    """If the mode is a number, updates stored up to it are skipped; if a later one is stored, the call is refused."""
    made = make(6)
    assert put(client, call(made, 1, 2)) == Answer(False, 2)
    assert put(client, call(made, 1, 4, 3)) == Answer(False, 4)
    assert put(client, call(made, 1, 5, 3)) == Answer(True, 4)
    assert put(client, call(made, 1, 5, 4)) == Answer(False, 5)
    assert put(client, call(made, 4, 4, 0)) == Answer(True, 5)
    assert stored(client) == expected(made, 1, 5)
