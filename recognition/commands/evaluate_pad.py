"""`evaluate pad` and `evaluate calibrate-pad`: faces against pictures of faces."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    add_report_options,
    load_pipeline,
    say,
    show,
    show_json,
    show_progress,
)
from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.pad import (
    by_kind,
    calibrate,
    curve,
    equal_error,
    summarise,
    together,
)
from recognition.evaluate.pad_data import Shown, read_shown
from recognition.evaluate.pad_report import without_curves, write_pad_report
from recognition.evaluate.pad_scoring import Scored, clip_figures, model_names, score_files
from recognition.packages import write_atomically
from recognition.pad_threshold import calibration_path, pad_threshold
from recognition.pipeline import Pipeline
from recognition.weights import published


def add_to(kinds: Commands) -> None:
    """Add both to the kinds of evaluation."""
    pad = kinds.add_parser("pad", help="presentation attack detection, for each kind of attack")
    _add_data(pad)
    add_report_options(pad, "the figures, the plots and report.html, with the worst faces,")
    pad.set_defaults(command=_pad)

    calibration = kinds.add_parser(
        "calibrate-pad", help="the attack score from which on decisions refuse"
    )
    _add_data(calibration)
    calibration.add_argument(
        "--data", required=True, metavar="NAME", help="the data set's name, for the record"
    )
    calibration.add_argument(
        "--out", type=Path, metavar="FILE", help="by default the model's own in the package"
    )
    add_pipeline_options(calibration)
    calibration.set_defaults(command=_calibrate)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--live",
        type=Path,
        required=True,
        nargs="+",
        action="extend",
        metavar="DIR",
        help="a subfolder of images or clips for each person, or a clip for each",
    )
    parser.add_argument(
        "--spoof",
        type=Path,
        required=True,
        nargs="+",
        action="extend",
        metavar="DIR",
        help="a subfolder for each kind of attack (print, phone, ...), and in it as for --live; "
        "clips outside of them are video replays",
    )


def _score(pipeline: Pipeline, shown: Sequence[Shown], options: argparse.Namespace) -> Scored:
    return score_files(pipeline, shown, smallest_face=options.smallest_face, progress=show_progress)


def _pad(options: argparse.Namespace) -> int:
    shown = read_shown(options.live, options.spoof)
    pipeline = load_pipeline(options)
    scored = _score(pipeline, shown, options)
    models = {name: _figures(name, scored) for name in model_names(pipeline)}
    missed = [str(path) for path in scored.missed]
    figures: dict[str, Any] = {
        **models[model_names(pipeline)[0]],
        "images": sum(not one.is_clip for one in shown),
        "missed": len(missed),
        "missed_images": missed,
        "models": models,
    }
    if options.report:
        write_pad_report(options.report, figures, scored)
        say(f"report in {options.report}")
    if options.json:
        show_json(figures)
    else:
        show(json.dumps(without_curves(figures), indent=2))
    return 0


def _figures(name: str, scored: Scored) -> dict[str, Any]:
    """A model's figures for single frames, for several together, and for clips as a whole."""
    info = published(name).info
    single = scored.rows(name)
    calibrated = pad_threshold(info)
    threshold = equal_error(single)[1] if calibrated is None else calibrated
    several = together(single)
    complete = several.attack.any() and not several.attack.all()
    frames = summarise(single, threshold)
    five_frames = summarise(several, threshold) if complete else None
    clips = clip_figures(scored, name, calibrated)
    return {
        "model": f"{info.name} {info.version}",
        "calibrated": calibrated is not None,
        "threshold": threshold,
        **frames,
        "five_frames": five_frames,
        "kinds": by_kind(frames, five_frames, clips),
        "clips": clips,
        "curve": curve(single),
    }


def _calibrate(options: argparse.Namespace) -> int:
    pipeline = load_pipeline(options)
    if pipeline.pair is None:
        raise DatasetError(
            "Only MiniFASNet is calibrated, and it is not installed. "
            "Run `python -m recognition fetch-models --with minifasnet`."
        )
    scored = _score(pipeline, read_shown(options.live, options.spoof), options)
    model = asdict(pipeline.pad_model)
    identity = {name: model[name] for name in ("name", "version", "sha256")}
    found = calibrate(scored.rows("minifasnet"), identity, options.data)
    out = options.out or calibration_path(model["name"])
    write_atomically(out, (json.dumps(found, indent=2) + "\n").encode())
    say(f"{len(scored.missed)} images without a face left out")
    show(str(out))
    return 0
