"""Gallery search: the nearest employees of a site, exact, one query for all probes of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray
from pgvector import HalfVector

from accesscontrol.decisions import Candidate
from accesscontrol.models import ModelVersion

CANDIDATES = 5

# The inner product of unit vectors is their cosine; pgvector's <#> is its negative. Templates are
# reached through their site's employees and never through a global vector index, which loses
# enrolled people as soon as it is filtered by site.
_NEAREST = """
SELECT probe.number, nearest.employee_id, nearest.score
FROM unnest(%(sites)s::bigint[], %(vectors)s::text[])
     WITH ORDINALITY AS probe(site_id, vector, number)
CROSS JOIN LATERAL (
    SELECT template.employee_id,
           max(-(template.embedding <#> probe.vector::halfvec)) AS score
    FROM accesscontrol_employee AS employee
    JOIN accesscontrol_template AS template ON template.employee_id = employee.id
    WHERE employee.site_id = probe.site_id AND employee.is_active
      AND template.model_version_id = %(version)s AND template.rotation_id = %(rotation)s
    GROUP BY template.employee_id
    ORDER BY score DESC
    LIMIT %(limit)s
) AS nearest
ORDER BY probe.number, nearest.score DESC
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
    parameters: dict[str, Any] = {
        "sites": [probe.site_id for probe in probes],
        "vectors": [HalfVector(probe.vector).to_text() for probe in probes],
        "version": version.pk,
        "rotation": rotation_id,
        "limit": CANDIDATES,
    }
    found: list[list[Candidate]] = [[] for _ in probes]
    with connection.cursor() as cursor:
        cursor.execute(_NEAREST, parameters)
        for number, employee_id, score in cursor.fetchall():
            found[number - 1].append(Candidate(employee_id, float(score)))
    return found
