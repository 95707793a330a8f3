"""append.lua, the only Redis script, and append.py, which builds its calls: both on a real redis-server."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis

from rpa_server import safejson
from rpa_server.backends.base import TTL_S
from rpa_server.backends.redis import append, names
from rpa_server.backends.redis.append import Answer, Mode
from rpa_server.progress.outcome import SILENCE_S
from rpa_server.progress.run import Run
from rpa_server.progress.update import HISTORY, Update
from tests.support.server import RedisServer, redis_server

STARTED = datetime(2026, 1, 15, 9, 30)
BEGAN = 1_768_480_200_000
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


def make(updates: int, epoch: str = "aaaa", end: bool = False, began: int = BEGAN, writer: str = "w1") -> Run:
    """Return a run with *updates* updates; with *end* the last of them ends the run as a success."""
    made = Run("s1", epoch, STARTED, 15, began, writer)
    for number in range(1, updates + (not end)):
        made.step(number % 15, f"Passo {number}", STARTED + timedelta(seconds=number))
    if end:
        made.finish("success", STARTED + timedelta(seconds=updates), {"plano_recomendado": {}})
    return made


def only_begun(epoch: str = "bbbb", began: int = BEGAN + 1) -> Run:
    """Return a run that has reported its beginning and an error, but no step."""
    made = Run("s1", epoch, STARTED, 15, began, "w2")
    made.start(STARTED)
    made.error("Placa recusada", "auxiliar", STARTED)
    return made


def part(made: Run, first: int, last: int) -> list[Update]:
    return [update for update in made.updates if first <= update.seq <= last]


def call(made: Run, first: int, last: int, mode: Mode = "append") -> append.Call:
    """Build the call that sent updates *first* to *last* of a run when *last* was the newest one."""
    then = Run("s1", made.epoch, STARTED, 15, made.began, made.writer)
    for entry in list(made.entries)[:last]:
        then._record({**entry})
    return append.call(then, part(made, first, last), mode)


def whole(made: Run, mode: Mode = "append") -> append.Call:
    """Build the call that sends the whole run."""
    return append.call(made, list(made.updates), mode)


def age(client: redis.Redis, seconds: float) -> None:
    """Make the session's last update *seconds* older than it is."""
    client.zincrby(names.SESSIONS_KEY, -seconds, "s1")


def dump(client: redis.Redis) -> dict[bytes, Any]:
    keys: Any = client.keys("*")
    return {key: client.dump(key) for key in keys}


def stored(client: redis.Redis) -> list[tuple[str, str, bytes]]:
    """Return (id, epoch, update) of each entry in the stream."""
    entries: Any = client.xrange(STREAM)
    return [(name.decode(), fields[b"epoch"].decode(), fields[b"data"]) for name, fields in entries]


def expected(made: Run, first: int, last: int) -> list[tuple[str, str, bytes]]:
    return [(f"{update.seq}-0", made.epoch, update.raw) for update in part(made, first, last)]


def snapshot(client: redis.Redis) -> dict[str, Any]:
    raw: Any = client.get(PROGRESS)
    return safejson.load_object(raw)


# -- the numbers of one run


def test_updates_are_stored_under_their_numbers(client: redis.Redis) -> None:
    """The stream has each update unchanged, with the id ``<seq>-0``; the snapshot is the one after the last update."""
    made = make(5)
    assert put(client, call(made, 1, 3)) == Answer("ok", 3)
    assert put(client, call(made, 4, 4)) == Answer("ok", 4)
    assert stored(client) == expected(made, 1, 4)
    assert snapshot(client)["seq"] == 4


def test_a_repeated_call_changes_nothing(client: redis.Redis) -> None:
    """A repeated call changes no key: after a timeout a writer repeats a call that Redis may have executed."""
    made = make(5)
    put(client, call(made, 1, 3))
    before = dump(client)
    assert put(client, call(made, 1, 3)) == Answer("ok", 3)
    assert dump(client) == before


