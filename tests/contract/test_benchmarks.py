"""The benchmark tools: load.c counts what is lost, ratios compare figures of the same round, measurements end."""

import contextlib
import functools
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import bench, calls, files, first_looks, load, machine, messages, processes, publishers, report
from benchmarks.client import Client
from benchmarks.measurements import MEASUREMENTS
from benchmarks.peers import Ours
from benchmarks.start import start as measure_start
from rpa_server import safejson
from rpa_server.backends.redis.names import history_key
from rpa_server.delivery.wire.sse import event
from rpa_server.delivery.wire.websocket import ws_text
from rpa_server.progress.update import own_update
from tests.support.server import wait_until

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")

_UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_WS, _SSE = load.Way("ws", "/{}"), load.Way("sse", "/{}")


def chunk(payload: bytes) -> bytes:
    """Wrap *payload* in one chunk of HTTP/1.1's chunked coding, as some servers in the comparison do."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return load.build(tmp_path_factory.mktemp("load"))


@contextlib.contextmanager
def _serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept one connection in a thread, read its request and pass the socket to *answer*; yield the port."""

    def serve() -> None:
        with listener.accept()[0] as peer:
            while b"\r\n\r\n" not in peer.recv(65536):
                pass
            with contextlib.suppress(OSError):
                answer(peer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)
        assert not thread.is_alive()


def _update(number: int, age_s: float = 0.0) -> bytes:
    return messages.message(b"bench-000000", number, round((time.time() - age_s) * 1e6))


def _until_closed(peer: socket.socket) -> None:
    while peer.recv(65536):
        pass


def _counted(program: Path, way: load.Way, data: bytes, expected: int, step: int = 1 << 20) -> dict[str, int]:
    """Send *data* to one viewer of load.c in pieces of *step* bytes; return its report."""

    def answer(peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), step):
            peer.sendall(data[start : start + step])
        _until_closed(peer)

    with _serving(answer) as port, load.Load(program, port, way, connections=1) as opened:
        counted: dict[str, int] = opened.report(expected, quiet_s=0.5)
        return counted


def test_a_lost_and_a_repeated_message_are_counted(program: Path) -> None:
    """Of the numbers 2, 3, 3, 5 one is a duplicate and 4 is a gap; a frame that is no update counts as other."""
    sent = b"".join(ws_text(_update(number)) for number in (2, 3, 3, 5)) + ws_text(b'{"type":"sync"}')
    counted = _counted(program, _WS, _UPGRADE + sent, 4)
    assert (counted["delivered"], counted["duplicated"], counted["gaps"]) == (4, 1, 1)
    assert counted["least"] == counted["most"] == 4
    assert counted["other"] <= 1


def test_a_first_message_that_is_missing_is_a_gap(program: Path) -> None:
    """Messages missing before the first one that arrives count as gaps, since load.c knows a run's first number."""
    assert _counted(program, _WS, _UPGRADE + ws_text(_update(4)), 1)["gaps"] == 4 - messages.FIRST


@pytest.mark.parametrize("step", [1, 7, 400])
def test_frames_are_put_together_from_pieces(program: Path, step: int) -> None:
    """A WebSocket frame that arrives in pieces of any size is counted once."""
    sent = b"".join(ws_text(_update(number)) for number in range(2, 5))
    counted = _counted(program, _WS, _UPGRADE + sent, 3, step)
    assert (counted["delivered"], counted["duplicated"], counted["gaps"]) == (3, 0, 0)


@pytest.mark.parametrize("size", [3, 100, 5000])
def test_events_are_put_together_from_chunks(program: Path, size: int) -> None:
    """An event may be split over HTTP chunks at any byte, even within a number."""
    events = b": hello\n\nretry: 1000\n\n" + b"".join(event(_update(number), None) for number in range(2, 6))
    chunks = b"".join(chunk(events[start : start + size]) for start in range(0, len(events), size))
    counted = _counted(program, _SSE, _CHUNKED + chunks, 4, 50)
    assert (counted["delivered"], counted["duplicated"], counted["gaps"], counted["other"]) == (4, 0, 0, 0)


