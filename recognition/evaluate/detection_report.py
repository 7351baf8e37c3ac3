"""Draws how well detectors find faces, and writes it as one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from recognition.evaluate.detection import Matched, froc
from recognition.evaluate.page import Page, render
from recognition.evaluate.report import png
from recognition.packages import write_atomically

_FEWEST, _MOST = 0.005, 10.0  # false positives an image that are drawn


def write_detection_report(
    folder: Path, figures: Mapping[str, object], found: Mapping[str, Sequence[Matched]]
) -> None:
    """Write `report.html`, `report.json` and `froc.svg`; the folder is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    curves, errors = froc_plot(found), error_plot(found)
    with mpl.rc_context({"svg.hashsalt": "froc"}):  # the same bytes for the same figures
        curves.savefig(folder / "froc.svg", metadata={"Date": None})
    plots = {"Recall over false positives": png(curves), "Error of the points": png(errors)}
    page = Page("Detection of annotated faces", figures, plots, [])
    write_atomically(folder / "report.html", render(page).encode())


def froc_plot(found: Mapping[str, Sequence[Matched]]) -> Figure:
    """Recall over false positives an image (logarithmic), a curve for each detector."""
    figure = Figure(figsize=(6.5, 5), layout="constrained")
    axes = figure.subplots()
    for name, matched in found.items():
        curve = froc(matched)
        shown = curve.false_positives.clip(_FEWEST, None)
        axes.plot(
            [*shown, _MOST],
            [*curve.recall, curve.recall.max(initial=0)],
            drawstyle="steps-post",
            label=f"{name}: {curve.recall_at(1.0):.1%} at 1",
        )
    axes.axvline(1, color="0.7", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.set_xlim(_FEWEST, _MOST)
    axes.set_ylim(0, 1.01)
    axes.set_xlabel("false positives an image")
    axes.set_ylabel("recall")
    axes.set_title("Faces found")
    axes.legend(loc="lower right")
    axes.grid(visible=True, alpha=0.4)
    return figure


def error_plot(found: Mapping[str, Sequence[Matched]]) -> Figure:
    """Which share of the faces found has its points within each error."""
    figure = Figure(figsize=(6.5, 5), layout="constrained")
    axes = figure.subplots()
    for name, matched in found.items():
        threshold = froc(matched).threshold_at(1.0)
        errors = np.concatenate([one.errors[one.scores >= threshold] for one in matched])
        errors = np.sort(errors[np.isfinite(errors)])
        axes.plot(errors, np.arange(1, len(errors) + 1) / max(1, len(errors)), label=name)
    axes.set_xlim(0, 0.25)
    axes.set_ylim(0, 1.01)
    axes.set_xlabel("mean error of the points, in distances of the eyes")
    axes.set_ylabel("share of the faces found")
    axes.set_title("Points, at 1 false positive an image")
    axes.legend(loc="lower right")
    axes.grid(visible=True, alpha=0.4)
    return figure
