"""A picture of the figures of a load benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def write_plot(figures: dict[str, Any], path: Path) -> None:
    """Write frames and times over the number of kiosks as SVG."""
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    full = figures["full"]
    kiosks = [int(count) for count in full]
    for name, label in (("sent_per_s", "sent"), ("analysed_per_s", "looked at")):
        left.plot(kiosks, [phase[name] for phase in full.values()], marker="o", label=label)
    left.set_yscale("log")
    left.set_title(f"frames a second, each kiosk sending {figures['rate']:g}")
    _finish(left, "kiosks")
    _times(middle, full, "milliseconds, every kiosk sending all the time", "kiosks")
    title = f"milliseconds, {figures['kiosks']} kiosks sending as the page does"
    _times(right, figures["usual"], title, "kiosks with people before them")
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "kiosks"}):  # the same bytes for the same figures
        figure.savefig(path, metadata={"Date": None})


def _times(axes: Axes, phases: dict[str, Any], title: str, x: str) -> None:
    for measure, label in (
        ("first_frame_to_acceptance_ms", "first frame to acceptance"),
        ("frame_to_acceptance_ms", "deciding frame to acceptance"),
    ):
        for of, style in (("p50", "-"), ("p95", "--")):
            times = [phase[measure][of] for phase in phases.values()]
            known = [(int(n), t) for n, t in zip(phases, times, strict=True) if t is not None]
            if known:
                axes.plot(*zip(*known, strict=True), style, marker="o", label=f"{label}, {of}")
    axes.set_title(title)
    axes.set_ylim(bottom=0)
    _finish(axes, x)


def _finish(axes: Axes, x: str) -> None:
    axes.set_xlabel(x)
    axes.grid(visible=True, alpha=0.4)
    axes.legend()
