"""Unknown visitors: a site's choice to keep them at all, and what a manager does about one.

Off means that nothing is kept; it is off until somebody says why it should be on.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least

from accesscontrol import audit, notify, visits
from accesscontrol.models import Site, User, Visit, Visitor, VisitorPolicy
from accesscontrol.models.visitor import LONGEST_RETENTION_DAYS, MOST_PEOPLE, PURPOSE_MAX

SHORTEST_PURPOSE = 20
"""Characters: a sentence, not a word."""
USUAL_RETENTION_DAYS = 7


class VisitorError(Exception):
    """It cannot be done; the message says what to do. Nothing was changed."""


def policy_of(site: Site) -> VisitorPolicy | None:
    """What the site has chosen; None: unknown visitors are not kept."""
    found = VisitorPolicy.objects.filter(site=site).select_related("switched_on_by")
    return found.first()


@transaction.atomic
def switch_on(site: Site, *, retention_days: int, purpose: str, by: User | None) -> VisitorPolicy:
    """Keep unknown visitors at a site from now on, or for another number of days.

    A shorter retention holds for what is kept already, at once; a longer one for new visits only.
    Raises VisitorError.
    """
    purpose = purpose.strip()
    if not 1 <= retention_days <= LONGEST_RETENTION_DAYS:
        raise VisitorError(f"Keep visits for 1 to {LONGEST_RETENTION_DAYS} days.")
    if not SHORTEST_PURPOSE <= len(purpose) <= PURPOSE_MAX:
        raise VisitorError(
            f"Write down what it is for, in {SHORTEST_PURPOSE} to {PURPOSE_MAX} characters."
        )
    Site.objects.select_for_update(no_key=True).get(pk=site.pk)  # one row of two at once
    policy, added = VisitorPolicy.objects.update_or_create(
        site=site,
        defaults={"retention_days": retention_days, "purpose": purpose},
        create_defaults={
            "retention_days": retention_days,
            "purpose": purpose,
            "switched_on_by": by,
        },
    )
    until = F("seen_at") + timedelta(days=retention_days)
    Visit.objects.filter(policy=policy).update(expires_at=Least(F("expires_at"), until))
    visits.expire(policy)
    audit.record(
        audit.actor_of(by),
        "switch_on_visitors" if added else "change_visitors",
        f"site:{site.pk}",
        {"retention_days": retention_days, "purpose": purpose},
    )
    return policy


@transaction.atomic
def switch_off(site: Site, *, by: User | None) -> int:
    """Keep unknown visitors no longer: every visit and visitor is deleted now; how many visits.

    None are there if it was off already, and nothing is recorded then.
    """
    policy = VisitorPolicy.objects.select_for_update().filter(site=site).first()
    if policy is None:
        return 0
    count = Visit.objects.filter(policy=policy).count()
    policy.delete()
    audit.record(
        audit.actor_of(by), "switch_off_visitors", f"site:{site.pk}", {"visits_deleted": count}
    )
    return count


@transaction.atomic
def group_into(site: Site, people: int | None, *, by: User | None) -> None:
    """Deal the visits out among so many people; None finds the number out. A worker does it."""
    if people is not None and not 1 <= people <= MOST_PEOPLE:
        raise VisitorError(f"Group them into 1 to {MOST_PEOPLE} people, or leave it empty.")
    changed = VisitorPolicy.objects.filter(site=site).update(people=people)
    if not changed:
        raise VisitorError("Unknown visitors are not kept at this site.")
    audit.record(audit.actor_of(by), "group_visitors", f"site:{site.pk}", {"people": people})
    transaction.on_commit(notify.wake_visitors)


@transaction.atomic
def dismiss(visitor: Visitor, *, by: User | None) -> int:
    """Forget a visitor: all of their visits are deleted now; how many, 0 if gone already.

    Nothing is kept to know them by, so if they come again they are a new unknown visitor.
    """
    visits.lock([visitor.policy_id])
    if not Visitor.objects.filter(pk=visitor.pk).exists():
        return 0
    count, _ = Visit.objects.filter(visitor=visitor).delete()
    Visitor.objects.filter(pk=visitor.pk).delete()
    audit.record(
        audit.actor_of(by),
        "dismiss_visitor",
        f"site:{visitor.policy.site_id}",
        {"visitor": visitor.pk, "visits_deleted": count},
    )
    return count


@transaction.atomic
def begin_enrolment(visitor: Visitor, *, by: User | None) -> None:
    """Write down that somebody goes to enrol a visitor.

    Nothing is taken over into the gallery: the person consents and has photos taken like anybody
    else. `visits.forget_enrolled` deletes the visits when such a photo is accepted.
    """
    detail = {"visitor": visitor.pk, "visits": visitor.visits.count()}
    audit.record(audit.actor_of(by), "enrol_visitor", f"site:{visitor.policy.site_id}", detail)
