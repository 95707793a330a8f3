"""The table that the fault scenarios print."""

from tests.support.faults.table import Row, render


def test_rows_are_sorted_by_group_and_number() -> None:
    """Rows are sorted by the letter of the id, then by its number (R2 before R10); missing figures are dashes."""
    lines = render([Row("R10 failover"), Row("L1 stop", clients=5), Row("R2 wiped", lost=0, delay_s=0.25)])
    assert [line.split()[0] for line in lines] == ["scenario", "L1", "R2", "R10"]
    assert lines[2].split() == ["R2", "wiped", "-", "-", "0", "-", "-", "-", "0.250", "-"]
