"""Writes an evaluation of presentations: figures as JSON, plots, and all of it as one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recognition.evaluate.composed import KINDS, SCENE_FRAMES, Composed
from recognition.evaluate.page import Page, Picture, Shown, render
from recognition.evaluate.report import png
from recognition.packages import write_atomically

_NAMES = {
    "single_frame": "single frames",
    "all_frames": "mean over all frames",
    "as_decided": "as decided, looking at every frame",
}


def write_presentations_report(
    folder: Path, figures: Mapping[str, Any], scenes: Sequence[Composed]
) -> None:
    """Write `report.html`, `report.json` and `presentations.svg`; makes the folder if missing.

    The page holds pictures of the people that it shows: it is as private as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    plot = rates_plot(figures)
    with mpl.rc_context({"svg.hashsalt": "presentations"}):  # the same bytes for the same figures
        plot.savefig(folder / "presentations.svg", metadata={"Date": None})
    page = Page(
        "Presentations",
        figures,
        {"Error rates of single frames and of presentations over the threshold": png(plot)},
        [("One moment of each kind of scene", _moments(scenes))],
    )
    write_atomically(folder / "report.html", render(page).encode())


def rates_plot(figures: Mapping[str, Any]) -> Figure:
    """Both error rates over the calibrated thresholds, and how long decisions took at each."""
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    rates = figures["rates"]
    thresholds = [found["threshold"] for found in rates.values()]
    for axes, kind, title in (
        (left, "fnir", "FNIR: people not accepted"),
        (middle, "fpir", "FPIR: people not enrolled, taken for somebody"),
    ):
        for name, label in _NAMES.items():
            axes.plot(thresholds, [f[kind][name] for f in rates.values()], marker="o", label=label)
        axes.set_title(title)
        _finish(axes)
    for name in ("median", "p95"):
        frames = [found["frames_to_decision"][name] for found in rates.values()]
        right.plot(thresholds, [np.nan if f is None else f for f in frames], marker="o", label=name)
    right.set_title("frames to an acceptance")
    right.set_ylim(bottom=0)
    _finish(right)
    return figure


def _finish(axes: Axes) -> None:
    axes.set_xlabel("threshold")
    axes.grid(visible=True, alpha=0.4)
    axes.legend()


def _moments(scenes: Sequence[Composed]) -> list[Shown]:
    """The middle of the first scene of each kind."""
    shown = []
    for kind in KINDS:
        scene = next((scene for scene in scenes if scene.kind == kind), None)
        if scene is None:
            continue
        frames = [frame.pixels for frame in scene.frames()]
        moment = min(len(frames) - 1, SCENE_FRAMES // 2)
        shown.append(Shown(float(moment), Picture(scene.name, frames[moment]), None, "frame"))
    return shown
