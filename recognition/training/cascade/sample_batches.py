"""Batches of samples, drawn anew for each step, as other photographs would have shown them."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from recognition.embed import normalise
from recognition.training.cascade.samples import Samples
from recognition.training.cascade.windows import Kind

SHARES = {Kind.NEGATIVE: 3, Kind.POSITIVE: 1, Kind.PART: 1, Kind.LANDMARK: 2}
"""Of a batch: 3 : 1 : 1 : 2 (Zhang et al., 2016, section III.A)."""

_MIRRORED = (1, 0, 2, 4, 3)  # which point each becomes in a mirror image


class SampleBatches:
    """A pure function of the step: what is drawn depends on seed, step and rank alone.

    Args:
        samples: of one network.
        size: of a batch, of each process.
    """

    def __init__(self, samples: Samples, size: int, *, seed: int) -> None:
        self.samples, self.size, self.seed = samples, size, seed
        rows = {kind: (samples.kinds == kind).nonzero()[:, 0].numpy() for kind in SHARES}
        self._rows = {kind: of_kind for kind, of_kind in rows.items() if len(of_kind)}
        self.fingerprint = hashlib.sha256(
            f"{samples.fingerprint} {size} {seed}".encode()
        ).hexdigest()

    def at(self, step: int, rank: int = 0, ranks: int = 1) -> tuple[Tensor, ...]:
        """Views (B, 3, side, side), (v - 127.5) / 128; kinds (B,); boxes (B, 4); places (B, 10).

        `ranks` changes nothing: each process draws a batch of its own.
        """
        draw = np.random.default_rng([self.seed, step, rank])
        rows = torch.from_numpy(self._drawn(draw))
        chosen = Samples(*(tensor[rows] for tensor in self.samples.tensors().values()))
        turned = mirrored(chosen, torch.from_numpy(draw.random(len(rows)) < 0.5))
        views = _relit(turned.views.float(), draw)
        # The processor's convolutions are up to twice as fast with channels last.
        views = normalise(views).contiguous(memory_format=torch.channels_last)
        return views, turned.kinds, turned.boxes, turned.places

    def _drawn(self, draw: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Rows of a batch; the shares of kinds that there are none of go to the others."""
        total = sum(SHARES[kind] for kind in self._rows)
        drawn = [
            draw.choice(rows, max(1, round(self.size * SHARES[kind] / total)))
            for kind, rows in self._rows.items()
        ]
        return np.concatenate(drawn)


def mirrored(samples: Samples, which: Tensor) -> Samples:
    """The samples, those of `which` (N,) bool as their mirror images have them."""
    views, boxes, places = samples.views.clone(), samples.boxes.clone(), samples.places.clone()
    views[which] = samples.views[which].flip(3)
    boxes[which] = samples.boxes[which][:, [2, 1, 0, 3]] * torch.tensor([-1, 1, -1, 1])
    x, y = samples.places[which].view(-1, 2, 5)[:, :, list(_MIRRORED)].unbind(1)
    # A point in the middle of pixel i lies at i: mirrored, in the last pixel less i.
    across = 1 - x - 1 / samples.sides[which, None]
    places[which] = torch.cat([across, y], 1)
    marked = (samples.kinds == Kind.LANDMARK)[:, None]
    return Samples(
        views, samples.kinds, boxes, torch.where(marked, places, samples.places), samples.sides
    )


def _relit(views: Tensor, draw: np.random.Generator) -> Tensor:
    """Views 0..255 in other light: contrast, brightness, colour; one in ten without colour."""
    count = len(views)

    def drawn(low: float, high: float, channels: int) -> Tensor:
        return torch.from_numpy(draw.uniform(low, high, (count, channels, 1, 1))).float()

    middle = views.mean((1, 2, 3), keepdim=True)
    relit = (views - middle) * drawn(0.6, 1.4, 1) + middle + drawn(-40, 40, 1)
    relit = relit * drawn(0.9, 1.1, 3)
    grey = relit.mean(1, keepdim=True).expand_as(relit)
    colourless = torch.from_numpy(draw.random(count) < 0.1)[:, None, None, None]
    return torch.where(colourless, grey, relit).clamp(0, 255)
