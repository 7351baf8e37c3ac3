"""Enrolment photos: accept or refuse one, with a reason that HR can act on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import cv2
import numpy as np
from django.conf import settings
from django.db import DatabaseError
from numpy.typing import NDArray

from accesscontrol import crypto, embedding_anew, enrolment, keyring, quality, thresholds
from accesscontrol.enrolment import Enrolled
from accesscontrol.models import EnrolmentPhoto, ModelVersion, Refusal, Template
from recognition import portraits
from recognition.images import PHOTO_LIMITS, ImageError, ImageLimits, decode
from recognition.pipeline import Pipeline
from recognition.portraits import LOWEST_QUALITY, Flaw
from recognition.types import Face, FrameResult, Pixels, Quality

logger = logging.getLogger(__name__)

SMALLEST_FOUND = 32
KEPT_QUALITY = 0.35
"""Of a photo that was accepted before: stored anew, it measures a little differently."""
JPEG_QUALITY = 95


def judge(result: FrameResult, lowest_quality: float = LOWEST_QUALITY) -> Face | Refusal:
    """The one usable face of a photo, or why there is none."""
    match portraits.judge(result, lowest_quality):
        case Face() as face:
            return face
        case Flaw() as flaw:
            return Refusal(flaw)
        case shortfall:
            return quality.REFUSED[shortfall]


def process_photo(photo: EnrolmentPhoto, pipeline: Pipeline, version: ModelVersion) -> None:
    """Carry one claimed photo through: it ends accepted or refused, once.

    A database error leaves it waiting for another attempt.
    """
    try:
        outcome = _examine(photo, pipeline, version)
    except DatabaseError:
        raise
    except Exception:
        # Whatever a hostile file breaks must not stop the queue for everybody else's photos.
        logger.exception("photo %s could not be processed", photo.pk)
        enrolment.refuse_photo(photo, Refusal.NOT_PROCESSED)
        return
    if isinstance(outcome, Enrolled):
        enrolment.accept_photo(photo, outcome, version)
    else:
        enrolment.refuse_photo(photo, outcome)


def embed_photo(photo: EnrolmentPhoto, pipeline: Pipeline, version: ModelVersion) -> None:
    """Carry one accepted and claimed photo through under a further model version.

    It ends with its template, or with the reason why there is none; what it had before stays. A
    database error leaves it to another attempt.
    """
    try:
        found = _look_at(photo, pipeline, KEPT_QUALITY)
    except DatabaseError:
        raise
    except Exception:
        logger.exception("photo %s could not be embedded under %s", photo.pk, version)
        found = Refusal.NOT_PROCESSED
    if isinstance(found, Refusal):
        embedding_anew.give_up(photo, version, found)
    else:
        embedding_anew.keep_template(photo, found.embedding, version)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What a photo shows: its pixels, and its one face's vector and measures."""

    pixels: Pixels
    embedding: NDArray[np.float32]
    quality: Quality


def _look_at(
    photo: EnrolmentPhoto, pipeline: Pipeline, lowest_quality: float = LOWEST_QUALITY
) -> _Seen | Refusal:
    try:
        pixels = decode(enrolment.open_photo(photo), _limits()).pixels
    except ImageError:
        return Refusal.UNREADABLE
    except crypto.SealError:
        return Refusal.NOT_PROCESSED
    (result,) = pipeline.analyse_pixels([pixels], smallest_face=SMALLEST_FOUND)
    face = judge(result, lowest_quality)
    if isinstance(face, Refusal):
        return face
    if face.quality is None or face.embedding is None:
        return Refusal.LOW_QUALITY
    return _Seen(pixels, face.embedding, face.quality)


def _examine(
    photo: EnrolmentPhoto, pipeline: Pipeline, version: ModelVersion
) -> Enrolled | Refusal:
    seen = _look_at(photo, pipeline)
    if isinstance(seen, Refusal):
        return seen
    if _is_somebody_else(photo, seen.embedding, version):
        return Refusal.OTHER_PERSON
    return Enrolled(_reencoded(seen.pixels), seen.embedding, seen.quality.to_dict())


def _limits() -> ImageLimits:
    """What the upload let in is decoded: both go by the same settings."""
    return replace(
        PHOTO_LIMITS, max_bytes=settings.PHOTO_MAX_BYTES, max_pixels=settings.PHOTO_MAX_PIXELS
    )


def _is_somebody_else(
    photo: EnrolmentPhoto, embedding: NDArray[np.float32], version: ModelVersion
) -> bool:
    """Whether the face is unlike every photo already accepted for this employee."""
    lowest = thresholds.for_false_match_rate(version, "1e-2")
    keys = keyring.load(settings.KEYRING_PATH).templates
    templates = Template.objects.filter(
        employee_id=photo.employee_id, model_version=version, rotation_id=keys.current
    )
    others = [np.asarray(template.embedding, np.float32) for template in templates]
    if lowest is None or not others:
        return False
    probe = crypto.rotate(embedding, keys.key(keys.current))
    return max(float(other @ probe) for other in others) < lowest


def _reencoded(pixels: Pixels) -> bytes:
    """The upright pixels as a fresh JPEG: no EXIF, no trailing data, nothing of the old file."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise ValueError("the photo could not be encoded as JPEG")
    return data.tobytes()
