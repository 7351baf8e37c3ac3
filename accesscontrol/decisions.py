"""Deciding on a presentation, and writing the decision down.

`decide` is pure: evidence, candidates and policy in, a verdict out. `record_decision` makes the
verdict durable, with its punch, in one transaction; whoever is told of it is told after the
commit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accesscontrol import admission, advice, audit
from accesscontrol.admission import Denial
from accesscontrol.assurance import Assurance
from accesscontrol.candidates import keep_candidates
from accesscontrol.challenges import Challenged, ChallengeRule, is_met
from accesscontrol.evidence_json import as_json
from accesscontrol.matching import Match, compare
from accesscontrol.models import Decision, Employee, Kiosk, Outcome, Punch
from accesscontrol.punches import punch

LONGEST_AGE_S = 10.0
"""A decision on evidence older than this, receipt to decision, is EXPIRED."""
LONGEST_AGE_TO_ACCEPT_S = 2.0
"""So is an acceptance beyond this: by then somebody else may stand there."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An employee of the site and the best cosine of any of their templates with the probe."""

    employee_id: int
    score: float


@dataclass(frozen=True, slots=True)
class PadRule:
    """What a site that asks for presentation attack detection asks for."""

    model: str
    """Name and version of what scores the faces."""
    threshold: float | None
    """In (0, 1): an attack score at or above it is an attack. None where the model that the
    worker has is not calibrated: then everybody is refused."""
    fewest_frames: int
    """Faces that the score must come from."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the site asks for, in force at this moment."""

    threshold_id: int
    model_version_id: int
    threshold: float
    """Cosine in (0, 1)."""
    margin: float
    """How far the best person must lie above the second."""
    fewest_frames: int
    """Faces that the evidence must come from, of a clear match."""
    smallest_face: float
    """Width in pixels."""
    lowest_quality: float
    """Between 0 and 1."""
    pad: PadRule | None = None
    """None where the site does not ask for presentation attack detection."""
    doubtful_frames: int = 0
    """Faces in good light that a match at the threshold must come from; see `assurance`."""
    clear_lead: float = 0.0
    """How far above the threshold a match is clear."""
    challenge: ChallengeRule | None = None
    """None where the site does not ask people to move their heads."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a presentation has shown so far. Times are UTC."""

    presentation: UUID
    frames: int
    face_width: float
    """Of the widest face of the presentation, in pixels."""
    quality: float
    """Of the best face, between 0 and 1."""
    first_captured_at: datetime
    captured_at: datetime
    received_at: datetime
    pad_score: float | None = None
    """Mean attack score over the faces, 0..1; None or no number where there is none."""
    pad_frames: int = 0
    """Faces that it is the mean of."""
    trace: dict[str, object] = field(default_factory=dict)
    """Numbers for the record: latencies. No biometrics."""
    shortfall: str = ""
    """What the best face lacks most, a `quality.Shortfall`; empty if nothing much."""
    good_frames: float | None = None
    """The faces counted by their quality, each at most 1; None counts each as 1."""
    face_share: float = 0.0
    """Width of the widest face as a share of the picture's, 0..1."""
    trail: Sequence[Sequence[float | None]] = ()
    """Its faces one by one: milliseconds since the first, quality, width in pixels, attack score.
    No biometrics."""
    challenge: Challenged | None = None
    """What the person was asked to do, and did; None if nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome, with the two best candidates it was drawn from."""

    outcome: Outcome
    best: Candidate | None = None
    second: Candidate | None = None

    @property
    def accepted(self) -> bool:
        return self.outcome is Outcome.ACCEPTED


def decide(
    evidence: Evidence,
    candidates: Sequence[Candidate] | None,
    policy: Policy | None,
    now: datetime,
) -> Verdict:
    """Return what to make of a presentation. Any doubt is a refusal.

    `candidates` are the site's employees nearest to the probe, one entry for each, in any order;
    empty means that nobody is enrolled, None that the search failed.
    """
    if candidates is None or not all(_is_score(c.score) for c in candidates):
        return Verdict(Outcome.ERROR)
    ranked = sorted(candidates, key=lambda candidate: candidate.score, reverse=True)
    best = ranked[0] if ranked else None
    second = ranked[1] if len(ranked) > 1 else None

    def verdict(outcome: Outcome) -> Verdict:
        return Verdict(outcome, best, second)

    if policy is None:
        return verdict(Outcome.NOT_CALIBRATED)
    if not _is_sound(policy, evidence):
        return verdict(Outcome.ERROR)
    age_s = (now - evidence.received_at).total_seconds()
    if not 0 <= age_s <= LONGEST_AGE_S:
        return verdict(Outcome.EXPIRED)
    if best is None:
        return verdict(Outcome.EMPTY_GALLERY)
    weak = _weak_evidence(evidence, policy) or _attack(evidence, policy.pad)
    found = (
        weak
        or _compare(best, second, policy)
        or _too_brief(best, second, evidence, policy)
        or _challenged(best, evidence, policy)
    )
    late = found is Outcome.ACCEPTED and age_s > LONGEST_AGE_TO_ACCEPT_S
    return verdict(Outcome.EXPIRED if late else found)


