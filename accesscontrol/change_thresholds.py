"""The sites' thresholds under the new model of a change: which are missing, and solving them.

A site keeps what it has asked for. Where it keeps to a budget, the new model's threshold is solved
for the same budget from the site's own new templates. Where a person chose the threshold, it is
the one with the same false match rate in the new model's calibration, and a person puts it into
force. Elsewhere it is the new model's default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from accesscontrol import budgets, surveys, thresholds
from accesscontrol.models import ModelChange, ModelVersion, Site, Threshold, User
from accesscontrol.score_tail import Calibration, TailError
from accesscontrol.thresholds import ThresholdError

RARE, FREQUENT = 1e-12, 0.5
"""False match rates between which a threshold's own is looked for."""


class Kind(StrEnum):
    """Where a site's threshold comes from."""

    DEFAULT = "default"
    BUDGET = "budget"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class SiteThreshold:
    """What a site has under the old model, and what it has or lacks under the new one."""

    site: Site
    kind: Kind
    before: Threshold | None
    after: Threshold | None
    """None while the one that the site needs is missing."""
    surveyed: bool
    """The new templates of the site have been compared with each other."""

    @property
    def wants(self) -> str:
        """What is missing, in a sentence; empty if nothing is."""
        if self.after is not None:
            return ""
        if self.kind is Kind.BUDGET and not self.surveyed:
            return f"{self.site}: a worker has still to survey the new templates for its budget."
        if self.kind is Kind.BUDGET:
            return f"{self.site}: the threshold for its budget has still to be solved."
        if self.kind is Kind.OWN:
            return (
                f"{self.site}: it has a threshold of its own under the old model, and none under "
                "the new one yet."
            )
        return f"{self.site}: it has no threshold under the new model."


def overview(change: ModelChange) -> list[SiteThreshold]:
    """Every active site, with what it has under both models."""
    return [_of(site, change) for site in Site.objects.filter(is_active=True)]


def _of(site: Site, change: ModelChange) -> SiteThreshold:
    before = thresholds.in_force(site.pk, change.old_id)
    after = thresholds.in_force(site.pk, change.new_id)
    kind = _kind(before)
    if after is not None and not _fits(after, before, kind):
        after = None
    state = surveys.state(site, change.new)
    return SiteThreshold(site, kind, before, after, state.measured and not state.stale)


def _kind(row: Threshold | None) -> Kind:
    if row is None or row.basis.get("kind") == "default":
        return Kind.DEFAULT
    return Kind.OWN if row.budget is None else Kind.BUDGET


def _fits(after: Threshold, before: Threshold | None, kind: Kind) -> bool:
    """Whether the site's row under the new model is of the kind that it needs."""
    if kind is Kind.DEFAULT or before is None:
        return True
    own = after.budget is None and after.basis.get("kind") != "default"
    return own or (kind is Kind.BUDGET and after.budget == before.budget)


def solve(change: ModelChange, *, own: bool, by: User | None) -> list[str]:
    """Put into force what is missing under the new model; what could not be, in sentences.

    Args:
        own: also in the place of thresholds that a person chose, which takes a person.
    """
    trouble = []
    for found in overview(change):
        if found.after is not None or (found.kind is Kind.OWN and not own):
            continue
        if found.kind is Kind.BUDGET and not found.surveyed:
            trouble.append(found.wants)
            continue
        try:
            _put(found, change, by)
        except (TailError, ThresholdError) as error:
            trouble.append(f"{found.site}: {error}")
    return trouble


def _put(found: SiteThreshold, change: ModelChange, by: User | None) -> None:
    version = change.new
    if found.kind is Kind.DEFAULT or found.before is None:
        if thresholds.set_default(found.site, version) is None:
            raise ThresholdError(f"{version} has no calibration to take a threshold from.")
        return
    margin = thresholds.default_margin(version)
    if found.kind is Kind.OWN:
        value = same_rate(change.old, version, found.before.value)
        thresholds.put(
            Threshold(
                site=found.site,
                model_version=version,
                value=value,
                margin=margin,
                reason=f"New model: as rare a false match as at {found.before.value:g} before",
                basis={"kind": "own", "same_rate_as": found.before.pk},
            ),
            by,
        )
        return
    budget = budgets.kept_budget(found.site, change.old)
    if budget is None:
        raise ThresholdError("What its budget was is not known any more.")
    counted = budgets.traffic(found.site)
    if counted.enough:
        budget = replace(budget, walk_ups=counted.a_year)
    known = budgets.ground(found.site, version)
    plan = budgets.solve(known, budget)
    reason = f"New model {version}: solved for the same budget"
    budgets.put_into_force(known, plan, margin=margin, reason=reason[:200], by=by)


def same_rate(old: ModelVersion, new: ModelVersion, value: float) -> float:
    """The threshold at which the new model is as rarely wrong as the old one at `value`.

    By the two calibrations' false match rates, one picture against one. Raises TailError.
    """
    before, after = Calibration.read(old.calibration), Calibration.read(new.calibration)
    low, high = math.log(RARE), math.log(FREQUENT)
    for _ in range(60):
        middle = (low + high) / 2
        if before.score_at(math.exp(middle)) > value:
            low = middle
        else:
            high = middle
    return math.ceil(after.score_at(math.exp(high)) * 1e4 - 1e-6) / 1e4
