"""The server's figures, for Prometheus and for ``/status``.

The parts of the server keep plain numbers, which are read here when somebody asks: so counting costs next to nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the server: its name, its meaning and how to read it.

    Attributes:
        name: without the prefix ``rpa_``.
        text: what the figure means.
        read: returns the current value.
        counter: True if it only grows; False for a gauge.
    """

    name: str
    text: str
    read: Callable[[], float]
    counter: bool = True


class Metrics:
    """All figures of one application."""

    def __init__(self) -> None:
        self._figures: list[Figure] = []
        self.add("start_time_seconds", "When the server started", time.time().__float__, counter=False)

    def add(self, name: str, text: str, read: Callable[[], float], counter: bool = True) -> None:
        """Add a figure; the arguments are the attributes of Figure."""
        self._figures.append(Figure(name, text, read, counter))

    def values(self) -> dict[str, float]:
        """Return every figure by name."""
        return {figure.name: figure.read() for figure in self._figures}

    def text(self, values: Mapping[str, float]) -> bytes:
        """Return *values*, as values() returns them, in the Prometheus text format."""
        registry = CollectorRegistry()
        registry.register(_Collector(self._figures, values))
        return generate_latest(registry)


class _Collector:
    """Passes figures and their values to prometheus_client."""

    def __init__(self, figures: Sequence[Figure], values: Mapping[str, float]) -> None:
        self._figures = figures
        self._values = values

    def collect(self) -> Iterator[Metric]:
        for figure in self._figures:
            family = CounterMetricFamily if figure.counter else GaugeMetricFamily
            yield family("rpa_" + figure.name, figure.text, value=self._values[figure.name])
