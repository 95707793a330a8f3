"""The soak in its short form: whether everything is delivered, and whether anything is left behind by who comes and goes.

Memory and delays need longer than a test may take: ``tox -e soak`` judges those.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import soak as soaking
from tests.faults.soak import judge, soak
from tests.support.faults.table import Row


async def test_L5_soaked(
    tmp_path: Path, record: Callable[[Row], None], full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams that stay, visitors that don't, and a subscription that is cut now and then."""
    minutes, viewers = (5.0, 2000) if full else (0.5, 200)
    monkeypatch.setattr(soaking, "KILL_S", 10.0)
    # A visitor or two more at the moment of a look are no leak: many looks tell what usually is.
    monkeypatch.setattr(soaking, "SAMPLE_S", 10.0 if full else 1.0)
    samples = await soak(tmp_path, minutes, viewers)
    verdict = judge(samples)
    deliveries = sum(each.deliveries for each in samples)
    record(
        Row(
            f"L5 soaked for {60 * minutes:g} s", clients=viewers, lost=verdict.lost, duplicated=verdict.duplicated,
            more=f"{deliveries:,} deliveries, descriptors {verdict.descriptors:+g}, tasks {verdict.tasks:+g}, "
            f"memory {samples[-1].rss_kb - samples[0].rss_kb:+,} kB",
        )
    )  # fmt: skip
    assert deliveries > 0.8 * minutes * 60 * viewers
    assert (verdict.lost, verdict.duplicated) == (0, 0)
    assert abs(verdict.descriptors) <= 2
    assert abs(verdict.tasks) <= 2
