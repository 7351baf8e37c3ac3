"""Unknown people at a site's kiosks: refused, and kept if the site has chosen so."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray

from accesscontrol import keyring, visitors, visits
from accesscontrol.models import Decision, Site, Visit, Visitor, VisitorPolicy
from tests.enrolled import rotated, turned, unit
from tests.factories import DecisionFactory, KioskFactory, active_model_version, threshold_of

PURPOSE = "To find people whom HR forgot to enrol."

Vector = NDArray[np.float32]


def rotation_id() -> str:
    return keyring.load(settings.KEYRING_PATH).templates.current


def switched_on(site: Site, days: int = 7) -> VisitorPolicy:
    """The site keeps unknown visitors; it has a threshold of 0.62, 1e-6 in the calibration."""
    threshold_of(site)
    return visitors.switch_on(site, retention_days=days, purpose=PURPOSE, by=None)


def refused(
    site: Site, face: Vector, at: datetime | None = None, *, keep: bool = True, **fields: Any
) -> Decision:
    """Somebody came up to a kiosk and was nobody's match."""
    at = at or timezone.now()
    kiosk = fields.pop("kiosk", None) or KioskFactory.create(site=site, paired=True)
    decision: Decision = DecisionFactory.create(site=site, kiosk=kiosk, at=at, **fields)
    if keep:
        visits.keep_visit(decision, rotated(face), rotation_id())
    return decision


def came(site: Site, person: int, times: int, *, since: timedelta = timedelta(days=3)) -> None:
    """A made-up stranger comes so many times, hours apart; their visits have cosines of 0.85."""
    begun = timezone.now() - since
    for turn in range(times):
        face = turned(unit(person), 0.92, seed=1000 * person + turn)
        refused(site, face, begun + timedelta(hours=turn))


def visitor_of(site: Site, **fields: Any) -> Visitor:
    """Those of the site's visits that have none get a visitor, all the same one."""
    policy = VisitorPolicy.objects.get(site=site)
    visitor = Visitor.objects.create(policy=policy, model_version=active_model_version(), **fields)
    Visit.objects.filter(policy=policy, visitor=None).update(visitor=visitor)
    return visitor


def owners() -> dict[int, int | None]:
    """Whose each visit is."""
    return dict(Visit.objects.order_by("pk").values_list("pk", "visitor"))
