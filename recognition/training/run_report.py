"""A training run's report: one HTML file with its curves, configuration, data and machine."""

from __future__ import annotations

import io
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from recognition.evaluate.page import Page, render
from recognition.packages import write_atomically
from recognition.training.journal import read_rows

REPORT = "report.html"
_POINTS = 500  # of a curve: more are not seen, and would make the page large

Curve = tuple[list[float], list[float]]
"""Steps and values."""


def write_run_report(folder: Path, end: Mapping[str, object]) -> None:
    """Write `report.html` into a run's folder.

    Args:
        folder: of the run.
        end: how the run ended, ready for JSON.

    Raises:
        TrainingError: the run's figures are damaged.
    """
    facts = json.loads((folder / "config.json").read_bytes())
    rows = read_rows(folder)
    figures = {**end, **_last_figures(rows), **_what_it_was(facts)}
    curves = {
        "Loss": _curves(rows, "losses"),
        "Validation": _curves(rows, "validation"),
        "Learning rate": _single(rows, "rate"),
        "Norm of the gradient": _single(rows, "gradient"),
        "Items per second": _curves(rows, "speed", ["items_per_second"]),
        "Part of the time spent waiting for data": _curves(rows, "speed", ["waiting"]),
    }
    drawings = {name: curve_drawing(name, found) for name, found in curves.items() if found}
    page = Page("A training run", figures, {}, [], drawings)
    write_atomically(folder / REPORT, render(page).encode())


def curve_drawing(title: str, curves: Mapping[str, Curve]) -> str:
    """Curves over steps as an SVG element, one below the other where there are several."""
    figure = Figure(figsize=(6.4, 1.2 + 1.8 * len(curves)), layout="constrained")
    places = figure.subplots(len(curves), sharex=True, squeeze=False)[:, 0]
    for axes, (name, (steps, values)) in zip(places, curves.items(), strict=True):
        marker = "o" if len(steps) < 30 else None
        axes.plot(steps, values, marker=marker, markersize=3, linewidth=1.3, color="#1f5fa8")
        axes.set_ylabel(name)
        axes.grid(visible=True, alpha=0.35)
    places[0].set_title(title)
    places[-1].set_xlabel("step")
    return _svg(figure, title)


def _svg(figure: Figure, title: str) -> str:
    buffer = io.StringIO()
    plain = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.hashsalt": title, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata=plain)
    whole = buffer.getvalue()
    return whole[whole.index("<svg") :]


def _what_it_was(facts: Mapping[str, Any]) -> dict[str, object]:
    return {
        "data": facts["data"],
        "processes": facts["processes"],
        "configuration": facts["config"],
        "machine": facts["machine"],
    }


def _last_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    losses = [row["losses"] for row in rows if "losses" in row]
    speeds = [row["speed"] for row in rows if "speed" in row]
    found: dict[str, object] = {"last losses": losses[-1]} if losses else {}
    if speeds:
        found["items per second, median"] = statistics.median(
            speed["items_per_second"] for speed in speeds
        )
        found["waiting for data, median"] = statistics.median(speed["waiting"] for speed in speeds)
    return found


def _curves(
    rows: Sequence[Mapping[str, Any]], kind: str, names: Sequence[str] = ()
) -> dict[str, Curve]:
    found: dict[str, Curve] = {}
    for row in rows:
        for name, value in row.get(kind, {}).items():
            if not names or name in names:
                steps, values = found.setdefault(name, ([], []))
                steps.append(row["step"])
                values.append(value)
    return {name.replace("_", " "): _thinned(curve) for name, curve in found.items()}


def _single(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Curve]:
    having = [row for row in rows if name in row]
    curve = [row["step"] for row in having], [row[name] for row in having]
    return {name: _thinned(curve)} if having else {}


def _thinned(curve: Curve) -> Curve:
    """Means of as many neighbours as leave no more points than are drawn."""
    steps, values = curve
    each = -(-len(steps) // _POINTS)
    starts = range(0, len(steps), max(1, each))
    return (
        [statistics.fmean(steps[start : start + each]) for start in starts],
        [statistics.fmean(values[start : start + each]) for start in starts],
    )