def test_a_late_repetition_does_not_take_the_snapshot_back(client: redis.Redis) -> None:
    """A repeated call whose updates are all stored writes neither these updates nor their older snapshot."""
    made = make(5)
    put(client, call(made, 1, 5))
    assert put(client, call(made, 1, 2)) == Answer("ok", 5)
    assert snapshot(client)["seq"] == 5
    assert stored(client) == expected(made, 1, 5)


def test_of_updates_that_overlap_only_the_new_ones_are_added(client: redis.Redis) -> None:
    """Stored updates are skipped, newer ones added: a tracker repeats whatever Redis has not confirmed."""
    made = make(6)
    put(client, call(made, 1, 3))
    assert put(client, call(made, 2, 6)) == Answer("ok", 6)
    assert stored(client) == expected(made, 1, 6)


def test_a_gap_is_refused_and_nothing_is_written(client: redis.Redis) -> None:
    """Updates after a gap are not stored; the answer has the last stored seq, so that a writer can fill the gap."""
    made = make(6)
    put(client, call(made, 1, 2))
    assert put(client, call(made, 4, 6)) == Answer("gap", 2)
    assert stored(client) == expected(made, 1, 2)
    assert snapshot(client)["seq"] == 2
    client.flushall()
    assert put(client, call(made, 4, 6)) == Answer("gap", 0)
    assert client.dbsize() == 0


def test_over_a_gap_the_history_starts_again(client: redis.Redis) -> None:
    """Mode ``over`` stores updates after a gap, which the writer can't fill, and deletes the stored ones before it."""
    made = make(6)
    put(client, call(made, 1, 2))
    assert put(client, call(made, 4, 6, "over")) == Answer("ok", 6)
    assert stored(client) == expected(made, 4, 6)
    assert snapshot(client)["seq"] == 6
    client.flushall()
    assert put(client, call(made, 4, 6, "over")) == Answer("ok", 6)
    assert stored(client) == expected(made, 4, 6)


def test_over_drops_nothing_where_there_is_no_gap(client: redis.Redis) -> None:
    """Without a gap mode ``over`` works like ``append`` and deletes no stored update."""
    made = make(6)
    put(client, call(made, 1, 4))
    assert put(client, call(made, 3, 6, "over")) == Answer("ok", 6)
    assert stored(client) == expected(made, 1, 6)
    assert put(client, call(made, 3, 5, "over")) == Answer("ok", 6)
    assert stored(client) == expected(made, 1, 6)


# -- several writers of one run


@pytest.mark.parametrize("mode", ["append", "over"])
@pytest.mark.parametrize("writer", ["w1", "w2"], ids=["of the same process", "of another process"])
def test_a_number_that_another_writer_has_used_is_taken(client: redis.Redis, writer: str, mode: Mode) -> None:
    """Of two writers of one run the second one's update with the same number is refused, and nothing is written."""
    mine, theirs = make(3), make(3, writer=writer)
    put(client, call(mine, 1, 3))
    for number, made in ((9, theirs), (8, mine)):
        made.step(number, f"de {number}", STARTED)
    assert put(client, append.call(theirs, part(theirs, 4, 4), mode)) == Answer("ok", 4)
    before = dump(client)
    assert put(client, append.call(mine, part(mine, 4, 4), mode)) == Answer("taken", 4, 4)
    mine.step(10, "de 10", STARTED)
    assert put(client, append.call(mine, part(mine, 2, 5), mode)) == Answer("taken", 4, 4)
    assert dump(client) == before
    assert stored(client)[-1][2] == part(theirs, 4, 4)[0].raw


# -- several runs


def test_a_newer_run_starts_the_history_over(client: redis.Redis) -> None:
    """The first step of a run that began later deletes the earlier run's updates, in the modes ``append`` and ``over``."""
    for mode in ("append", "over"):
        client.flushall()
        old, new = make(6), make(2, "bbbb", began=BEGAN + 1)
        put(client, call(old, 1, 6))
        assert put(client, call(new, 1, 2, mode)) == Answer("ok", 2)
        assert stored(client) == expected(new, 1, 2)
        assert snapshot(client)["epoch"] == "bbbb"


