"""`train annotate`: boxes and points of faces, to train detectors on and to measure them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    load_pipeline,
    say,
    show,
    show_progress,
)
from recognition.evaluate.datasets import DatasetError, images_by_person
from recognition.training.cascade.annotating import annotate, make_composites, split_people
from recognition.training.cascade.annotations import AnnotatedImage, write_annotations
from recognition.training.cascade.published_formats import read_celeba, read_wider


def add_to(kinds: Commands) -> None:
    """Add it to what can be trained."""
    parser = kinds.add_parser(
        "annotate",
        help="boxes and points of faces, by the engine's detector or from a published set",
    )
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="a subfolder for each person; with --wider or --celeba the folder of its images",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON lines; images of people held out go to NAME-held-out.jsonl beside it",
    )
    parser.add_argument(
        "--held-out",
        type=_share,
        default=0.25,
        metavar="SHARE",
        help="of the people, by their names (%(default)s)",
    )
    parser.add_argument(
        "--composites",
        type=_count,
        default=0,
        metavar="N",
        help="pictures that are put together of the faces, in a folder beside the file; of those "
        "held out a share as large (%(default)s)",
    )
    parser.add_argument("--seed", type=_count, default=0, metavar="N", help="(%(default)s)")
    _add_published(parser)
    add_pipeline_options(parser)
    parser.set_defaults(command=_annotate)


def _add_published(parser: argparse.ArgumentParser) -> None:
    published = parser.add_mutually_exclusive_group()
    published.add_argument("--wider", type=Path, metavar="FILE", help="WIDER FACE's annotations")
    published.add_argument(
        "--celeba",
        type=Path,
        nargs=2,
        metavar=("BOXES", "LANDMARKS"),
        help="CelebA's, of its images in the wild",
    )


def _annotate(options: argparse.Namespace) -> int:
    if options.wider or options.celeba:
        return _convert(options)
    people: dict[str, list[Path]] = {}
    for folder in options.images:
        for name, own in images_by_person(folder).items():
            people.setdefault(f"{folder.name}/{name}", []).extend(own)
    split = split_people(people, options.held_out)
    if not split.train:
        raise DatasetError("all people are held out; give a smaller --held-out, or more people")
    pipeline = load_pipeline(options)
    held_out = options.out.with_name(f"{options.out.stem}-held-out{options.out.suffix}")
    total = len(split.train) + len(split.held_out)
    for file, paths in ((options.out, split.train), (held_out, split.held_out)):
        if paths:
            images = annotate(
                pipeline.detector, paths, device=pipeline.device, progress=show_progress
            )
            _write(file, images, round(options.composites * len(paths) / total), options.seed)
    return 0


def _write(file: Path, images: Sequence[AnnotatedImage], composites: int, seed: int) -> None:
    say(f"{file}: {len(images)} images")
    write_annotations(file, images)
    show(str(file))
    if composites:
        made = file.with_name(f"{file.stem}-composites{file.suffix}")
        folder = file.with_name(f"{file.stem}-composites")
        pictures = make_composites(images, folder, composites, seed=seed, progress=show_progress)
        write_annotations(made, pictures)
        show(str(made))


def _convert(options: argparse.Namespace) -> int:
    if len(options.images) > 1 or options.composites:
        raise DatasetError("a published set has one folder of images, and no composites")
    if options.wider:
        images = read_wider(options.wider, options.images[0])
    else:
        boxes, landmarks = options.celeba
        images = read_celeba(boxes, landmarks, options.images[0])
    write_annotations(options.out, images)
    show(str(options.out))
    return 0


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError("at least 0 and below 1")
    return share


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("at least 0")
    return number
