"""Handwritten digits, small enough to learn from in seconds: those that scikit-learn carries.

1,797 images of 8x8 pixels by 43 people (E. Alpaydin and C. Kaynak, "Optical Recognition of
Handwritten Digits", UCI, 1998, CC BY 4.0; its test part). The package is downloaded by name, and
nothing of it is installed.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recognition.packages import Archive, Say, kept_archive, pip_download, read_members

DIGITS = 10
SCIKIT_LEARN = Archive(
    "scikit-learn==1.9.1",
    "scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
)
_MEMBER = "sklearn/datasets/data/digits.csv.gz"
_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """images: (N, 1, 8, 8) float32, 0..1. labels: (N,) int64, 0..9."""

    images: Tensor
    labels: Tensor


def digits(home: Path, *, say: Say) -> tuple[Digits, Digits]:
    """Every second image of each digit to learn from, the others to measure on.

    Args:
        home: the installation's folder; the package is kept in its `cache`.
        say: is told of a download.

    Raises:
        FetchError: no network or a wrong hash.
    """
    archive = kept_archive(SCIKIT_LEARN, home / "cache", partial(pip_download, say=say))
    (packed,) = read_members(archive, {_MEMBER: _SHA256}).values()
    rows = np.loadtxt(io.BytesIO(gzip.decompress(packed)), delimiter=",", dtype=np.float32)
    images = torch.from_numpy(rows[:, :64] / 16).view(-1, 1, 8, 8)
    labels = torch.from_numpy(rows[:, 64].astype(np.int64))
    place = torch.zeros_like(labels)
    for digit in range(DIGITS):
        own = labels == digit
        place[own] = torch.arange(int(own.sum()))
    learn = place % 2 == 0
    return Digits(images[learn], labels[learn]), Digits(images[~learn], labels[~learn])