@pytest.mark.parametrize("mode", ["append", "over", "new"])
@pytest.mark.parametrize("ended", [False, True])
def test_an_older_run_is_superseded(client: redis.Redis, mode: Mode, ended: bool) -> None:
    """A run that began before the current one is refused, its end too, and nothing is written."""
    old, new = make(6, end=ended), make(2, "bbbb", began=BEGAN + 1)
    put(client, call(new, 1, 2))
    new.finish("success", STARTED)
    put(client, whole(new))
    before = dump(client)
    assert put(client, whole(old, mode)) == Answer("superseded", epoch="bbbb")
    assert dump(client) == before


def test_a_run_that_has_only_begun_waits_for_its_first_step(client: redis.Redis) -> None:
    """Beside a live run a newer one waits, and nothing is written; with its first step it takes that run's place."""
    old, new = make(2), only_begun()
    put(client, whole(old))
    before = dump(client)
    assert put(client, whole(new)) == Answer("waiting", epoch="aaaa")
    assert dump(client) == before
    new.step(1, "Tela 1", STARTED)
    assert put(client, whole(new)) == Answer("ok", 3)
    assert stored(client) == expected(new, 1, 3)


@pytest.mark.parametrize("how", ["ended", "silent"])
def test_a_run_that_has_only_begun_follows_one_that_is_over(client: redis.Redis, how: str) -> None:
    """The place of a run that has ended, or is silent for SILENCE_S, is free for whatever has begun later."""
    put(client, whole(make(2, end=how == "ended")))
    if how == "silent":
        age(client, SILENCE_S - 30)
        assert put(client, whole(only_begun())).kind == "waiting"
        age(client, 31)
    assert put(client, whole(only_begun())) == Answer("ok", 2)


def test_a_robot_that_goes_on_takes_its_place_back(client: redis.Redis) -> None:
    """A newer run that has only begun gives way to an earlier one's next step or end, but not to what follows the end."""
    for old in (make(2), make(2, end=True)):
        client.flushall()
        put(client, whole(only_begun()))
        assert put(client, whole(old)) == Answer("ok", 2)
        assert stored(client) == expected(old, 1, 2)
    assert put(client, whole(only_begun())) == Answer("ok", 2)
    old.error("tarde", "", STARTED)
    for mode in ("append", "over"):
        assert put(client, append.call(old, part(old, 3, 3), mode)) == Answer("superseded", epoch="bbbb")


def test_a_run_whose_snapshot_is_gone_keeps_its_place(client: redis.Redis) -> None:
    """If Redis evicted the snapshot, the newest update tells when the current run began, and whether it has ended."""
    new = make(2, "bbbb", began=BEGAN + 1)
    put(client, whole(new))
    client.delete(PROGRESS)
    assert put(client, whole(make(6))) == Answer("superseded", epoch="bbbb")
    assert put(client, whole(only_begun("cccc", BEGAN + 2))) == Answer("waiting", epoch="bbbb")
    client.delete(STREAM)
    put(client, whole(make(2, "bbbb", end=True, began=BEGAN + 1)))
    client.delete(PROGRESS)
    assert put(client, whole(only_begun("cccc", BEGAN + 2))) == Answer("ok", 2)


def test_a_run_whose_history_is_gone_keeps_its_place(client: redis.Redis) -> None:
    """If Redis evicted the stream, the snapshot alone keeps older runs away, and its own run goes on."""
    new = make(3, "bbbb", began=BEGAN + 1)
    put(client, call(new, 1, 2))
    client.delete(STREAM)
    assert put(client, whole(make(6))) == Answer("superseded", epoch="bbbb")
    assert put(client, call(new, 3, 3)) == Answer("gap", 0)
    assert put(client, call(new, 3, 3, "over")) == Answer("ok", 3)


def test_another_systems_snapshot_stands_in_nobodys_way(client: redis.Redis) -> None:
    """What a deployed robot stored has no epoch: a run of ours takes its place."""
    client.set(PROGRESS, b'{"etapa_atual": 3, "status": "executando"}')
    assert put(client, whole(only_begun())) == Answer("ok", 2)


