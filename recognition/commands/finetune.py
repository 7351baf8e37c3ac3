"""`finetune`: make an embedder fit a site's people, and hand it over only if it is better."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import torch

from recognition import embedders, sample_faces
from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    load_pipeline,
    positive,
    say,
    show_figures,
    show_progress,
)
from recognition.commands.training_progress import training_progress
from recognition.evaluate.datasets import DatasetError, images_by_person, read_pairs
from recognition.fetch import models_folder
from recognition.home import home
from recognition.importing import check_name
from recognition.pipeline import Pipeline
from recognition.registering import register_tuned
from recognition.training.finetune import Material, Outcome, Parts, finetune, parts_of
from recognition.training.guard import LARGEST_LOSS
from recognition.training.subjects import (
    ConsentedSource,
    Photo,
    Subjects,
    find_subjects,
    photos_in,
)
from recognition.training.tuning import USUAL, TuneSettings, What
from recognition.tuned import load_tuned
from recognition.types import ModelInfo

REFUSED = 3
"""Exit status where everything was done, and the model is not good enough."""


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("finetune", help="fit an embedder to a site's people")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--images", type=Path, metavar="DIR", help="a subfolder for each person")
    whose.add_argument(
        "--installation",
        action="store_true",
        help="the enrolment photos of people who consent to be recognised; read in memory only",
    )
    parser.add_argument(
        "--general",
        type=Path,
        metavar="DIR",
        help="many other people, a subfolder for each: half are replayed against forgetting, on "
        "the others it is measured what is lost; without them nothing is handed over",
    )
    parser.add_argument(
        "--general-pairs",
        type=Path,
        metavar="FILE",
        help="measure on these pairs, in LFW's format; their people are not replayed",
    )
    parser.add_argument("--name", help="register it as this, if it is good enough")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _add_training_options(parser)
    add_pipeline_options(parser)
    parser.set_defaults(command=_finetune)


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    adapter, blocks = USUAL["adapter"], USUAL["blocks"]
    parser.add_argument(
        "--what",
        choices=get_args(What),
        default="adapter",
        help="an adapter, on any embedder, or the last blocks of MobileFaceNet (%(default)s)",
    )
    parser.add_argument(
        "--held-out",
        type=_share,
        default=0.5,
        metavar="SHARE",
        help="of the people, on whom it is judged (%(default)s)",
    )
    parser.add_argument("--first", default="*", metavar="PATTERN", help="photos to compare ...")
    parser.add_argument("--second", default="*", metavar="PATTERN", help="... with these")
    parser.add_argument(
        "--steps", type=positive, help=f"(adapter {adapter.steps}, blocks {blocks.steps})"
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help=f"(adapter {adapter.learning_rate:g}, blocks {blocks.learning_rate:g})",
    )
    parser.add_argument(
        "--keep",
        type=float,
        metavar="WEIGHT",
        help="of staying with the vectors of before "
        f"(adapter {adapter.keep:g}, blocks {blocks.keep:g})",
    )
    parser.add_argument(
        "--from-layer",
        type=int,
        choices=range(5, 25),
        default=blocks.from_layer,
        metavar="N",
        help="blocks: train MobileFaceNet from this layer on, 5..24 (%(default)s)",
    )
    parser.add_argument(
        "--hidden",
        type=int,
        default=adapter.hidden,
        metavar="N",
        help="adapter: width of its hidden layer; 0 for a linear one (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split and the training")
    parser.add_argument(
        "--run", type=Path, metavar="DIR", help="keep the training run there, to resume it or look"
    )


def _finetune(options: argparse.Namespace) -> int:
    if options.name:
        check_name(options.name)
    if not options.general:
        say(
            "There is no --general set. What is learnt is held against the site's own faces and a "
            "few sample portraits only, what it loses on others cannot be measured, and it will "
            "not be handed over."
        )
    source = _installation(options) if options.installation else None
    pipeline = load_pipeline(options)
    settings = _settings(options)
    material = _material(options, pipeline, source, settings)
    parts = parts_of(material, held_out=options.held_out, seed=options.seed)
    say(_split_in_words(parts))
    if parts.general is not None and not (parts.replay and parts.replay.people):
        say(
            "Nobody of the general set is left to be replayed, since all are in --general-pairs: "
            "what is learnt is held against the site's own faces only. Give a part of the pairs, "
            "or more people."
        )
    parent = embedders.load(models_folder(home()), options.embedder, torch.device("cpu"))
    if load_tuned(models_folder(home()), options.embedder) is not None:
        raise DatasetError(f"{options.embedder} is fine-tuned itself: fine-tune its parent.")
    with _run_folder(options) as folder, training_progress() as listener:
        outcome = finetune(
            parent, options.embedder, material, parts, settings, folder, listener=listener
        )
    registered = None
    if options.name and outcome.verdict.passed:
        _refuse_withdrawn(source, parts)
        registered = _register(options.name, outcome)
    _tell(options, outcome, registered)
    return 0 if outcome.verdict.passed else REFUSED


def _installation(options: argparse.Namespace) -> ConsentedSource:
    if options.open_installation is None:
        raise DatasetError("There is no installation here: run it as python -m recognition.")
    if options.run:
        raise DatasetError("Of an installation's people no training run is kept: leave --run out.")
    source: ConsentedSource = options.open_installation()
    return source


def _material(
    options: argparse.Namespace,
    pipeline: Pipeline,
    source: ConsentedSource | None,
    settings: TuneSettings,
) -> Material:
    turns = settings.turns if settings.what == "adapter" else 0

    def found(photos: Iterable[Photo]) -> Subjects:
        waiting = list(photos)
        show = partial(show_progress, total=len(waiting))
        try:
            subjects = find_subjects(
                pipeline,
                waiting,
                smallest_face=options.smallest_face,
                turns=turns,
                progress=show,
            )
        except ValueError as error:
            raise DatasetError(f"There is nothing to learn from: {error}.") from error
        say(f"{subjects.missed} photos without a face left out")
        return subjects

    site = found(source.photos() if source else photos_in(images_by_person(options.images)))
    general = found(photos_in(images_by_person(options.general))) if options.general else None
    return Material(
        site,
        general,
        None if general else found(_samples()),
        options.general.name if options.general else "",
        read_pairs(options.general_pairs) if options.general_pairs else (),
        options.first,
        options.second,
    )


def _samples() -> Iterator[Photo]:
    for name, path in sample_faces.fetch(home(), say=say).items():
        yield Photo(name.partition(".")[0].rstrip("0123456789"), name, path.read_bytes)


def _settings(options: argparse.Namespace) -> TuneSettings:
    usual = USUAL[options.what]
    return replace(
        usual,
        from_layer=options.from_layer,
        hidden=options.hidden,
        steps=options.steps or usual.steps,
        learning_rate=options.learning_rate or usual.learning_rate,
        keep=usual.keep if options.keep is None else options.keep,
        seed=options.seed,
    )


@contextmanager
def _run_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Where the run lies: what the user names, else a folder that is removed again."""
    if options.run:
        yield options.run
        return
    home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".finetune-", dir=home()) as folder:
        yield Path(folder)