def test_events_need_no_chunks(program: Path) -> None:
    """An event stream without chunked coding, which ends with its connection, is read as well."""
    events = b"".join(event(_update(number), None) for number in range(2, 6))
    assert _counted(program, _SSE, _STREAM + events, 4)["delivered"] == 4


def test_the_delay_is_the_time_since_sending(program: Path) -> None:
    """A message whose timestamp is 100 ms old is reported with a delay of 100 to 200 ms."""
    counted = _counted(program, _WS, _UPGRADE + ws_text(_update(2, age_s=0.1)), 1)
    delay = counted["latency_us"]
    assert isinstance(delay, dict)
    assert delay["count"] == 1
    assert 100_000 <= delay["p50"] < 200_000


def test_pings_are_answered(program: Path) -> None:
    """load.c answers a ping with a masked pong, since servers close the connections of clients that don't."""
    answers: list[bytes] = []

    def answer(peer: socket.socket) -> None:
        peer.sendall(_UPGRADE + b"\x89\x02hi")
        answers.append(peer.recv(100))
        _until_closed(peer)

    with _serving(answer) as port, load.Load(program, port, _WS, connections=1) as opened:
        opened.report(quiet_s=0.2)
    assert answers == [b"\x8a\x82\0\0\0\0hi"]


def test_socket_io_is_joined_before_it_counts_as_open(program: Path) -> None:
    """Over Socket.IO load.c joins the namespace once the engine is open, answers pings, and counts events."""
    answers: list[bytes] = []

    def answer(peer: socket.socket) -> None:
        peer.sendall(_UPGRADE + ws_text(b'0{"sid":"x"}'))
        answers.append(peer.recv(100))
        peer.sendall(b"".join(map(ws_text, (b'40{"sid":"y"}', b"2", b'42["progress_update",%b]' % _update(2)))))
        answers.append(peer.recv(100))
        _until_closed(peer)

    way = load.Way("sio", "/{}")
    with _serving(answer) as port, load.Load(program, port, way, connections=1) as opened:
        assert opened.report(1, quiet_s=0.5)["delivered"] == 1
    assert [data[6:] for data in answers] == [b"40", b"3"]


def test_a_connection_is_open_after_as_many_messages_as_asked_for(program: Path) -> None:
    """Who comes back is served once all that it missed is there, so the last message counts, not the first."""

    def answer(peer: socket.socket) -> None:
        peer.sendall(_UPGRADE + ws_text(b'{"type":"sync"}') + ws_text(_update(2)))
        time.sleep(0.05)
        peer.sendall(ws_text(_update(3)))
        _until_closed(peer)

    with _serving(answer) as port, load.Load(program, port, _WS, connections=1, messages=3) as opened:
        assert opened.opened["state_us"]["count"] == 1
        assert opened.opened["state_us"]["p50"] >= 50_000


