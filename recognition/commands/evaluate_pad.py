"""`evaluate pad` and `evaluate calibrate-pad`: faces against pictures of faces."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    load_pipeline,
    say,
    show,
    show_json,
    show_progress,
)
from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.pad import (
    PadScores,
    calibrate,
    curve,
    equal_error,
    read_shown,
    rows_of,
    summarise,
    together,
)
from recognition.evaluate.pad_report import write_pad_report
from recognition.evaluate.pad_scoring import Scored, model_names, score_clips, score_files
from recognition.packages import write_atomically
from recognition.pad_threshold import calibration_path, pad_threshold
from recognition.pipeline import Pipeline
from recognition.weights import published


def add_to(kinds: Commands) -> None:
    """Add both to the kinds of evaluation."""
    pad = kinds.add_parser("pad", help="presentation attack detection, for each kind of attack")
    _add_data(pad)
    pad.add_argument(
        "--clips", type=Path, metavar="DIR", help="with live/ and spoof/: reported clip by clip"
    )
    pad.add_argument("--json", action="store_true", help="print one JSON object")
    pad.add_argument("--report", type=Path, metavar="DIR", help="write the figures and plots there")
    add_pipeline_options(pad)
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
        "--live", type=Path, required=True, metavar="DIR", help="a subfolder for each person"
    )
    parser.add_argument(
        "--spoof",
        type=Path,
        required=True,
        metavar="DIR",
        help="a subfolder for each kind of attack, and in it one for each person",
    )


def _score(pipeline: Pipeline, options: argparse.Namespace) -> Scored:
    shown = read_shown(options.live, options.spoof)
    return score_files(pipeline, shown, smallest_face=options.smallest_face, progress=show_progress)


def _pad(options: argparse.Namespace) -> int:
    pipeline = load_pipeline(options)
    scored = _score(pipeline, options)
    singles = {name: rows_of(scored.entries[name]) for name in model_names(pipeline)}
    models = {name: _figures(name, single) for name, single in singles.items()}
    figures: dict[str, Any] = {
        **models[model_names(pipeline)[0]],
        "images": len(next(iter(singles.values())).scores) + len(scored.missed),
        "missed": len(scored.missed),
        "missed_images": [str(path) for path in scored.missed],
        "models": models,
    }
    if options.clips:
        say("scoring clips")
        clips = score_clips(pipeline, options.clips, smallest_face=options.smallest_face)
        figures["clips"] = clips
    if options.report:
        write_pad_report(options.report, figures, singles)
        say(f"report in {options.report}")
    if options.json:
        show_json(figures)
    else:
        show(json.dumps(_without_curves(figures), indent=2))
    return 0


def _figures(name: str, single: PadScores) -> dict[str, Any]:
    """A model's figures for single frames and for several together."""
    info = published(name).info
    calibrated = pad_threshold(info)
    threshold = equal_error(single)[1] if calibrated is None else calibrated
    several = together(single)
    complete = several.attack.any() and not several.attack.all()
    return {
        "model": f"{info.name} {info.version}",
        "calibrated": calibrated is not None,
        "threshold": threshold,
        **summarise(single, threshold),
        "five_frames": summarise(several, threshold) if complete else None,
        "curve": curve(single),
    }


def _without_curves(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_curves(part) for name, part in value.items() if name != "curve"}
    return value


def _calibrate(options: argparse.Namespace) -> int:
    pipeline = load_pipeline(options)
    if pipeline.pair is None:
        raise DatasetError(
            "Only MiniFASNet is calibrated, and it is not installed. "
            "Run `python -m recognition fetch-models --with minifasnet`."
        )
    scored = _score(pipeline, options)
    model = asdict(pipeline.pad_model)
    identity = {name: model[name] for name in ("name", "version", "sha256")}
    found = calibrate(rows_of(scored.entries["minifasnet"]), identity, options.data)
    out = options.out or calibration_path(model["name"])
    write_atomically(out, (json.dumps(found, indent=2) + "\n").encode())
    say(f"{len(scored.missed)} images without a face left out")
    show(str(out))
    return 0
