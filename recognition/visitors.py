"""Unknown visitors, on the worker's side: visits out of Postgres, who came again back into it."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
from numpy.typing import NDArray

from accesscontrol import budgets, model_versions, thresholds, visitor_groups, visits
from accesscontrol.models import ModelVersion, Site, VisitorPolicy
from accesscontrol.score_tail import Tail, TailError
from accesscontrol.visitor_groups import Group
from recognition.clustering import NOBODY, Labels, group, middles
from recognition.search import Vectors, nearest_rows
from recognition.survey import gallery_vectors

logger = logging.getLogger(__name__)


def tend_visitors() -> None:
    """Let go whose time has come, at every site; then group where something has changed."""
    gone = visits.expire() + visits.forget_outdated() + visits.forget_known()
    if gone:
        logger.info("%d visits of unknown people deleted", gone)
    version = model_versions.active()
    if version is None:
        return
    for policy in VisitorPolicy.objects.select_related("site").order_by("pk"):
        group_visits(policy, version)


def group_visits(policy: VisitorPolicy, version: ModelVersion) -> bool:
    """Group a site's visits by person; False if nothing has changed since it was done last."""
    stamp = visitor_groups.stamp_of(policy, version)
    if stamp == policy.stamp:
        return False
    rows = visitor_groups.visits_to_group(policy, version)
    numbers = np.array([row.pk for row in rows], np.int64)
    vectors = _unit([row.embedding for row in rows], version.dimension)
    gallery, people = gallery_vectors(policy.site, version)
    known = _known(vectors, gallery, policy.site, version)
    numbers, vectors, gone = numbers[~known], vectors[~known], numbers[known]
    labels = _labels(vectors, policy, version)
    visitor_groups.put_down(
        policy,
        version,
        _groups(numbers, vectors, labels, gallery, people),
        known=gone.tolist(),
        stamp=stamp,
    )
    return True


def _labels(vectors: Vectors, policy: VisitorPolicy, version: ModelVersion) -> Labels:
    tail = _tail(policy.site, version) if policy.people is None else None
    return group(vectors, partial(tail.score_at, bound=False) if tail else None, policy.people)


def _tail(site: Site, version: ModelVersion) -> Tail | None:
    """How alike two people are here: as the site's own gallery and the calibration tell."""
    try:
        return budgets.ground(site, version).tail
    except TailError:
        return None  # without a calibration nobody can say what alike is


def _known(
    vectors: Vectors, gallery: Vectors, site: Site, version: ModelVersion
) -> NDArray[np.bool_]:
    """Which visits the gallery would accept by now: of people enrolled or admitted since."""
    row = thresholds.in_force(site.pk, version.pk)
    if row is None or not len(gallery):
        return np.zeros(len(vectors), np.bool_)
    _, scores = nearest_rows(vectors, gallery)
    known: NDArray[np.bool_] = scores >= row.value
    return known


def _groups(
    numbers: NDArray[np.int64],
    vectors: Vectors,
    labels: Labels,
    gallery: Vectors,
    people: NDArray[np.int64],
) -> list[Group]:
    """The clusters with who is nearest to each, then those who came once, each alone."""
    centres = middles(vectors, labels)
    near: list[tuple[int, float] | None] = [None] * len(centres)
    if len(gallery) and len(centres):
        places, scores = nearest_rows(centres, gallery)
        near = [
            (int(people[place]), float(score)) for place, score in zip(places, scores, strict=True)
        ]
    found = [
        Group(tuple(numbers[labels == label].tolist()), nearest)
        for label, nearest in enumerate(near)
    ]
    return found + [Group((number,)) for number in numbers[labels == NOBODY].tolist()]


def _unit(embeddings: list[object], dimension: int) -> Vectors:
    """As stored in half precision, brought back to length 1."""
    vectors = np.zeros((len(embeddings), dimension), np.float32)
    for place, embedding in enumerate(embeddings):
        vectors[place] = np.array(embedding, dtype=np.float32)
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled
