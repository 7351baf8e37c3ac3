"""Surveys of galleries, on the worker's side: templates out of Postgres, counts back into it."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from accesscontrol import budgets, surveys
from accesscontrol.models import ModelVersion, Site
from accesscontrol.surveys import Measured
from recognition.pair_scores import pair_scores

logger = logging.getLogger(__name__)

CHUNK = 2_000


def survey_all(version: ModelVersion) -> None:
    """Survey every active site whose gallery has changed, and solve thresholds again."""
    for site in Site.objects.filter(is_active=True):
        survey_site(site, version)
        # Also where a worker died between the two.
        budgets.solve_again(site, version)


def survey_site(site: Site, version: ModelVersion) -> bool:
    """Compare a site's gallery with itself; whether it had changed since it was done last."""
    stamp = surveys.claim(site, version)
    if stamp is None:
        return False
    embeddings, people = gallery_vectors(site, version)
    found = pair_scores(embeddings, people)
    surveys.finish(
        site,
        version,
        stamp,
        Measured(
            people=found.impostors.people,
            templates=len(people),
            impostors=found.impostors,
            genuine=found.genuine,
            nearest=found.nearest,
            with_several=found.with_several,
        ),
    )
    logger.info("site %s surveyed: %d templates", site.pk, len(people))
    return True


def gallery_vectors(
    site: Site, version: ModelVersion
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The gallery: (T, D) embeddings of length 1, as stored, and (T,) their employees."""
    rows = surveys.gallery(site.pk, version.pk).values_list("employee_id", "embedding")
    people: list[int] = []
    vectors: list[NDArray[np.float32]] = []
    for employee_id, embedding in rows.iterator(chunk_size=CHUNK):
        people.append(employee_id)
        vectors.append(np.array(embedding, dtype=np.float32))
    if not vectors:
        return np.zeros((0, version.dimension), np.float32), np.zeros(0, np.int64)
    stacked = np.stack(vectors)
    # Stored in half precision, so their length is 1 but for a thousandth.
    stacked /= np.linalg.norm(stacked, axis=1, keepdims=True)
    return stacked, np.array(people, np.int64)
