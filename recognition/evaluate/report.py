"""Writes an evaluation's report: its figures as JSON, the plots, and all of it as one HTML page."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recognition.evaluate.metrics import DetCurve, Floats
from recognition.evaluate.page import Page, Shown, render
from recognition.packages import write_atomically

_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.4)
_LOWEST = 5e-5


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What was measured.

    figures: ready for JSON.
    axes: names of the curve's two error rates, `fmr` and `fnmr`.
    scores: those of each kind of comparison, by its name.
    pairs: photos to be looked at, by heading.
    """

    title: str
    figures: dict[str, object]
    curve: DetCurve
    axes: tuple[str, str]
    scores: Mapping[str, Floats]
    pairs: Sequence[tuple[str, Sequence[Shown]]]


def write_report(folder: Path, report: Report) -> None:
    """Write `report.html`, `report.json`, `det.png` and `det.svg`; the folder is made if missing.

    The page holds photos of the people that it shows: it is as private as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report.figures, indent=2) + "\n")
    det = det_plot(report.curve, report.title, report.axes)
    plots = {
        "DET curve": png(det),
        "Distribution of scores": png(score_plot(report.scores)),
    }
    (folder / "det.png").write_bytes(plots["DET curve"])
    with mpl.rc_context({"svg.hashsalt": "det"}):  # the same bytes for the same figures
        det.savefig(folder / "det.svg", metadata={"Date": None})
    page = Page(report.title, report.figures, plots, report.pairs)
    write_atomically(folder / "report.html", render(page).encode())


def det_plot(
    curve: DetCurve,
    title: str,
    axes_names: tuple[str, str] = ("false match rate", "false non-match rate"),
) -> Figure:
    """FNMR over FMR on normal-deviate axes (Martin et al., 1997): normal scores give a line."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    draw_det(axes, {"": curve}, axes_names)
    axes.set_title(title)
    return figure


def draw_det(axes: Axes, curves: Mapping[str, DetCurve], axes_names: tuple[str, str]) -> None:
    """As `det_plot`, several curves by name on the axes of a figure."""
    for name, curve in curves.items():
        axes.plot(_deviate(curve.fmr), _deviate(curve.fnmr), drawstyle="steps-post", label=name)
    ticks = _deviate(np.array(_TICKS))
    labels = [f"{tick:.2%}" if tick < 0.001 else f"{tick:.1%}" for tick in _TICKS]
    axes.set_xticks(ticks, labels)
    axes.set_yticks(ticks, labels)
    limits = _deviate(np.array([_LOWEST, 0.5]))
    axes.set_xlim(limits[0], limits[1])
    axes.set_ylim(limits[0], limits[1])
    axes.set_xlabel(axes_names[0])
    axes.set_ylabel(axes_names[1])
    axes.grid(visible=True, alpha=0.4)


def score_plot(scores: Mapping[str, Floats]) -> Figure:
    """How often each score occurs, as a density for each kind of comparison."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    shown = {name: values for name, values in scores.items() if len(values)}
    bins = np.histogram_bin_edges(np.concatenate([np.zeros(0), *shown.values()]), 60)
    for name, values in shown.items():
        axes.hist(values, bins=bins.tolist(), density=True, alpha=0.6, label=name)
    axes.set_xlabel("score")
    axes.set_ylabel("density")
    axes.set_title("Distribution of scores")
    axes.legend()
    axes.grid(visible=True, alpha=0.4)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _deviate(rates: Floats) -> Floats:
    inverse = NormalDist().inv_cdf
    return np.array([inverse(min(max(rate, _LOWEST), 0.9999)) for rate in rates.tolist()])