def test_a_refused_connection_is_an_error(program: Path) -> None:
    """Load raises if a connection is refused: figures of fewer viewers than intended would mean nothing."""

    def answer(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    with _serving(answer) as port, pytest.raises(RuntimeError, match="1 of 1"):
        load.Load(program, port, _WS, connections=1)


def test_a_stream_that_ends_is_reported(program: Path) -> None:
    """A stream that the server closes is counted as closed, so a server that drops viewers does not look fast."""

    def answer(peer: socket.socket) -> None:
        peer.sendall(_UPGRADE + ws_text(_update(2)))

    with _serving(answer) as port, load.Load(program, port, _WS, connections=1) as opened:
        counted = opened.report(2, quiet_s=0.3)
    assert (counted["delivered"], counted["closed"]) == (1, 1)


def test_polls_are_answered_ones(program: Path) -> None:
    """A poll counts as delivered when a 200 with its whole body, or a 304, has arrived; a 404 counts as refused."""

    def answer(peer: socket.socket) -> None:
        body = b"x" * 1000
        good = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for reply in (good, b"HTTP/1.1 304 Not Modified\r\n\r\n"):
            peer.sendall(reply)
            peer.recv(65536)
        time.sleep(0.05)
        for reply in (good, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"):
            peer.sendall(reply)
            peer.recv(65536)
        _until_closed(peer)

    way = load.Way("poll", "/{}")
    with _serving(answer) as port, load.Load(program, port, way, connections=1) as opened:
        counted = opened.report(quiet_s=0.3)
    assert counted["refused"] == 1
    assert 1 <= counted["delivered"] <= 3


def test_messages_are_the_trackers_own() -> None:
    """The server reads a benchmark message as the update that follows on the stored run."""
    raw = messages.message(b"bench-000007", messages.FIRST, 1_700_000_000_000_000)
    update = own_update(raw)
    state = messages.stored("bench-000007")
    assert update is not None
    assert update.cursor == (state.epoch, state.seq + 1)
    assert update.data["session_id"] == "bench-000007"
    assert 420 < len(raw) < 470


def test_answers_are_counted_wherever_they_are_cut() -> None:
    """A publisher is done when every message was answered, even where an answer arrives in two pieces."""
    ends = [threading.Event(), threading.Event()]

    def serve() -> None:
        with listener.accept()[0] as peer:
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 201 Created\r\n\r\nHTTP/1")
            ends[0].wait(5)
            peer.sendall(b".1 202 Accepted\r\n\r\n")

    def settle() -> None:
        wire.settle()
        ends[1].set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        wire = publishers.HttpWire(listener.getsockname()[1])
        wire.send(b"two posts", 2)
        settled = threading.Thread(target=settle)
        settled.start()
        assert not ends[1].wait(0.05)
        ends[0].set()
        assert ends[1].wait(5)
        thread.join()
        settled.join()
        wire.close()


def test_the_cpu_of_children_counts() -> None:
    """CPU of a server's worker processes is added to the server's own."""
    work = "import time; end = time.process_time() + 0.1\nwhile time.process_time() < end: pass"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '''{work}\ninput()''']).wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        wait_until(lambda: len(processes.family(process.pid)) == 2)
        parent_us = processes.cpu_us(process.pid)
        wait_until(lambda: sum(map(processes.cpu_us, processes.family(process.pid))) >= parent_us + 100_000)
        process.communicate(b"\n", timeout=30)


def test_ratios_are_taken_round_by_round() -> None:
    """A round in which both subjects are slow does not change their ratio."""
    ours, theirs = [{"cpu": 2.0}, {"cpu": 20.0}, {"cpu": 3.0}], [{"cpu": 1.0}, {"cpu": 10.0}, {"cpu": 1.0}]
    assert report.ratios(ours, theirs, "cpu") == [2.0, 2.0, 3.0]
    assert report.spread([2.0, 2.0, 3.0]) == "2.00 (2.00..3.00)"
    assert report.ratios([{"cpu": 2.0}], [{}], "cpu") == []


def test_nothing_is_lost_where_nothing_is_lost(program: Path, tmp_path: Path) -> None:
    """A whole measurement with a real Redis and server (5 sessions, 20 viewers, 50 updates) reports no loss."""
    small = bench.Bench(program, tmp_path, quick=True)
    with bench.scene(small, "rpa-uvloop", "ws", viewers=20, sessions=5) as scene:
        scene.warm_up(100, 20)  # a viewer without a cursor gets earlier updates in its first message only
        figures = scene.measure(lambda: scene.publisher.burst(50))
    assert (figures["lost"], figures["duplicated"]) == (0, 0)
    assert figures["cpu_us"] > 0


