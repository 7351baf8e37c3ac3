"""Drawn pictures with drawn faces: an ellipse with two eyes, a nose and a mouth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from recognition.training.cascade.annotations import AnnotatedFace, AnnotatedImage
from recognition.types import Pixels


def drawn_face(picture: Pixels, corner: tuple[int, int], side: int) -> AnnotatedFace:
    """Draw one as wide as it is high; the annotation that belongs to it."""
    x, y = corner
    middle = (x + side // 2, y + side // 2)
    cv2.ellipse(picture, middle, (side // 2, side // 2), 0, 0, 360, (230, 190, 160), -1)
    places = ((0.3, 0.38), (0.7, 0.38), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75))
    points = tuple((x + share * side, y + down * side) for share, down in places)
    for place in points[:2]:
        cv2.circle(
            picture, (round(place[0]), round(place[1])), max(1, side // 12), (20, 20, 20), -1
        )
    cv2.line(picture, _whole(points[3]), _whole(points[4]), (160, 30, 30), max(1, side // 14))
    return AnnotatedFace((x, y, x + side, y + side), points)


def _whole(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0]), round(point[1])


def drawn_images(folder: Path, count: int, *, seed: int = 0) -> list[AnnotatedImage]:
    """Pictures of 160 x 120 pixels with a face or two on noise, written as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for number in range(count):
        draw = np.random.default_rng([seed, number])
        coarse = draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = np.asarray(cv2.resize(coarse, (160, 120)), np.uint8)
        faces = []
        for left in (5, 85)[: 1 + number % 2]:
            side = int(draw.integers(30, 66))
            corner = (left + int(draw.integers(0, 70 - side)), int(draw.integers(0, 120 - side)))
            faces.append(drawn_face(picture, corner, side))
        path = folder / f"{number:03d}.png"
        cv2.imwrite(str(path), picture[:, :, ::-1])
        images.append(AnnotatedImage(path, tuple(faces)))
    return images
