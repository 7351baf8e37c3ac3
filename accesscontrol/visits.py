"""Visits: probes of people who were refused as nobody's match, kept where a site has chosen so.

They go by themselves: after the site's days, when the person turns out to be known, when they or
whoever resembles them withdraws consent, and when the model or its key changes. Whatever deletes
several visits locks their policies first, in one order.
"""

from __future__ import annotations

import logging
from datetime import timedelta

import numpy as np
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.django import MaxInnerProduct

from accesscontrol import keyring, model_versions, quality, thresholds
from accesscontrol.models import (
    Correction,
    Decision,
    Employee,
    ModelVersion,
    Outcome,
    Site,
    Template,
    Visit,
    Visitor,
    VisitorPolicy,
)

logger = logging.getLogger(__name__)

SAME_VISIT = timedelta(minutes=10)
"""Refusals of alike faces no farther apart are one visit: whoever stands there tries again."""
SAME_VISIT_RATE = "1e-6"
"""Alike is what tracking takes for one person: faces of one day lie far above."""
LIKELY_RATE = "1e-4"
"""A visit this near to a person's template was probably theirs (as in `gallery_health`)."""
TRIED_AGAIN = timedelta(minutes=2)
"""Whoever was nearest and is let in within this time was the one refused before."""
LOOKED_BACK = timedelta(days=1)
MOST_VISITS = 10_000
"""Of a site: when there are more, the oldest go. Grouping them takes seconds."""
LONGEST_WAIT_MS = 300
"""For a lock, while people wait at the kiosk."""

Vector = NDArray[np.float32]


def keep_visit(decision: Decision, probe: Vector, rotation_id: str) -> None:
    """Keep the probe of a refusal if its site has chosen so; trouble is logged, never raised.

    Only of a NO_MATCH that was seen well. Nothing else is kept: no other refusal, no acceptance,
    no picture. `probe` is the presentation's, a rotated unit vector (D,).
    """
    unit = bool(np.isfinite(probe).all()) and abs(float(np.linalg.norm(probe)) - 1) < 1e-2
    if decision.outcome != Outcome.NO_MATCH or not unit:
        return
    if quality.known(decision.evidence.get("shortfall")) is not None:
        return
    try:
        _keep(decision, probe, rotation_id)
    except DatabaseError as error:
        # Not its text: that may hold the row, and so the vector.
        logger.warning("a visit was not kept: %s", type(error).__name__)


@transaction.atomic
def _keep(decision: Decision, probe: Vector, rotation_id: str) -> None:
    policy = VisitorPolicy.objects.filter(site=decision.site_id).first()
    version = model_versions.active() if policy else None
    if policy is None or version is None or version.pk != decision.model_version_id:
        return
    alike = thresholds.for_false_match_rate(version, SAME_VISIT_RATE)
    if alike is None or Visit.objects.filter(decision=decision).exists():
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [str(LONGEST_WAIT_MS)])
    if _goes_on(policy, version, decision, (probe, rotation_id, alike)):
        return
    Visit.objects.create(
        policy=policy,
        decision=decision,
        model_version=version,
        dimension=len(probe),
        rotation_id=rotation_id,
        embedding=HalfVector(probe),
        seen_at=decision.received_at,
        last_seen_at=decision.received_at,
        expires_at=decision.received_at + timedelta(days=policy.retention_days),
    )
    oldest = Visit.objects.filter(policy=policy).order_by("-last_seen_at", "-id")[MOST_VISITS:]
    Visit.objects.filter(pk__in=list(oldest.values_list("pk", flat=True))).delete()


def _goes_on(
    policy: VisitorPolicy,
    version: ModelVersion,
    decision: Decision,
    probe: tuple[Vector, str, float],
) -> bool:
    """Whether it is a visit that goes on; its vector, and when that goes, stay as they are."""
    vector, rotation_id, alike = probe
    at = decision.received_at
    running = (
        Visit.objects.filter(
            policy=policy,
            model_version=version,
            rotation_id=rotation_id,
            last_seen_at__range=(at - SAME_VISIT, at + SAME_VISIT),
            expires_at__gt=at,
        )
        .annotate(distance=MaxInnerProduct("embedding", HalfVector(vector)))
        .filter(distance__lte=-alike)
        .order_by("distance")
        .first()
    )
    if running is None:
        return False
    later = max(running.last_seen_at, at)
    return bool(
        Visit.objects.filter(pk=running.pk).update(last_seen_at=later, refusals=F("refusals") + 1)
    )


