"""`train throughput`: images a second of a training step, with its data and without."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import get_args

import torch
from torch.nn import functional

from recognition.align import FACE_SIZE
from recognition.commands.terminal import Commands, positive, say, show, show_json
from recognition.training.backbones import BACKBONES, backbone
from recognition.training.config import Precision, TrainConfig
from recognition.training.embedding import EmbeddingModel, LossSettings, make_loss
from recognition.training.face_batches import FaceBatches, Showing
from recognition.training.faces import Faces
from recognition.training.machine import machine
from recognition.training.ranks import own_device
from recognition.training.throughput import Throughput, measure_throughput

PUBLISHED = ("mobilefacenet", "inception-resnet-v1", "vgg16")
_IMAGES_EACH = 4
_DIMENSION = 512


def add_to(kinds: Commands) -> None:
    """Add it to the kinds of training."""
    parser = kinds.add_parser(
        "throughput",
        help="images a second of a training step with its data path, beside the same step on data "
        "that already is on the device",
    )
    parser.add_argument(
        "--backbone",
        choices=BACKBONES,
        action="append",
        help=f"more than once for several (default: {', '.join(PUBLISHED)})",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        help="of the arithmetic (default: bfloat16 on CUDA, else float32)",
    )
    parser.add_argument("--batch", type=positive, default=64, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--people", type=positive, default=10_000, metavar="N", help="(%(default)s)"
    )
    parser.add_argument("--steps", type=positive, default=20, metavar="N", help="(%(default)s)")
    parser.add_argument("--turns", type=positive, default=5, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--prefetch", type=positive, default=2, metavar="N", help="threads for data (%(default)s)"
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="of torch, on the CPU")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(command=_throughput)


def _throughput(options: argparse.Namespace) -> int:
    if options.threads:
        torch.set_num_threads(options.threads)
    config = _config(options)
    images = min(_IMAGES_EACH, options.batch)
    people = options.batch // images
    batches = FaceBatches(made_up_faces(2 * people, images), Showing(people=people, images=images))
    found: dict[str, Throughput] = {}
    for name in options.backbone or PUBLISHED:
        say(f"{name} ...")
        model = EmbeddingModel(
            backbone(name, _DIMENSION), make_loss(LossSettings(), _DIMENSION, options.people)
        )
        found[name] = measure_throughput(
            model, batches, config, steps=options.steps, turns=options.turns
        )
        if not options.json:
            show(_line(name, found[name]))
    if options.json:
        show_json(
            {
                "backbones": {name: rounded(one) for name, one in found.items()},
                "precision": config.precision,
                "batch": people * images,
                "people": options.people,
                "steps": options.steps,
                "turns": options.turns,
                "prefetch": options.prefetch,
                "machine": machine(own_device(options.device)),
            }
        )
    return 0


def _config(options: argparse.Namespace) -> TrainConfig:
    on_cuda = own_device(options.device).type == "cuda"
    usual: Precision = "bfloat16" if on_cuda else "float32"
    return TrainConfig(
        steps=1,
        learning_rate=1e-4,
        precision=options.precision or usual,
        prefetch=options.prefetch,
        device=options.device,
        ema=0.999,
        clip=5.0,
        deterministic=False,
    )


def made_up_faces(people: int, images: int) -> Faces:
    """Smooth patterns in place of faces: changing and compressing them costs as much."""
    chance = torch.Generator().manual_seed(0)
    coarse = 255 * torch.rand(people * images, 3, 14, 14, generator=chance)
    smooth = functional.interpolate(coarse, (FACE_SIZE, FACE_SIZE), mode="bilinear")
    return Faces(
        pixels=smooth.round().byte(),
        whose=torch.arange(people).repeat_interleave(images),
        people=tuple(f"made up {number}" for number in range(people)),
        missed=(),
        unreadable=(),
        fingerprint=f"made up {people} {images}",
    )


def rounded(found: Throughput) -> dict[str, object]:
    """The figures for JSON: images a second, and the ratio of the first two."""
    return {
        name: [round(one, 4) for one in value] if isinstance(value, tuple) else round(value, 4)
        for name, value in asdict(found).items()
    }


def _line(name: str, found: Throughput) -> str:
    return (
        f"{name}: {found.fed:.1f} images/s with its data path, {found.ready:.1f} on data already "
        f"on the device, ratio {found.ratio:.3f}; the data path alone {found.data:.0f}"
    )
