"""Measures rpa-server and its peers on the same work, in turns: ``python -m benchmarks`` from the root."""

import argparse
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import machine, report
from .bench import Bench
from .load import build
from .measurements import MEASUREMENTS, Measurement
from .peers import PEERS

_ROUNDS, _QUICK_ROUNDS = 5, 3
_ROOT = Path(__file__).resolve().parent.parent
_OUTPUT = _ROOT / "build" / "bench"
_DOCUMENT = _ROOT / "docs" / "performance.rst"
_TABLE = re.compile(r"(?<=\.\. results begin\n\n).*?(?=\.\. results end\n)", re.DOTALL)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    names = [measurement.name for measurement in MEASUREMENTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK_ROUNDS} short and small rounds")
    parser.add_argument("--only", help=f"measurements, with commas between: {', '.join(names)}")
    parser.add_argument("--peers", help="peers, with commas between; the first of each table is always measured")
    parser.add_argument("--rounds", type=int, help=f"else {_ROUNDS}, or {_QUICK_ROUNDS} with --quick")
    parser.add_argument("--limit", type=int, default=0, help="at most so many connections, joiners or requests of a kind")
    parser.add_argument("--output", type=Path, default=_OUTPUT, help="directory for results.json, .txt and .svg")
    parser.add_argument("--add", action="store_true", help="keep what results.json holds of other measurements")
    parser.add_argument("--docs", action="store_true", help="put table and plot into docs/, too")
    options = parser.parse_args(argv)
    options.only = options.only.split(",") if options.only else names
    if unknown := set(options.only) - set(names):
        parser.error(f"there is no such measurement: {', '.join(sorted(unknown))}")
    if options.peers is not None and (unknown := set(options.peers.split(",")) - set(PEERS)):
        parser.error(f"there is no such peer: {', '.join(sorted(unknown))}")
    return options


def _subjects(measurement: Measurement, peers: str | None) -> list[str]:
    wanted = set(PEERS if peers is None else peers.split(",")) | {measurement.subjects[0]}
    return [name for name in measurement.subjects if name in wanted or name not in PEERS]


def _measure(bench: Bench, measurement: Measurement, subjects: Sequence[str], rounds: int) -> dict[str, list[Any]]:
    """Run all rounds; each begins with the next subject, so that no subject is the first one in every round."""
    taken: dict[str, list[Any]] = {name: [] for name in subjects}
    for count in range(rounds):
        start = count % len(subjects)
        for name in [*subjects[start:], *subjects[:start]]:
            began = time.monotonic()
            figures = measurement.run(bench, name)
            taken[name].append(figures)
            shown = ", ".join(
                f"{column.key} {figures[column.key]:.4g}" for column in measurement.columns if column.key in figures
            )
            took = f"{time.monotonic() - began:.1f} s"
            print(f"{measurement.name} {count + 1}/{rounds} {name} in {took}: {shown}", file=sys.stderr)
    return taken


def _run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    bench = Bench(build(directory), directory, options.quick, options.limit)
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    results: dict[str, Any] = {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "facts": machine.facts(),
        "rounds": rounds,
        "quick": options.quick,
        "measurements": {},
        "skipped": {},
    }
    for measurement in MEASUREMENTS:
        if measurement.name not in options.only:
            continue
        if (reason := measurement.missing()) is not None:
            results["skipped"][measurement.name] = reason
            continue
        results["measurements"][measurement.name] = _measure(
            bench, measurement, _subjects(measurement, options.peers), rounds
        )
    return results


def _add(results: dict[str, Any], output: Path) -> None:
    """Add to *results* those measurements of the earlier run in *output* that this run has not repeated."""
    earlier = json.loads((output / "results.json").read_text())
    for part in ("measurements", "skipped"):
        results[part] = {**earlier[part], **results[part]}
    for name in results["measurements"]:
        results["skipped"].pop(name, None)


def _write(results: dict[str, Any], output: Path, *, docs: bool) -> None:
    from . import plot

    titles = {name: peer.title for name, peer in PEERS.items()}
    text = report.text(results, titles)
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (output / "results.txt").write_text(text)
    drawn = plot.draw(results, titles, output / "performance.svg")
    if docs:
        block = "::\n\n" + "".join(f"    {line}\n" if line else "\n" for line in text.splitlines()) + "\n"
        _DOCUMENT.write_text(_TABLE.sub(lambda _: block, _DOCUMENT.read_text()))
        if drawn:
            plot.draw(results, titles, _DOCUMENT.with_suffix(".svg"))
    print(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the results; return the exit status, 2 if a Debian package is missing."""
    options = _arguments(sys.argv[1:] if argv is None else argv)
    if packages := machine.missing():
        print(f"benchmarks: missing; as root: apt-get install -y {' '.join(packages)}", file=sys.stderr)
        return 2
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Only this user may enter the directory; nginx's worker can, since it runs as the same user (see Nchan.argv).
    with tempfile.TemporaryDirectory(prefix="rpa-bench-") as name:
        results = _run(options, Path(name))
    if options.add and (options.output / "results.json").exists():
        _add(results, options.output)
    _write(results, options.output, docs=options.docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
