"""Which thresholds go with the weights that were trained: chosen on images for validation.

The published weights' 0.6 and 0.7 are those of the published weights: other networks give other
probabilities for the same certainty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from recognition.cascade import cascade
from recognition.detections import Detections
from recognition.evaluate.detection import froc, run_detectors
from recognition.mtcnn import Mtcnn, Thresholds
from recognition.sampling import ImageSet
from recognition.training.cascade.annotations import AnnotatedImage
from recognition.types import Pixels

GRID = (0.1, 0.2, 0.3, 0.5, 0.7)
LEAST = 0.02
"""The last network's, where all it finds is to be seen."""
_MOST = 150  # images: low thresholds are slow
_WORTH = 0.002
"""Of recall: what a lower threshold must gain, since each gives the next network more to do."""


def choose_thresholds(
    net: Mtcnn,
    images: Sequence[AnnotatedImage],
    smallest_face: int,
    say: Callable[[str], None] = lambda message: None,
) -> Thresholds:
    """The highest thresholds of P- and R-Net in `GRID` that lose hardly any face.

    What counts is the whole cascade's recall at one false positive an image. P-Net's is chosen
    while R-Net lets nearly everything pass, then R-Net's. The last network's stays: it is for
    those who use the detector to set, between faces missed and false ones.

    Args:
        net: in evaluation mode.
        images: for validation. Where they have no face to be found, the network keeps its own.
        say: is told of each trial.
    """
    complete = [image for image in images if image.complete]
    complete = complete[:: max(1, len(complete) // _MOST)]
    if not any(not face.ignored for image in complete for face in image.faces):
        return net.thresholds

    def recall(first: float, second: float) -> float:
        finder = partial(find_all, net, smallest_face, (first, second, LEAST))
        found = froc(run_detectors({"cascade": finder}, complete)["cascade"]).recall_at(1.0)
        say(f"thresholds {first:g} and {second:g}: recall {100 * found:.2f} %")
        return found

    first = _highest({threshold: recall(threshold, GRID[0]) for threshold in GRID})
    second = _highest({threshold: recall(first, threshold) for threshold in GRID})
    return first, second, net.thresholds[2]


def _highest(recalls: dict[float, float]) -> float:
    enough = max(recalls.values()) - _WORTH
    return max(threshold for threshold, recall in recalls.items() if recall >= enough)


def find_all(
    net: Mtcnn, smallest_face: int, thresholds: Thresholds, images: Sequence[Pixels]
) -> list[Detections]:
    """Each image's faces, with frame 0; where the network is."""
    device = next(net.parameters()).device
    with torch.inference_mode():
        seen = cascade(net, ImageSet(images, device), smallest_face, thresholds)
    return [_of(seen, number) for number in range(len(images))]


def _of(seen: Detections, number: int) -> Detections:
    rows = seen.frame == number
    return Detections(
        torch.zeros_like(seen.frame[rows]), seen.boxes[rows], seen.points[rows], seen.scores[rows]
    )