def test_stored_sessions_are_stored_as_the_tracker_does(program: Path, tmp_path: Path) -> None:
    """Each of the stored sessions has its own updates in Redis, and is served; one more follows on them."""
    small = bench.Bench(program, tmp_path, quick=True)
    with bench.storing(small, "rpa-uvloop", 3, updates=40) as deployment:
        made = bench.peer("rpa-uvloop")
        assert isinstance(made, Ours)
        made.add(deployment, 2, updates=40)
        assert deployment.redis
        with deployment.redis.client() as client:
            stored = [client.xrange(history_key(messages.session_id(number))) for number in range(3)]
        with contextlib.closing(Client(deployment.server.port)) as asked:
            answer = asked.call(b"GET /api/sessions/bench-000001 HTTP/1.1\r\nHost: x\r\n\r\n")
    raws = [[fields[b"data"] for _, fields in entries] for entries in stored]
    expected = [update.raw for update in messages.stored("bench-000001", 41).updates]
    assert raws[1] == expected
    assert raws[2] == [raw.replace(b"bench-000001", b"bench-000002") for raw in expected[:40]]
    assert safejson.load_object(answer.body)["seq"] == 41
    assert 350 < len(expected[-1]) < 460


def test_growth_is_from_the_least_to_the_greatest_length() -> None:
    """A figure that is taken at several lengths grows by the ratio of its last to its first one."""
    grown = bench.grown({"cpu_us_500": 30.0, "cpu_us_40": 10.0, "p50_us": 7.0, "none_40": 0.0, "none_500": 1.0})
    assert grown["cpu_us_growth"] == 3.0
    assert not {"p50_growth", "p50_us_growth", "none_growth"} & grown.keys()


def _checked(name: str, figures: bench.Figures) -> None:
    """Check that *figures* fill the table of the measurement *name*."""
    columns = next(measurement.columns for measurement in MEASUREMENTS if measurement.name == name)
    missing = {column.key for column in columns} - figures.keys()
    assert missing <= {"resident_growth"}  # a few connections may need no memory that was not there
    assert all(value >= 0 for key, value in figures.items() if not key.startswith("resident"))
    assert figures.get("lost", 0) == 0


_FIRST_LOOKS: dict[str, Callable[[bench.Bench, str], bench.Figures]] = {
    "setup-own": first_looks.setup_own,
    "setup-own-sse": first_looks.setup_own_events,
    "upkeep-own": functools.partial(first_looks.upkeep_own, heartbeat_s=0.2),
    "late": first_looks.late,
    "recover": first_looks.recover,
    "recover-sse": first_looks.recover_events,
    "publish-http": calls.publish_http,
    "start": measure_start,
}


@pytest.mark.parametrize("name", _FIRST_LOOKS)
def test_a_first_look_is_measured(program: Path, tmp_path: Path, name: str) -> None:
    """Each measurement of first looks fills its table, here with three connections or requests of a kind."""
    small = bench.Bench(program, tmp_path, quick=True, limit=3)
    _checked(name, _FIRST_LOOKS[name](small, "rpa-uvloop"))


@pytest.mark.skipif(bool(machine.missing()), reason="nginx with nchan is not installed")
@pytest.mark.parametrize("name", _FIRST_LOOKS)
def test_a_first_look_is_measured_of_nchan(program: Path, tmp_path: Path, name: str) -> None:
    """The yardstick of each measurement is measured in the same way, stored messages and cursors included."""
    small = bench.Bench(program, tmp_path, quick=True, limit=3)
    _checked(name, _FIRST_LOOKS[name](small, "nchan"))


@pytest.mark.parametrize("kind", calls.POLLS[1:])
def test_a_poll_is_measured(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Each way to poll gets the answer that it is measured by, before and after an update."""
    monkeypatch.setattr(calls, "LENGTHS", (40,))
    figures = calls.deployed_poll(bench.Bench(program, tmp_path, quick=True, limit=3), kind)
    assert {"first_us_40", "again_us_40", "after_us_40", "redis_us_40"} == figures.keys()


def test_an_update_in_files_mode_is_measured(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A followed run on files is measured at each length, and its page gets every update."""
    monkeypatch.setattr(files, "STORED", (2, 40))
    figures = files.files_follow(bench.Bench(program, tmp_path, quick=True, limit=1), "rpa-files")
    assert {"cpu_us_2", "cpu_us_40", "cpu_us_growth", "p50_us_40", "quiet"} <= figures.keys()
    assert figures["lost"] == 0
