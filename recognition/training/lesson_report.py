"""Draws the lesson on digits, and writes it as one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recognition.evaluate.page import Page, render
from recognition.evaluate.report import png
from recognition.packages import write_atomically
from recognition.training.digits import DIGITS
from recognition.training.lesson import Learnt


def write_lesson_report(
    folder: Path, figures: Mapping[str, object], learnt: Sequence[Learnt]
) -> None:
    """Write `report.html`, `report.json` and `lesson.svg`; the folder is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    plot = lesson_plot(learnt)
    with mpl.rc_context({"svg.hashsalt": "lesson"}):  # the same bytes for the same figures
        plot.savefig(folder / "lesson.svg", metadata={"Date": None})
    page = Page("What each loss makes of features", figures, {"Digits never seen": png(plot)}, [])
    write_atomically(folder / "report.html", render(page).encode())


def lesson_plot(learnt: Sequence[Learnt]) -> Figure:
    """The features of digits never seen under each loss, a colour for each digit."""
    columns = 4
    rows = -(-len(learnt) // columns)
    figure = Figure(figsize=(4.2 * columns, 4.5 * rows), layout="constrained")
    places = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes, one in zip(places, learnt, strict=False):
        _draw(axes, one)
    for axes in places[len(learnt) :]:
        axes.set_axis_off()
    figure.legend(*places[0].get_legend_handles_labels(), loc="outside lower center", ncols=DIGITS)
    return figure


def _draw(axes: Axes, one: Learnt) -> None:
    for digit in range(DIGITS):
        x, y = one.features[one.labels == digit].T
        axes.scatter(x, y, s=5, color=f"C{digit}", label=str(digit), rasterized=True)
    axes.set_aspect("equal", adjustable="datalim")
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.set_title(
        f"{one.name}\nscatter within / between {one.ratio:.4f}\n"
        f"error {one.error['distance']:.1%} by distance, {one.error['cosine']:.1%} by angle",
        fontsize="medium",
    )
