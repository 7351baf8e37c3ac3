"""Budgets: how many wrong acceptances a year a site allows, and the threshold that keeps to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Min, Q
from django.utils import timezone

from accesscontrol import score_tail, surveys, thresholds
from accesscontrol.models import (
    Decision,
    Method,
    ModelVersion,
    Outcome,
    Site,
    Threshold,
    User,
)
from accesscontrol.score_tail import Calibration, Tail, TailError
from accesscontrol.surveys import Measured
from accesscontrol.thresholds import ThresholdError

HIGHEST_FPIR = 0.01
"""However few walk-ups there are: a stranger has at most this chance."""
HIGHEST_THRESHOLD = 0.99
"""Beyond, nobody is accepted and no budget is kept by a threshold."""
FEWEST_DAYS, FEWEST_DECISIONS = 7, 50
"""Of stored decisions, from which a year's walk-ups are told."""
COUNTED = timedelta(days=30)
WALK_UPS_A_DAY, WORKING_DAYS = 4, 250
"""Of each person, where there are no decisions to count."""
RAISE_FROM = 0.001
"""Smaller rises of a solved threshold are noise and make no row."""

_BY_LIKENESS = (Outcome.NO_MATCH, Outcome.AMBIGUOUS)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Walk-ups of the last weeks, from stored decisions."""

    decisions: int
    refused: int
    """For their likeness: strangers who were seen well and refused are among these."""
    days: float

    @property
    def enough(self) -> bool:
        return self.days >= FEWEST_DAYS and self.decisions >= FEWEST_DECISIONS

    @property
    def a_year(self) -> int:
        return math.ceil(self.decisions * 365 / self.days) if self.days > 0 else 0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a site manager asks for."""

    wrong_a_year: float
    walk_ups: int
    """A year."""
    strangers: float = 100.0
    """Of 100 walk-ups, how many are by people who are not enrolled."""

    @property
    def fpir(self) -> float:
        """What a search of a stranger may come to, at most HIGHEST_FPIR. Raises ThresholdError."""
        numbers = (self.wrong_a_year, float(self.walk_ups), self.strangers)
        if not all(math.isfinite(number) and number > 0 for number in numbers):
            raise ThresholdError("Budget, walk-ups and share of strangers must be above 0.")
        if self.strangers > 100:
            raise ThresholdError("Of 100 walk-ups at most 100 are by strangers.")
        return min(self.wrong_a_year / (self.walk_ups * self.strangers / 100), HIGHEST_FPIR)


@dataclass(frozen=True, slots=True)
class Share:
    """A share that was counted, with its 95 % interval (Wilson); None where nothing was."""

    hits: int
    trials: int

    @property
    def value(self) -> float | None:
        return self.hits / self.trials if self.trials else None

    @property
    def interval(self) -> tuple[float, float]:
        return score_tail.wilson(self.hits, self.trials)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a threshold costs either way, as far as the site's data tell."""

    threshold: float
    fpir: float
    """Of a stranger's search: the estimate."""
    fpir_at_most: float
    """Its upper bound."""
    wrong_a_year: float | None
    wrong_a_year_at_most: float | None
    own_templates: Share
    """Of the templates of people with several, how many their own others would not reach."""
    accepted: Share
    """Of the acceptances of the last weeks, how many score below."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """All that a site's threshold is solved from."""

    site: Site
    version: ModelVersion
    people: int
    tail: Tail
    state: surveys.State
    measured: Measured | None

    def cost(self, threshold: float, budget: Budget | None) -> Cost:
        """What this threshold means here."""
        people = max(self.people, 1)
        fpir = self.tail.fpir(threshold, people, bound=False)
        at_most = max(fpir, self.tail.fpir(threshold, people))
        exposed = budget.walk_ups * budget.strangers / 100 if budget else None
        return Cost(
            threshold,
            fpir,
            at_most,
            None if exposed is None else fpir * exposed,
            None if exposed is None else at_most * exposed,
            self._own_templates(threshold),
            self._accepted(threshold),
        )

    def _own_templates(self, threshold: float) -> Share:
        if self.measured is None:
            return Share(0, 0)
        share = score_tail.share_below(self.measured.genuine, threshold)
        trials = round(float(self.measured.genuine.sum()))
        return Share(round((share or 0.0) * trials), trials)

    def _accepted(self, threshold: float) -> Share:
        counted = Decision.objects.filter(
            site=self.site,
            model_version=self.version,
            outcome=Outcome.ACCEPTED,
            method=Method.FACE,
            decided_at__gte=timezone.now() - COUNTED,
        ).aggregate(all=Count("pk"), below=Count("pk", filter=Q(score__lt=threshold)))
        return Share(counted["below"], counted["all"])


