"""`train embedding`: an embedder of faces, from nothing, on a folder of people."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

import torch.distributed as dist

from recognition.commands.terminal import Commands, positive, say, show_figures
from recognition.commands.train_faces import add_face_options, faces_by_part
from recognition.commands.training_progress import training_progress
from recognition.embed import DIMENSION
from recognition.training.backbones import BACKBONES
from recognition.training.config import Optimiser, Precision, TrainConfig
from recognition.training.embedder import Plan, export_embedder, measure_embedder, train_embedder
from recognition.training.embedding import LossName, LossSettings, Mining
from recognition.training.face_batches import Look, Showing
from recognition.training.launch import launch, launched
from recognition.training.ranks import joined

_EXPORTED = "embedder.safetensors"


def add_to(kinds: Commands) -> None:
    """Add it to the kinds of training."""
    parser = kinds.add_parser("embedding", help="an embedder of faces, from nothing")
    add_face_options(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="of the run; called again with the same options it goes on where it was",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _add_model_options(parser)
    _add_learning_options(parser)
    parser.set_defaults(command=_embedding)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    usual = LossSettings()
    parser.add_argument("--backbone", choices=BACKBONES, default="mobilefacenet")
    parser.add_argument("--dimension", type=positive, default=DIMENSION, help="(%(default)s)")
    parser.add_argument("--loss", choices=get_args(LossName), default=usual.loss)
    parser.add_argument(
        "--mining", choices=get_args(Mining), default=usual.mining, help="of triplets (%(default)s)"
    )
    parser.add_argument("--margin", type=float, help="of triplet (0.2) or arcface (0.5 radians)")
    parser.add_argument("--scale", type=float, default=usual.scale, help="of arcface (%(default)s)")
    parser.add_argument("--sub-centres", type=positive, default=1, help="of arcface (%(default)s)")
    parser.add_argument(
        "--centre-weight", type=float, default=usual.centre_weight, help="lambda (%(default)s)"
    )


def _add_learning_options(parser: argparse.ArgumentParser) -> None:
    shown = Showing()
    parser.add_argument("--steps", type=positive, default=10_000, help="(%(default)s)")
    parser.add_argument("--people", type=positive, default=shown.people, help="in a batch")
    parser.add_argument("--each", type=positive, default=shown.images, help="images of a person")
    parser.add_argument(
        "--look",
        choices=get_args(Look),
        default=shown.look,
        help="faces as kiosks see them, mirrored or not, or as they are (%(default)s)",
    )
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="(%(default)s)")
    parser.add_argument("--warmup", type=int, help="steps (a twentieth of all)")
    parser.add_argument("--weight-decay", type=float, default=5e-4, help="(%(default)s)")
    parser.add_argument("--optimiser", choices=get_args(Optimiser), default="adamw")
    parser.add_argument("--accumulate", type=positive, default=1, help="batches for each step")
    parser.add_argument("--precision", choices=get_args(Precision), default="float32")
    parser.add_argument("--ema", type=float, default=0.0, help="0.999, for example (%(default)s)")
    parser.add_argument("--validate-every", type=positive, default=500, help="steps (%(default)s)")
    parser.add_argument(
        "--patience", type=int, default=0, help="validations without gain; 0: to the end"
    )
    parser.add_argument(
        "--checkpoint-every", type=positive, default=500, help="steps (%(default)s)"
    )
    parser.add_argument("--prefetch", type=int, default=2, help="threads that make batches")
    parser.add_argument(
        "--processes", type=positive, default=1, metavar="N", help="on this machine, a GPU for each"
    )


def _embedding(options: argparse.Namespace) -> int:
    parts = faces_by_part(options, options.out / "faces.safetensors")
    if options.processes > 1 and not launched():
        return launch([sys.executable, "-m", "recognition", *sys.argv[1:]], options.processes)
    with joined(options.device) as device, training_progress() as listener:
        network, trained = train_embedder(
            parts, _plan(options), _config(options, device), options.out, listener=listener
        )
        first = not dist.is_initialized() or dist.get_rank() == 0
    if not first:
        return 0
    importable = export_embedder(network, options.out / _EXPORTED)
    say(f"weights in {options.out / _EXPORTED}, curves in {options.out / 'report.html'}")
    if importable:
        say(f"python -m recognition import-model {options.out / _EXPORTED} --name NAME --licence L")
    figures = {
        "steps": trained.steps,
        "ended": trained.ended,
        "best_step": trained.best_step,
        "validation": dict(trained.validation),
        "test": measure_embedder(network, parts["test"]),
        "learnt_from": {
            "people": len(parts["train"].people),
            "images": len(parts["train"].whose),
        },
        "missed": len(parts["train"].missed),
        "importable": importable,
    }
    show_figures(figures, as_json=options.json)
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    loss = LossSettings(
        options.loss,
        margin=options.margin,
        mining=options.mining,
        centre_weight=options.centre_weight,
        scale=options.scale,
        sub_centres=options.sub_centres,
    )
    showing = Showing(options.people, options.each, options.look, options.seed)
    return Plan(options.backbone, options.dimension, loss, showing)


def _config(options: argparse.Namespace, device: str) -> TrainConfig:
    return TrainConfig(
        steps=options.steps,
        learning_rate=options.learning_rate,
        warmup=options.steps // 20 if options.warmup is None else options.warmup,
        weight_decay=options.weight_decay,
        optimiser=options.optimiser,
        accumulate=options.accumulate,
        precision=options.precision,
        ema=options.ema,
        clip=5.0,
        seed=options.seed,
        validate_every=options.validate_every,
        watch="accuracy",
        patience=options.patience,
        checkpoint_every=options.checkpoint_every,
        prefetch=options.prefetch,
        device=device,
    )
