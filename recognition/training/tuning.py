"""What a fine-tune trains, on what, and by which loss.

Either an adapter on an embedder's vectors, or the last layers of MobileFaceNet. The loss tells
people apart by centres that stay (nothing that could stand for a person is learnt, so no
checkpoint holds any), and keeps the vectors of everybody else near where they were.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.adapter import Adapter
from recognition.embed import DIMENSION, MobileFaceNet, normalise
from recognition.training.batches import IdentityBatches
from recognition.training.subjects import Subjects
from recognition.training.turned_heads import views

What = Literal["adapter", "blocks"]
_PIECE = 64  # faces that run through the frozen layers at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSettings:
    """How a fine-tune learns.

    from_layer: of MobileFaceNet's; those before stay as they are.
    hidden: of the adapter; 0 for a linear one.
    steps, learning_rate: of the run.
    people, images: of the site's in each batch, so many photos of each.
    replayed: photos of the general set in each batch.
    margin, scale: by how much and how steeply the loss tells people apart (cosines).
    keep: weight of the distillation.
    views: of each photo.
    """

    what: What = "blocks"
    from_layer: int = 17
    hidden: int = 0
    steps: int = 100
    learning_rate: float = 1e-4
    people: int = 16
    images: int = 4
    replayed: int = 64
    margin: float = 0.1
    scale: float = 16.0
    keep: float = 20.0
    views: int = 4
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


class Tuning(nn.Module):
    """The part that is trained, with its loss.

    Args:
        net: from inputs to vectors, of any length.
        centres: (C, D) unit vectors, one for each person; not part of any checkpoint.
        settings: of the loss.
        free: so many people, the first, may move: they are not kept where they were.
    """

    centres: Tensor

    def __init__(
        self, net: nn.Module, centres: Tensor, settings: TuneSettings, free: int = 0
    ) -> None:
        super().__init__()
        self.net, self.free = net, free
        self.settings = settings
        self.register_buffer("centres", centres, persistent=False)

    def forward(self, inputs: Tensor, labels: Tensor, vectors: Tensor) -> dict[str, Tensor]:
        """The losses of a batch.

        Args:
            inputs: (B, ...) of the network.
            labels: (B,) int64, places among the centres.
            vectors: (B, D) as the embedder gave them before.

        Returns:
            loss: tell + keep times its weight. tell: cross-entropy of the scaled cosines to all
            centres, the own one's less a margin (CosFace: Wang et al., 2018, arXiv:1801.09414).
            keep: mean of one minus the cosine to the vector before (distillation of embeddings),
            of those who are kept.
        """
        unit = functional.normalize(self.net(inputs), dim=1)
        settings = self.settings
        own = functional.one_hot(labels, len(self.centres)).to(unit.dtype)
        logits = settings.scale * (unit @ self.centres.T - settings.margin * own)
        tell = functional.cross_entropy(logits, labels)
        kept = (labels >= self.free).to(unit.dtype)
        away = 1 - (unit * vectors).sum(1)
        keep = (kept * away).sum() / kept.sum().clamp(min=1)
        return {"loss": tell + settings.keep * keep, "tell": tell, "keep": keep}


class TuneBatches:
    """Photos of the site's people beside photos of the general set; see `trainer.Batches`.

    Args:
        inputs: (N, V, ...) of each photo in each view, the site's first.
        labels, vectors: (N,) and (N, D), as `Tuning.forward` takes them.
        site: how many of the rows are the site's.
        fingerprint: of the data.
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        vectors: Tensor,
        site: int,
        settings: TuneSettings,
        fingerprint: str,
    ) -> None:
        self._inputs, self._labels, self._vectors, self._site = inputs, labels, vectors, site
        self._settings = settings
        self._people = IdentityBatches(
            labels[:site],
            people=min(settings.people, len(torch.unique(labels[:site]))),
            images=settings.images,
            seed=settings.seed,
        )
        words = json.dumps([fingerprint, settings.to_json()], sort_keys=True)
        self.fingerprint = hashlib.sha256(words.encode()).hexdigest()

    def at(self, step: int, rank: int = 0, ranks: int = 1) -> tuple[Tensor, ...]:
        """Inputs, labels and vectors of one batch; (B, ...), (B,), (B, D)."""
        number = step * ranks + rank
        draw = np.random.default_rng((self._settings.seed, number))
        others = len(self._labels) - self._site
        replayed = draw.choice(others, min(self._settings.replayed, others), replace=False)
        rows = torch.cat([self._people.rows(number), self._site + torch.from_numpy(replayed)])
        view = torch.from_numpy(draw.integers(0, self._inputs.shape[1], len(rows)))
        return self._inputs[rows, view].float(), self._labels[rows], self._vectors[rows]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What `Tuning` and the engine need."""

    tuning: Tuning
    batches: TuneBatches


def prepare(
    site: Subjects,
    general: Subjects | None,
    first: MobileFaceNet | None,
    settings: TuneSettings,
    *,
    hold_site: bool = False,
) -> Prepared:
    """The network to be trained, and what it is trained on.

    Args:
        site: people to learn.
        general: people to replay; None for none.
        first: the MobileFaceNet whose last layers are trained; it stays as it is. None for an
            adapter.
        hold_site: keep the site's vectors near where they were, too, where few others are there.

    Raises:
        ValueError: fewer than two people.
    """
    parts = [site, *([] if general is None else [general])]
    labels, vectors, known = [], [], 0
    for part in parts:
        labels.append(part.labels + known)
        known += len(part.everybody)
        vectors.append(_of_first(part.vectors, first))
    if len(site.everybody) < 2:
        raise ValueError("it takes photos of at least two people to learn from")
    if first is None:
        net: nn.Module = Adapter(site.vectors.shape[1], settings.hidden)
        inputs = [part.vectors[:, None] for part in parts]
    else:
        net = _last_layers(first, settings.from_layer)
        inputs = [_maps(first, part.faces, settings) for part in parts]
    all_labels, all_vectors = torch.cat(labels), torch.cat(vectors)
    centres = functional.normalize(
        torch.zeros(known, all_vectors.shape[1]).index_add_(0, all_labels, all_vectors)
    )
    fingerprint = " ".join(part.fingerprint for part in parts)
    batches = TuneBatches(
        torch.cat(inputs), all_labels, all_vectors, len(site.people), settings, fingerprint
    )
    free = 0 if hold_site else len(site.everybody)
    return Prepared(Tuning(net, centres, settings, free), batches)


def _of_first(vectors: Tensor, first: MobileFaceNet | None) -> Tensor:
    """What MobileFaceNet has given of fused vectors; all of others, or for an adapter."""
    if first is None or vectors.shape[1] == DIMENSION:
        return vectors
    return functional.normalize(vectors[:, :DIMENSION], dim=1)


def _last_layers(net: MobileFaceNet, begin: int) -> nn.Module:
    """A copy that learns."""
    layers: nn.Module = _copy(net).layers[begin:]
    layers.requires_grad_()
    return layers


def _copy(net: MobileFaceNet) -> MobileFaceNet:
    copy = MobileFaceNet()
    copy.load_state_dict(net.state_dict())
    return copy


@torch.inference_mode()
def _maps(net: MobileFaceNet, faces: Tensor, settings: TuneSettings) -> Tensor:
    """(N, V, C, h, w) float16: what the layers that stay make of each view."""
    generator = torch.Generator().manual_seed(settings.seed)
    frozen = net.layers[: settings.from_layer]
    pieces = []
    for some in torch.split(faces, _PIECE):
        seen = [frozen(normalise(view)) for view in views(some, settings.views, generator)]
        pieces.append(torch.stack(seen, 1).half())
    return torch.cat(pieces)


def with_last_layers(net: MobileFaceNet, layers: nn.Module, begin: int) -> MobileFaceNet:
    """The network with other last layers; in evaluation mode."""
    copy = _copy(net)
    copy.layers[begin:].load_state_dict(layers.state_dict())
    return copy.eval().requires_grad_(requires_grad=False)