@dataclass(frozen=True, slots=True)
class Plan:
    """A threshold solved for a budget, not yet in force."""

    budget: Budget
    threshold: float
    estimate: float
    """The threshold without the bound's safety."""
    lifted: str
    """Why it is higher than the budget alone asks; empty if it is not."""


def ground(site: Site, version: ModelVersion) -> Ground:
    """Gather what is known of a site's scores. Raises TailError without a calibration."""
    calibration = Calibration.read(version.calibration)
    state = surveys.state(site, version)
    measured = surveys.measured_of(state.survey) if state.survey and state.measured else None
    people = surveys.gallery(site.pk, version.pk).values("employee").distinct().count()
    tail = score_tail.fit(measured.impostors if measured else None, calibration)
    return Ground(site, version, people, tail, state, measured)


def traffic(site: Site, now: datetime | None = None) -> Traffic:
    """Count the walk-ups of the last weeks: every decision on a face is one."""
    now = now or timezone.now()
    walk_ups = Decision.objects.filter(site=site, method=Method.FACE)
    found = walk_ups.filter(decided_at__gte=now - COUNTED).aggregate(
        decisions=Count("pk"),
        refused=Count("pk", filter=Q(outcome__in=_BY_LIKENESS)),
        first=Min("decided_at"),
    )
    first: datetime | None = found["first"]
    days = (now - first).total_seconds() / 86_400 if first else 0.0
    return Traffic(found["decisions"], found["refused"], days)


def walk_ups_a_year(site: Site, people: int) -> int:
    """As counted, else WALK_UPS_A_DAY of every person on WORKING_DAYS."""
    counted = traffic(site)
    return counted.a_year if counted.enough else max(people, 1) * WALK_UPS_A_DAY * WORKING_DAYS


def solve(known: Ground, budget: Budget) -> Plan:
    """The lowest threshold that keeps to the budget with the tail's confidence.

    Raises ThresholdError where none does.
    """
    people = max(known.people, 1)
    value = known.tail.threshold(budget.fpir, people)
    estimate = known.tail.threshold(budget.fpir, people, bound=False)
    lifted = ""
    least = thresholds.for_false_match_rate(known.version, thresholds.HIGHEST_FALSE_MATCH_RATE)
    if least is not None and value < least:
        value = least
        lifted = "no threshold lies below the model's for a false match rate of 1 in 100"
    value = math.ceil(value * 1e4 - 1e-6) / 1e4
    if value > HIGHEST_THRESHOLD:
        raise ThresholdError(
            f"No threshold keeps to this budget: it would have to be {value:.4f}, and nobody would "
            "be accepted. Allow more wrong acceptances, or tell how many walk-ups are by strangers."
        )
    return Plan(budget, value, estimate, lifted)


def put_into_force(
    known: Ground, plan: Plan, *, margin: float, reason: str, by: User | None
) -> Threshold:
    """Append the solved threshold, with the data it was solved from. Raises ThresholdError."""
    row = Threshold(
        site=known.site,
        model_version=known.version,
        value=plan.threshold,
        margin=margin,
        reason=reason,
        budget=plan.budget.wrong_a_year,
        basis=_basis(known, plan.threshold, plan.budget, "budget", plan.estimate),
    )
    return thresholds.put(row, by)