def _weak_evidence(evidence: Evidence, policy: Policy) -> Outcome | None:
    """Why the presentation shows too little to go by, or None if it shows enough."""
    if evidence.face_width < policy.smallest_face:
        return Outcome.TOO_FAR
    if evidence.frames < policy.fewest_frames or evidence.quality < policy.lowest_quality:
        return Outcome.LOW_QUALITY
    return None


def _attack(evidence: Evidence, rule: PadRule | None) -> Outcome | None:
    """PAD_FAILED unless every face that speaks for an identity was scored, and looks alive.

    Behind TOO_FAR and LOW_QUALITY, for which somebody can do something and where the score says
    little; before NO_MATCH and AMBIGUOUS, so that a picture tells its holder nothing of who it is.
    """
    if rule is None:
        return None
    score, threshold = evidence.pad_score, rule.threshold
    if score is None or threshold is None or not 0 < threshold < 1 or rule.fewest_frames < 1:
        return Outcome.PAD_FAILED
    if evidence.pad_frames < max(rule.fewest_frames, evidence.frames):
        return Outcome.PAD_FAILED
    return None if 0 <= score < threshold else Outcome.PAD_FAILED  # NaN is in no range


def _compare(best: Candidate, second: Candidate | None, policy: Policy) -> Outcome | None:
    """Why the best candidate is nobody's match, or None if it is one."""
    next_score = None if second is None else second.score
    found = compare(best.score, next_score, policy.threshold, policy.margin)
    return None if found is Match.ACCEPTED else Outcome(found)


def _too_brief(
    best: Candidate, second: Candidate | None, evidence: Evidence, policy: Policy
) -> Outcome | None:
    """LOW_QUALITY unless the match has been seen long enough for how clear it is."""
    lead = best.score - policy.threshold
    if second is not None:
        lead = min(lead, best.score - second.score - policy.margin)
    rule = Assurance(policy.clear_lead, policy.fewest_frames, policy.doubtful_frames)
    good = float(evidence.frames) if evidence.good_frames is None else evidence.good_frames
    return None if rule.is_enough(lead, evidence.frames, good) else Outcome.LOW_QUALITY


def _challenged(best: Candidate, evidence: Evidence, policy: Policy) -> Outcome:
    """ACCEPTED if nothing was to be done or it was done, by whom it was asked of.

    Last of all: asked is only who would be accepted, so that others learn nothing by it.
    """
    rule = policy.challenge
    met = rule is None or is_met(rule, evidence.challenge, best.employee_id)
    return Outcome.ACCEPTED if met else Outcome.CHALLENGE


def _is_score(score: float) -> bool:
    return math.isfinite(score) and -1.01 <= score <= 1.01  # room for halfvec's rounding


def _is_sound(policy: Policy, evidence: Evidence) -> bool:
    numbers = (
        policy.threshold,
        policy.margin,
        policy.smallest_face,
        policy.lowest_quality,
        policy.clear_lead,
        evidence.face_width,
        evidence.face_share,
        evidence.quality,
        0.0 if evidence.good_frames is None else evidence.good_frames,
    )
    return (
        all(math.isfinite(number) for number in numbers)
        and 0 < policy.threshold < 1
        and policy.margin >= 0
        and policy.clear_lead >= 0
        and policy.fewest_frames >= 1
    )


class KioskShutOutError(Exception):
    """The kiosk was revoked while its frames were on their way: nothing is decided for it."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as it stands in the database."""

    decision: Decision
    punch: Punch | None
    """The person's punch: this decision's, or the one that still cools down."""
    repeat: bool
    """True if the punch was there already."""


