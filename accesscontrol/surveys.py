"""Surveys of galleries: what a site's templates score among each other, kept as counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Count, DecimalField, Func, QuerySet, Sum
from django.utils import timezone

from accesscontrol import keyring
from accesscontrol.models import Employee, GallerySurvey, ModelVersion, Site, Template
from accesscontrol.score_tail import BINS, Floats, Impostors

GIVEN_UP_AFTER = timedelta(minutes=15)
"""A survey that began so long ago and has no result is begun anew: its worker is gone."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a worker counted in a gallery; `score_tail` says what the counts mean.

    genuine: (BINS,) scores of templates with the best other one of the same person.
    nearest: (BINS,) scores of templates with the best one of all other people.
    """

    people: int
    templates: int
    impostors: Impostors
    genuine: Floats
    nearest: Floats
    with_several: int


@dataclass(frozen=True, slots=True)
class State:
    """How a site's survey stands."""

    survey: GallerySurvey | None
    running: bool
    stale: bool
    """The gallery is another one than the one that was measured."""

    @property
    def measured(self) -> bool:
        return self.survey is not None and self.survey.finished_at is not None


def gallery(site_id: int, version_id: int) -> QuerySet[Template]:
    """The templates that a search at the site compares with."""
    return Template.objects.filter(
        employee__in=Employee.objects.admitted_to(site_id).filter(is_active=True),
        model_version=version_id,
        rotation_id=keyring.load(settings.KEYRING_PATH).templates.current,
    )


def state(site: Site, version: ModelVersion) -> State:
    """How the survey of the site's gallery stands at this moment."""
    survey = GallerySurvey.objects.filter(site=site, model_version=version).first()
    if survey is None:
        return State(None, running=False, stale=True)
    return State(survey, _is_running(survey), survey.stamp != stamp_of(site.pk, version.pk))


def stamp_of(site_id: int, version_id: int) -> str:
    """Short text that changes with the set of templates in the gallery."""
    whole = DecimalField(max_digits=30, decimal_places=0)
    hashed = Func("pk", 0, function="hashint8extended", output_field=whole)
    found = gallery(site_id, version_id).aggregate(count=Count("pk"), total=Sum(hashed))
    return f"{found['count']}:{found['total'] or 0}"


def claim(site: Site, version: ModelVersion) -> str | None:
    """Begin a survey and return the gallery's stamp; None if it is up to date or under way."""
    stamp = stamp_of(site.pk, version.pk)
    with transaction.atomic():
        GallerySurvey.objects.get_or_create(site=site, model_version=version)
        survey = GallerySurvey.objects.select_for_update().get(site=site, model_version=version)
        if survey.stamp == stamp or _is_running(survey):
            return None
        survey.started_at = timezone.now()
        survey.save(update_fields=["started_at"])
    return stamp


def finish(site: Site, version: ModelVersion, stamp: str, measured: Measured) -> GallerySurvey:
    """Keep what was counted in the gallery with this stamp, in place of what was known."""
    survey, _ = GallerySurvey.objects.update_or_create(
        site=site,
        model_version=version,
        defaults={
            "stamp": stamp,
            "people": measured.people,
            "templates": measured.templates,
            "scores": {
                "templates_a_person": round(measured.impostors.templates, 3),
                "with_several": measured.with_several,
                "impostors": _packed(measured.impostors.counts),
                "without": [_packed(counts) for counts in measured.impostors.without],
                "genuine": _packed(measured.genuine),
                "nearest": _packed(measured.nearest),
            },
            "finished_at": timezone.now(),
        },
    )
    return survey


def measured_of(survey: GallerySurvey) -> Measured:
    """The counts of a finished survey."""
    scores: Mapping[str, Any] = survey.scores
    without = [_unpacked(packed) for packed in scores["without"]]
    return Measured(
        people=survey.people,
        templates=survey.templates,
        impostors=Impostors(
            survey.people,
            float(scores["templates_a_person"]),
            _unpacked(scores["impostors"]),
            np.stack(without) if without else np.zeros((0, BINS)),
        ),
        genuine=_unpacked(scores["genuine"]),
        nearest=_unpacked(scores["nearest"]),
        with_several=int(scores["with_several"]),
    )


def _is_running(survey: GallerySurvey) -> bool:
    started, finished = survey.started_at, survey.finished_at
    if started is None or (finished is not None and finished >= started):
        return False
    return timezone.now() - started < GIVEN_UP_AFTER


def _packed(counts: Floats) -> list[Any]:
    """[first bin, [counts from there to the last that is not 0]]."""
    filled = np.flatnonzero(counts)
    if len(filled) == 0:
        return [0, []]
    first, last = int(filled[0]), int(filled[-1])
    return [first, [round(count, 3) for count in counts[first : last + 1].tolist()]]


def _unpacked(packed: list[Any]) -> Floats:
    first, values = packed
    counts = np.zeros(BINS)
    counts[first : first + len(values)] = values
    return counts
