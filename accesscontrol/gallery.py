"""Gallery search: the nearest employees of a site, one query for all probes of a batch.

Exact within a site; at a site with an index in use (`accesscontrol.gallery_index`) by that. The
search itself is a function in the database, beside the galleries that it reads (migration 0005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db import connection
from numpy.typing import NDArray
from pgvector import HalfVector

from accesscontrol.decisions import Candidate
from accesscontrol.models import ModelVersion

CANDIDATES = 5

# The inner product of unit vectors is their cosine. Probes come as one array of vectors: a cast
# of each in the search would be done anew for every template.
_NEAREST = """
SELECT number, employee_id, score
FROM accesscontrol_nearest(
    %s::bigint[], %s::text[]::halfvec[], %s::bigint, %s::text, %s::integer
)
ORDER BY number, score DESC
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """An embedding to identify: unit vector (D,), float32, already rotated."""

    site_id: int
    vector: NDArray[np.float32]


def nearest(
    probes: Sequence[Probe], version: ModelVersion, rotation_id: str
) -> list[list[Candidate]]:
    """Return for each probe its site's nearest employees, best first, at most CANDIDATES.

    One entry for an employee, with the best of their templates. Only active employees, and only
    templates of this model version and rotation, are compared. Raises DatabaseError, and
    ValueError for a probe that is no unit vector of the model's dimension.
    """
    for probe in probes:
        norm = float(np.linalg.norm(probe.vector))
        if probe.vector.shape != (version.dimension,) or not abs(norm - 1) < 1e-2:
            raise ValueError("a probe must be a unit vector of the model's dimension")
    if not probes:
        return []
    sites = [probe.site_id for probe in probes]
    vectors = [HalfVector(probe.vector).to_text() for probe in probes]
    found: list[list[Candidate]] = [[] for _ in probes]
    with connection.cursor() as cursor:
        cursor.execute(_NEAREST, [sites, vectors, version.pk, rotation_id, CANDIDATES])
        for number, employee_id, score in cursor.fetchall():
            found[number - 1].append(Candidate(employee_id, float(score)))
    return found