@transaction.atomic
def record_decision(
    kiosk_id: UUID,
    evidence: Evidence,
    verdict: Verdict,
    policy: Policy | None,
    candidates: Sequence[Candidate] = (),
) -> Recorded:
    """Write the decision and, if it accepts, the punch; the same presentation twice has one effect.

    The best few `candidates` are kept for the record. The kiosk and, if accepted, the employee are
    checked again under lock (`admission`): whoever was deactivated, or withdrew consent, since the
    search is NOT_ALLOWED. Raises KioskShutOutError.
    """
    kiosk = (
        Kiosk.objects.select_for_update(of=("self",), no_key=True)
        .select_related("site")
        .get(pk=kiosk_id)
    )
    if not kiosk.may_stream:
        raise KioskShutOutError(str(kiosk_id))
    known = Decision.objects.filter(kiosk=kiosk, presentation=evidence.presentation).first()
    if known:
        return as_recorded(known)
    employee, denied = None, None
    if verdict.accepted and verdict.best:
        employee = admission.lock(verdict.best.employee_id)
        denied = admission.denial(employee, kiosk, evidence, policy)
        if denied:
            other = denied is Denial.OTHER_KIOSK
            outcome = Outcome.AT_OTHER_KIOSK if other else Outcome.NOT_ALLOWED
            employee, verdict = None, Verdict(outcome, verdict.best, verdict.second)
    decision = _write(kiosk, evidence, verdict, policy, (employee, denied))
    keep_candidates(decision, [(c.employee_id, c.score) for c in candidates if _is_score(c.score)])
    made, repeat = punch(decision, employee, kiosk) if employee else (None, False)
    own = made.pk if made and not repeat else None
    done = {"outcome": decision.outcome, "employee": decision.employee_id, "punch": own}
    audit.record(f"kiosk:{kiosk.pk}", "decide", f"decision:{decision.pk}", done)
    return Recorded(decision, made, repeat)


def _write(
    kiosk: Kiosk,
    evidence: Evidence,
    verdict: Verdict,
    policy: Policy | None,
    admitted: tuple[Employee | None, Denial | None],
) -> Decision:
    best, second = verdict.best, verdict.second
    employee, denied = admitted
    return Decision.objects.create(
        site=kiosk.site,
        kiosk=kiosk,
        presentation=evidence.presentation,
        outcome=verdict.outcome,
        employee=employee,
        nearest_id=best.employee_id if best else None,
        score=best.score if best else None,
        second_score=second.score if second else None,
        threshold=policy.threshold if policy else None,
        margin=policy.margin if policy else None,
        threshold_row_id=policy.threshold_id if policy else None,
        model_version_id=policy.model_version_id if policy else None,
        frames=evidence.frames,
        evidence=as_json(evidence, policy) | {"denied": denied},
        first_captured_at=evidence.first_captured_at,
        captured_at=evidence.captured_at,
        received_at=evidence.received_at,
        decided_at=timezone.now(),
    )


def as_recorded(decision: Decision) -> Recorded:
    """The decision with its person's punch, as the database has them."""
    own = Punch.objects.filter(decision=decision, correction__isnull=True).first()
    if own or decision.employee is None:
        return Recorded(decision, own, repeat=False)
    cooling = (
        Punch.objects.standing()
        .filter(employee=decision.employee, cooling__contains=decision.received_at)
        .first()
    )
    return Recorded(decision, cooling, repeat=True)


def kiosk_message(recorded: Recorded, sequence: int | None) -> dict[str, object]:
    """The decision as the kiosk's screen needs it: the stream protocol's "decision" message.

    `sequence` is the frame that the decision fell on; None: it fell on no frame. A refused
    person's name never leaves.
    """
    decision, made = recorded.decision, recorded.punch
    accepted = decision.outcome == Outcome.ACCEPTED
    return {
        "type": "decision",
        "presentation": str(decision.presentation),
        "seq": sequence,
        "outcome": str(decision.outcome),
        "employee": decision.employee.name if accepted and decision.employee else None,
        "direction": made.direction if made else None,
        "at": made.local_at.isoformat(timespec="seconds") if made else None,
        "repeat": recorded.repeat,
        "reason": None if accepted else advice.for_kiosk(decision),
    }


_YEAR_3000_MS = 32_503_680_000_000


def utc_from_ms(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as a UTC datetime; a kiosk's absurd clock gives the epoch.

    Times at the end of all years exist in UTC and in no zone to its east: who shows or exports
    one would fail.
    """
    absurd = not 0 <= milliseconds < _YEAR_3000_MS
    return datetime.fromtimestamp(0 if absurd else milliseconds / 1000, UTC)
