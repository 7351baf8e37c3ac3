"""Writes a quality evaluation: its figures as JSON, the curves, and the best and worst faces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from recognition.evaluate.page import Page, Shown, render
from recognition.evaluate.quality import CERTAINTY, SCORE, RatedPairs, without_curves
from recognition.evaluate.report import png
from recognition.evaluate.verification import ScoredPairs
from recognition.packages import write_atomically
from recognition.types import Quality

SHOWN = 24


def write_quality_report(
    folder: Path, figures: Mapping[str, Any], scored: ScoredPairs, rated: RatedPairs
) -> None:
    """Write `report.html`, `report.json` and the curves as SVG; the folder is made if missing.

    The page holds photos of the people that it shows: it is as private as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    curves = {name: discard_plot(figures, name) for name in figures["at"]}
    with mpl.rc_context({"svg.hashsalt": "discard"}):  # the same bytes for the same figures
        for name, curve in curves.items():
            curve.savefig(folder / f"discard-{name}.svg", metadata={"Date": None})
    plots = {f"Error against discard, {_named(name)}": png(c) for name, c in curves.items()}
    ranked = sorted(scored.qualities, key=lambda path: (scored.qualities[path].score, path))
    page = Page(
        f"Quality, {len(rated.scores)} genuine pairs",
        without_curves(figures),
        {**plots, "Quality and score": png(score_plot(rated))},
        [
            ("Lowest quality", [_shown(p, scored.qualities[p]) for p in ranked[:SHOWN]]),
            ("Highest quality", [_shown(p, scored.qualities[p]) for p in ranked[::-1][:SHOWN]]),
        ],
    )
    write_atomically(folder / "report.html", render(page).encode())


def discard_plot(figures: Mapping[str, Any], name: str) -> Figure:
    """FNMR over the share discarded at a threshold: by score, by component, ideal and random."""
    at = figures["at"][name]
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    shares = [100 * share for share in figures["discarded"]]
    for measure, found in at["by"].items():
        if figures["spearman"][measure]["value"] is None:
            continue  # the same for all pairs: no curve of its own
        main = measure in (SCORE, CERTAINTY)
        style: dict[str, Any] = {"linewidth": 2.5} if main else {"linewidth": 1, "alpha": 0.8}
        axes.plot(shares, [100 * rate for rate in found["curve"]], label=measure, **style)
    axes.plot(shares, [100 * rate for rate in at["ideal"]["curve"]], "k--", label="ideal")
    axes.axhline(100 * at["fnmr"], color="grey", linestyle=":", label="random")
    axes.set_title(f"Error against discard, threshold {at['threshold']:.3f} ({_named(name)})")
    axes.set_xlabel("pairs of lowest quality discarded, %")
    axes.set_ylabel("FNMR, %")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.4)
    axes.legend(fontsize="small")
    return figure


def _named(threshold: str) -> str:
    rate, _, value = threshold.partition("_")
    return f"{rate.upper()} {value}"


def score_plot(rated: RatedPairs) -> Figure:
    """Each genuine pair's score over its quality."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.plot(rated.qualities[SCORE], rated.scores, ".", markersize=3, alpha=0.5)
    axes.set_xlabel("quality of the worse image")
    axes.set_ylabel("cosine of the pair")
    axes.grid(visible=True, alpha=0.4)
    return figure


def _shown(path: Path, quality: Quality) -> Shown:
    return Shown(quality.score, path, None, note=quality.shortfall or "")
