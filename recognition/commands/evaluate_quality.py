"""`evaluate quality`: whether the quality score predicts which faces are recognised."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from recognition.commands.terminal import (
    Commands,
    add_report_options,
    load_pipeline,
    say,
    show,
    show_json,
    show_progress,
)
from recognition.evaluate.datasets import read_pairs
from recognition.evaluate.quality import rate, summarise, without_curves
from recognition.evaluate.quality_report import write_quality_report
from recognition.evaluate.verification import score_pairs


def add_to(kinds: Commands) -> None:
    """Add it to the kinds of evaluation."""
    parser = kinds.add_parser(
        "quality", help="error against the share of low quality that is discarded"
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--pairs", type=Path, required=True, metavar="FILE", help="in LFW's format")
    add_report_options(parser, "the figures, the curves and report.html, with people's photos,")
    parser.set_defaults(command=_quality)


def _quality(options: argparse.Namespace) -> int:
    pairs = read_pairs(options.pairs)
    pipeline = load_pipeline(options)
    scored = score_pairs(
        pipeline,
        options.images,
        pairs,
        smallest_face=options.smallest_face,
        progress=show_progress,
    )
    rated = rate(scored)
    say("drawing people for the intervals")
    figures = summarise(scored, rated)
    figures["model"] = f"{pipeline.model.name} {pipeline.model.version}"
    if options.report:
        write_quality_report(options.report, figures, scored, rated)
        say(f"report in {options.report}")
    if options.json:
        show_json(figures)
    else:
        show(json.dumps(without_curves(figures), indent=2))
    return 0
