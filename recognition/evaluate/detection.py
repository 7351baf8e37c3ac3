"""How well a detector finds annotated faces: recall against false positives, and the points.

A detection finds a face if they overlap by half of their union (PASCAL VOC, Everingham et al.,
2010); the surest comes first, and a face is found once. What lies on an ignored face counts neither
for nor against. Recall over the number of false positives an image is the FROC curve (Bunch et
al., 1978), drawn as FDDB does (Jain and Learned-Miller, 2010).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognition.detections import Detections
from recognition.training.cascade.annotations import AnnotatedImage, Array, Truth, load
from recognition.training.cascade.windows import covered, overlaps
from recognition.types import Pixels

MATCH_FROM = 0.5
AT_ONCE = 8
_FALSE_POSITIVES = (0.01, 0.1, 0.5, 1.0, 2.0)
_SEEN_ASKEW = 0.15
"""Eyes nearer to each other than so many sides of the face are a profile's: an error is not
measured by them."""

Progress = Callable[[int, int], None]
Finder = Callable[[Sequence[Pixels]], Sequence[Detections]]
"""A detector on images; each one's faces with frame 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """One image's detections and faces.

    scores: (D,) of the detections that count. faces: (D,) row of the face that each has found, -1
        for a false positive.
    errors: (D,) mean distance of the points over that of the eyes; NaN where it is not known.
    total: faces to be found in the image; numbered 0..total - 1 in `faces`.
    """

    scores: Array
    faces: NDArray[np.int64]
    errors: Array
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Recall (K,) and false positives an image (K,), down to and with each of `scores` (K,)."""

    scores: Array
    recall: Array
    false_positives: Array

    def recall_at(self, false_positives: float) -> float:
        """The largest recall with at most so many false positives an image."""
        return float(self.recall[self.false_positives <= false_positives].max(initial=0))

    def threshold_at(self, false_positives: float) -> float:
        """The score down to which detections count there; above all of them if that is none."""
        allowed = self.scores[self.false_positives <= false_positives]
        return float(allowed.min(initial=1))


def match(truth: Truth, boxes: Array, points: Array, scores: Array) -> Matched:
    """Give detections (D, 4), (D, 5, 2), (D,) to the faces of their image."""
    wanted = np.flatnonzero(~truth.ignored)
    order = np.argsort(-scores, kind="stable")
    boxes, points, scores = boxes[order], points[order], scores[order]
    overlap = overlaps(boxes, truth.boxes[wanted])
    faces = np.full(len(boxes), -1, np.int64)
    free = np.ones(len(wanted), np.bool_)
    for row in range(len(boxes)):
        mine = np.where(free, overlap[row], 0)
        if mine.max(initial=0) >= MATCH_FROM:
            faces[row] = mine.argmax()
            free[faces[row]] = False
    on_ignored = covered(boxes, truth.boxes[truth.ignored]).max(1, initial=0)
    counts = (faces >= 0) | (on_ignored < MATCH_FROM)
    errors = np.full(len(boxes), np.nan)
    found = faces >= 0
    rows = wanted[faces[found]]
    errors[found] = point_errors(points[found], truth.points[rows], truth.boxes[rows])
    return Matched(scores[counts], faces[counts], errors[counts], len(wanted))


def point_errors(found: Array, points: Array, boxes: Array) -> Array:
    """Mean distance of five points (N, 5, 2) to the true ones, over the distance of the true eyes.

    NaN where points are not known, or for a face (N, 4) that is seen from the side.
    """
    eyes = np.linalg.norm(points[:, 0] - points[:, 1], axis=1)
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    away = np.linalg.norm(found - points, axis=2).mean(1)
    straight = eyes >= _SEEN_ASKEW * sides
    errors: Array = np.divide(away, eyes, out=np.full(len(eyes), np.nan), where=straight)
    return errors


