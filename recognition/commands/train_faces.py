"""What commands that train on faces share: the folders, the cutting, who is in which part."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch

from recognition.commands.terminal import positive, say, show_progress
from recognition.evaluate.datasets import DatasetError
from recognition.fetch import models_folder
from recognition.home import home
from recognition.pipeline import Pipeline
from recognition.training.faces import SHARES, Faces, Part, cut_faces, split


def add_face_options(parser: argparse.ArgumentParser) -> None:
    """--images and which of the people in them, where their faces are kept, --device, --seed."""
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="a subfolder for each person",
    )
    parser.add_argument(
        "--least", type=positive, default=2, metavar="N", help="images of a person (%(default)s)"
    )
    parser.add_argument(
        "--split-seed", type=int, default=0, metavar="N", help="who is learnt from (%(default)s)"
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        metavar="PERSON",
        help="for example who is in another folder under another name",
    )
    parser.add_argument(
        "--faces",
        type=Path,
        metavar="FILE",
        help="where the faces that are cut out are kept, by default with the results; they are "
        "pictures of people",
    )
    parser.add_argument("--smallest-face", type=positive, default=40, metavar="PIXELS")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--threads", type=positive, metavar="N", help="of torch, on the CPU")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (%(default)s)")


def faces_by_part(
    options: argparse.Namespace, cache: Path, shares: Mapping[Part, float] = SHARES
) -> dict[Part, Faces]:
    """The faces of the folders, cut out by the installation's models, by part.

    Args:
        cache: where they are kept, unless an option says where.

    Raises:
        DatasetError: too few people, no faces, or nobody of a name to leave out.
        WeightsError: the models are not there.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    pipeline = Pipeline.load(models_folder(home()), device=options.device, embedder="mobilefacenet")
    faces = cut_faces(
        pipeline,
        options.images,
        options.faces or cache,
        smallest_face=options.smallest_face,
        progress=show_progress,
    )
    unknown = sorted(set(options.leave_out) - set(faces.people))
    if unknown:
        raise DatasetError(f"There is nobody called {unknown[0]!r} to leave out.")
    parts = split(
        faces,
        options.split_seed,
        least=options.least,
        shares=shares,
        without=options.leave_out,
    )
    counted = ", ".join(
        f"{part} {len(own.whose)} of {len(own.people)} people" for part, own in parts.items()
    )
    say(
        f"{len(faces.whose)} faces; no face in {len(faces.missed)} images, "
        f"{len(faces.unreadable)} unreadable; {counted}"
    )
    return parts