def test_the_middle_of_another_run_is_a_gap(client: redis.Redis) -> None:
    """Updates 4 and 5 of a new run don't continue updates 1 to 3 of the old run: only mode ``over`` stores them."""
    old, new = make(3), make(5, "bbbb", began=BEGAN + 1)
    put(client, call(old, 1, 3))
    assert put(client, call(new, 4, 5)) == Answer("gap", 0)
    assert stored(client) == expected(old, 1, 3)
    assert put(client, call(new, 4, 5, "over")) == Answer("ok", 5)
    assert stored(client) == expected(new, 4, 5)


def test_new_takes_no_place_that_somebody_has_taken_meanwhile(client: redis.Redis) -> None:
    """Mode ``new`` refuses beside a live run, unless the new run was decided to follow that one."""
    new = make(2, "bbbb", began=BEGAN + 1)
    assert put(client, whole(make(2), "new")) == Answer("ok", 2)
    assert put(client, whole(make(2), "new")) == Answer("gap", 2)
    assert put(client, whole(new, "new")) == Answer("gap", 0)
    new.follows = "aaaa"
    assert put(client, whole(new, "new")) == Answer("ok", 2)


@pytest.mark.parametrize("how", ["ended", "silent"])
def test_new_follows_whatever_is_over(client: redis.Redis, how: str) -> None:
    """Mode ``new`` takes the place of any earlier run that has ended or is silent for SILENCE_S."""
    put(client, whole(make(2, end=how == "ended")))
    if how == "silent":
        age(client, SILENCE_S + 1)
    assert put(client, whole(make(2, "bbbb", began=BEGAN + 1), "new")) == Answer("ok", 2)


# -- keys, documents, messages


def test_a_long_run_keeps_at_least_its_newest_updates_and_not_many_more(client: redis.Redis) -> None:
    """The stream keeps HISTORY to HISTORY + 100 updates, because Redis trims it by whole nodes of 100 entries."""
    made = Run("s1", "aaaa", STARTED, 15, BEGAN, "w1")
    for number in range(1, 1201):
        made.step(number % 15, f"Passo {number}", STARTED)
        if number % 100 == 0:
            put(client, append.call(made, part(made, number - 99, number)))
    length = len(stored(client))
    assert HISTORY <= length <= HISTORY + 100
    assert stored(client)[-HISTORY:] == expected(made, 1200 - HISTORY + 1, 1200)


def test_b16_every_key_is_gone_a_day_after_the_last_update(client: redis.Redis) -> None:
    """Each call, of one update or of several, renews the expiry of every key to a day."""
    made = make(24, end=True)
    for first, last in ((1, 1), (2, 2), (3, 3), (4, 10), (11, 11), (12, 13), (14, 14), (15, 15), (16, 20), (21, 21)):
        put(client, append.call(made, part(made, first, last)))
        keys: Any = client.keys("*")
        assert len(keys) == 5
        for key in keys:
            left: Any = client.ttl(key)
            assert TTL_S - 60 <= left <= TTL_S
            client.expire(key, 100)


def test_result_and_session_are_stored_under_the_deployed_names(client: redis.Redis) -> None:
    """Snapshot, result and session document have the deployed keys; the stream is the only key with the history."""
    made = make(3, end=True)
    put(client, whole(made))
    keys: Any = client.keys("*")
    assert sorted(key.decode() for key in keys) == sorted([
        STREAM, PROGRESS, names.result_key("s1"), names.session_key("s1"), names.SESSIONS_KEY,
    ])  # fmt: skip
    for kind, key in (("result", names.result_key("s1")), ("session", names.session_key("s1"))):
        raw: Any = client.get(key)
        assert safejson.load_object(raw) == made.documents()[kind]


