"""The same small embedder trained from nothing under each loss, and measured on other people.

Same network, start, batches, steps and rate; several seeds, so that what one seed does to the next
is seen. People are split once: whoever is measured on was never learnt from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from recognition.evaluate.metrics import Floats
from recognition.training.backbones import backbone
from recognition.training.config import Precision
from recognition.training.embedding import EmbeddingModel, LossSettings, make_loss
from recognition.training.face_batches import FaceBatches, Look, Showing
from recognition.training.face_pairs import (
    Pairs,
    compare,
    draw_pairs,
    figures_of,
    intervals,
)
from recognition.training.faces import Faces, Part
from recognition.training.trainer import SILENT, Listener, TrainConfig, train

LOSSES: Mapping[str, LossSettings] = {
    "softmax": LossSettings("softmax"),
    "softmax + centre": LossSettings("centre", centre_weight=0.03),
    "triplet, semi-hard": LossSettings("triplet"),
    "ArcFace": LossSettings("arcface", margin=0.3, scale=16.0),
}
"""Margin and scale of ArcFace are for hundreds of people: at the published ones, for a hundred
thousand, so short a training does not get going."""

MINERS: Mapping[str, LossSettings] = {
    f"triplet, {mining}": LossSettings("triplet", mining=mining)
    for mining in ("semi-hard", "random", "hard", "all")
}
UNTRAINED = "untrained"

SHARES: Mapping[Part, float] = {"train": 0.6, "validation": 0.1, "test": 0.3}
"""More people to measure on than usual: what is learnt is limited by the steps anyway."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What every loss is given.

    people, images: in a batch.
    """

    steps: int = 300
    people: int = 16
    images: int = 4
    dimension: int = 128
    network: str = "small"
    learning_rate: float = 2e-3
    look: Look = "mirror"
    precision: Precision = "float32"
    device: str = "cpu"


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """scores: of each contender's runs, a run for each seed, on the pairs of the test part."""

    scores: Mapping[str, Sequence[Floats]]
    pairs: Pairs
    parts: Mapping[Part, Faces]
    budget: Budget


def compare_losses(
    parts: Mapping[Part, Faces],
    budget: Budget,
    seeds: Sequence[int],
    folder: Path,
    *,
    contenders: Mapping[str, LossSettings] | None = None,
    listener: Listener = SILENT,
) -> Compared:
    """Train every contender once for each seed, and score the test part's pairs.

    Args:
        folder: of the runs; what is there already is not trained again.
        contenders: by name; all of LOSSES and MINERS where not given.

    Raises:
        TrainingError: the folder has runs of another budget or on other faces.
    """
    chosen = {**LOSSES, **MINERS} if contenders is None else contenders
    test = parts["test"]
    pairs = draw_pairs(test)
    found: dict[str, list[Floats]] = {UNTRAINED: []}
    for seed in seeds:
        found[UNTRAINED].append(compare(_network(budget, seed).eval(), test, pairs))
        for name, settings in chosen.items():
            listener.say(f"{name}, seed {seed}")
            own = folder / f"{re.sub('[^a-z0-9]+', '-', name.lower())}-{seed}"
            network = _learn(parts["train"], budget, settings, seed, own, listener)
            found.setdefault(name, []).append(compare(network, test, pairs))
    return Compared(found, pairs, parts, budget)


def _network(budget: Budget, seed: int) -> nn.Module:
    """The start, the same for every loss."""
    torch.manual_seed(seed)
    network = backbone(budget.network, budget.dimension)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _learn(
    faces: Faces,
    budget: Budget,
    settings: LossSettings,
    seed: int,
    folder: Path,
    listener: Listener,
) -> nn.Module:
    network = _network(budget, seed)
    loss = make_loss(settings, budget.dimension, len(faces.people))
    config = TrainConfig(
        steps=budget.steps,
        learning_rate=budget.learning_rate,
        warmup=min(20, budget.steps // 5),
        weight_decay=5e-4,
        clip=5.0,
        seed=seed,
        prefetch=1,
        precision=budget.precision,
        device=budget.device,
        about={"budget": asdict(budget), **asdict(settings)},
    )
    batches = FaceBatches(faces, Showing(budget.people, budget.images, budget.look, seed))
    train(EmbeddingModel(network, loss), batches, config, folder, listener=listener)
    return network.eval()


def summarise(compared: Compared, seeds: Sequence[int]) -> dict[str, object]:
    """The figures, ready for JSON.

    Of each contender the mean over seeds, its standard deviation and each, and 95 % intervals
    over people; `against` has the interval of the gain on softmax, and of a miner on semi-hard.
    """
    parts = compared.parts
    return {
        "losses": _rows(compared, [UNTRAINED, *LOSSES], "softmax"),
        "mining": _rows(compared, list(MINERS), "triplet, semi-hard"),
        "people": {part: len(faces.people) for part, faces in parts.items()},
        "images": {part: len(faces.whose) for part, faces in parts.items()},
        "pairs": {
            "genuine": int(compared.pairs.same.sum()),
            "impostor": int((~compared.pairs.same).sum()),
        },
        "fmr": "1e-2",
        "seeds": list(seeds),
        "budget": asdict(compared.budget),
        "settings": {name: asdict(one) for name, one in {**LOSSES, **MINERS}.items()},
        "data": parts["test"].fingerprint,
    }


def _rows(compared: Compared, names: Sequence[str], reference: str) -> dict[str, object]:
    rows: dict[str, object] = {}
    scores, pairs = compared.scores, compared.pairs
    for name in names:
        if name not in scores:
            continue
        row: dict[str, object] = dict(_spread(scores[name], pairs))
        row["interval95"] = intervals(scores[name], pairs)
        if name != reference and reference in scores:
            row["against"] = {
                "reference": reference,
                "interval95": intervals(scores[name], pairs, against=scores[reference]),
            }
        rows[name] = row
    return rows


def _spread(runs: Sequence[Floats], pairs: Pairs) -> dict[str, object]:
    figures = [figures_of(one, pairs) for one in runs]
    return {
        key: {
            "mean": float(np.mean([one[key] for one in figures])),
            "std": float(np.std([one[key] for one in figures], ddof=min(1, len(figures) - 1))),
            "each": [one[key] for one in figures],
        }
        for key in figures[0]
    }
