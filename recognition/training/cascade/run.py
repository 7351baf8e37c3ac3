"""Trains P-, R- and O-Net from nothing, each on the mistakes of those before it.

A run's folder:

run.json               what the run is: annotations, seed, steps; a run goes on only as that
samples/               windows cut out of the images for the network in training; removed afterwards
pnet/, rnet/, onet/    each network's run (`recognition.training.trainer`)
pnet.safetensors ...   each network when its training has ended, with its figures in pnet.json
mtcnn.safetensors      all three with their thresholds, as `mtcnn.load_cascade` reads them
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recognition.evaluate.datasets import DatasetError
from recognition.mtcnn import Mtcnn, Thresholds, load_cascade
from recognition.packages import write_atomically
from recognition.training.cascade.annotations import AnnotatedImage, fingerprint
from recognition.training.cascade.sample_batches import SampleBatches
from recognition.training.cascade.samples import Progress, Samples, cut_samples, proposals_of
from recognition.training.cascade.thresholds import choose_thresholds
from recognition.training.cascade.trainee import (
    SIDES,
    STAGES,
    Trainee,
    fresh_trainee,
    put_into,
    validation_figures,
)
from recognition.training.cascade.windows import Plan
from recognition.training.checkpoint import CheckpointError, read_tensors, write_tensors
from recognition.training.trainer import SILENT, Listener, TrainConfig, TrainingError, train
from recognition.weights import WeightsError, save_trained

WEIGHTS = "mtcnn.safetensors"
_IDENTITY = "run.json"

PLANS = {
    "pnet": Plan(negatives=30, beside=4, positives=8, parts=8, landmarks=8),
    "rnet": Plan(negatives=20, beside=3, positives=6, parts=6, landmarks=6),
    "onet": Plan(negatives=12, beside=3, positives=5, parts=4, landmarks=8),
}
_VALIDATION = 20  # of so many images one is for validation


@dataclass(frozen=True, slots=True)
class StageConfig:
    """How one network is trained: steps, samples of a batch, and the learning rate at its top."""

    steps: int
    batch: int
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeConfig:
    """How the cascade is trained.

    smallest_face: side, in pixels, of the smallest faces that P-Net proposes for R- and O-Net.
    stages: by name.
    """

    seed: int = 0
    smallest_face: int = 20
    stages: dict[str, StageConfig] = field(
        default_factory=lambda: {
            "pnet": StageConfig(30_000, 448, 2e-3),
            "rnet": StageConfig(16_000, 224, 1e-3),
            "onet": StageConfig(10_000, 112, 1e-3),
        }
    )
    checkpoint_every: int = 250
    device: str = "cpu"


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Who is told what.

    listening: gives the listener of one network's training, for as long as that lasts.
    say: is told in words, progress of the images that were cut up.
    """

    listening: Callable[[], AbstractContextManager[Listener]] = lambda: nullcontext(SILENT)
    say: Callable[[str], None] = lambda message: None
    progress: Progress = lambda done, total: None


def train_cascade(
    images: Sequence[AnnotatedImage], folder: Path, config: CascadeConfig, told: Told | None = None
) -> dict[str, Any]:
    """Train the three networks, or go on where the folder's run stopped.

    Args:
        images: annotated; one in twenty is kept for validation.
        folder: of the run; made if missing.

    Returns:
        Figures of each network, ready for JSON.

    Raises:
        DatasetError: images cannot be read or give nothing to train on.
        TrainingError: the folder holds another run; or as `train`.
    """
    told = told or Told()
    parted = _part(images)
    digest = fingerprint(images)
    _claim(folder, digest, config)
    run = _Run(folder, config, told)
    figures: dict[str, Any] = {}
    for number, stage in enumerate(STAGES, 1):
        found = run.finished(stage)
        if found is None:
            told.say(f"{stage}: {number} of {len(STAGES)}")
            shown, held = (
                run.samples(stage, name, part)
                for name, part in zip(("train", "validation"), parted, strict=True)
            )
            found = run.train(stage, shown, held)
        figures[stage] = found
        shutil.rmtree(folder / "samples" / stage, ignore_errors=True)
    about = {"annotations": digest, "seed": config.seed, "thresholds": run.thresholds(parted[1])}
    save_trained(folder / WEIGHTS, run.net, about)
    return {"images": len(images), **about, **figures}


def _part(
    images: Sequence[AnnotatedImage],
) -> tuple[Sequence[AnnotatedImage], Sequence[AnnotatedImage]]:
    if len(images) < 2:
        raise DatasetError("at least two annotated images are needed, one of them to validate on")
    rows = range(len(images))
    held = {row for row in rows if row % _VALIDATION == _VALIDATION - 1} or {len(images) - 1}
    return [images[row] for row in rows if row not in held], [images[row] for row in sorted(held)]


