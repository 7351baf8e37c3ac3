"""MTCNN's cascade over all frames of a batch at once: the detector to compare with, and to train.

Zhang et al., 2016, arXiv:1604.02878. P-Net slides over an image pyramid and proposes windows,
R-Net refines them, O-Net judges the rest and places the points; after each, boxes are moved by
the network's regression and thinned by non-maximum suppression.

Inside this module boxes are measured from the image's corner (pixel i reaches from i to i + 1);
points come out in image coordinates, where pixel i lies at i.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recognition.detections import Detections
from recognition.embed import normalise
from recognition.mtcnn import Mtcnn, Thresholds
from recognition.nms import Overlap, suppress
from recognition.sampling import ImageSet, Mipmaps, shrink

WINDOW = 12  # of P-Net, in pixels of a pyramid level
STRIDE = 2
FACTOR = 0.709
"""Size of a pyramid level in its predecessor's."""

# A crowd has a few dozen candidates in a level; noise has thousands, and must not cost memory.
MAX_CANDIDATES = 512


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """frame (N,), level (N,), windows and boxes (N, 4), scores (N,), regression (N, 4).

    windows are the boxes in whole pixels of their level.
    """

    frame: Tensor
    level: Tensor
    windows: Tensor
    boxes: Tensor
    scores: Tensor
    regression: Tensor

    def take(self, index: Tensor) -> _Candidates:
        return _Candidates(
            self.frame[index],
            self.level[index],
            self.windows[index],
            self.boxes[index],
            self.scores[index],
            self.regression[index],
        )


def cascade(
    net: Mtcnn, images: ImageSet, smallest_face: int, thresholds: Thresholds | None = None
) -> Detections:
    """Find all faces of all images.

    Args:
        net: in evaluation mode, on the images' device.
        images: numbered 0..; a face's `frame` is its image's number.
        smallest_face: side of the smallest face to find, in pixels; levels of the pyramid for
            smaller ones are never computed.
        thresholds: other ones than the network's own.
    """
    first, second, final = thresholds or net.thresholds
    frame, boxes = propose(net.pnet, images, smallest_face, first)
    frame, boxes = refine(net, images, frame, boxes, second)
    return _finish(net, images, frame, boxes, final)


def pyramid_sizes(size: tuple[int, int], smallest_face: int) -> list[tuple[int, int]]:
    """Sizes (h, w) of the levels for an image of (H, W), from the largest down.

    In level 0 the smallest face is as wide as P-Net's window; the last level is the smallest
    that still holds one window.
    """
    scale = WINDOW / smallest_face
    sizes = []
    while min(size) * scale >= WINDOW:
        sizes.append((round(size[0] * scale), round(size[1] * scale)))
        scale *= FACTOR
    return sizes


def propose(
    net: nn.Module, images: ImageSet, smallest_face: int, threshold: float
) -> tuple[Tensor, Tensor]:
    """P-Net over every level of every image: frame (N,), square boxes (N, 4).

    Sorted by frame, then by falling probability, which is above the threshold.
    """
    found = [
        _propose_batch(net, frames, mipmaps, smallest_face, threshold)
        for frames, mipmaps in images.batches
    ]
    everything = _concatenate(found)
    if len(everything.frame) == 0:
        return everything.frame, everything.boxes
    levels = int(everything.level.max()) + 1
    group = everything.frame * levels + everything.level
    # Neighbouring windows often overlap by exactly a half: only whole numbers say so everywhere.
    best = _suppress(
        everything.windows, everything.scores, group, threshold=0.5, most=MAX_CANDIDATES
    )
    within = everything.take(best)
    kept = within.take(_suppress(within.boxes, within.scores, within.frame, threshold=0.7))
    return kept.frame, _squared(_moved(kept.boxes, kept.regression))