def put_own(
    known: Ground, value: float, *, budget: Budget | None, margin: float, reason: str, by: User
) -> Threshold:
    """Append a threshold that a person chose, with what it was said to cost."""
    row = Threshold(
        site=known.site,
        model_version=known.version,
        value=value,
        margin=margin,
        reason=reason,
        basis=_basis(known, value, budget, "own", None),
    )
    return thresholds.put(row, by)


def kept_budget(site: Site, version: ModelVersion) -> Budget | None:
    """The budget that the site's threshold keeps to; None where a person chose the threshold.

    Under a new model, whose first threshold is the calibration's, it is the one under the last.
    """
    rows = Threshold.objects.filter(site=site)
    row = rows.filter(model_version=version).first()
    if row is None or row.basis.get("kind") == "default":
        row = rows.exclude(model_version=version).first()
    return budget_of(row) if row is not None and row.budget is not None else None


def budget_of(row: Threshold) -> Budget | None:
    """The budget in a threshold's basis; None if there is none."""
    asked = row.basis.get("budget")
    if not isinstance(asked, dict):
        return None
    return Budget(float(asked["wrong_a_year"]), int(asked["walk_ups"]), float(asked["strangers"]))


@transaction.atomic
def solve_again(site: Site, version: ModelVersion) -> Threshold | None:
    """Keep to the site's budget after its gallery, or the model, has changed.

    A higher threshold comes into force by itself: more people may have to try again, and no more
    strangers come in. A lower one only ever by a person, to whom the page proposes it. A threshold
    that a person chose stays.
    """
    locked = Site.objects.select_for_update(no_key=True).get(pk=site.pk)
    budget, row = kept_budget(locked, version), thresholds.in_force(site.pk, version.pk)
    if budget is None or row is None:
        return None
    try:
        known = ground(locked, version)
        survey = known.state.survey
        if survey is None or known.measured is None or known.state.stale:
            return None
        if row.basis.get("gallery") == survey.stamp:
            return None  # solved from this gallery already
        counted = traffic(locked)
        if counted.enough:
            budget = Budget(budget.wrong_a_year, counted.a_year, budget.strangers)
        plan = solve(known, budget)
    except (TailError, ThresholdError):
        return None  # the page says why, to a person who can do something about it
    if plan.threshold < row.value + RAISE_FROM:
        return None
    people = row.basis.get("people")
    change = "new model" if people is None else f"{people} people then, {known.people} now"
    return put_into_force(
        known, plan, margin=row.margin, reason=f"Solved again for the budget: {change}", by=None
    )


def _basis(
    known: Ground, value: float, budget: Budget | None, kind: str, estimate: float | None
) -> dict[str, Any]:
    """The data behind a row: counts, tail, confidence, cost. No score of a single person."""
    cost, survey = known.cost(value, budget), known.state.survey
    return {
        "kind": kind,
        "people": known.people,
        "templates": survey.templates if survey else 0,
        "budget": budget
        and {
            "wrong_a_year": budget.wrong_a_year,
            "walk_ups": budget.walk_ups,
            "strangers": budget.strangers,
            "fpir": budget.fpir,
        },
        "gallery": survey.stamp if survey else "",
        "surveyed_at": survey.finished_at.isoformat() if survey and survey.finished_at else None,
        "tail": known.tail.summary,
        "estimate": estimate if estimate is None else round(estimate, 5),
        "fpir": cost.fpir,
        "fpir_at_most": cost.fpir_at_most,
        "own_templates_below": [cost.own_templates.hits, cost.own_templates.trials],
        "accepted_below": [cost.accepted.hits, cost.accepted.trials],
    }
