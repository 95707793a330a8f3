"""The most important figures as one plot: each subject's CPU as a multiple of nchan's, by kind of work."""

import statistics
from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib import pyplot

from .report import Results, ratios

_BARS = {
    "broadcast": ("cpu_us", "broadcast"),
    "broadcast-sse": ("cpu_us", "broadcast, SSE"),
    "wide": ("cpu_us", "18,000 viewers"),
    "unicast": ("cpu_us", "unicast"),
    "unicast-sse": ("cpu_us", "unicast, SSE"),
    "idle": ("setup_us", "set-up"),
}
_COLORS = ("#e8a33d", "#c9504c", "#7aa874", "#7fb2e5", "#1f6fb2", "#8a8a8a")


def draw(results: Results, titles: Mapping[str, str], path: Path) -> bool:
    """Write the plot to *path* and return True, or only return False if nothing that it shows was measured of nchan."""
    compared = {name: results["measurements"][name] for name in _BARS if name in results["measurements"]}
    compared = {name: rounds for name, rounds in compared.items() if "nchan" in rounds}
    if not compared:
        return False
    subjects = list(dict.fromkeys(subject for rounds in compared.values() for subject in rounds if subject != "nchan"))
    matplotlib.use("svg")
    # Text stays text in the SVG, and the same figures give the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "rpa-server", "font.size": 9})
    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    width = 0.8 / len(subjects)
    for index, subject in enumerate(subjects):
        at, heights = [], []
        for group, (name, rounds) in enumerate(compared.items()):
            if subject in rounds and (found := ratios(rounds[subject], rounds["nchan"], _BARS[name][0])):
                at.append(group + (index - (len(subjects) - 1) / 2) * width)
                heights.append(statistics.median(found) - 1)
        axes.bar(at, heights, width, bottom=1, label=titles.get(subject, subject), color=_COLORS[index % len(_COLORS)])
    axes.axhline(1, color="#444444", linewidth=0.8, label="nchan on nginx")
    axes.set_yscale("log", base=2)
    axes.set_ylim(bottom=0.5)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel("CPU, times nchan's")
    axes.set_xticks(range(len(compared)), [_BARS[name][1] for name in compared])
    axes.legend(frameon=False, ncols=2, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True
