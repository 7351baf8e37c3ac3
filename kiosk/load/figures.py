"""Figures of one part of a load benchmark, from the logs of its kiosks. Standard library only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

Log = dict[str, Any]
"""As `walker.Log.plain` gives it."""
Times = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a kiosk's walk-ups.

    waits_ms: from a walk-up's first frame to its acceptance at the kiosk.
    frame_ms: from the frame that a decision fell on, sent, to the acceptance at the kiosk.
    """

    counts: Counter[str]
    waits_ms: list[int]
    frame_ms: list[int]


def judge(log: Log) -> Judged:
    """Hold the decisions that came to a kiosk against who walked past it.

    Counts: `walk_ups`; of them with `one` decision, `none`, `several`; `right`, with one decision
    that is right; `wrong`, accepted as somebody who was not there; `beside`, decisions of no
    walk-up.
    """
    counts: Counter[str] = Counter(walk_ups=len(log["walk_ups"]))
    waits, frames = [], []
    left = list(log["decisions"])
    for walk_up in log["walk_ups"]:
        own = [d for d in left if walk_up["first_seq"] <= d["seq"] <= walk_up["last_seq"]]
        left = [d for d in left if d not in own]
        counts["one" if len(own) == 1 else "several" if own else "none"] += 1
        expected = walk_up["person"] if walk_up["enrolled"] else None
        accepted = [d for d in own if d["outcome"] == "ACCEPTED"]
        counts["wrong"] += any(d["employee"] != expected for d in accepted)
        counts["right"] += len(own) == 1 and own[0]["employee"] == expected
        for decision in accepted[:1]:
            waits.append(decision["at_ms"] - walk_up["began_ms"])
            frames.append(decision["at_ms"] - log["sent_ms"][decision["seq"] - 1])
    counts["beside"] = len(left)
    return Judged(counts, waits, frames)


def answer_times(log: Log) -> list[int]:
    """Milliseconds from sending a frame to the answer that it was looked at."""
    return [at_ms - log["sent_ms"][seq - 1] for seq, at_ms in log["answers"]]


def spread(times: Sequence[float]) -> Times:
    """Median, 95th percentile and maximum; null without any."""
    if not times:
        return {"p50": None, "p95": None, "max": None}
    p95 = quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]
    return {"p50": round(median(times), 1), "p95": round(p95, 1), "max": round(max(times), 1)}


def jain(shares: Iterable[float]) -> float | None:
    """Jain's index of fairness: 1 where all have the same, 1/n where one has everything."""
    shares = list(shares)
    squares = len(shares) * sum(share**2 for share in shares)
    return round(sum(shares) ** 2 / squares, 4) if squares else None


def phase_figures(logs: Sequence[Log], seconds: float) -> dict[str, Any]:
    """What the clients saw of a phase of so many seconds."""
    judged = [judge(log) for log in logs]
    counts = sum((one.counts for one in judged), Counter[str]())
    visited = [one for one in judged if one.counts["walk_ups"]]
    answered = [len(log["answers"]) for log in logs if log["sent_ms"]]
    names = ("walk_ups", "one", "none", "several", "right", "wrong", "beside")
    return {
        "sent_per_s": round(sum(len(log["sent_ms"]) for log in logs) / seconds, 1),
        "held_back_per_s": round(sum(log["held_back"] for log in logs) / seconds, 1),
        "analysed_per_s": round(sum(answered) / seconds, 1),
        "walk_ups": {name: counts[name] for name in names},
        "first_frame_to_acceptance_ms": spread([t for one in judged for t in one.waits_ms]),
        "frame_to_acceptance_ms": spread([t for one in judged for t in one.frame_ms]),
        "frame_to_answer_ms": spread([t for log in logs for t in answer_times(log)]),
        "fairness": {
            "jain_analysed": jain(answered),
            "jain_decided": jain(
                (one.counts["walk_ups"] - one.counts["none"]) / one.counts["walk_ups"]
                for one in visited
            ),
            "worst_analysed_per_s": round(min(answered, default=0) / seconds, 2),
            "worst_undecided": max((one.counts["none"] for one in visited), default=0),
        },
        "problems": sorted({problem for log in logs for problem in log["problems"]}),
    }