def test_the_sorted_set_lists_the_sessions_of_a_day_by_their_last_update(client: redis.Redis) -> None:
    """Sessions are scored by Redis' time of their last update; adding one removes those older than a day."""
    now_s = time.time()  # Redis runs on this computer
    client.zadd(names.SESSIONS_KEY, {"old": now_s - TTL_S - 5, "edge": now_s - TTL_S + 60})
    for session_id in ("s1", "s2"):
        made = Run(session_id, "aaaa", STARTED)
        made.start(STARTED)
        put(client, whole(made))
    listed: Any = client.zrange(names.SESSIONS_KEY, 0, -1, withscores=True)
    assert [name for name, _ in listed] == [b"edge", b"s1", b"s2"]
    assert all(abs(score - now_s) < 30 for _, score in listed[1:])
    assert listed[1][1] < listed[2][1]


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
    made, other, waiting = make(6), make(2, "bbbb", began=BEGAN + 1), only_begun()
    foreign = make(4, writer="w2")
    foreign.step(4, "de outro", STARTED)
    with client.pubsub() as listener:
        listener.subscribe(names.channel("s1"), "marks")
        for _ in range(2):
            confirmed = listener.get_message(timeout=30.0)
            assert confirmed is not None
            assert confirmed["type"] == "subscribe"
        put(client, call(made, 1, 3))
        put(client, call(made, 1, 3))
        put(client, call(made, 5, 6))
        put(client, call(foreign, 1, 4))
        put(client, whole(waiting))
        put(client, call(made, 2, 5))
        put(client, call(made, 6, 6))
        put(client, call(other, 1, 2))
        put(client, whole(made))
        client.publish("marks", b"mark")
        heard = published(listener)
    assert heard == [update.raw for update in (*made.updates, *other.updates)]


def test_a_payload_of_any_bytes_arrives_as_it_was(client: redis.Redis) -> None:
    """An update with quotes, line ends, NUL, accents and ``%d`` in its text is stored unchanged."""
    made = make(0)
    made.step(1, "aspas \" ' \\ %d %s \0 \r\n ção $ KEYS[1]", STARTED)
    put(client, whole(made))
    assert stored(client) == expected(made, 1, 1)


@pytest.mark.parametrize("seq", [2**31, 2**32 + 1, 10**14])
def test_large_numbers_are_kept_exactly(client: redis.Redis, seq: int) -> None:
    """A seq of up to 10**14 is stored exactly: a resumed run of a deployed robot is numbered in microseconds."""
    made = Run("s1", "s1", STARTED, 15, BEGAN, "w1")
    made.seq = seq - 1
    updates = [made.step(1, "Tela 1", STARTED), made.step(2, "Tela 2", STARTED)]
    assert put(client, append.call(made, updates, "over")) == Answer("ok", seq + 1)
    assert [name for name, _, _ in stored(client)] == [f"{seq}-0", f"{seq + 1}-0"]
    assert put(client, append.call(made, updates)) == Answer("ok", seq + 1)
    other = Run("s1", "s1", STARTED, 15, BEGAN, "w2")
    other.seq = seq
    assert put(client, append.call(other, [other.step(3, "Tela 3", STARTED)])) == Answer("taken", seq + 1, seq + 1)


def test_a_call_leaves_out_the_history_and_takes_documents_in_a_fixed_order() -> None:
    """call() builds keys and documents in the same order, and leaves out the history, which the stream replaces."""
    made = make(3, end=True)
    made.follows = "bbbb"
    built = append.call(made, part(made, 2, 3), "new")
    assert built.session_id == "s1"
    assert built.keys == [STREAM, names.SESSIONS_KEY, PROGRESS, names.result_key("s1"), names.session_key("s1")]
    run, mode, limits = ["aaaa", BEGAN, 1, 0], [2, "new", "bbbb"], [TTL_S, HISTORY, round(SILENCE_S)]
    assert built.args[:12] == [*run, *mode, *limits, "s1", names.channel("s1")]
    assert [safejson.loads(each) for each in built.args[12:15]] == [
        made.documents()[kind] for kind in ("progress", "result", "session")
    ]
    assert built.args[15:] == [update.raw for update in part(made, 2, 3)]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [([b"ok", 5], Answer("ok", 5)), (["ok", 5], Answer("ok", 5)), ([b"gap", 0], Answer("gap", 0)),
     (["gap", b"3"], Answer("gap", 3)), ([b"taken", 5, 4], Answer("taken", 5, 4)),
     (["taken", "5", "4"], Answer("taken", 5, 4)),
     ([b"waiting", b"1e5"], Answer("waiting", epoch="1e5")), (["superseded", "12"], Answer("superseded", epoch="12"))],
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