def expire(policy: VisitorPolicy | None = None) -> int:
    """Delete the visits whose days are over, of one site's policy or of all; how many."""
    gone = Visit.objects.filter(expires_at__lte=timezone.now())
    return _delete(gone.filter(policy=policy) if policy else gone)


def forget_outdated() -> int:
    """Delete visits of a model that is not the active one, or of another key; how many."""
    version = model_versions.active()
    current = keyring.load(settings.KEYRING_PATH).templates.current
    return _delete(Visit.objects.exclude(model_version=version, rotation_id=current))


def forget_known() -> int:
    """Delete the visits of people who are no strangers, as far as it can be told; how many.

    HR said whose a decision was; or the nearest person was let in right afterwards.
    """
    said = Correction.objects.filter(
        decision=OuterRef("decision"), employee__isnull=False, replaced_by__isnull=True
    )
    let_in = Decision.objects.filter(
        site=OuterRef("decision__site"),
        employee=OuterRef("decision__nearest"),
        decided_at__gt=OuterRef("decision__decided_at"),
        decided_at__lte=OuterRef("last_seen_at") + TRIED_AGAIN,
    )
    recent = Q(last_seen_at__gte=timezone.now() - LOOKED_BACK)
    return _delete(Visit.objects.filter(Exists(said) | recent & Exists(let_in)))


@transaction.atomic
def forget_enrolled(template: Template) -> int:
    """Delete the visits that a new template is accepted for, and the visitors they belong to.

    By the threshold in force at each site where its person may enter. How many visits.
    """
    gone = 0
    for policy in lock(_policies_of(template.employee)):
        row = thresholds.in_force(policy.site_id, template.model_version_id)
        if row is not None:
            gone += _forget_alike(policy, template, row.value)
    return gone


@transaction.atomic
def forget_withdrawn(employee: Employee) -> int:
    """Delete the visits that were probably a person's, before their templates are; how many.

    After it nothing is left to tell them from a stranger by. No visitor is said to resemble them.
    """
    gone = 0
    templates = list(Template.objects.filter(employee=employee).select_related("model_version"))
    for policy in lock(list(VisitorPolicy.objects.values_list("pk", flat=True))):
        for template in templates:
            near = thresholds.for_false_match_rate(template.model_version, LIKELY_RATE)
            if near is not None:
                gone += _forget_alike(policy, template, near)
    Visitor.objects.filter(nearest=employee).update(nearest=None, nearest_score=None)
    return gone


def _policies_of(employee: Employee) -> list[int]:
    places = Site.objects.filter(Q(employees=employee) | Q(admissions__employee=employee))
    return list(VisitorPolicy.objects.filter(site__in=places).values_list("pk", flat=True))


def _forget_alike(policy: VisitorPolicy, template: Template, score: float) -> int:
    """Delete visits that reach the score with a template, and the other ones of their visitors."""
    alike = (
        Visit.objects.filter(
            policy=policy,
            model_version=template.model_version_id,
            rotation_id=template.rotation_id,
        )
        .annotate(distance=MaxInnerProduct("embedding", template.embedding))
        .filter(distance__lte=-score)
    )
    found = list(alike.values_list("pk", "visitor"))
    visits = [visit for visit, _ in found]
    visitors = {visitor for _, visitor in found if visitor is not None}
    return _delete(Visit.objects.filter(Q(pk__in=visits) | Q(visitor__in=visitors)))


@transaction.atomic
def _delete(gone: QuerySet[Visit]) -> int:
    policies = sorted(set(gone.order_by().values_list("policy", flat=True)))
    if not policies:
        return 0
    lock(policies)
    count, _ = gone.filter(policy__in=policies).delete()
    Visitor.objects.filter(policy__in=policies, visits__isnull=True).delete()
    return count


def lock(policies: list[int]) -> list[VisitorPolicy]:
    """Lock policies against whoever else deletes or groups their visits; those there still are."""
    rows = VisitorPolicy.objects.select_for_update(no_key=True, of=("self",))
    return list(rows.filter(pk__in=policies).order_by("pk"))
