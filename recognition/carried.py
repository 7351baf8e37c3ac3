"""Presentations as JSON, carried from the worker of one frame to that of the next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np

from recognition import carried_challenge, trail
from recognition.carried_challenge import coded, vector
from recognition.tracking import Presentation


def dump(presentations: Sequence[Presentation], basis: str) -> bytes:
    """Presentations as JSON.

    `basis` names what their embeddings go by: the model version, and the key they are rotated
    with. Those of two bases are never added up.
    """
    return json.dumps(
        {"basis": basis, "presentations": [_plain(p) for p in presentations]}
    ).encode()


def load(state: bytes, basis: str) -> list[Presentation]:
    """The presentations that `dump` wrote, none if on another basis; raises ValueError."""
    try:
        carried = json.loads(state)
        found = [_presentation(raw) for raw in carried["presentations"]]
        return found if carried["basis"] == basis else []
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a kiosk's presentations: {error}") from None


def _plain(presentation: Presentation) -> dict[str, Any]:
    raw = {name: getattr(presentation, name) for name in Presentation.__slots__}
    raw["id"] = str(presentation.id)
    raw["trail"] = trail.plain(presentation.trail)
    for name in ("box", "velocity"):
        raw[name] = [float(value) for value in raw[name]]
    for name in ("total", "last"):
        raw[name] = coded(raw[name])
    raw["looks"] = carried_challenge.plain_looks(presentation.looks)
    raw["challenge"] = carried_challenge.plain(presentation.challenge)
    return raw


_WHOLE = (
    "frames", "first_captured_ms", "captured_ms", "first_received_ms", "received_ms", "sequence",
    "unlike", "pad_frames", "hidden_ms",
)  # fmt: skip


_SINGLE = ("best_quality", "widest", "pad_total", "pad_weight", "good_frames", "share")


def _presentation(raw: dict[str, Any]) -> Presentation:
    total, last = vector(raw["total"]), vector(raw["last"])
    box, velocity = (np.asarray(raw[name], dtype=np.float32) for name in ("box", "velocity"))
    single = [raw[name] for name in _SINGLE]
    numbers = np.array([*box, *velocity, *total, *last, *single], dtype=np.float64)
    if box.shape != (4,) or velocity.shape != (2,) or not np.isfinite(numbers).all():
        raise ValueError("a box has four numbers, a velocity two, and all of them are finite")
    if total.shape != last.shape:
        raise ValueError("the embeddings of one presentation are of one length")
    words = [isinstance(raw[name], str) for name in ("settled", "shortfall")]
    if any(type(raw[name]) is not int for name in _WHOLE) or not all(words):
        raise ValueError("counts and times are whole numbers, an outcome and a shortfall words")
    if min(single) < 0 or not 0 <= raw["pad_frames"] <= raw["frames"]:
        raise ValueError("sums and widths are not negative, scores no more than faces")
    vectors = {"box": box, "velocity": velocity, "total": total, "last": last}
    challenge = carried_challenge.loaded(raw["challenge"])
    if challenge is not None and challenge.anchor.shape != total.shape:
        raise ValueError("the embeddings of one presentation are of one length")
    kept = {
        "id": UUID(raw["id"]),
        "trail": trail.loaded(raw["trail"]),
        "looks": carried_challenge.looks(raw["looks"]),
        "challenge": challenge,
    }
    return Presentation(**{**raw, **kept, **vectors})
