"""The calibration of the model that a command runs, and the threshold that its options want."""

from __future__ import annotations

import argparse
import json
from typing import Any

from recognition.evaluate.calibration import FMRS, calibration_path, thresholds_by_rate
from recognition.evaluate.datasets import DatasetError
from recognition.fetch import models_folder
from recognition.home import home
from recognition.imported import calibration_file
from recognition.pipeline import Pipeline
from recognition.verification import NotCalibratedError, OperatingPoint


def add_rate_option(parser: argparse.ArgumentParser, default: str) -> None:
    """--fmr: the calibrated false match rate whose threshold is applied."""
    parser.add_argument(
        "--fmr",
        choices=FMRS,
        default=default,
        help="false match rate: the share of pairs of strangers that the threshold lets match, by "
        "the model's calibration (%(default)s)",
    )


def operating_point(pipeline: Pipeline, rate: str) -> tuple[OperatingPoint, dict[str, Any]]:
    """The threshold and margin at this rate, and the calibration that says so.

    Raises:
        DatasetError: the model has none, or none for this rate.
    """
    calibration = shipped(pipeline)
    try:
        return OperatingPoint.at(calibration, rate), calibration
    except NotCalibratedError as error:
        raise DatasetError(f"{error} Ask for one of them with --fmr.") from error


def shipped(pipeline: Pipeline) -> dict[str, Any]:
    """The calibration that the model has, thresholds by rate as the database keeps them."""
    name = pipeline.model.name
    path = calibration_path(name)
    if not path.exists():
        path = calibration_file(models_folder(home()), name)
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise DatasetError(f"{name} has no calibration. Make one: evaluate calibrate") from None
    return {**found, "thresholds": thresholds_by_rate(found)}