def _propose_batch(
    net: nn.Module, frames: Tensor, mipmaps: Mipmaps, smallest_face: int, threshold: float
) -> _Candidates:
    """All levels of images of one size, whose numbers are `frames`."""
    device = frames.device
    height, width = mipmaps.images.shape[2:]
    sizes = pyramid_sizes((height, width), smallest_face)
    if not sizes:
        nothing, no_boxes = frames[:0], torch.zeros((0, 4), device=device)
        return _Candidates(nothing, nothing, no_boxes, no_boxes, no_boxes[:, 0], no_boxes)
    outputs = [net(normalise(shrink(mipmaps.images, size).float())) for size in sizes]
    shapes = torch.tensor([probability.shape[1:] for probability, _ in outputs], device=device)
    ends = shapes.prod(1).cumsum(0)
    scores = torch.cat([probability.flatten(1) for probability, _ in outputs], 1)  # (B, C)
    moves = torch.cat([regression.flatten(2) for _, regression in outputs], 2)  # (B, 4, C)
    image, cell = (scores > threshold).nonzero(as_tuple=True)
    level = torch.bucketize(cell, ends, right=True)
    rows, columns = shapes[level].unbind(1)
    place = cell - ends[level] + rows * columns
    corner = torch.stack([place % columns, place // columns], 1) * STRIDE
    windows = torch.cat([corner, corner + WINDOW], 1).float()
    per_pixel = torch.tensor([(width / w, height / h) for h, w in sizes], device=device)
    boxes = windows * per_pixel.repeat(1, 2)[level]
    return _Candidates(
        frames[image], level, windows, boxes, scores[image, cell], moves[image, :, cell]
    )


def _concatenate(parts: list[_Candidates]) -> _Candidates:
    return _Candidates(
        torch.cat([part.frame for part in parts]),
        torch.cat([part.level for part in parts]),
        torch.cat([part.windows for part in parts]),
        torch.cat([part.boxes for part in parts]),
        torch.cat([part.scores for part in parts]),
        torch.cat([part.regression for part in parts]),
    )


def refine(
    net: Mtcnn, images: ImageSet, frame: Tensor, boxes: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """R-Net on all windows of all frames: frame (K,), square boxes (K, 4), sorted as proposed."""
    if len(frame) == 0:
        return frame, boxes
    scores, regression = net.rnet(normalise(cut(images, frame, boxes, 24)))
    likely = (scores > threshold).nonzero().squeeze(1)
    kept = likely[_suppress(boxes[likely], scores[likely], frame[likely], threshold=0.7)]
    return frame[kept], _squared(_moved(boxes[kept], regression[kept]))


def _finish(
    net: Mtcnn, images: ImageSet, frame: Tensor, boxes: Tensor, threshold: float
) -> Detections:
    """O-Net on what is left."""
    if len(frame) == 0:
        return Detections(frame, boxes, boxes.new_zeros((0, 5, 2)), boxes.new_zeros(0))
    views = cut(images, frame, boxes, 48)
    scores, regression, points = net.onet(normalise(views))
    likely = (scores > threshold).nonzero().squeeze(1)
    frame, scores, windows = frame[likely], scores[likely], boxes[likely]
    side = (windows[:, 2:] - windows[:, :2])[:, None]  # (K, 1, 2)
    placed = points[likely].reshape(-1, 2, 5).transpose(1, 2) * side + windows[:, None, :2]
    moved = _moved(windows, regression[likely])
    kept = _suppress(moved, scores, frame, threshold=0.7, overlap="smaller")
    return Detections(frame[kept], moved[kept], placed[kept], scores[kept])


def cut(images: ImageSet, frame: Tensor, boxes: Tensor, side: int) -> Tensor:
    """(N, 3, side, side) float32, 0..255: what a network is shown of boxes (N, 4)."""
    return images.sample(frame, _to_image(boxes, side), side)


def _suppress(
    boxes: Tensor,
    scores: Tensor,
    group: Tensor,
    *,
    threshold: float,
    overlap: Overlap = "union",
    most: int | None = None,
) -> Tensor:
    """As `suppress`, for tensors on any device."""
    arrays = (tensor.cpu().numpy() for tensor in (boxes, scores, group))
    kept = suppress(*arrays, threshold=threshold, overlap=overlap, most=most)
    return torch.from_numpy(kept).to(boxes.device)


def _moved(boxes: Tensor, regression: Tensor) -> Tensor:
    """Boxes with each side moved by its regression, in widths and heights."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + regression * size.repeat(1, 2)


def _squared(boxes: Tensor) -> Tensor:
    """The squares around the same centres whose sides are the boxes' longer sides."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([centre - half, centre + half], 1)


def _to_image(boxes: Tensor, side: int) -> Tensor:
    """(N, 2, 3): from pixels of a `side` x `side` view of each box to image coordinates."""
    step = (boxes[:, 2:] - boxes[:, :2]) / side  # (N, 2)
    start = boxes[:, :2] + step / 2 - 0.5
    return torch.cat([torch.diag_embed(step), start[:, :, None]], 2)
