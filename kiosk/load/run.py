"""One run of the benchmark: phases of full load, of usual load, and with a flood."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kiosk.bench import fresh_installation, machine
from kiosk.installation import StepError
from kiosk.load.figures import answer_times, judge, spread
from kiosk.load.stage import Stage
from kiosk.load.walker import Part

Say = Callable[[str], None]
Figures = dict[str, Any]

STEPS = (1, 10, 25, 50)
VISITED = (5, 10, 20)
"""Of all kiosks, how many have somebody before them in the phases of usual load."""
PAGE_RATE = 10.0
"""Frames a second of the kiosk page."""
WARM_UP_S = 6.0
FLOOD_TIMES = 100
BESIDE_THE_FLOOD = 10
FLOOD_ROUNDS = ("without", "with", "with", "without")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    rate: frames a second of each kiosk at full load.
    seconds: of each phase.
    flooding: kiosks that send at FLOOD_TIMES the page's rate, beside others.
    faces: a folder with a folder of images for each person, else the sample portraits.
    """

    kiosks: int
    rate: float
    seconds: float
    flooding: int
    faces: Path | None


def bench(plan: Plan, home: Path, say: Say) -> Figures:
    """Measure on services of its own, with the models of `home`. Raises StepError."""
    load = os.getloadavg()
    with fresh_installation(home) as installation:
        stage = Stage.prepared(installation, plan.kiosks, plan.faces)
        say(f"{plan.kiosks} kiosks, people enrolled: {len(stage.show['enrolled'])}")
        stage.play([Part(plan.rate, WARM_UP_S, polite=False)] * plan.kiosks)
        full, usual = _full(stage, plan, say), _usual(stage, plan, say)
        flood = _flooded(stage, plan, say) if plan.flooding else None
    return {
        "machine": machine(),
        "processors": os.cpu_count(),
        "load_before": [round(one, 2) for one in load],
        "kiosks": plan.kiosks,
        "rate": plan.rate,
        "seconds": plan.seconds,
        "faces": "sample portraits" if plan.faces is None else plan.faces.name,
        "people": {kind: len(stage.show[kind]) for kind in ("enrolled", "strangers")},
        "full": full,
        "usual": usual,
        "flood": flood,
    }


def _full(stage: Stage, plan: Plan, say: Say) -> dict[str, Figures]:
    """Every kiosk sends all the time, whatever comes back; people walk past half of the time."""
    phases = {}
    for count in sorted({step for step in STEPS if step < plan.kiosks} | {plan.kiosks}):
        say(f"{count} kiosks, each sending {plan.rate:g} frames a second")
        parts = [Part(plan.rate, plan.seconds, polite=False)] * count
        phases[str(count)] = _without_logs(stage.play(parts))
    return phases


def _usual(stage: Stage, plan: Plan, say: Say) -> dict[str, Figures]:
    """All kiosks are connected and send as the page does: those without people nothing."""
    phases = {}
    for visited in [count for count in VISITED if count < plan.kiosks] or [plan.kiosks]:
        say(f"{plan.kiosks} kiosks, people walking past {visited} of them")
        parts = [
            Part(PAGE_RATE, plan.seconds, polite=True, visited=number < visited)
            for number in range(plan.kiosks)
        ]
        phases[str(visited)] = _without_logs(stage.play(parts))
    return phases


def _flooded(stage: Stage, plan: Plan, say: Say) -> Figures:
    """The others' times with and without the flood, in turns."""
    others = min(BESIDE_THE_FLOOD, plan.kiosks - plan.flooding)
    if others < 1:
        raise StepError("A flood needs kiosks beside those that flood: raise --kiosks.")
    calm = [Part(PAGE_RATE, plan.seconds, polite=True)] * others
    torrent = [Part(FLOOD_TIMES * PAGE_RATE, plan.seconds, polite=False)] * plan.flooding
    rounds: dict[str, list[Figures]] = {"without": [], "with": []}
    for name in FLOOD_ROUNDS:
        say(f"{others} kiosks {name} {plan.flooding} at {FLOOD_TIMES} times the rate")
        rounds[name].append(stage.play(calm, torrent if name == "with" else []))
    return {
        "flooding": plan.flooding,
        "others": others,
        **_compared(
            {name: [log for one in p for log in one["logs"]] for name, p in rounds.items()}
        ),
        **{name: [_without_logs(one) for one in phases] for name, phases in rounds.items()},
    }


def _compared(logs: dict[str, list[Figures]]) -> Figures:
    """Times without and with the flood, all rounds together, and the ratio of their p95."""
    times = {
        "frame_to_answer_ms": {
            name: [t for log in found for t in answer_times(log)] for name, found in logs.items()
        },
        "frame_to_acceptance_ms": {
            name: [t for log in found for t in judge(log).frame_ms] for name, found in logs.items()
        },
    }
    compared: Figures = {}
    for measure, by_name in times.items():
        spreads = {name: spread(found) for name, found in by_name.items()}
        without, during = spreads["without"]["p95"], spreads["with"]["p95"]
        ratio = round(during / without, 3) if without and during else None
        compared[measure] = {**spreads, "ratio_p95": ratio}
    return compared


def _without_logs(figures: Figures) -> Figures:
    return {name: value for name, value in figures.items() if name != "logs"}
