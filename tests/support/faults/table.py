"""The fault scenarios' figures as one table. Pure."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario's figures; None where one does not apply.

    Attributes:
        scenario: ``R1``, and what was done.
        clients: number of viewers.
        updates: number of updates reported by all robots.
        lost: reported and within the history, but missing at a client that was connected or came back.
        duplicated: received twice by one client.
        misordered: received behind a later one by one client.
        resets: received by all clients together, then after a slash the most by one client.
        delay_s: the longest time from the robot's call to the arrival at a client that was connected meanwhile.
        block_s: the longest call of a robot.
        more: anything else, in words.
    """

    scenario: str
    clients: int | None = None
    updates: int | None = None
    lost: int | None = None
    duplicated: int | None = None
    misordered: int | None = None
    resets: str | None = None
    delay_s: float | None = None
    block_s: float | None = None
    more: str = ""


_TITLES = {"delay_s": "delay s", "block_s": "block s", "misordered": "disorder", "duplicated": "dup"}


def render(rows: list[Row]) -> list[str]:
    """Return the lines of the table, sorted by scenario."""
    names = [field.name for field in fields(Row)]
    cells = [[_TITLES.get(name, name) for name in names]]
    cells += [[_cell(getattr(row, name)) for name in names] for row in sorted(rows, key=_order)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _order(row: Row) -> tuple[str, int, str]:
    word = row.scenario.split(" ", 1)[0]
    digits = "".join(filter(str.isdigit, word))
    return word.rstrip("0123456789"), int(digits or 0), row.scenario
