"""Replay: what stored decisions would have been at another threshold. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When

from accesscontrol.models import Decision, Method, Outcome

PERIOD = timedelta(days=30)
SHOWN = 50
"""Decisions of each kind that are listed, newest first."""

BY_LIKENESS = (Outcome.ACCEPTED, Outcome.NO_MATCH, Outcome.AMBIGUOUS)
"""Outcomes that the threshold had the last word in; the others stay whatever it is."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The decisions of a period, then and at the other threshold.

    changes: how many, by (outcome then, outcome at the other threshold).
    people_refused: of how many different people acceptances would be refused.
    refused: acceptances that would be refused; accepted: refusals that would be accepted, the
    dangerous ones. At most SHOWN of each.
    """

    decisions: int
    changes: dict[tuple[Outcome, Outcome], int]
    people_refused: int
    refused: Sequence[Decision]
    accepted: Sequence[Decision]

    @property
    def newly_refused(self) -> int:
        return sum(n for (was, _), n in self.changes.items() if was == Outcome.ACCEPTED)

    @property
    def newly_accepted(self) -> int:
        return sum(n for (_, now), n in self.changes.items() if now == Outcome.ACCEPTED)

    @property
    def unchanged(self) -> int:
        return self.decisions - sum(self.changes.values())


def replay(
    site_id: int, version_id: int, *, threshold: float, margin: float, until: datetime
) -> Replay:
    """Decide the PERIOD before `until` again, on the stored scores of this model version.

    By likeness alone. The evidence is what it was: a walk-up that was accepted after two frames
    might have gathered more, and how long somebody must be seen near the threshold (`assurance`)
    is not asked, neither of those who would be accepted, so that all of them are flagged.
    """
    period = Decision.objects.filter(
        site=site_id,
        model_version=version_id,
        method=Method.FACE,
        decided_at__gte=until - PERIOD,
        decided_at__lte=until,
    )
    again = period.annotate(lead=F("score") - F("second_score")).annotate(
        again=_decided_again(threshold, margin)
    )
    counts = list(again.order_by().values_list("outcome", "again").annotate(number=Count("pk")))
    accepted = again.filter(outcome=Outcome.ACCEPTED)
    turned_away = accepted.exclude(again=Outcome.ACCEPTED)
    let_in = again.exclude(outcome=Outcome.ACCEPTED).filter(again=Outcome.ACCEPTED)
    return Replay(
        decisions=sum(number for _, _, number in counts),
        changes={(Outcome(was), Outcome(now)): n for was, now, n in counts if was != now},
        people_refused=turned_away.order_by().values("employee").distinct().count(),
        refused=_newest(turned_away),
        accepted=_newest(let_in),
    )


def _decided_again(threshold: float, margin: float) -> Case:
    """The last step of `decisions.decide`, in SQL: a test holds the two together.

    Without a second person there is no lead, and nothing is less than NULL.
    """
    return Case(
        When(~Q(outcome__in=BY_LIKENESS) | Q(score__isnull=True), then=F("outcome")),
        When(score__lt=threshold, then=Value(Outcome.NO_MATCH)),
        When(lead__lt=margin, then=Value(Outcome.AMBIGUOUS)),
        default=Value(Outcome.ACCEPTED),
        output_field=CharField(),
    )


def _newest(found: QuerySet[Decision]) -> Sequence[Decision]:
    related = found.select_related("site", "kiosk", "employee", "nearest")
    return list(related.order_by("-decided_at")[:SHOWN])
