"""MTCNN written plainly: one image, one window at a time, run by the published TFLite files.

Shares no code with the package: windows are sampled by numpy, boxes thinned by the textbook
loop. Images are resized by torch's own function, as in the package: the networks answer to a
difference of one in 255 already, and the cascade then prefers another of two equal windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tests.recognition.tflite_runner import Array, TFLiteModel

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]  # (H, W, 3)


@dataclass(frozen=True)
class ReferenceFace:
    box: Floats  # (4,)
    points: Floats  # (5, 2)
    score: float


@dataclass
class _Window:
    box: Floats
    score: float
    regression: Floats
    points: Floats | None = None


class ReferenceCascade:
    """The detector, for one smallest face."""

    def __init__(self, files: dict[str, bytes], smallest_face: int) -> None:
        self.pnet = TFLiteModel(files["pnet.tflite"])
        self.rnet = TFLiteModel(files["rnet.tflite"])
        self.onet = TFLiteModel(files["onet.tflite"])
        self.smallest_face = smallest_face

    def __call__(self, image: Bytes) -> list[ReferenceFace]:
        windows = thinned(self._propose(image), 0.7)
        windows = [window for window in self._judged(image, windows, 24) if window.score > 0.7]
        windows = thinned(windows, 0.7)
        faces = [window for window in self._judged(image, windows, 48) if window.score > 0.85]
        for face in faces:
            face.box = moved(face)
        return [
            ReferenceFace(face.box, face.points, face.score)
            for face in thinned(faces, 0.7, smaller=True)
            if face.points is not None
        ]

    def _propose(self, image: Bytes) -> list[_Window]:
        found: list[_Window] = []
        scale = 12 / self.smallest_face
        height, width, _ = image.shape
        while min(height, width) * scale >= 12:
            size = (round(height * scale), round(width * scale))
            level = normalised(resized(image, size))
            probability, regression = self.pnet(level[None].transpose(0, 2, 1, 3))
            here = []
            for column, row in np.argwhere(probability[0, :, :, 1] > 0.6):
                corners = np.array([column, row, column + 6, row + 6]) * 2.0
                score = float(probability[0, column, row, 1])
                here.append(_Window(corners, score, regression[0, column, row]))
            kept = thinned(here, 0.5)
            for window in kept:
                window.box *= np.array([width / size[1], height / size[0]] * 2)
            found += kept
            scale *= 0.709
        return found

    def _judged(self, image: Bytes, windows: list[_Window], side: int) -> list[_Window]:
        net = self.rnet if side == 24 else self.onet
        judged = []
        for window in windows:
            box = squared(moved(window))
            view = cut(image, box, side)
            outputs = net(view[None].transpose(0, 2, 1, 3))
            found = _Window(box, float(outputs[0][0, 1]), outputs[1][0])
            if side == 48:
                size = box[2:] - box[:2]
                found.points = outputs[2].reshape(2, 5).T * size + box[:2]
            judged.append(found)
        return judged


def normalised(image: Bytes) -> Array:
    return ((image.astype(np.float32) - 127.5) / 128).astype(np.float32)


def resized(image: Bytes, size: tuple[int, int]) -> Bytes:
    batch = torch.tensor(image).permute(2, 0, 1)[None]
    small = functional.interpolate(batch, size, mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).numpy()


def moved(window: _Window) -> Floats:
    size = window.box[2:] - window.box[:2]
    return window.box + window.regression * np.tile(size, 2)


def squared(box: Floats) -> Floats:
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max() / 2
    return np.concatenate([centre - half, centre + half])


def thinned(windows: list[_Window], threshold: float, *, smaller: bool = False) -> list[_Window]:
    kept: list[_Window] = []
    for window in sorted(windows, key=lambda window: -window.score):
        if all(overlap(window.box, other.box, smaller=smaller) <= threshold for other in kept):
            kept.append(window)
    return kept


def overlap(a: Floats, b: Floats, *, smaller: bool) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.maximum(sides, 0).prod())
    areas = [float((box[2:] - box[:2]).prod()) for box in (a, b)]
    return shared / (min(areas) if smaller else sum(areas) - shared)


def cut(image: Bytes, box: Floats, side: int) -> Array:
    """The box as (side, side, 3), from the halving in which it is 1 to 2 times as large."""
    step = (box[2] - box[0]) / side
    halvings = max(0, math.floor(math.log2(max(step, 1))))
    small = image
    for _ in range(halvings):
        small = resized(small, (small.shape[0] // 2, small.shape[1] // 2))
    pixels = np.pad(small.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    centres = np.arange(side) + 0.5
    x = (box[0] + centres * step) * small.shape[1] / image.shape[1] - 0.5
    y = (box[1] + centres * step) * small.shape[0] / image.shape[0] - 0.5
    rows = interpolated(pixels, y)
    view = interpolated(rows.transpose(1, 0, 2), x).transpose(1, 0, 2)
    return ((view - 127.5) / 128).astype(np.float32)


def interpolated(padded: Floats, at: Floats) -> Floats:
    """Linear interpolation along the first axis, of values with one row of zeros around."""
    at = np.clip(at + 1, 0, len(padded) - 1)
    low = np.minimum(np.floor(at).astype(int), len(padded) - 2)
    part = (at - low)[:, None, None]
    values: Floats = padded[low] * (1 - part) + padded[low + 1] * part
    return values