def froc(matched: Sequence[Matched]) -> Curve:
    """The curve over all images; detections of equal score come in together.

    Raises:
        ValueError: there is no image, or no face to be found.
    """
    faces = sum(one.total for one in matched)
    if not matched or not faces:
        raise ValueError("there is no face to be found in the images")
    scores = np.concatenate([one.scores for one in matched])
    hit = np.concatenate([one.faces for one in matched]) >= 0
    order = np.argsort(-scores, kind="stable")
    scores, hit = scores[order], hit[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])
    return Curve(scores[last], hit.cumsum()[last] / faces, (~hit).cumsum()[last] / len(matched))


def run_detectors(
    finders: Mapping[str, Finder],
    images: Sequence[AnnotatedImage],
    progress: Progress = lambda done, total: None,
) -> dict[str, list[Matched]]:
    """What each detector finds of each image.

    Raises:
        DatasetError: an image cannot be read.
    """
    found: dict[str, list[Matched]] = {name: [] for name in finders}
    for start in range(0, len(images), AT_ONCE):
        loaded = [load(image) for image in images[start : start + AT_ONCE]]
        for name, finder in finders.items():
            detected = finder([pixels for pixels, _ in loaded])
            for (_, truth), seen in zip(loaded, detected, strict=True):
                arrays = (seen.boxes, seen.points, seen.scores)
                boxes, points, scores = (one.cpu().double().numpy() for one in arrays)
                found[name].append(match(truth, boxes, points, scores))
        progress(start + len(loaded), len(images))
    return found


def summarise(found: Mapping[str, Sequence[Matched]], usual: float) -> dict[str, Any]:
    """Figures of each detector, ready for JSON.

    Args:
        usual: the threshold that the cascade has in use.
    """
    first = next(iter(found.values()))
    both = _errors_of_all(found)
    return {
        "images": len(first),
        "faces": sum(one.total for one in first),
        **{name: _figures(matched, usual) for name, matched in found.items()},
        "found_by_all": {
            "faces": len(next(iter(both.values()))),
            "point_error_median": {name: _rounded(np.median, rows) for name, rows in both.items()},
        },
    }


def _figures(matched: Sequence[Matched], usual: float) -> dict[str, Any]:
    curve = froc(matched)
    threshold = curve.threshold_at(1.0)
    errors = np.concatenate([one.errors[one.scores >= threshold] for one in matched])
    errors = errors[np.isfinite(errors)]
    in_use = curve.scores >= usual
    return {
        "recall_at_1_fp": round(curve.recall_at(1.0), 5),
        "threshold_at_1_fp": round(threshold, 5),
        "recall_at_fp": {f"{rate:g}": round(curve.recall_at(rate), 5) for rate in _FALSE_POSITIVES},
        "as_shipped": {
            "threshold": usual,
            "recall": round(float(curve.recall[in_use].max(initial=0)), 5),
            "false_positives": round(float(curve.false_positives[in_use].max(initial=0)), 5),
        },
        "point_error": {
            "faces": len(errors),
            "mean": _rounded(np.mean, errors),
            "median": _rounded(np.median, errors),
            "above_10_percent": _rounded(np.mean, errors > 0.1),
        },
    }


def _errors_of_all(found: Mapping[str, Sequence[Matched]]) -> dict[str, Array]:
    """Errors of the faces that every detector finds at its own 1 false positive an image."""
    tables = {}
    for name, matched in found.items():
        threshold = froc(matched).threshold_at(1.0)
        parts = []
        for one in matched:
            errors = np.full(one.total, np.nan)
            counted = (one.faces >= 0) & (one.scores >= threshold)
            errors[one.faces[counted]] = one.errors[counted]
            parts.append(errors)
        tables[name] = np.concatenate(parts)
    everywhere = np.isfinite(np.stack(list(tables.values()))).all(0)
    return {name: errors[everywhere] for name, errors in tables.items()}


def _rounded(of: Callable[[NDArray[Any]], Any], values: NDArray[Any]) -> float | None:
    return round(float(of(values)), 5) if len(values) else None
