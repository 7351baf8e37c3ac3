"""What a fine-tune trains, on what, and by which loss.

Either an adapter on an embedder's vectors, or the last layers of MobileFaceNet. The loss brings
people near centres that stay (nothing that could stand for a person is learnt, so no checkpoint
holds any) and turned heads near those that look ahead, and keeps everybody else's vectors where
they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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
    keep: weight of the distillation, of photos as they are, against 1 of nearness.
    turn: the same of heads turned.
    weight_decay: as the engine takes it.
    views: of each photo: as it is, mirrored, and in others the head turned (`turns`).
    """

    what: What = "blocks"
    from_layer: int = 17
    hidden: int = 0
    steps: int = 100
    learning_rate: float = 1e-4
    people: int = 16
    images: int = 4
    replayed: int = 64
    keep: float = 200.0
    turn: float = 10.0
    weight_decay: float = 0.0
    views: int = 4
    seed: int = 0

    @property
    def turns(self) -> int:
        """Views with the head turned; an embedder's vectors are of both mirror images anyway."""
        return max(0, self.views - 2)

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


USUAL: Mapping[What, TuneSettings] = {
    "adapter": TuneSettings(
        what="adapter",
        steps=300,
        learning_rate=3e-3,
        replayed=512,
        weight_decay=1.0,
    ),
    "blocks": TuneSettings(),
}


class Tuning(nn.Module):
    """The part that is trained, with its loss.

    Args:
        net: from inputs to vectors, of any length.
        centres: (C, D) unit vectors, one for each person; not part of any checkpoint. They stay:
            learnt ones would stand for people.
        settings: of the loss.
        site: so many people, the first, are the site's.
        hold_site: whether they, too, are kept where they were.
    """

    centres: Tensor

    def __init__(
        self,
        net: nn.Module,
        centres: Tensor,
        settings: TuneSettings,
        site: int,
        *,
        hold_site: bool = False,
    ) -> None:
        super().__init__()
        self.net, self.settings = net, settings
        self.site, self.hold_site = site, hold_site
        self.register_buffer("centres", centres, persistent=False)

    def forward(
        self, inputs: Tensor, labels: Tensor, vectors: Tensor, turned: Tensor
    ) -> dict[str, Tensor]:
        """The losses of a batch.

        Args:
            inputs: (B, ...) of the network.
            labels: (B,) int64, places among the centres.
            vectors: (B, D) as the embedder gave them before, of heads that are not turned.
            turned: (B,) bool, whose head is turned in the input.

        Returns:
            loss: the others times their weights. near: mean of one minus the cosine to the own
            centre, of the site's people. keep: the same to the vector before (distillation of
            embeddings), of photos as they are of those who are kept. turn: the same of heads
            turned, whoever's.
        """
        unit = functional.normalize(self.net(inputs), dim=1)
        site = labels < self.site
        away = 1 - (unit * vectors).sum(1)
        near = _mean_of(1 - (unit * self.centres[labels]).sum(1), site)
        keep = _mean_of(away, ~turned & (~site | self.hold_site))
        turn = _mean_of(away, turned)
        loss = near + self.settings.keep * keep + self.settings.turn * turn
        return {"loss": loss, "near": near, "keep": keep, "turn": turn}


def _mean_of(values: Tensor, which: Tensor) -> Tensor:
    """Their mean; 0 of none."""
    part = which.to(values.dtype)
    return (part * values).sum() / part.sum().clamp(min=1)


class TuneBatches:
    """Photos of the site's people beside photos of the general set; see `trainer.Batches`.

    Args:
        inputs: (N, V, ...) of each photo in each view, the site's first.
        labels: (N,).
        before: (N, V, D), what `Tuning.forward` calls `vectors`, for each view.
        turned: (V,) bool, in which views the head is turned.
        site: how many of the rows are the site's.
        fingerprint: of the data.
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        before: Tensor,
        turned: Tensor,
        site: int,
        settings: TuneSettings,
        fingerprint: str,
    ) -> None:
        self._inputs, self._labels, self._site = inputs, labels, site
        self._before, self._turned = before, turned
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
        """Of one batch what `Tuning.forward` takes; (B, ...), (B,), (B, D), (B,)."""
        number = step * ranks + rank
        draw = np.random.default_rng((self._settings.seed, number))
        others = len(self._labels) - self._site
        replayed = draw.choice(others, min(self._settings.replayed, others), replace=False)
        rows = torch.cat([self._people.rows(number), self._site + torch.from_numpy(replayed)])
        view = torch.from_numpy(draw.integers(0, self._inputs.shape[1], len(rows)))
        inputs, before = self._inputs[rows, view].float(), self._before[rows, view]
        return inputs, self._labels[rows], before, self._turned[view]


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
        net: nn.Module = Adapter(site.vectors.shape[1], settings.hidden, gated=True)
        inputs = torch.cat([_seen(part) for part in parts])
        before = torch.cat(vectors)[:, None].expand(-1, inputs.shape[1], -1)
        plain = 1
    else:
        net = _last_layers(first, settings.from_layer)
        inputs = torch.cat([_maps(first, part.faces, settings) for part in parts])
        before = _before(first, inputs, settings)
        plain = 2  # as it is, and mirrored
    all_labels, all_vectors = torch.cat(labels), torch.cat(vectors)
    centres = functional.normalize(
        torch.zeros(known, all_vectors.shape[1]).index_add_(0, all_labels, all_vectors)
    )
    fingerprint = " ".join(part.fingerprint for part in parts)
    turned = torch.arange(inputs.shape[1]) >= plain
    batches = TuneBatches(
        inputs, all_labels, before, turned, len(site.people), settings, fingerprint
    )
    tuning = Tuning(net, centres, settings, len(site.everybody), hold_site=hold_site)
    return Prepared(tuning, batches)


def _seen(part: Subjects) -> Tensor:
    """(N, 1 + T, D): the vectors of each photo as it is and, where there are any, turned."""
    plain = part.vectors[:, None]
    return plain if part.turned is None else torch.cat([plain, part.turned], 1)


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
    draw = np.random.default_rng(settings.seed)
    frozen = net.layers[: settings.from_layer]
    pieces = []
    for some in torch.split(faces, _PIECE):
        seen = [frozen(normalise(view)) for view in views(some, settings.views, draw)]
        pieces.append(torch.stack(seen, 1).half())
    return torch.cat(pieces)


@torch.inference_mode()
def _before(net: MobileFaceNet, maps: Tensor, settings: TuneSettings) -> Tensor:
    """(N, V, D): the vector of each view, of turned ones that of the head as it was."""
    last = net.layers[settings.from_layer :]

    def vectors(view: int) -> Tensor:
        parts = [last(some.float()) for some in torch.split(maps[:, view], _PIECE)]
        return functional.normalize(torch.cat(parts), dim=1)

    plain = vectors(0), vectors(1)
    return torch.stack([plain[view % 2] for view in range(maps.shape[1])], 1)


def with_last_layers(net: MobileFaceNet, layers: nn.Module, begin: int) -> MobileFaceNet:
    """The network with other last layers; in evaluation mode."""
    copy = _copy(net)
    copy.layers[begin:].load_state_dict(layers.state_dict())
    return copy.eval().requires_grad_(requires_grad=False)
