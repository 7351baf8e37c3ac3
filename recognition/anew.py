"""Photos embedded under a further model version, on the enrolment queue, piece by piece."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from accesscontrol import embedding_anew
from accesscontrol.models import ModelVersion
from recognition.photos import embed_photo
from recognition.pipeline import Pipeline

logger = logging.getLogger(__name__)

PIECE = 16
"""Photos to embed before new photos and surveys have their turn."""
SWEPT = 500
"""Templates to delete in one transaction."""


class Worker(Protocol):
    """What loads the models: the process's recogniser."""

    def pipeline_of(self, version: ModelVersion) -> Pipeline | None: ...


@dataclass(frozen=True, slots=True)
class Done:
    """What one turn has come to."""

    photos: int
    more: bool
    """There is work left for another turn."""


def embed(worker: Worker, versions: Sequence[ModelVersion]) -> Done:
    """Give some photos the template that they lack under these versions. Raises DatabaseError.

    Each photo is committed by itself. A worker that dies leaves a claim, which lapses.
    """
    photos, more = 0, False
    for version in versions:
        if not embedding_anew.progress(version).waiting:
            continue
        found = embedding_anew.next_due(version, PIECE)
        pipeline = worker.pipeline_of(version) if found else None
        if found and pipeline is None:
            logger.warning("%d photos wait for %s, which is not here", len(found), version)
        if pipeline is None:
            continue
        for photo_id in found:
            photo = embedding_anew.claim(photo_id, version)
            if photo is not None:
                embed_photo(photo, pipeline, version)
                photos += 1
        more = more or len(found) == PIECE
    return Done(photos, more)


def sweep() -> bool:
    """Delete a piece of the templates that no model needs any more; whether there are more."""
    return embedding_anew.sweep(SWEPT) == SWEPT
