"""Turns figures into text: medians over the rounds, and ratios within each round.

Pure. A ratio compares two runs of the same round, minutes apart at most; its spread shows how far it can be trusted.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .measurements import MEASUREMENTS, Column, Measurement

#: One measurement's figures: by subject, those of each round.
Rounds = Mapping[str, Sequence[Mapping[str, float]]]
Results = Mapping[str, Any]


def ratios(figures: Sequence[Mapping[str, float]], base: Sequence[Mapping[str, float]], key: str) -> list[float]:
    """Return the figure *key* divided by that of *base*, for each round in which both have it and *base* has not 0."""
    return [ours[key] / theirs[key] for ours, theirs in zip(figures, base, strict=False) if theirs.get(key) and key in ours]


def text(results: Results, titles: Mapping[str, str]) -> str:
    """Return the facts and the tables of all measurements, as text for a fixed-width font.

    Args:
        results: what __main__ writes as results.json.
        titles: by subject, its title in the tables.
    """
    parts = [_facts(results)]
    for measurement in MEASUREMENTS:
        if reason := results["skipped"].get(measurement.name):
            parts.append(f"{measurement.name}: {measurement.title}\n  not measured: {reason}")
        elif rounds := results["measurements"].get(measurement.name):
            parts.append(_section(measurement, rounds, titles))
    return "\n\n".join(parts) + "\n"


def _facts(results: Results) -> str:
    facts = "; ".join(f"{name} {value}" for name, value in results["facts"].items())
    lines, line = [], ""
    for part in facts.split("; "):
        if len(line) + len(part) > 110:
            lines.append(line.rstrip())
            line = ""
        line += f"{part}; "
    kind = f"{results['rounds']} {'quick ' if results['quick'] else ''}rounds, medians"
    return "\n".join([*lines, line.rstrip("; "), f"{results['when']}; {kind}; in brackets the least and the greatest"])


def _section(measurement: Measurement, rounds: Rounds, titles: Mapping[str, str]) -> str:
    base = measurement.subjects[0]
    head = [""]
    for column in measurement.columns:
        head += [column.heading, f"x {base}"] if column.ratio else [column.heading]
    rows = [head]
    for subject in measurement.subjects:
        if figures := rounds.get(subject):
            cells = [cell for column in measurement.columns for cell in _cells(column, figures, rounds.get(base, ()))]
            rows.append([titles.get(subject, subject), *cells])
    return f"{measurement.name}: {measurement.title}\n{table(rows)}"


def _cells(column: Column, figures: Sequence[Mapping[str, float]], base: Sequence[Mapping[str, float]]) -> list[str]:
    found = [one[column.key] for one in figures if column.key in one]
    cells = [f"{statistics.median(found) * column.scale:,.{column.digits}f}" if found else "-"]
    if column.ratio:
        cells.append(spread(ratios(figures, base, column.key)))
    return cells


def spread(values: Sequence[float]) -> str:
    """Return the median and, in brackets, the least and the greatest of *values*; ``-`` if there are none."""
    if not values:
        return "-"
    return f"{statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f})"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return *rows*, the head first, as lines of aligned columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
