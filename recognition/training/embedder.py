"""Trains an embedder on faces of people, measures it on others, and hands its weights over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from recognition.embed import DIMENSION
from recognition.packages import write_atomically
from recognition.training.backbones import backbone
from recognition.training.embedding import EmbeddingModel, LossSettings, make_loss
from recognition.training.face_batches import FaceBatches, Showing
from recognition.training.face_pairs import (
    compare,
    draw_pairs,
    figures_of,
    intervals,
    validation,
)
from recognition.training.faces import Faces, Part
from recognition.training.mobilefacenet import TrainableMobileFaceNet
from recognition.training.trainer import SILENT, Listener, TrainConfig, Trained, train


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained, under which loss, on what.

    backbone: one of `backbones.BACKBONES`.
    dimension: of its vectors; 64 to 1024 can be imported.
    """

    backbone: str = "mobilefacenet"
    dimension: int = DIMENSION
    loss: LossSettings = field(default_factory=LossSettings)
    showing: Showing = field(default_factory=Showing)


def train_embedder(
    parts: Mapping[Part, Faces],
    plan: Plan,
    config: TrainConfig,
    folder: Path,
    *,
    listener: Listener = SILENT,
) -> tuple[nn.Module, Trained]:
    """Train on the people of one part, and keep the weights that tell those of another best apart.

    Args:
        config: where it validates, it watches "accuracy", "tar" or "eer".
        folder: of the run, which goes on where it was if it was begun before.

    Returns:
        The network in evaluation mode, and how the run ended.

    Raises:
        TrainingError: see `recognition.training.trainer.train`.
    """
    torch.manual_seed(config.seed)
    learnt = parts["train"]
    network = backbone(plan.backbone, plan.dimension)
    loss = make_loss(plan.loss, plan.dimension, len(learnt.people))
    model = EmbeddingModel(network, loss)
    trained = train(
        model,
        FaceBatches(learnt, plan.showing),
        replace(config, about={**config.about, **asdict(plan)}),
        folder,
        validate=validation(parts["validation"]) if config.validate_every else None,
        listener=listener,
    )
    return network.eval(), trained


def measure_embedder(network: nn.Module, faces: Faces) -> dict[str, object]:
    """accuracy, tar at FMR 1e-2, eer, and 95 % intervals over people, ready for JSON."""
    pairs = draw_pairs(faces)
    scores = compare(network, faces, pairs)
    return {
        **figures_of(scores, pairs),
        "fmr": "1e-2",
        "interval95": intervals([scores], pairs),
        "people": len(faces.people),
        "images": len(faces.whose),
        "genuine": int(pairs.same.sum()),
        "impostor": int((~pairs.same).sum()),
    }


def export_embedder(network: nn.Module, path: Path) -> bool:
    """Write the network's weights as safetensors; whether `import-model` takes them.

    MobileFaceNet is folded into the engine's own, which the import knows by its names.
    """
    importable = isinstance(network, TrainableMobileFaceNet)
    state: dict[str, Tensor] = network.state_dict()
    if isinstance(network, TrainableMobileFaceNet):
        state = network.folded()
    kept = {name: tensor.cpu().contiguous() for name, tensor in state.items()}
    write_atomically(path, safetensors.torch.save(kept))
    return importable