def _claim(folder: Path, digest: str, config: CascadeConfig) -> None:
    """Make the folder this run's, or see that it is."""
    facts = {
        "annotations": digest,
        **asdict(config),
        "plans": {k: asdict(v) for k, v in PLANS.items()},
    }
    for free in ("checkpoint_every",):  # decides nothing about what is learnt
        del facts[free]
    path = folder / _IDENTITY
    try:
        known = json.loads(path.read_bytes())
    except FileNotFoundError:
        write_atomically(path, (json.dumps(facts, indent=2) + "\n").encode())
        return
    except ValueError as error:
        raise TrainingError(f"{path} is damaged; train in another folder") from error
    current = json.loads(json.dumps(facts))
    changed = sorted(name for name in {*known, *current} if known.get(name) != current.get(name))
    if changed:
        raise TrainingError(
            f"{folder} holds a run with other {' and '.join(changed)}; train in another folder, or "
            "with what that run began with"
        )


class _Run:
    """One run: its cascade so far, its folder, how it is trained and who is told."""

    def __init__(self, folder: Path, config: CascadeConfig, told: Told) -> None:
        self.net = Mtcnn().eval()
        self.folder, self.config, self.told = folder, config, told

    def finished(self, stage: str) -> dict[str, Any] | None:
        """Figures of a network whose training has ended; it is put into the cascade."""
        try:
            tensors, facts = read_tensors(self.folder / stage)
            part: nn.Module = getattr(self.net, stage)
            part.load_state_dict(tensors)
            figures: dict[str, Any] = facts["figures"]
        except (CheckpointError, RuntimeError, KeyError):
            return None  # its own run's checkpoints give it again
        return figures

    def samples(self, stage: str, name: str, images: Sequence[AnnotatedImage]) -> Samples:
        """Those that were cut before, or fresh ones."""
        path = self.folder / "samples" / stage / name
        try:
            tensors, _ = read_tensors(path)
            return Samples(**tensors)
        except (CheckpointError, TypeError):
            self.told.say(f"{stage}: cutting out samples, {name}")
        samples = cut_samples(
            images,
            SIDES[stage],
            PLANS[stage],
            seed=self.config.seed + STAGES.index(stage),
            proposer=proposals_of(self.net, stage, self.config.smallest_face),
            progress=self.told.progress,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, samples.tensors(), {"counts": samples.counts()})
        return samples

    def train(self, stage: str, shown: Samples, held: Samples) -> dict[str, Any]:
        """Train one network, or go on with it, and put it into the cascade; its figures."""
        seed = self.config.seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * len(STAGES) + STAGES.index(stage))
            trainee = fresh_trainee(stage)
        trainee.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        batches = SampleBatches(shown, self.config.stages[stage].batch, seed=seed)
        settings = self._settings(stage, trainee)
        with self.told.listening() as listener:
            result = train(
                trainee,
                batches,
                settings,
                self.folder / stage,
                validate=partial(_validate, held=held),
                listener=listener,
            )
        trainee.cpu()
        put_into(self.net, stage, trainee)
        figures = {
            "steps": result.steps,
            "best_step": result.best_step,
            "samples": shown.counts(),
            "validation": {name: round(value, 5) for name, value in result.validation.items()},
        }
        write_tensors(self.folder / stage, trainee.net.state_dict(), {"figures": figures})
        return figures

    def thresholds(self, images: Sequence[AnnotatedImage]) -> Thresholds:
        """Those that were chosen before, or chosen now, by images for validation."""
        try:
            return load_cascade(self.folder / WEIGHTS).thresholds
        except WeightsError:
            self.told.say("choosing thresholds")
        return choose_thresholds(self.net, images, self.config.smallest_face, self.told.say)

    def _settings(self, stage: str, trainee: Trainee) -> TrainConfig:
        how = self.config.stages[stage]
        return TrainConfig(
            steps=how.steps,
            learning_rate=how.learning_rate,
            warmup=min(100, how.steps // 10),
            weight_decay=1e-4,
            ema=0.995 if how.steps >= 1_000 else 0.0,
            seed=self.config.seed,
            validate_every=max(1, how.steps // 10),
            watch="loss",
            higher_is_better=False,
            checkpoint_every=self.config.checkpoint_every,
            log_every=20,
            prefetch=1,
            device=self.config.device,
            about={"network": stage, "hard_share": trainee.hard_share},
        )


def _validate(model: nn.Module, *, held: Samples) -> dict[str, float]:
    if not isinstance(model, Trainee):
        raise TypeError("only a Trainee is validated by samples")
    return validation_figures(model, held)
