"""Verification (1:1): how well two images of a person are told from two of different people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from recognition.evaluate.datasets import Pair, Portrait, portrait_path
from recognition.evaluate.embeddings import Progress, embed_files
from recognition.evaluate.metrics import (
    Bools,
    CrossValidation,
    Floats,
    Ints,
    accept_rate,
    bootstrap_interval,
    cross_validate,
    det_curve,
    equal_error_rate,
    threshold_at_fmr,
)
from recognition.evaluate.page import Shown
from recognition.evaluate.report import Report
from recognition.pipeline import Pipeline
from recognition.types import Quality
from recognition.verification import cosine

FMRS = ("1e-2", "1e-3", "1e-4")

# A pair with a face that was not found is rejected, as at a door.
REJECTED = -1.0

WORST = 12  # pairs shown of each kind


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPairs:
    """scores (N,) cosines, REJECTED where a face was missed; and what was missed.

    failed: (N,) whether either image's face was not found.
    paths: the file of each portrait.
    qualities: of the faces found, by file.
    """

    pairs: Sequence[Pair]
    scores: Floats
    failed: Bools
    images: int
    missed: tuple[str, ...]
    paths: dict[Portrait, Path]
    qualities: dict[Path, Quality] = field(default_factory=dict)

    @property
    def same(self) -> Bools:
        """(N,) whether each pair is genuine."""
        return np.array([pair.same for pair in self.pairs])


def score_pairs(
    pipeline: Pipeline,
    folder: Path,
    pairs: Sequence[Pair],
    *,
    smallest_face: int,
    progress: Progress,
) -> ScoredPairs:
    """Embed every image that the pairs name, once, and compare.

    Raises:
        DatasetError: an image is not there.
    """
    portraits = sorted(
        {portrait for pair in pairs for portrait in (pair.first, pair.second)},
        key=lambda portrait: (portrait.person, portrait.number, portrait.file),
    )
    paths = {portrait: portrait_path(folder, portrait) for portrait in portraits}
    embedded = embed_files(
        pipeline, list(paths.values()), smallest_face=smallest_face, progress=progress
    )
    scores = np.full(len(pairs), REJECTED)
    failed = np.zeros(len(pairs), dtype=np.bool_)
    for number, pair in enumerate(pairs):
        first = embedded.embeddings.get(paths[pair.first])
        second = embedded.embeddings.get(paths[pair.second])
        if first is None or second is None:
            failed[number] = True
        else:
            scores[number] = cosine(first, second)
    missed = tuple(str(path.relative_to(folder)) for path in embedded.missed)
    return ScoredPairs(pairs, scores, failed, len(paths), missed, paths, embedded.qualities)


def summarise(scored: ScoredPairs) -> dict[str, object]:
    """The evaluation's figures, ready for JSON.

    accuracy is the mean over the folds, accuracy_std their standard deviation; threshold is the
    mean of the folds' thresholds; tar, thresholds and observed_fmr are keyed by the FMR asked
    for. A threshold for an FMR below one in the number of impostor pairs accepts none of them.
    Intervals are 95 % bootstraps over people.
    """
    same = scored.same
    genuine, impostor = scored.scores[same], scored.scores[~same]
    fold = np.array([pair.fold for pair in scored.pairs])
    validation = cross_validate(scored.scores, same, fold)
    thresholds = {fmr: threshold_at_fmr(impostor, float(fmr)) for fmr in FMRS}
    curve = det_curve(genuine, impostor)
    return {
        "accuracy": float(np.mean(validation.accuracies)),
        "accuracy_std": float(np.std(validation.accuracies)),
        "accuracy_folds": list(validation.accuracies),
        "threshold": float(np.mean(validation.thresholds)),
        "tar": {fmr: accept_rate(genuine, value) for fmr, value in thresholds.items()},
        "thresholds": thresholds,
        "observed_fmr": {fmr: accept_rate(impostor, value) for fmr, value in thresholds.items()},
        "eer": equal_error_rate(curve),
        "fta": float(scored.failed.mean()),
        "missed": len(scored.missed),
        "missed_images": list(scored.missed),
        "images": scored.images,
        "pairs": len(scored.pairs),
        "genuine": {"pairs": len(genuine), "mean": float(genuine.mean())},
        "impostor": {
            "pairs": len(impostor),
            "mean": float(impostor.mean()),
            "sd": float(impostor.std()),
        },
        "interval95": _intervals(scored, validation),
    }


def _intervals(scored: ScoredPairs, validation: CrossValidation) -> dict[str, object]:
    same = scored.same
    people = [(pair.first.person, pair.second.person) for pair in scored.pairs]

    def drawn_accuracy(weights: Floats) -> float:
        return float(np.average(validation.right, weights=weights))

    def drawn_tar(weights: Floats, *, fmr: float) -> float:
        if not weights[same].any() or not weights[~same].any():
            return float("nan")
        threshold = threshold_at_fmr(scored.scores[~same], fmr, weights[~same])
        return accept_rate(scored.scores[same], threshold, weights[same])

    tar = {fmr: bootstrap_interval(partial(drawn_tar, fmr=float(fmr)), people) for fmr in FMRS}
    return {"accuracy": bootstrap_interval(drawn_accuracy, people), "tar": tar}


def report_of(scored: ScoredPairs, figures: dict[str, object]) -> Report:
    """The report: curve, distributions, and the pairs that came out worst."""
    same = scored.same
    genuine, impostor = scored.scores[same], scored.scores[~same]
    return Report(
        title=f"Verification, {len(scored.pairs)} pairs",
        figures=figures,
        curve=det_curve(genuine, impostor),
        axes=("false match rate", "false non-match rate"),
        scores={
            "pairs of one person": genuine,
            "pairs of two people": impostor,
        },
        pairs=[
            ("One person, lowest scores", _worst(scored, np.flatnonzero(same), scored.scores)),
            ("Two people, highest scores", _worst(scored, np.flatnonzero(~same), -scored.scores)),
        ],
    )


def _worst(scored: ScoredPairs, rows: Ints, order: Floats) -> list[Shown]:
    """The first of the pairs in `rows` by `order`, which has a value for each pair."""
    shown = []
    for row in rows[np.argsort(order[rows], kind="stable")[:WORST]].tolist():
        pair = scored.pairs[row]
        note = "a face was not found" if scored.failed[row] else ""
        first, second = scored.paths[pair.first], scored.paths[pair.second]
        shown.append(Shown(float(scored.scores[row]), first, second, note))
    return shown