def _split_in_words(parts: Parts) -> str:
    counts = [len(part.everybody) for part in (parts.learn, parts.validate, parts.held_out)]
    words = "learns from {} people, watches {}, is judged on {}".format(*counts)
    if parts.general is not None and parts.replay is not None:
        words += (
            f"; of the general set it replays {len(parts.replay.everybody)} and is measured on "
            f"{len(parts.general.everybody)}"
        )
    return words


def _refuse_withdrawn(source: ConsentedSource | None, parts: Parts) -> None:
    """Raise DatasetError if somebody it has learnt from has withdrawn meanwhile."""
    learnt = {*parts.learn.people, *parts.validate.people}
    if source is not None and source.withdrawn(learnt):
        raise DatasetError(
            "Somebody whom it has learnt from has withdrawn consent meanwhile: it was not "
            "registered. Run it again."
        )


def _register(name: str, outcome: Outcome) -> ModelInfo:
    calibration = dict(outcome.verdict.calibration or {})
    info = outcome.tuned.named(name)
    calibration["model"] = {"name": name, "version": info.version, "sha256": info.sha256}
    record = {**outcome.record, "judged": outcome.verdict.figures}
    return register_tuned(home(), name, outcome.tuned, record, calibration, say)


def _tell(options: argparse.Namespace, outcome: Outcome, registered: ModelInfo | None) -> None:
    verdict = outcome.verdict
    figures = {
        "passed": verdict.passed,
        "reasons": list(verdict.reasons),
        "parent": f"{outcome.tuned.parent_model.name} {outcome.tuned.parent_model.version}",
        "registered": None if registered is None else f"{registered.name} {registered.version}",
        **verdict.figures,
        "training": outcome.record,
        "allowed_loss": LARGEST_LOSS,
    }
    show_figures(figures, as_json=options.json)
    for reason in verdict.reasons:
        say(f"not handed over: {reason}")
    if registered is not None:
        say(
            f"Registered as {registered.name} {registered.version}. Workers see it within seconds: "
            f"manage.py change_model start {registered.name}"
        )


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError("between 0 and 1")
    return share
