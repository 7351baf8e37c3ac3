"""Faces that are nobody's: soft patterns, one for each person, with a little noise."""

from __future__ import annotations

import torch
from torch.nn import functional

from recognition.training.faces import Faces


def drawn_faces(people: int, images: int = 4, *, noise: float = 8.0, seed: int = 0) -> Faces:
    """So many images of so many people, as they come out of the cutting."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand((people, 3, 6, 6), generator=random) * 255
    own = functional.interpolate(coarse, size=(112, 112), mode="bilinear")
    each = own.repeat_interleave(images, 0)
    each = each + noise * torch.randn(each.shape, generator=random)
    names = tuple(f"person {number:03d}" for number in range(people))
    whose = torch.arange(people).repeat_interleave(images)
    return Faces(each.clamp(0, 255).byte(), whose, names, (), (), f"drawn {people} {images} {seed}")
