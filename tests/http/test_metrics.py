"""Metrics: the server's figures as a dict and in the Prometheus text format."""

import time

from prometheus_client.parser import text_string_to_metric_families

from rpa_server.http.metrics import Metrics


class Count:
    """A number that a figure reads, as the server's figures read counters."""

    def __init__(self) -> None:
        self.number = 0


def test_a_figure_is_read_when_it_is_asked_for() -> None:
    """A figure is read at each call of values(), not when it is added."""
    count, metrics = Count(), Metrics()
    metrics.add("updates_delivered", "Updates written to clients", lambda: count.number)
    assert metrics.values()["updates_delivered"] == 0
    count.number = 7
    assert metrics.values()["updates_delivered"] == 7
    assert "rpa_updates_delivered_total 7.0" in metrics.text(metrics.values()).decode()


def test_both_forms_have_the_same_figures() -> None:
    """The Prometheus text has the figures of values() and no others, with the same values."""
    metrics = Metrics()
    metrics.add("connections", "Open streams", lambda: 3, counter=False)
    metrics.add("resets", "Resets", lambda: 4)
    families = {family.name: family for family in text_string_to_metric_families(metrics.text(metrics.values()).decode())}
    assert {name.removeprefix("rpa_") for name in families} == set(metrics.values())
    for name, value in metrics.values().items():
        (sample,) = families["rpa_" + name].samples
        assert sample.value == value


def test_a_figure_has_its_kind() -> None:
    """A figure that only grows is a counter, whose name ends in ``_total``; any other one is a gauge."""
    metrics = Metrics()
    metrics.add("connections", "Open streams", lambda: 3, counter=False)
    metrics.add("resets", "Resets", lambda: 4)
    text = metrics.text(metrics.values()).decode()
    assert "# TYPE rpa_connections gauge" in text
    assert "# TYPE rpa_resets_total counter" in text
    assert "# HELP rpa_connections Open streams" in text


def test_the_start_is_a_figure() -> None:
    """The time at which the server started is a figure, by which a scraper notices restarts."""
    assert abs(Metrics().values()["start_time_seconds"] - time.time()) < 5


def test_two_applications_share_nothing() -> None:
    """Two applications in one process have separate figures."""
    one, other = Metrics(), Metrics()
    one.add("resets", "Resets", lambda: 1)
    other.add("resets", "Resets", lambda: 2)
    assert (one.values()["resets"], other.values()["resets"]) == (1, 2)
