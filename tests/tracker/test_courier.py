"""The courier, which brings Redis up to date in a thread of its own."""

import threading
from collections.abc import Callable, Iterator

import pytest

from rpa_server.tracker.courier import Courier
from tests.support.server import wait_until


class Errand:
    """An errand that needs so many attempts; another thread may do something during one."""

    pending = 0
    session_id = "s1"

    def __init__(self, attempts: int = 1) -> None:
        self.left = attempts
        self.asked = 0
        self.meanwhile: Callable[[], object] = int

    def ask(self) -> bool:
        self.asked += 1
        self.left -= 1
        self.meanwhile()
        return self.left > 0


@pytest.fixture
def courier() -> Iterator[Courier]:
    """A courier of the test's own; its thread ends with its last errand."""
    made = Courier()
    yield made
    wait_until(lambda: made._thread is None, 5)


def test_an_errand_is_run_until_it_needs_no_more_attempts(courier: Courier) -> None:
    """One thread asks each errand again and again until it says that it is done."""
    errands = [Errand(3), Errand(1)]
    assert all(map(courier.run, errands))
    wait_until(lambda: [errand.asked for errand in errands] == [3, 1], 5)


def test_an_errand_that_is_given_again_while_it_ends_is_not_forgotten(courier: Courier) -> None:
    """If Redis fails once more while an attempt succeeds, there is another attempt."""
    errand = Errand(1)

    def once() -> None:
        errand.meanwhile = int
        courier.run(errand)

    errand.meanwhile = once
    courier.run(errand)
    wait_until(lambda: errand.asked == 2, 5)


def test_b9_without_a_thread_it_says_so(courier: Courier, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no thread can be started run() returns False, and keeps nothing."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert not courier.run(Errand())
    errand = Errand()
    assert courier.run(errand)
    wait_until(lambda: errand.asked == 1, 5)
