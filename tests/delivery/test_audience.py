"""Audience, tested alone: no store, no timeline."""

from collections.abc import Callable
from typing import Any, cast

from rpa_server.delivery.audience import Audience
from rpa_server.delivery.context import Counters, SessionContext
from rpa_server.delivery.wire.welcome import Welcome
from rpa_server.progress.snapshot import NO_AGES
from rpa_server.progress.update import Update
from tests.support.sessions import SESSION, ManualClock, Robot, Viewer


def make() -> tuple[Audience, Counters]:
    counters = Counters()
    unused = cast(Any, None)
    context = SessionContext(unused, ManualClock(), unused, counters, unused, 15_000, unused)
    return Audience(context), counters


def welcome() -> Welcome:
    return Welcome(SESSION, 15_000, None, None, NO_AGES)


def begin(audience: Audience, viewer: Viewer) -> Viewer:
    audience.join(viewer)
    audience.begin(viewer, welcome(), ())
    return viewer


def counting(calls: list[Update]) -> Callable[[Update], bytes]:
    def encode(update: Update) -> bytes:
        calls.append(update)
        return update.raw

    return encode


def test_an_update_is_encoded_once_for_all_clients_of_a_kind() -> None:
    """An update for five viewers of two kinds is encoded twice, and every viewer gets it."""
    encoded: dict[str, list[Update]] = {"one": [], "other": []}

    class One(Viewer):
        encode = staticmethod(counting(encoded["one"]))

    class Other(Viewer):
        encode = staticmethod(counting(encoded["other"]))

    audience, counters = make()
    viewers = [begin(audience, kind()) for kind in (One, Other, One, Other, One)]
    update = Robot().step()
    assert audience.deliver(update) is False
    assert encoded == {"one": [update], "other": [update]}
    assert [viewer.seqs for viewer in viewers] == [[1]] * 5
    assert counters.delivered == 5


def test_nothing_is_encoded_where_nobody_listens() -> None:
    """After the last client of a kind has left, updates are no longer encoded for that kind."""
    calls: list[Update] = []

    class One(Viewer):
        encode = staticmethod(counting(calls))

    audience, _ = make()
    audience.leave(begin(audience, One()))
    audience.deliver(Robot().step())
    assert calls == []
    assert not audience
    assert audience.clients() == []


def test_whoever_lags_is_named_and_reads_on_in_order() -> None:
    """deliver() is True when a client begins to lag; catch_up() sends every update from the refused one on."""
    audience, counters = make()
    slow, quick, robot = begin(audience, Viewer()), begin(audience, Viewer()), Robot()
    slow.pending = 10
    assert audience.deliver(robot.step()) is True
    assert audience.lagging
    assert [audience.deliver(update) for update in robot.steps(3)] == [False] * 3
    slow.pending = 0
    audience.catch_up(0.0, welcome)
    assert not audience.lagging
    assert slow.seqs == quick.seqs == [1, 2, 3, 4]
    assert counters.delivered == 8


def test_a_joiner_gets_what_came_without_a_number_meanwhile() -> None:
    """begin() sends the unnumbered updates since join(), and no numbered ones, which the store has."""
    audience, _ = make()
    viewer, robot = Viewer(), Robot()
    audience.join(viewer)
    audience.deliver(robot.step())
    audience.deliver(Update(b'{"type":"progress_update","mensagem":"Tela 3"}', None, 0, False))
    assert viewer.got == []
    audience.begin(viewer, welcome(), ())
    assert viewer.texts == ["Tela 3"]
    assert not audience.is_joining(viewer)
