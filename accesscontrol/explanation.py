"""What stands behind a decision, for the reader who may see it: a value, made from stored rows."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accesscontrol import likeness
from accesscontrol.models import CandidateScore, Correction, Decision, Employee, Threshold


@dataclass(frozen=True, slots=True)
class CandidateLine:
    """Somebody who was near."""

    name: str
    employee: Employee | None
    """None for whom the reader may not see, or who has withdrawn their consent."""
    score: float
    meaning: str
    reaches: bool
    """Whether the score reaches the threshold."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One face of the presentation. `after_ms` since the first; `width` in pixels; rest 0..1."""

    after_ms: int
    quality: float
    width: float
    pad: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """A step on the way of the deciding frame, and how long it took."""

    name: str
    ms: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class CorrectionLine:
    """What HR said."""

    row: Correction
    name: str
    """Whom it was; empty: not who was recognised, whoever it was."""
    reason: str
    """Empty where the reader may not see whom it is about."""
    effect: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that a decision's page shows of its evidence."""

    decision: Decision
    """As the reader may see it: people they may not see are "another person"."""
    candidates: list[CandidateLine]
    threshold_row: Threshold | None
    threshold_meaning: str
    lead: float | None
    """How far the best person lies above the second."""
    frames: list[Frame]
    lowest_quality: float | None
    pad_threshold: float | None
    stages: list[Stage]
    corrections: list[CorrectionLine]
    """Newest first: that one holds."""


_CORRECTION = ("employee", "made_by", "punch", "cancels")


def explain(decision: Decision, visible: QuerySet[Employee]) -> Explanation:
    """Gather what the decision rests on; `visible` are the employees that the reader may see."""
    scores = list(CandidateScore.objects.filter(decision=decision).select_related("employee"))
    corrections = list(Correction.objects.filter(decision=decision).select_related(*_CORRECTION))
    named = {decision.employee_id, decision.nearest_id}
    named |= {row.employee_id for row in scores} | {row.employee_id for row in corrections}
    seen = visible.in_bulk([pk for pk in named if pk is not None])
    row = decision.threshold_row
    policy = decision.evidence.get("policy") or {}
    pad = decision.evidence.get("pad") or {}
    lead = None
    if decision.score is not None and decision.second_score is not None:
        lead = decision.score - decision.second_score
    return Explanation(
        decision=veiled(decision, seen),
        candidates=_candidates(decision, scores, seen),
        threshold_row=row,
        threshold_meaning=likeness.meaning(decision.model_version, row.value) if row else "",
        lead=lead,
        frames=_frames(decision.evidence.get("trail")),
        lowest_quality=policy.get("lowest_quality"),
        pad_threshold=pad.get("threshold"),
        stages=_stages(decision),
        corrections=[_correction(row, decision, seen) for row in corrections],
    )


def veiled(decision: Decision, seen: Mapping[int, Employee]) -> Decision:
    """A copy, not to be saved, without the names of people whom the reader may not see."""
    shown = copy.copy(decision)
    for field in ("employee", "nearest"):
        person = getattr(decision, f"{field}_id")
        withheld = person is None and field == "nearest" and decision.score is not None
        if withheld or (person is not None and person not in seen):
            setattr(shown, field, Employee(name=_("another person")))
    return shown


def _candidates(
    decision: Decision, scores: Sequence[CandidateScore], seen: Mapping[int, Employee]
) -> list[CandidateLine]:
    near = [(row.employee_id, row.score) for row in scores]
    if not near and decision.score is not None:
        # Recorded before candidates were kept.
        near = [(decision.nearest_id, decision.score)]
        near += [(None, decision.second_score)] if decision.second_score is not None else []
    lines = []
    for employee_id, score in near:
        person = seen.get(employee_id) if employee_id is not None else None
        lines.append(
            CandidateLine(
                name=person.name if person else _("another person"),
                employee=person,
                score=score,
                meaning=likeness.meaning(decision.model_version, score),
                reaches=decision.threshold is not None and score >= decision.threshold,
            )
        )
    return lines


def _correction(
    row: Correction, decision: Decision, seen: Mapping[int, Employee]
) -> CorrectionLine:
    name = ""
    if row.employee_id is not None:
        name = seen[row.employee_id].name if row.employee_id in seen else _("another person")
    effects = []
    if row.cancels:
        effects.append(
            _("the punch %(way)s at %(at)s was cancelled")
            % {"way": row.cancels.direction, "at": f"{row.cancels.local_at:%H:%M:%S}"}
        )
    made = getattr(row, "punch", None)
    if made:
        effects.append(
            _("a punch %(way)s at %(at)s was added")
            % {"way": made.direction, "at": f"{made.local_at:%H:%M:%S}"}
        )
    elif name:
        effects.append(_("no punch was added: another one of the person is within the cool-down"))
    concerned = row.employee_id if row.employee_id is not None else decision.employee_id
    reason = row.reason if concerned in seen else ""  # it may name them
    return CorrectionLine(row, name, reason, "; ".join(effects) or _("no punch was concerned"))


def _frames(trail: object) -> list[Frame]:
    """Those of the record, as far as they are of the form that workers write."""
    frames = []
    for entry in trail if isinstance(trail, list) else ():
        after_ms, quality, width, pad = entry
        if after_ms is not None and quality is not None and width is not None:
            frames.append(Frame(int(after_ms), float(quality), float(width), pad))
    return frames


def _stages(decision: Decision) -> list[Stage]:
    trace = decision.evidence
    gathered = decision.captured_at - decision.first_captured_at
    whole = _ms(decision.decided_at - decision.received_at)
    stages = [
        Stage(_("evidence gathered before the camera"), _ms(gathered), _("kiosk's clock")),
        Stage(
            _("last frame on its way to the server"),
            _ms(decision.received_at - decision.captured_at),
            _("between two clocks: only as exact as they agree"),
        ),
    ]
    measured: list[Stage] = []
    if (waited := trace.get("waited_ms")) is not None:
        measured.append(Stage(_("waited for a worker"), int(waited)))
    if (analysed := trace.get("pipeline_ms")) is not None:
        others = int(trace.get("batch") or 1) - 1
        note = ngettext(
            "together with a frame of %(n)d other kiosk",
            "together with frames of %(n)d other kiosks",
            others,
        ) % {"n": others}
        measured.append(Stage(_("decoded and analysed"), int(analysed), note if others else ""))
    if (searched := trace.get("search_ms")) is not None:
        measured.append(Stage(_("gallery searched"), int(searched)))
    rest = max(0, whole - sum(stage.ms for stage in measured))
    if measured and analysed is None:
        measured.insert(0, Stage(_("waited whether the person would come back"), rest))
    elif measured:
        measured.append(Stage(_("decided and written"), rest))
    return [*stages, *measured, Stage(_("from the last frame's receipt to the decision"), whole)]


def _ms(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)
