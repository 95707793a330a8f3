"""The soak in its short form: every update is delivered, and clients that come and go leave nothing behind.

Memory and delays are judged by ``tox -e soak`` only: that takes longer than a test may.
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
    """While clients come and go, each update arrives once, and the numbers of descriptors and tasks stay level."""
    minutes, viewers = (5.0, 2000) if full else (0.5, 200)
    monkeypatch.setattr(soaking, "KILL_S", 10.0)
    # A sample may count one or two visitors that are just leaving; with many samples they do not change the median.
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
