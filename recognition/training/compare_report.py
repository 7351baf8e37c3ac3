"""Draws what losses and mining came to on faces, and writes it as one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recognition.evaluate.page import Page, render
from recognition.evaluate.report import png
from recognition.packages import write_atomically

_TITLE = "A small embedder, trained from nothing under each loss"


def write_compare_report(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write `losses.json`, `losses.svg` and `losses.html`; the folder is made if missing.

    Args:
        figures: of `compare.summarise`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "losses.json", (json.dumps(figures, indent=2) + "\n").encode())
    plot = compare_plot(figures)
    with mpl.rc_context({"svg.hashsalt": "losses"}):  # the same bytes for the same figures
        plot.savefig(folder / "losses.svg", metadata={"Date": None})
    page = Page(_TITLE, figures, {_TITLE: png(plot)}, [])
    write_atomically(folder / "losses.html", render(page).encode())


def compare_plot(figures: Mapping[str, Any]) -> Figure:
    """Accuracy and TAR: a bar for the interval over people, a dot for each seed."""
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    axes = figure.subplots(
        2, 2, sharex="col", height_ratios=[len(figures["losses"]), len(figures["mining"])]
    )
    for row, kind in enumerate(("losses", "mining")):
        _draw(axes[row][0], figures[kind], "accuracy")
        _draw(axes[row][1], figures[kind], "tar")
        axes[row][1].tick_params(labelleft=False)
    axes[1][0].set_xlabel("verification accuracy, %")
    axes[1][1].set_xlabel("true accept rate at FMR 1e-2, %")
    figure.suptitle(f"{_TITLE}: {figures['people']['test']} people that it never saw")
    return figure


def _draw(axes: Axes, rows: Mapping[str, Any], key: str) -> None:
    names = list(rows)[::-1]
    for place, name in enumerate(names):
        row = rows[name]
        interval = row["interval95"][key]
        if interval is not None:
            low, high = (100 * side for side in interval)
            axes.plot([low, high], [place, place], color="0.75", linewidth=7, zorder=1)
        each = [100 * value for value in row[key]["each"]]
        axes.scatter(each, [place] * len(each), color="C0", s=18, zorder=3)
        axes.scatter(100 * row[key]["mean"], place, color="k", marker="|", s=160, zorder=2)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(visible=True, axis="x", alpha=0.4)
