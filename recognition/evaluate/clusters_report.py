"""Writes a clusters evaluation: its figures as JSON, both algorithms' plot, and all as one page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recognition.evaluate.page import Page, render
from recognition.evaluate.report import png
from recognition.packages import write_atomically

_MEASURES = {
    "pairwise\nprecision": ("pairwise", "precision"),
    "pairwise\nrecall": ("pairwise", "recall"),
    "pairwise\nF": ("pairwise", "f"),
    "B-cubed\nprecision": ("bcubed", "precision"),
    "B-cubed\nrecall": ("bcubed", "recall"),
    "B-cubed\nF": ("bcubed", "f"),
    "NMI": ("nmi",),
}
_KINDS = {
    "density": "density, number not known",
    "k_means_true_number": "K-means, told the true number",
    "each_alone": "each alone",
}
_NAMED = {"density": (5, 4), "k_means_true_number": (-8, -12)}
"""Where a point's name is written, from the point, in points."""
_COLOURS = {"density": "C0", "k_means_true_number": "C1", "each_alone": "0.6"}


def write_clusters_report(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write `report.html`, `report.json` and `clusters.svg`; the folder is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    plot = clusters_plot(figures)
    with mpl.rc_context({"svg.hashsalt": "clusters"}):  # the same bytes for the same figures
        plot.savefig(folder / "clusters.svg", metadata={"Date": None})
    title = f"{figures['visits']} visits of {figures['people']} people, grouped"
    plots = {"Every measure": _alone(_draw_measures, figures)}
    plots["What each algorithm's choice does"] = _alone(_draw_choices, figures)
    page = Page(title, figures, plots, [])
    write_atomically(folder / "report.html", render(page).encode())


def clusters_plot(figures: Mapping[str, Any]) -> Figure:
    """Left every measure with its interval, right what each algorithm's one choice does."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(4, 3))
    _draw_measures(left, figures)
    _draw_choices(right, figures)
    figure.suptitle(f"{figures['visits']:,} visits of {figures['people']:,} people")
    return figure


def _alone(draw: Callable[[Axes, Mapping[str, Any]], None], figures: Mapping[str, Any]) -> bytes:
    figure = Figure(figsize=(7.5, 6), layout="constrained")
    draw(figure.subplots(), figures)
    return png(figure)


def _draw_measures(axes: Axes, figures: Mapping[str, Any]) -> None:
    for number, (kind, name) in enumerate(_KINDS.items()):
        for place, keys in enumerate(_MEASURES.values()):
            value = _at(figures[kind], keys)
            low, high = figures[kind]["interval95"]["_".join(keys)]
            ends = [[max(0.0, value - low)], [max(0.0, high - value)]]  # they are rounded
            axes.bar(
                place + 0.27 * (number - 1),
                value,
                0.25,
                yerr=ends,
                color=_COLOURS[kind],
                label=name if place == 0 else None,
                error_kw={"elinewidth": 1.2, "capsize": 2},
            )
    axes.set_xticks(range(len(_MEASURES)), list(_MEASURES))
    axes.set_ylim(0, 1.02)
    axes.grid(visible=True, axis="y", alpha=0.4)
    axes.set_axisbelow(True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)


def _draw_choices(axes: Axes, figures: Mapping[str, Any]) -> None:
    """B-cubed precision over recall: density by its link's rate, K-means by what it is told."""
    density = list(figures["density_by_rate"].items())
    shares = dict(figures["k_means_by_share"]) | {"1": figures["k_means_true_number"]}
    number = sorted(shares.items(), key=lambda one: float(one[0]))
    curves = {
        "density": [(f"{float(rate):.0e}".replace("e-0", "e-"), row) for rate, row in density],
        "k_means_true_number": [(f"{float(share):.0%}", row) for share, row in number],
    }
    for kind, points in curves.items():
        recall = [found["bcubed"]["recall"] for _, found in points]
        precision = [found["bcubed"]["precision"] for _, found in points]
        axes.plot(recall, precision, ".-", color=_COLOURS[kind], alpha=0.6)
        for (name, _), x, y in zip(points, recall, precision, strict=True):
            axes.annotate(
                name,
                (x, y),
                xytext=_NAMED[kind],
                textcoords="offset points",
                fontsize="x-small",
                color=_COLOURS[kind],
            )
        shown = figures[kind]["bcubed"]
        axes.plot(shown["recall"], shown["precision"], "o", color=_COLOURS[kind], markersize=9)
    axes.set_xlabel("B-cubed recall")
    axes.set_ylabel("B-cubed precision")
    axes.set_title("by the link's rate; by the number told, % of the true one", fontsize="medium")
    axes.grid(visible=True, alpha=0.4)


def _at(found: Mapping[str, Any], keys: tuple[str, ...]) -> float:
    for key in keys[:-1]:
        found = found[key]
    return float(found[keys[-1]])
