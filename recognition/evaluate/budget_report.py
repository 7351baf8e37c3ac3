"""Writes a budget evaluation: its figures as JSON, predicted against observed, and the scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from accesscontrol.score_tail import wilson
from recognition.evaluate.budget import Portraits, Trial
from recognition.evaluate.page import Page, Shown, render
from recognition.evaluate.report import png, score_plot
from recognition.packages import write_atomically

NEAREST = 12  # pairs of two people that are shown
_LOWEST = 3e-5


def write_budget_report(
    folder: Path, figures: Mapping[str, Any], portraits: Portraits, headline: Sequence[Trial]
) -> None:
    """Write `report.html`, `report.json` and `predicted.svg`; the folder is made if missing.

    The page holds photos of the people that it shows: it is as private as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    predicted = predicted_plot(figures)
    with mpl.rc_context({"svg.hashsalt": "predicted"}):  # the same bytes for the same figures
        predicted.savefig(folder / "predicted.svg", metadata={"Date": None})
    first = headline[0]
    scores = {
        "stranger against the nearest person": first.strangers,
        "held-out image against its own person": first.own,
    }
    page = Page(
        f"False-accept budget, {figures['people']} people",
        figures,
        {
            "Predicted and observed": png(predicted),
            "Scores of the first half": png(score_plot(scores)),
        },
        [("Different people who look most alike, by label", _nearest_pairs(portraits))],
    )
    write_atomically(folder / "report.html", render(page).encode())


def predicted_plot(figures: Mapping[str, Any]) -> Figure:
    """Observed over predicted FPIR for each size of gallery, estimates and bounds."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    for axes, which, title in zip(
        figure.subplots(1, 2, sharey=True),
        ("estimate", "bound"),
        ("Thresholds without the bound's safety", "Thresholds as put into force (95 % bound)"),
        strict=True,
    ):
        for number, (size, targets) in enumerate(figures["by_size"].items()):
            found = list(targets.values())
            shift = 1.06 ** (number - len(figures["by_size"]) / 2)  # side by side
            predicted = np.array([at["predicted"] for at in found]) * shift
            observed = np.array([at[which]["fpir"] for at in found])
            searches = [at[which]["searches"] for at in found]
            spans = [
                wilson(rate * n, n) for rate, n in zip(observed.tolist(), searches, strict=True)
            ]
            low, high = (np.maximum(column, _LOWEST) for column in np.array(spans).T)
            shown = np.maximum(observed, _LOWEST)
            errors = np.maximum([shown - low, high - shown], 0)
            axes.errorbar(
                predicted, shown, yerr=errors, fmt="o-", capsize=3, label=f"{size} people"
            )
        limits = [_LOWEST, 0.03]
        axes.plot(limits, limits, "k--", linewidth=1, label="as predicted")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(5e-4, 0.03)
        axes.set_ylim(_LOWEST * 0.8, 0.03)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("FPIR that the threshold was solved for")
        axes.grid(visible=True, alpha=0.4)
    figure.axes[0].set_ylabel("FPIR observed on strangers (lowest mark: none)")
    figure.axes[0].legend(fontsize="small")
    return figure


def _nearest_pairs(portraits: Portraits) -> list[Shown]:
    """Two images of different people, by label, with the highest scores: often one person."""
    best: list[tuple[float, int, int]] = []
    for row in range(len(portraits.people) - 1):
        scores = portraits.embeddings[row + 1 :] @ portraits.embeddings[row]
        scores[portraits.people[row + 1 :] == portraits.people[row]] = -1
        other = int(np.argmax(scores))
        best.append((float(scores[other]), row, row + 1 + other))
    ranked = sorted(best, reverse=True)[:NEAREST]
    return [Shown(score, portraits.paths[a], portraits.paths[b]) for score, a, b in ranked]
