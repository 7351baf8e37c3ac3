"""Writes a presentation-attack evaluation: figures as JSON, plots, and all of it as one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recognition.evaluate.metrics import det_curve
from recognition.evaluate.pad import PadScores
from recognition.evaluate.pad_data import LIVE, frame_of
from recognition.evaluate.pad_scoring import Scored, ScoredFrame
from recognition.evaluate.page import Page, Picture, Shown, render
from recognition.evaluate.report import draw_det, png
from recognition.packages import write_atomically
from recognition.types import Pixels

WORST = 8
"""How many faces of a kind are shown."""
_AROUND = 2.0  # of a face shown, in longer sides of its box


def write_pad_report(folder: Path, figures: Mapping[str, Any], scored: Scored) -> None:
    """Write `report.html`, `report.json`, `pad.png` and `pad.svg`; the folder is made if missing.

    The page holds pictures of the people that it shows: it is as private as they are.

    Args:
        folder: where to.
        figures: ready for JSON, those of each model under `models`.
        scored: what they were made from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    singles = {name: scored.rows(name) for name in figures["models"]}
    plot = pad_plot(figures["models"], singles)
    picture = png(plot)
    (folder / "pad.png").write_bytes(picture)
    with mpl.rc_context({"svg.hashsalt": "pad"}):  # the same bytes for the same figures
        plot.savefig(folder / "pad.svg", metadata={"Date": None})
    told_below = {key for found in figures["models"].values() for key in found}
    page = Page(
        "Presentation attack detection",
        without_curves({key: figures[key] for key in figures if key not in told_below}),
        {"Error rates against each other, scores, error rates over the threshold": picture},
        [part for name in figures["models"] for part in _worst(name, scored)],
    )
    write_atomically(folder / "report.html", render(page).encode())


def without_curves(value: Any) -> Any:
    """The figures as a person reads them: no curves, and clips by their names."""
    if isinstance(value, Mapping):
        return {name: without_curves(part) for name, part in value.items() if name != "curve"}
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return {part["clip"]: without_curves(part) for part in value if "clip" in part}
    return value


def pad_plot(models: Mapping[str, Any], singles: Mapping[str, PadScores]) -> Figure:
    """For each model APCER against BPCER, its scores by kind, and both rates by threshold."""
    figure = Figure(figsize=(15, 4.6 * len(models)), layout="constrained")
    rows = figure.subplots(len(models), 3, squeeze=False)
    for (name, found), (left, middle, right) in zip(models.items(), rows, strict=True):
        single = singles[name]
        live = single.scores[single.of(LIVE)]
        draw_det(
            left,
            {kind: det_curve(single.scores[single.of(kind)], live) for kind in single.attacks},
            ("BPCER", "APCER"),
        )
        left.set_title(f"{found['model']}: single frames")
        left.legend()
        _distribution(middle, single)
        _errors(right, found)
    return figure


def _distribution(axes: Axes, scored: PadScores) -> None:
    edges = np.linspace(scored.scores.min(), scored.scores.max() + 1e-9, 41)
    for kind in [LIVE, *scored.attacks]:
        axes.hist(scored.scores[scored.of(kind)], edges.tolist(), alpha=0.6, label=kind)
    axes.set_yscale("log")
    axes.set_title("attack scores")
    axes.set_xlabel("attack score")
    axes.set_ylabel("frames")
    axes.legend()


def _errors(axes: Axes, found: Mapping[str, Any]) -> None:
    curve = found["curve"]
    rates = {"BPCER": [point["bpcer"] for point in curve]}
    rates |= {f"APCER {kind}": [point["apcer"][kind] for point in curve] for kind in found["apcer"]}
    thresholds = [point["threshold"] for point in curve]
    for name, values in rates.items():
        # Between two thresholds no more is known than at the upper of them.
        axes.plot(thresholds, values, drawstyle="steps-pre", label=name)
    axes.axvline(found["threshold"], color="grey", linestyle="--", label="threshold")
    axes.set_title("error rates")
    axes.set_xlabel("threshold")
    axes.set_ylabel("share")
    axes.grid(visible=True, alpha=0.4)
    axes.legend()


def _worst(model: str, scored: Scored) -> list[tuple[str, Sequence[Shown]]]:
    """The live faces that look most like attacks, and of each kind the attacks that do least."""
    parts: list[tuple[str, Sequence[Shown]]] = []
    kinds = sorted({frame.shown.kind for frame in scored.frames} - {LIVE})
    for kind in [LIVE, *kinds]:
        frames = [frame for frame in scored.frames if frame.shown.kind == kind]
        frames.sort(key=lambda frame: frame.scores[model], reverse=kind == LIVE)
        which = "highest" if kind == LIVE else "lowest"
        shown = [Shown(frame.scores[model], _picture(frame), None) for frame in frames[:WORST]]
        parts.append((f"{model}: {kind}, {which} attack scores", shown))
    return parts


def _picture(frame: ScoredFrame) -> Picture:
    shown = frame.shown
    name = f"{shown.path.parent.name}/{shown.path.name}"
    if shown.is_clip:
        name += f", frame {frame.number}"
    return Picture(name, _around(frame_of(shown, frame.number), frame))


def _around(pixels: Pixels, frame: ScoredFrame) -> Pixels:
    """The part of the image with the face and what the networks see beside it."""
    x1, y1, x2, y2 = (float(side) for side in frame.box)
    half = max(x2 - x1, y2 - y1, 2.0) * _AROUND / 2
    across, down = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = max(0, int(across - half)), max(0, int(down - half))
    part = pixels[top : int(down + half) + 1, left : int(across + half) + 1]
    return part if part.size else pixels
