"""Writes a presentation-attack evaluation: its figures as JSON, scores and error rates as plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recognition.evaluate.pad import LIVE, PadScores


def write_pad_report(
    folder: Path, figures: Mapping[str, Any], singles: Mapping[str, PadScores]
) -> None:
    """Write `report.json`, `pad.png` and `pad.svg` into `folder`, which is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    plot = pad_plot(figures["models"], singles)
    plot.savefig(folder / "pad.png", dpi=150)
    with mpl.rc_context({"svg.hashsalt": "pad"}):  # the same bytes for the same figures
        plot.savefig(folder / "pad.svg", metadata={"Date": None})


def pad_plot(models: Mapping[str, Any], singles: Mapping[str, PadScores]) -> Figure:
    """For each model its scores by kind, and its error rates over the threshold."""
    figure = Figure(figsize=(10, 4 * len(models)), layout="constrained")
    rows = figure.subplots(len(models), 2, squeeze=False)
    for (name, found), (left, right) in zip(models.items(), rows, strict=True):
        _distribution(left, singles[name])
        left.set_title(f"{found['model']}: attack scores, single frames")
        _errors(right, found)
    return figure


def _distribution(axes: Axes, scored: PadScores) -> None:
    edges = np.linspace(scored.scores.min(), scored.scores.max() + 1e-9, 41)
    for kind in [LIVE, *scored.attacks]:
        axes.hist(scored.scores[scored.of(kind)], edges.tolist(), alpha=0.6, label=kind)
    axes.set_yscale("log")
    axes.set_xlabel("attack score")
    axes.set_ylabel("frames")
    axes.legend()


def _errors(axes: Axes, found: Mapping[str, Any]) -> None:
    thresholds = [point["threshold"] for point in found["curve"]]
    axes.plot(thresholds, [point["bpcer"] for point in found["curve"]], label="BPCER")
    for kind in found["apcer"]:
        rates = [point["apcer"][kind] for point in found["curve"]]
        axes.plot(thresholds, rates, label=f"APCER {kind}")
    axes.axvline(found["threshold"], color="grey", linestyle="--", label="threshold")
    axes.set_title("error rates")
    axes.set_xlabel("threshold")
    axes.set_ylabel("share")
    axes.grid(visible=True, alpha=0.4)
    axes.legend()
