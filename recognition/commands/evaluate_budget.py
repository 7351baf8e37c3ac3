"""`evaluate budget`: whether thresholds solved from some people keep others out."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from recognition.commands.calibrated import shipped
from recognition.commands.terminal import (
    Commands,
    add_report_options,
    load_pipeline,
    positive,
    say,
    show_figures,
    show_progress,
)
from recognition.evaluate import budget
from recognition.evaluate.budget import Plan, Portraits
from recognition.evaluate.budget_report import write_budget_report
from recognition.evaluate.datasets import DatasetError, images_by_person
from recognition.evaluate.embeddings import embed_files
from recognition.pipeline import Pipeline

FEWEST = 6
"""People: two halves of which a threshold can be solved."""


def add_to(kinds: Commands) -> None:
    """Add it to the kinds of evaluation."""
    parser = kinds.add_parser(
        "budget", help="thresholds solved on one half of the people, strangers from the other"
    )
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="a subfolder for each person"
    )
    parser.add_argument(
        "--sizes",
        type=positive,
        nargs="+",
        default=[10, 50, 200, 1000],
        metavar="N",
        help="people in the galleries (10 50 200 1000)",
    )
    parser.add_argument(
        "--calibration",
        choices=("halves", "shipped"),
        default="halves",
        help="made of the solving half, or the model's own, for few people (%(default)s)",
    )
    parser.add_argument(
        "--same-person",
        action="append",
        default=[],
        metavar="NAME=NAME",
        help="two folders that are of one person, where a data set has them twice",
    )
    parser.add_argument("--halvings", type=positive, default=budget.HALVINGS, metavar="N")
    parser.add_argument("--draws", type=positive, default=budget.DRAWS, metavar="N")
    add_report_options(parser, "the figures, the plot and report.html, with people's photos,")
    parser.set_defaults(command=_budget)


def _budget(options: argparse.Namespace) -> int:
    pipeline = load_pipeline(options)
    portraits, merged = _portraits(options, pipeline)
    people = len(np.unique(portraits.people))
    if people < FEWEST:
        raise DatasetError(f"{people} people with faces are too few: it takes {FEWEST}.")
    plan = Plan(
        sizes=sorted(size for size in set(options.sizes) if size < people),
        model=pipeline.model,
        shipped=shipped(pipeline) if options.calibration == "shipped" else None,
        halvings=options.halvings,
        draws=options.draws,
    )
    try:
        say("halves")
        headline = budget.halves(portraits, plan)
        by_size = {}
        for size in plan.sizes:
            say(f"galleries of {size}")
            by_size[size] = budget.galleries(portraits, size, plan)
    except ValueError as error:
        raise DatasetError(str(error)) from error
    figures = budget.summarise(portraits, plan, headline, by_size)
    figures["same_person"] = merged
    figures["model"] = f"{pipeline.model.name} {pipeline.model.version}"
    if options.report:
        write_budget_report(options.report, figures, portraits, headline)
        say(f"report in {options.report}")
    show_figures(figures, as_json=options.json)
    return 0


def _portraits(options: argparse.Namespace, pipeline: Pipeline) -> tuple[Portraits, list[str]]:
    """All images with a face, numbered by person, and which folders were taken for one."""
    named = images_by_person(options.images)
    owner = {name: name for name in named}
    for pair in options.same_person:
        first, _, second = pair.partition("=")
        if first not in owner or second not in owner:
            raise DatasetError(f"--same-person {pair}: there are no two such folders")
        owner[second] = owner[first]
    of = {path: owner[name] for name, paths in named.items() for path in paths}
    embedded = embed_files(
        pipeline, list(of), smallest_face=options.smallest_face, progress=show_progress
    )
    paths = list(embedded.embeddings)
    say(f"{len(embedded.missed)} images without a face left out")
    if not paths:
        raise DatasetError(f"no image in {options.images} has a face")
    _, people = np.unique([of[path] for path in paths], return_inverse=True)
    vectors = np.stack(list(embedded.embeddings.values())).astype(np.float32)
    return Portraits(vectors, people.astype(np.int64), paths), list(options.same_person)
