"""One kiosk's part of a batch: whom its frame shows, and what that says for a decision."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from accesscontrol.challenges import Challenged
from accesscontrol.decisions import Evidence, utc_from_ms
from accesscontrol.frames import Frame
from accesscontrol.models import Decision, Kiosk, PadPolicy
from recognition.tracking import Moment, Pose, Presentation, Sighting, Tracks, Vector
from recognition.types import Face, FrameResult

LOWEST_DETECTION_SCORE = 0.95
"""What the detector is less sure of is no evidence: folds of clothing reach 0.77 at a door, of the
faces there 95 in 100 lie above 0.96."""


@dataclass(slots=True)
class Scene:
    """One kiosk within a batch: its frame, its presentations, what is to be answered."""

    kiosk: Kiosk
    moment: Moment
    tracks: Tracks
    frame: Frame | None = None
    result: FrameResult | None = None
    closing: bool = False
    """Nobody is there any more: every open presentation is decided now."""
    failed: bool = False
    trace: dict[str, float] = field(default_factory=dict)
    decided: list[Decision] = field(default_factory=list)


def streaming_kiosks(kiosk_ids: Sequence[UUID]) -> dict[UUID, Kiosk]:
    """The kiosks that may stream, with their sites; revoked ones are left out."""
    kiosks = Kiosk.objects.select_related("site").filter(
        pk__in=kiosk_ids, revoked_at__isnull=True, site__is_active=True
    )
    return {kiosk.pk: kiosk for kiosk in kiosks if kiosk.may_stream}


def asks_for_pad(kiosk: Kiosk) -> bool:
    """Whether the kiosk's site asks for attack scores."""
    # Whatever else a later version may write there: only "off" is off.
    return kiosk.site.pad_policy != PadPolicy.OFF


def asks_for_challenge(kiosk: Kiosk) -> bool:
    """Whether the kiosk's site asks whoever would be accepted to move their head."""
    return kiosk.site.pad_policy not in (PadPolicy.OFF, PadPolicy.PASSIVE)


def sightings(
    result: FrameResult, kiosk: Kiosk, rotate: Callable[[Vector], Vector]
) -> list[Sighting]:
    """The frame's faces as tracking needs them, of those who stand before this kiosk.

    Faces that are too small, outside the kiosk's zone or not surely faces are left out, and so
    are those whose numbers are none. `rotate` sees to it that Valkey holds no plain embedding.
    """
    return [
        _sighting(face, result, rotate)
        for face in result.faces
        if _is_sound(face) and _is_before(face, result, kiosk)
    ]


def _is_sound(face: Face) -> bool:
    if face.embedding is None or face.quality is None or not math.isfinite(face.quality.score):
        return False
    unit = abs(float(np.linalg.norm(face.embedding)) - 1) < 1e-2  # NaN is not
    return unit and bool(np.isfinite(face.box).all())


def _is_before(face: Face, result: FrameResult, kiosk: Kiosk) -> bool:
    if not face.score >= LOWEST_DETECTION_SCORE or not _width(face) >= kiosk.smallest_face:
        return False
    x, y = (face.box[:2] + face.box[2:]) / 2
    return kiosk.is_in_zone(float(x) / result.width, float(y) / result.height)


def _sighting(face: Face, result: FrameResult, rotate: Callable[[Vector], Vector]) -> Sighting:
    assert face.embedding is not None  # noqa: S101  see _is_sound
    assert face.quality is not None  # noqa: S101
    return Sighting(
        face.box,
        rotate(face.embedding),
        face.quality.score,
        face.pad,
        face.quality.shortfall or "",
        _width(face) / result.width,
        Pose(face.quality.yaw, face.quality.pitch, face.quality.misfit),
    )


def _width(face: Face) -> float:
    return float(face.box[2] - face.box[0])


def evidence_of(presentation: Presentation, trace: dict[str, float]) -> Evidence:
    """What a presentation has shown so far, as a decision needs it."""
    return Evidence(
        presentation=presentation.id,
        frames=presentation.frames,
        face_width=presentation.widest,
        quality=presentation.best_quality,
        shortfall=presentation.shortfall,
        first_captured_at=utc_from_ms(presentation.first_captured_ms),
        captured_at=utc_from_ms(presentation.captured_ms),
        received_at=utc_from_ms(presentation.received_ms),
        pad_score=presentation.pad,
        pad_frames=presentation.pad_frames,
        trace=dict(trace),
        trail=presentation.trail,
        good_frames=presentation.good_frames,
        face_share=presentation.share,
        challenge=challenge_of(presentation),
    )


def challenge_of(presentation: Presentation) -> Challenged | None:
    """What the person was asked and did, as a decision needs it; times from the first frame on."""
    asked = presentation.challenge
    if asked is None:
        return None
    begin = presentation.first_received_ms

    def after(at_ms: int) -> int | None:
        return at_ms - begin if at_ms else None

    record = {
        "end": asked.end,
        "movements": [
            {
                "movement": step.movement,
                "prompted_ms": after(step.prompted_ms),
                "reached_ms": after(step.reached_ms),
                "back_ms": after(step.back_ms),
            }
            for step in asked.steps
        ],
        "level": list(asked.level),
        "poses": [[one.at_ms - begin, one.yaw, one.pitch] for one in asked.record],
    }
    return Challenged(asked.person, asked.done, asked.fulfilled, record)
