"""The fault scenarios' figures as one table. Pure."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one scenario; None for those that do not apply.

    Attributes:
        scenario: its id (``R1``), and what was done.
        clients: number of viewers.
        updates: number of updates reported by all robots.
        lost: updates that a client should have received but did not, see judge.py.
        duplicated: updates that one client received again.
        misordered: updates and states that one client received after a later one.
        resets: states received instead of updates by all clients, then after a slash the most by one client.
        delay_s: the longest time from a robot's call to the arrival at a client that was connected at the call.
        block_s: the longest call of a robot, in seconds.
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
    """Return the lines of the table, sorted by the letter of the scenario's id, then by its number."""
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
