"""Writes an evaluation's report: its figures as JSON and the DET plot as PNG and SVG."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import NormalDist

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from recognition.evaluate.metrics import DetCurve, Floats

_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.4)
_LOWEST = 5e-5


def write_report(folder: Path, figures: dict[str, object], curve: DetCurve, title: str) -> None:
    """Write `report.json`, `det.png` and `det.svg` into `folder`, which is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    figure = det_plot(curve, title)
    figure.savefig(folder / "det.png", dpi=150)
    with mpl.rc_context({"svg.hashsalt": "det"}):  # the same bytes for the same figures
        figure.savefig(folder / "det.svg", metadata={"Date": None})


def det_plot(curve: DetCurve, title: str) -> Figure:
    """FNMR over FMR on normal-deviate axes (Martin et al., 1997): normal scores give a line."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.plot(_deviate(curve.fmr), _deviate(curve.fnmr), drawstyle="steps-post")
    ticks = _deviate(np.array(_TICKS))
    labels = [f"{tick:.2%}" if tick < 0.001 else f"{tick:.1%}" for tick in _TICKS]
    axes.set_xticks(ticks, labels)
    axes.set_yticks(ticks, labels)
    limits = _deviate(np.array([_LOWEST, 0.5]))
    axes.set_xlim(limits[0], limits[1])
    axes.set_ylim(limits[0], limits[1])
    axes.set_xlabel("false match rate")
    axes.set_ylabel("false non-match rate")
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.4)
    return figure


def _deviate(rates: Floats) -> Floats:
    inverse = NormalDist().inv_cdf
    return np.array([inverse(min(max(rate, _LOWEST), 0.9999)) for rate in rates.tolist()])
